package main

import (
	"context"
	"errors"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/wire"
)

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
the lock belongs to the shmd process.
` + diesWithCommand + `

If the daemon ends while COMMAND runs, the lock is lost; a warning says so.`

func (a *app) newLock() *cobra.Command {
	var wait waitFlags
	var markConsistent bool
	cmd := &cobra.Command{
		Use:   "lock NAME [flags] -- COMMAND [ARGS...]",
		Short: "Run a command while holding a lock",
		Long:  lockLong,
		Example: `shmd create jobs/lock mutex
shmd lock jobs/lock -- echo "nobody else is in here"
shmd lock jobs/lock --timeout 5s -- sh -c 'echo working; exit 0'
shmd lock jobs/lock --nonblock -- true
shmd lock jobs/lock --mark-consistent -- sh -c 'test -z "$SHMD_OWNER_DIED" || echo repairing'`,
		Args:                  commandArgs,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     a.completeName,
		Annotations: map[string]string{sectionExit: lockExit,
			sectionEnvironment: ownerDiedVariable + "  set to 1 for COMMAND if a process died holding the lock"},
		RunE: func(cmd *cobra.Command, args []string) error {
			command, err := a.command(args[1:])
			if err != nil {
				return err // found out before anybody has to wait for us
			}
			return a.withObject(cmd, args[0], wire.AccessReadWrite, func(ctx context.Context, o *openObject) error {
				l := &heldLock{holding: holding{app: a, object: o, verb: "lock", what: "the lock"}}
				if err := l.take(ctx, wait.nanoseconds(cmd)); err != nil {
					return err
				}
				return l.hold(ctx, command, markConsistent)
			})
		},
	}
	wait.register(cmd, "n")
	cmd.Flags().BoolVar(&markConsistent, "mark-consistent", false,
		"after a death, mark the object consistent if COMMAND succeeds")
	return cmd
}

// heldLock is the lock of one object, over the socket.
type heldLock struct {
	holding
	notice *wire.Notice // nil = nobody died
}

// take takes the lock.
func (l *heldLock) take(ctx context.Context, timeout int64) error {
	if err := l.object.call(ctx, wire.MethodLock, &l.notice, timeout); err != nil {
		return err
	}
	if n := l.notice; n != nil {
		l.app.warn("lock %q: process %d (uid %d) died holding it, at %s; what it guards may be half changed",
			l.object.name, n.PID, n.UID, timeText(n.DiedNS))
	}
	return nil
}

// hold runs the command and releases the lock. The error carries the command's
// exit status.
func (l *heldLock) hold(ctx context.Context, command *exec.Cmd, markConsistent bool) error {
	if l.notice != nil {
		command.Env = append(command.Env, ownerDiedVariable+"=1")
	}
	ran, err := l.runCommand(command)
	if err != nil {
		return errors.Join(err, l.giveBack(ctx, wire.MethodUnlock))
	}
	if markConsistent && l.notice != nil && ran.code == 0 {
		if err := l.object.call(ctx, wire.MethodMarkConsistent, nil); err != nil {
			return errors.Join(on(l.object.name, err), l.giveBack(ctx, wire.MethodUnlock))
		}
	}
	return l.end(ran, l.giveBack(ctx, wire.MethodUnlock))
}
