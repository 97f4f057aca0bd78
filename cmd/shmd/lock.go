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
	"time"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// ownerDiedVariable tells the command that the data it guards may be broken.
const ownerDiedVariable = "SHMD_OWNER_DIED"

const lockExit = `the exit status of COMMAND, 128 plus the signal if one killed it, or
1    failure; the message says which, COMMAND did not run
2    wrong usage: an unknown flag, a missing argument
75   the lock was not free: would block (--nonblock), or timed out (--timeout)
126  COMMAND cannot be executed
127  COMMAND was not found`

const lockLong = `Take the lock of an object, run COMMAND, and release the lock when it ends. NAME is a
mutex, or a value or array, which have a lock of their own. Everybody who locks the
object takes part, in whatever language.

If a process died holding the lock, what it guards may be half changed. The lock is
taken all the same, a warning names the dead process, and COMMAND finds
SHMD_OWNER_DIED=1 in its environment, so that it can look and repair. Every owner is
told again until one says that the data is good: --mark-consistent does so when
COMMAND succeeds. A strict mutex that is released without that is unusable for ever.

What a command holds dies with the command, and the command with what it holds:
the lock belongs to the shmd process, so when that is killed (SIGKILL), the kernel
kills COMMAND too, as it would go on without the lock. COMMAND's own children are not
killed, nor is a COMMAND that changes user (set-user-id). SIGTERM, SIGHUP, SIGUSR1 and
SIGUSR2 are passed on to COMMAND, and so are SIGINT and SIGQUIT unless the terminal has
sent them to COMMAND already.

If the daemon ends while COMMAND runs, the lock is lost; a warning says so.`

func (a *app) newLock() *cobra.Command {
	var timeout durationFlag
	var nonblock, markConsistent bool
	cmd := &cobra.Command{
		Use:   "lock NAME [flags] -- COMMAND [ARGS...]",
		Short: "Run a command while holding a lock",
		Long:  lockLong,
		Example: `shmd create jobs/lock mutex
shmd lock jobs/lock -- echo "nobody else is in here"
shmd lock jobs/lock --timeout 5s -- sh -c 'echo working; exit 0'
shmd lock jobs/lock --nonblock -- true
shmd lock jobs/lock --mark-consistent -- sh -c 'test -z "$SHMD_OWNER_DIED" || echo repairing'`,
		Args:                  lockArgs,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     a.completeName,
		Annotations: map[string]string{sectionExit: lockExit,
			sectionEnvironment: ownerDiedVariable + "  set to 1 for COMMAND if a process died holding the lock"},
		RunE: func(cmd *cobra.Command, args []string) error {
			wait := time.Duration(-1)
			switch {
			case nonblock:
				wait = 0
			case cmd.Flags().Changed("timeout"):
				wait = time.Duration(timeout)
			}
			ref, err := parseRef(args[0])
			if err != nil {
				return err
			}
			command, err := a.command(args[1:])
			if err != nil {
				return err // found out before anybody has to wait for us
			}
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				l := &heldLock{app: a, client: c, name: args[0]}
				if err := l.take(ctx, ref, wait); err != nil {
					return on(args[0], err)
				}
				return l.hold(ctx, command, markConsistent)
			})
		},
	}
	cmd.Flags().VarP(&timeout, "timeout", "w", "wait at most so long: 500ms, 5s, 2m, or seconds")
	cmd.Flags().Lookup("timeout").DefValue = ""
	cmd.Flags().BoolVarP(&nonblock, "nonblock", "n", false, "do not wait at all")
	cmd.Flags().BoolVar(&markConsistent, "mark-consistent", false,
		"after a death, mark the object consistent if COMMAND succeeds")
	cmd.MarkFlagsMutuallyExclusive("timeout", "nonblock")
	return cmd
}

func lockArgs(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case dash == 1 && len(args) > 1:
		return nil
	case dash < 0 && len(args) > 1:
		return usage("put -- before the command: shmd lock %s -- %s", args[0], strings.Join(args[1:], " "))
	case dash > 1:
		return usage("one NAME goes before --, got %d", dash)
	case dash == 0 || len(args) == 0:
		return usage("which NAME? want NAME -- COMMAND")
	}
	return usage("which COMMAND? want %s -- COMMAND", args[0])
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

// heldLock is the lock of one object, over the socket.
type heldLock struct {
	app    *app
	client *shmd.Client
	name   string
	handle uint64
	notice *wire.Notice // nil = nobody died
	lost   bool         // the daemon went while we held it, and we said so
}

// take opens the object and takes its lock.
func (l *heldLock) take(ctx context.Context, ref any, timeout time.Duration) error {
	var info wire.Attachment
	if err := l.client.Call(ctx, wire.MethodOpen, &info, ref); err != nil {
		return err
	}
	l.handle = info.Handle
	if err := l.client.Call(ctx, wire.MethodLock, &l.notice, l.handle, timeout.Nanoseconds()); err != nil {
		return err
	}
	if n := l.notice; n != nil {
		l.app.warn("lock %q: process %d (uid %d) died holding it, at %s; what it guards may be half changed",
			l.name, n.PID, n.UID, timeText(n.DiedNS))
	}
	return nil
}

// hold runs the command and releases the lock. The error carries the command's
// exit status.
func (l *heldLock) hold(ctx context.Context, command *exec.Cmd, markConsistent bool) error {
	if l.notice != nil {
		command.Env = append(command.Env, ownerDiedVariable+"=1")
	}
	code, err := l.runCommand(command)
	if err != nil {
		return errors.Join(err, l.release(ctx))
	}
	if markConsistent && l.notice != nil && code == 0 {
		if err := l.client.Call(ctx, wire.MethodMarkConsistent, nil, l.handle); err != nil {
			return errors.Join(on(l.name, err), l.release(ctx))
		}
	}
	if err := l.release(ctx); err != nil {
		// The command ran, and its status is what the caller asked for.
		l.app.warn("%v", err)
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

func (l *heldLock) release(ctx context.Context) error {
	err := l.client.Call(ctx, wire.MethodUnlock, nil, l.handle)
	if errors.Is(err, status.Lost) {
		l.warnLost()
		return nil
	}
	return on(l.name, err)
}

// warnLost tells once that the daemon is gone.
func (l *heldLock) warnLost() {
	if !l.lost {
		l.app.warn("lock %q: the daemon ended, and the lock with it, before the command did", l.name)
		l.lost = true
	}
}

// runCommand runs the command to its end and passes signals on.
func (l *heldLock) runCommand(command *exec.Cmd) (code int, err error) {
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
		return 0, commandError(command.Path, err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	lost := l.client.Lost()
	for {
		select {
		case <-lost:
			l.warnLost()
			lost = nil
		case s := <-signals:
			if err := passOn(command.Process, s); err != nil {
				l.app.warn("pass on %v: %v", s, err)
			}
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, status.Wrap(status.System, "run", err, "%s", command.Path)
			}
			return commandStatus(command.ProcessState), nil
		}
	}
}
