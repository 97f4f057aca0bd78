package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/status"
)

// Variables of a command's environment.
const (
	// ownerDiedVariable tells the command that the data it guards may be broken.
	ownerDiedVariable = "SHMD_OWNER_DIED"
	// deliveriesVariable is how often the message was delivered, this time included.
	deliveriesVariable = "SHMD_DELIVERIES"
)

// diesWithCommand is what help says wherever something is held while a command runs.
const diesWithCommand = `If that is killed (SIGKILL), the kernel kills COMMAND too, as it would go on without.
COMMAND's own children are not killed, nor is a COMMAND that changes user
(set-user-id). SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are passed on to COMMAND, and so are
SIGINT and SIGQUIT unless the terminal has sent them to COMMAND already.`

// commandArgs takes NAME -- COMMAND [ARGS...].
func commandArgs(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case dash == 1 && len(args) > 1:
		return nil
	case dash < 0 && len(args) > 1:
		return usage("put -- before the command: %s %s -- %s", cmd.CommandPath(), args[0], strings.Join(args[1:], " "))
	case dash > 1:
		return usage("one NAME goes before --, got %d", dash)
	case dash == 0 || len(args) == 0:
		return usage("which NAME? want NAME -- COMMAND")
	}
	return usage("which COMMAND? want %s -- COMMAND", args[0])
}

// optionalCommandArgs takes NAME, or NAME -- COMMAND [ARGS...].
func optionalCommandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && cmd.ArgsLenAtDash() < 0 {
		return nil
	}
	return commandArgs(cmd, args)
}

// command prepares the command; 127 and 126 are what shells say.
func (a *app) command(words []string) (*exec.Cmd, error) {
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, commandError(words[0], err)
	}
	command := exec.Command(words[0], words[1:]...)
	command.Stdin, command.Stdout, command.Stderr = a.stdin, a.stdout, a.stderr
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, ownerDiedVariable+"=") // an outer lock's
	})
	return command, nil
}

func commandError(name string, err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return &exitError{exitNotFound, fmt.Errorf("run %q: %w", name, err)}
	}
	return &exitError{exitNotExecutable, fmt.Errorf("run %q: %w", name, err)}
}

// holding is what is held of an object while a command runs.
type holding struct {
	app    *app
	object *openObject
	verb   string // of the shmd command
	what   string // is held
	lost   bool   // the daemon went while we held it, and we said so
}

// warnLost tells once that the daemon is gone.
func (h *holding) warnLost() {
	if !h.lost {
		h.app.warn("%s %q: the daemon ended, and %s with it, before the command did", h.verb, h.object.name, h.what)
		h.lost = true
	}
}

// giveBack calls the method that ends the holding. A daemon that is gone has ended
// it already.
func (h *holding) giveBack(ctx context.Context, method string, params ...any) error {
	err := h.object.call(ctx, method, nil, params...)
	if errors.Is(err, status.Lost) {
		h.warnLost()
		return nil
	}
	return on(h.object.name, err)
}

// end is the error that carries the command's exit status. The command ran, and its
// status is what the caller asked for; that it could not give back is a warning.
func (h *holding) end(ran commandResult, gaveBack error) error {
	if gaveBack != nil {
		h.app.warn("%v", gaveBack)
	}
	if ran.code != 0 {
		return &exitError{code: ran.code}
	}
	return nil
}

// commandResult is how a command ended.
type commandResult struct {
	code  int
	ended bool // we were told to end meanwhile
}

// runCommand runs the command to its end and passes signals on.
func (h *holding) runCommand(command *exec.Cmd) (ran commandResult, err error) {
	signals := make(chan os.Signal, 16)
	for _, s := range passedSignals {
		if !signal.Ignored(s) { // as under nohup: let the command ignore it too
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	release := dieTogether(command)
	defer release()
	if err := command.Start(); err != nil {
		return ran, commandError(command.Path, err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	lost := h.object.client.Lost()
	take := func(s os.Signal) {
		ran.ended = ran.ended || slices.Contains(endingSignals, s)
		if err := passOn(command.Process, s); err != nil {
			h.app.warn("pass on %v: %v", s, err)
		}
	}
	for {
		select {
		case <-lost:
			h.warnLost()
			lost = nil
		case s := <-signals:
			take(s)
		case err := <-done:
			signal.Stop(signals)
			for len(signals) > 0 { // sent before the command ended, and to us too
				take(<-signals)
			}
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return ran, status.Wrap(status.System, "run", err, "%s", command.Path)
			}
			ran.code = commandStatus(command.ProcessState)
			return ran, nil
		}
	}
}
