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
mutex, or a value or array, which have a lock of their own, or a condition, which has
its mutex, or an rwlock. Everybody who locks the object takes part, in whatever language.

An rwlock is taken for writing, alone; with --read for reading, beside other readers.

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
	var markConsistent, read bool
	cmd := &cobra.Command{
		Use:   "lock NAME [flags] -- COMMAND [ARGS...]",
		Short: "Run a command while holding a lock",
		Long:  lockLong,
		Example: `shmd create jobs/lock mutex
shmd lock jobs/lock -- echo "nobody else is in here"
shmd lock jobs/lock --timeout 5s -- sh -c 'echo working; exit 0'
shmd lock jobs/lock --nonblock -- true
shmd create config rwlock
shmd lock config --read -- echo "others read, nobody writes"
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
				l := a.newHeldLock(o, "lock")
				if read && o.info.Kind != wire.KindRWLock {
					return usage("only an rwlock is locked for reading; %q is %s", o.name, one(o.info.Kind))
				} else if read {
					l.lock, l.unlock = wire.MethodReadLock, wire.MethodReadUnlock
				}
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
	cmd.Flags().BoolVar(&read, "read", false, "rwlock: lock for reading")
	cmd.MarkFlagsMutuallyExclusive("read", "mark-consistent")
	return cmd
}

// heldLock is the lock of one object, over the socket.
type heldLock struct {
	holding
	lock, unlock string       // methods
	notice       *wire.Notice // the last; nil = nobody died
}

func (a *app) newHeldLock(o *openObject, verb string) *heldLock {
	return &heldLock{holding: holding{app: a, object: o, verb: verb, what: "the lock"},
		lock: wire.MethodLock, unlock: wire.MethodUnlock}
}

// take takes the lock.
func (l *heldLock) take(ctx context.Context, timeout int64) error {
	var n *wire.Notice
	err := l.object.call(ctx, l.lock, &n, timeout)
	l.tell(n)
	return err
}

// tell warns of a death, once.
func (l *heldLock) tell(n *wire.Notice) {
	if n == nil || l.notice != nil && l.notice.Deaths == n.Deaths {
		return
	}
	l.notice = n
	what := "it"
	if l.object.info.Kind == wire.KindCondition {
		what = "its mutex"
	}
	l.app.warn("%s %q: process %d (uid %d) died holding %s, at %s; what it guards may be half changed",
		l.verb, l.object.name, n.PID, n.UID, what, timeText(n.DiedNS))
}

// run runs a command, which finds out about a death.
func (l *heldLock) run(command *exec.Cmd) (commandResult, error) {
	if l.notice != nil {
		command.Env = append(command.Env, ownerDiedVariable+"=1")
	}
	return l.runCommand(command)
}

// hold runs the command and releases the lock. The error carries the command's
// exit status.
func (l *heldLock) hold(ctx context.Context, command *exec.Cmd, markConsistent bool) error {
	ran, err := l.run(command)
	if err != nil {
		return errors.Join(err, l.giveBack(ctx, l.unlock))
	}
	if markConsistent && l.notice != nil && ran.code == 0 {
		if err := l.object.call(ctx, wire.MethodMarkConsistent, nil); err != nil {
			return errors.Join(on(l.object.name, err), l.giveBack(ctx, l.unlock))
		}
	}
	return l.end(ran, l.giveBack(ctx, l.unlock))
}
