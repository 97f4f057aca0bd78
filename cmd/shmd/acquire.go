package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/wire"
)

const acquireExit = `without COMMAND 0, else its exit status, 128 plus the signal if one killed it, or
1    failure; the message says which, COMMAND did not run
2    wrong usage: an unknown flag, a missing argument, no COMMAND with an undo semaphore
75   too few permits: would block (--nonblock), or timed out (--timeout)
126  COMMAND cannot be executed
127  COMMAND was not found`

const acquireLong = `Acquire permits of a semaphore, run COMMAND, and release them when it ends.

The permits of a semaphore created with --undo belong to the shmd process, as a lock
does, and come back exactly once however it ends. So they can be held only while a
COMMAND runs. ` + diesWithCommand + `

A semaphore without --undo is a counter that nobody owns. There, COMMAND may be left
out: acquire takes one permit, and release, by whomever, gives one. With COMMAND the
permit is released behind it, but if shmd is killed the permit is gone. Only one can be
acquired at a time.

If the daemon ends while COMMAND runs, the permits are lost; a warning says so.`

var semaphores = []string{wire.KindSemaphore}

func (a *app) newAcquire() *cobra.Command {
	var wait waitFlags
	var n uint32
	cmd := &cobra.Command{
		Use:   "acquire NAME [flags] [-- COMMAND [ARGS...]]",
		Short: "Run a command while holding permits of a semaphore",
		Long:  acquireLong,
		Example: `shmd create gpu semaphore --initial 4 --undo
shmd acquire gpu -- echo "one of at most four"
shmd acquire gpu -n 3 --timeout 5s -- true
shmd acquire gpu --nonblock -- true
shmd create started semaphore --initial 0
shmd release started
shmd acquire started`,
		Args:                  optionalCommandArgs,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     a.completeKind(wire.KindSemaphore),
		Annotations:           map[string]string{sectionExit: acquireExit},
		RunE: func(cmd *cobra.Command, args []string) error {
			var command *exec.Cmd
			if len(args) > 1 {
				var err error
				if command, err = a.command(args[1:]); err != nil {
					return err // found out before anybody has to wait for us
				}
			}
			return a.withKind(cmd, semaphores, args[0], func(ctx context.Context, o *openObject) error {
				if command == nil && hasUndo(o) {
					return usage("%q is an undo semaphore: its permits come back when the process that acquired them\n"+
						"ends, which would be at once; want shmd acquire %s -- COMMAND, to hold them while it runs",
						o.name, o.name)
				}
				if err := o.call(ctx, wire.MethodAcquire, nil, n, wait.nanoseconds(cmd)); err != nil {
					return err
				}
				switch {
				case command != nil:
					return a.holdPermits(ctx, o, n, command)
				case a.json:
					return a.emit(append(o.head(), entry{"acquired", n}))
				}
				return nil
			})
		},
	}
	cmd.Flags().Uint32VarP(&n, "count", "n", 1, "acquire so many permits, all or none")
	wait.register(cmd, "")
	return cmd
}

func (a *app) holdPermits(ctx context.Context, o *openObject, n uint32, command *exec.Cmd) error {
	h := &holding{app: a, object: o, verb: "acquire", what: "the permits"}
	ran, err := h.runCommand(command)
	if err != nil {
		return errors.Join(err, h.giveBack(ctx, wire.MethodRelease, n))
	}
	return h.end(ran, h.giveBack(ctx, wire.MethodRelease, n))
}

func hasUndo(o *openObject) bool { return slices.Contains(o.info.Flags, wire.FlagUndo) }

func (a *app) newRelease() *cobra.Command {
	var n uint32
	var post bool
	cmd := &cobra.Command{
		Use:   "release NAME",
		Short: "Add permits to a semaphore",
		Long: `Add permits to a semaphore, and so wake those who wait for them. More than its maximum
are refused.

The permits of a semaphore created with --undo are released by the process that
acquired them, and by nobody else: by acquire when its COMMAND ends, or by death.
--post makes new ones, of any semaphore.`,
		Example: `shmd create started semaphore --initial 0
shmd release started
shmd release started -n 3
shmd create gpu semaphore --initial 4 --undo
shmd release gpu --post -n 2`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindSemaphore),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, semaphores, args[0], func(ctx context.Context, o *openObject) error {
				method, done := wire.MethodRelease, "released"
				switch {
				case post:
					method, done = wire.MethodPost, "posted"
				case hasUndo(o):
					return usage("%q is an undo semaphore: only the process that acquired permits can release them,\n"+
						"and this one has none; shmd acquire releases its own, --post makes new ones", o.name)
				}
				if err := o.call(ctx, method, nil, n); err != nil || !a.json {
					return err
				}
				return a.emit(append(o.head(), entry{done, n}))
			})
		},
	}
	cmd.Flags().Uint32VarP(&n, "count", "n", 1, "add so many permits")
	cmd.Flags().BoolVar(&post, "post", false, "make new permits, of an undo semaphore too")
	return cmd
}
