package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
)

// app is one invocation.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	socket string // --socket
	json   bool   // --json

	// running tells a mistake in the arguments from a failure of the command.
	running bool
}

// Keys of cobra.Command.Annotations: sections of help and manual.
const (
	sectionExit        = "exit"
	sectionEnvironment = "environment"
	sectionFile        = "file"
)

const exitCommon = `0   success
1   failure; the message says which
2   wrong usage: an unknown flag, a missing argument
75  would block, or timed out: try again later`

const rootLong = `Typed shared memory, locks, semaphores, events, barriers, queues, streams and pipes that
survive the death of whoever holds something of them, by name, for processes in any
language.

A daemon (shmd serve) names the objects and knows who lives; whoever asks for a
name, in whatever process, gets the same object. When a process is killed,
everything that it held comes back: the next owner of its lock is told, and what it took
of a queue and did not finish is delivered again.

The other commands look at these objects, make and remove them, read and write
them, hold their locks, wait for them, put and take messages, and send and receive them.
NAME is parts of letters, digits, '.', '_' and '-' joined by '/', such as jobs/lock; id:N
names an object by its number, which is all that anonymous objects have.

With --json every command writes one JSON document, or one for each item, a line
each, and errors go to stderr as {"error":{"code":25,"name":"NOT_FOUND","text":"..."}}.
The codes are those of the wire protocol.`

const rootExample = `shmd status
shmd create hits value --code q
shmd set hits 41
shmd get hits
shmd create jobs/lock mutex
shmd lock jobs/lock -- echo "nobody else is in here"
shmd create jobs/todo queue
shmd put jobs/todo '{"file": "a.png"}'
shmd take jobs/todo
shmd ls`

const rootEnvironment = `SHMD_SOCKET      the daemon's socket, unless --socket names one
XDG_RUNTIME_DIR  without SHMD_SOCKET, the socket is shmd/shmd.sock in there; without
                 both, /run/shmd/shmd.sock`

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}{{with index .Annotations "environment"}}
Environment:
{{indent .}}
{{end}}{{with index .Annotations "file"}}
Configuration file:
{{indent .}}
{{end}}{{with index .Annotations "exit"}}
Exit status:
{{indent .}}
{{end}}`

func init() {
	cobra.AddTemplateFunc("indent", func(text string) string {
		return "  " + strings.ReplaceAll(text, "\n", "\n  ")
	})
}

// newRoot builds the tree of commands.
func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "shmd",
		Short:         "Typed shared memory and locks that survive the death of their holder",
		Long:          rootLong,
		Example:       rootExample,
		Args:          unknownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.running = false
			if err := cmd.Help(); err != nil {
				return err
			}
			return errors.New("which command?")
		},
		Annotations: map[string]string{sectionExit: exitCommon, sectionEnvironment: rootEnvironment},
	}
	root.SetHelpTemplate(helpTemplate)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", "",
		"`PATH` of the daemon's socket (default $SHMD_SOCKET, then\n"+
			"$XDG_RUNTIME_DIR/shmd/shmd.sock, then /run/shmd/shmd.sock)")
	flags.BoolVar(&a.json, "json", false, "write JSON, errors included")
	root.AddCommand(a.newServe(), a.newKeeper(), a.newLs(), a.newStat(), a.newCreate(), a.newRm(),
		a.newChmod(), a.newChown(), a.newGet(), a.newSet(),
		a.newLock(), a.newAcquire(), a.newRelease(), a.newPut(), a.newTake(), a.newShutdown(), a.newRedeliver(),
		a.newJoin(), a.newSend(), a.newRecv(), a.newPipe(),
		a.newSignal(), a.newPulse(), a.newReset(), a.newWait(), a.newAbort(),
		a.newClients(), a.newQuota(), a.newStatus(), a.newDoctor(), a.newFsck(), a.newVersion(),
		a.newGenMan())
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.RunE == nil { // completion, which only has subcommands
			c.RunE = func(*cobra.Command, []string) error {
				return usage("which shell? try: %s --help", c.CommandPath())
			}
		}
		inner := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error {
			a.running = true
			return inner(cmd, args)
		}
		if c.Annotations == nil {
			c.Annotations = map[string]string{sectionExit: exitCommon}
		}
	}
	return root
}

// unknownCommand refuses what no subcommand took.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		text += ": did you mean " + strings.Join(similar, " or ") + "?"
	}
	return errors.New(text)
}

// run executes args and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.newRoot()
	root.SetArgs(setNegatives(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !a.running {
		// The flag may not have been reached.
		options := args
		if dash := slices.Index(args, "--"); dash >= 0 {
			options = args[:dash]
		}
		a.json = a.json || slices.Contains(options, "--json")
		err = usage("%w\ntry: %s --help", err, cmd.CommandPath())
	}
	a.report(err)
	return exitCode(err)
}

// withClient runs f with a connection to the daemon.
func (a *app) withClient(cmd *cobra.Command, f func(ctx context.Context, c *shmd.Client) error) error {
	ctx := cmd.Context()
	c, err := shmd.Dial(ctx, shmd.Options{Socket: a.socket, Software: cmd.CommandPath()})
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, c), c.Close())
}

// completeWhere completes the names of some objects in a shell.
func (a *app) completeWhere(cmd *cobra.Command, prefix string,
	fits func(*shmd.Info) bool) ([]string, cobra.ShellCompDirective) {
	var names []string
	err := a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
		return eachObject(ctx, c, prefix, func(o shmd.Info) error {
			if fits(&o) {
				names = append(names, o.Name)
			}
			return nil
		})
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeNames completes object names in a shell.
func (a *app) completeNames(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.completeWhere(cmd, prefix, func(*shmd.Info) bool { return true })
}

// completeName is completeNames for commands that take one.
func (a *app) completeName(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.completeNames(cmd, args, prefix)
}
