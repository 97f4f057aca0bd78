package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const signalLong = `Set an event: everybody who waits for it goes on, and whoever comes later too, until it
is reset. An event created with --auto-reset lets one go on for each signal, and one
that is set stays so.

Or notify a condition: one of those who wait for it now, --count N of them, or --all,
go on; nobody later. That needs its mutex, which signal takes and releases around it,
waiting for it as long as it takes, or as --timeout and --nonblock say.

If a process died holding the mutex, a warning says so, as of shmd lock. If the mutex is
strict, nobody is notified then: to release it without a repair would end it for ever.`

const mutexExit = `0   success
1   failure; the message says which
2   wrong usage: an unknown flag, a missing argument
75  condition: its mutex was not free: would block (--nonblock), or timed out (--timeout)`

func (a *app) newSignal() *cobra.Command {
	var wait waitFlags
	var n uint32
	var all bool
	cmd := &cobra.Command{
		Use:   "signal NAME",
		Short: "Set an event, or notify a condition",
		Long:  signalLong,
		Example: `shmd create ready event
shmd signal ready
shmd wait ready
shmd create jobs/lock mutex
shmd create jobs/changed condition --lock @jobs/lock
shmd signal jobs/changed --all`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindEvent, wire.KindCondition),
		Annotations:       map[string]string{sectionExit: mutexExit},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindEvent, wire.KindCondition}, args[0],
				func(ctx context.Context, o *openObject) error {
					if o.info.Kind == wire.KindCondition {
						if all {
							n = 0 // the wire's word for it
						} else if n == 0 {
							return usage("--count 0 notifies nobody: want 1 or more, or --all")
						}
						return a.notify(ctx, o, n, wait.nanoseconds(cmd))
					}
					for _, name := range []string{"count", "all", "timeout", "nonblock"} {
						if cmd.Flags().Changed(name) {
							return usage("%q is an event, which has no --%s: that is of conditions", o.name, name)
						}
					}
					return a.change(ctx, o, wire.MethodSignal, "set", true)
				})
		},
	}
	cmd.Flags().Uint32VarP(&n, "count", "n", 1, "condition: notify so many")
	cmd.Flags().BoolVar(&all, "all", false, "condition: notify everybody who waits")
	wait.register(cmd, "")
	cmd.MarkFlagsMutuallyExclusive("count", "all")
	return cmd
}

// notify notifies n of those who wait for a condition, 0 = all, under its mutex.
func (a *app) notify(ctx context.Context, o *openObject, n uint32, timeout int64) error {
	l := a.newHeldLock(o, "signal")
	if err := l.take(ctx, timeout); err != nil {
		return err
	}
	if err := l.refuseStrict(ctx); err != nil {
		return err
	}
	err := o.call(ctx, wire.MethodNotify, nil, n)
	if err = errors.Join(on(o.name, err), l.giveBack(ctx, l.unlock)); err != nil || !a.json {
		return err
	}
	return a.emit(append(o.head(), entry{"notified", map[bool]any{true: "all", false: n}[n == 0]}))
}

// refuseStrict fails after a notice if releasing the mutex of a condition would make
// it unusable. It is not released then, but goes back with the connection, as
// inconsistent as it was.
func (l *heldLock) refuseStrict(ctx context.Context) error {
	if l.notice == nil {
		return nil
	}
	var mutex wire.Info
	if err := l.object.client.Call(ctx, wire.MethodStat, &mutex, l.object.info.LockID); err != nil {
		return err
	}
	if !slices.Contains(mutex.Flags, wire.FlagStrict) {
		return nil
	}
	return status.New(status.Invalid, l.verb, "its mutex, %s, is strict and inconsistent: repair what it guards, and "+
		"say so by shmd lock %s --mark-consistent -- COMMAND", nameText(&mutex), nameText(&mutex))
}

// change calls a method that changes the object's state and answers nothing.
func (a *app) change(ctx context.Context, o *openObject, method, key string, value any) error {
	if err := o.call(ctx, method, nil); err != nil || !a.json {
		return err
	}
	return a.emit(append(o.head(), entry{key, value}))
}

func (a *app) newPulse() *cobra.Command {
	return &cobra.Command{
		Use:   "pulse NAME",
		Short: "Let those go on who wait for an event now",
		Long: `Let everybody go on who waits for an event at this moment, and leave it unset: whoever
comes later waits. If nobody waits, nothing happens.

An event created with --auto-reset has no pulse: signal it.`,
		Example: `shmd create ready event
shmd pulse ready
shmd pulse ready --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindEvent),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindEvent}, args[0], func(ctx context.Context, o *openObject) error {
				return a.change(ctx, o, wire.MethodPulse, "pulsed", true)
			})
		},
	}
}
