package main

import (
	"context"

	"github.com/spf13/cobra"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const waitExit = `0    success
1    failure; the message says which: such as that the barrier is broken
2    wrong usage: an unknown flag, a missing argument
75   it did not come: would block (--nonblock), or timed out (--timeout)
With COMMAND at a barrier, of the last to arrive, its exit status, 128 plus the signal
if one killed it; also
126  COMMAND cannot be executed
127  COMMAND was not found`

const waitLong = `Wait, for what depends on the kind of NAME:

  event          until it is set; with --auto-reset of create, that uses the set up
  barrier        until all parties have arrived, this one included; prints its index,
                 0 for who arrived first
  condition      until it is notified, which takes its mutex and releases it around the
                 wait; it may end without a cause
  value, array   until it changes; prints the version, which counts changes. Without
                 --version, changes before the command came to wait do not count

COMMAND at a barrier is run by the last to arrive, before anybody goes on. If it fails,
the barrier is broken. The others wait for it, whether they have a COMMAND or not.

COMMAND at a condition is what is waited for: it is run holding the mutex, at first and
after each notification, until it succeeds.

A barrier breaks when a party does not come: because it is killed, here or in COMMAND's
time, or by its --timeout. Then everybody at it fails, until shmd reset. With --nonblock
nothing breaks: only the last to arrive does, and goes on.

If shmd is killed while COMMAND runs, the kernel kills COMMAND too (see shmd lock). If a
process died holding the mutex of a condition, a warning says so; a strict mutex ends
the wait then, as for shmd signal.`

// waitable are the kinds that wait waits for.
var waitable = []string{wire.KindEvent, wire.KindBarrier, wire.KindCondition, wire.KindValue, wire.KindArray}

func (a *app) newWait() *cobra.Command {
	var wait waitFlags
	var version uint64
	cmd := &cobra.Command{
		Use:   "wait NAME [flags] [-- COMMAND [ARGS...]]",
		Short: "Wait for an event, a barrier, a condition or a change",
		Long:  waitLong,
		Example: `shmd create ready event --set
shmd wait ready --timeout 5s
shmd create phase barrier --parties 1
shmd wait phase
shmd wait phase -- echo "all have arrived, and none goes on yet"
shmd create jobs/lock mutex
shmd create jobs/changed condition --lock @jobs/lock
shmd create jobs/left value --code i
shmd wait jobs/changed -- sh -c 'echo "is nothing left?"'
shmd wait jobs/left --version 7`,
		Args:                  optionalCommandArgs,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     a.completeKind(waitable...),
		Annotations:           map[string]string{sectionExit: waitExit},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, words := args[0], args[1:]
			if len(words) > 0 {
				if _, err := a.command(words); err != nil {
					return err // found out before anybody has to wait for us
				}
			}
			return a.withClient(cmd, func(ctx context.Context, c *shmd.Client) error {
				o, err := openToWait(ctx, c, name)
				if err != nil {
					return on(name, err)
				}
				w := &waiter{app: a, object: o, words: words, timeout: wait.nanoseconds(cmd)}
				if cmd.Flags().Changed("version") {
					w.version = &version
				}
				return on(name, w.wait(ctx))
			})
		},
	}
	wait.register(cmd, "")
	cmd.Flags().Uint64Var(&version, "version", 0, "value, array: wait until the version is not `NUMBER`")
	return cmd
}

// openToWait opens an object to read if that is enough.
func openToWait(ctx context.Context, c *shmd.Client, name string) (*openObject, error) {
	ref, err := parseRef(name)
	if err != nil {
		return nil, err
	}
	var found wire.Info
	if err := c.Call(ctx, wire.MethodStat, &found, ref); err != nil {
		return nil, err
	}
	access := wire.AccessReadWrite
	if found.Code != "" {
		access = wire.AccessRead
	}
	o := &openObject{client: c, name: name}
	return o, c.Call(ctx, wire.MethodOpen, &o.info, found.ID, wire.OpenOptions{Access: &access})
}

// waiter waits for one object.
type waiter struct {
	app     *app
	object  *openObject
	words   []string // of the command; none = there is none
	timeout int64
	version *uint64 // nil = the one there is
}

func (w *waiter) wait(ctx context.Context) error {
	kind := w.object.info.Kind
	switch {
	case len(w.words) > 0 && kind != wire.KindBarrier && kind != wire.KindCondition:
		return usage("only a barrier and a condition take a COMMAND; %q is %s", w.object.name, one(kind))
	case w.version != nil && w.object.info.Code == "":
		return usage("only a value and an array have a --version; %q is %s", w.object.name, one(kind))
	}
	switch kind {
	case wire.KindEvent:
		return w.show(w.object.call(ctx, wire.MethodWait, nil, w.timeout), document{{"set", true}})
	case wire.KindBarrier:
		return w.barrier(ctx)
	case wire.KindCondition:
		return w.condition(ctx)
	case wire.KindValue, wire.KindArray:
		return w.change(ctx)
	}
	return status.New(status.KindMismatch, "wait", "its kind is %s: want %s", kind, oneOf(waitable))
}

// show shows what came of the wait: with --json more, else what lines says.
func (w *waiter) show(err error, more document, lines ...any) error {
	switch {
	case err != nil:
		return err
	case w.app.json:
		return w.app.emit(append(w.object.head(), more...))
	}
	for _, line := range lines {
		if err := w.app.printf("%d\n", line); err != nil {
			return err
		}
	}
	return nil
}

func (w *waiter) change(ctx context.Context) error {
	var version uint64
	var err error
	if w.version != nil {
		version = *w.version
	} else {
		err = w.object.call(ctx, wire.MethodVersion, &version)
	}
	if err == nil {
		err = w.object.call(ctx, wire.MethodWaitChange, &version, version, w.timeout)
	}
	return w.show(err, document{{"version", version}}, version)
}

func (w *waiter) barrier(ctx context.Context) error {
	var r wire.Arrival
	err := w.object.call(ctx, wire.MethodArrive, &r, w.timeout, len(w.words) > 0)
	if err == nil && r.Leader {
		err = w.lead(ctx)
	}
	return w.show(err, document{{"index", r.Index}, {"leader", r.Leader}}, r.Index)
}
