package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const takeExit = `0    success; with --follow also: the queue was shut down, and is empty now
1    failure; the message says which. That the queue was shut down and has no message
     is one, unless --follow was asked for
2    wrong usage: an unknown flag, a missing argument
75   no message: would block (--nonblock, --dead), or timed out (--timeout)
With --lease the exit status of COMMAND, 128 plus the signal if one killed it, or
one of those above: then COMMAND did not run; also
126  COMMAND cannot be executed
127  COMMAND was not found`

const takeLong = `Take messages from a queue and print them, a line each: as JSON, or, from a queue with
the content raw, as the bytes that they are. Without a message, wait for one.

What is printed is what put reads back as the same value. What JSON lacks is written
so: bytes as a string in base64; floats that are no numbers as "nan", "inf", "-inf"; a
key that is no string as its JSON in a string; an extension as {"ext":1,"data":"..."}.

A message leaves the queue when it was printed. If shmd is killed before, the daemon
delivers the message again, to whoever comes next; so it may be printed twice, but is
never lost. Of many that are there, up to 64 are leased, printed and acknowledged at once.

--lease runs COMMAND for a message, which it finds on its stdin (one line of JSON; in a
raw queue just the bytes), and takes the message out of the queue only when COMMAND
succeeds. When COMMAND fails, the message goes back to the front of the queue. With
--follow that is a worker: it goes on with the next message, whether COMMAND failed or
not, until the queue was shut down and is empty, or until it gets SIGINT, SIGQUIT,
SIGTERM or SIGHUP: then it ends after the COMMAND that runs. A message that makes
COMMAND fail always comes back for ever, unless the queue was created with
--deliveries-max: then it becomes a dead letter. COMMAND finds in SHMD_DELIVERIES how
often its message was delivered.

The lease belongs to the shmd process: when that ends, the message is delivered again.
` + diesWithCommand + `

--dead takes dead letters instead, the oldest first. It never waits.`

// takeFlags are the flags of take.
type takeFlags struct {
	wait                      waitFlags
	count                     uint64
	follow, lease, dead, null bool
}

func (a *app) newTake() *cobra.Command {
	var f takeFlags
	cmd := &cobra.Command{
		Use:   "take NAME [flags], or shmd take --lease NAME [flags] -- COMMAND [ARGS...]",
		Short: "Take messages from a queue, or run a command for them",
		Long:  takeLong,
		Example: `shmd create jobs/todo queue --deliveries-max 3
shmd put jobs/todo '{"file": "a.png"}' 2 3 4 5
shmd take jobs/todo
shmd take jobs/todo -n 2 --timeout 5s
shmd take --lease jobs/todo -- sh -c 'read message; echo "working on $message"'
shmd shutdown jobs/todo
shmd take --lease --follow jobs/todo -- cat
shmd take jobs/todo --follow`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.lease:
				return commandArgs(cmd, args)
			case cmd.ArgsLenAtDash() >= 0 && len(args) > 1:
				return usage("only --lease runs a COMMAND: want take --lease NAME -- COMMAND")
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     a.completeKind(wire.KindQueue),
		Annotations: map[string]string{sectionExit: takeExit,
			sectionEnvironment: deliveriesVariable + "  for COMMAND: how often its message was delivered"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.lease {
				if _, err := a.command(args[1:]); err != nil {
					return err // found out before there is a message
				}
			}
			return a.withKind(cmd, []string{wire.KindQueue}, args[0], func(ctx context.Context, o *openObject) error {
				t := &taker{app: a, object: o, dead: f.dead, timeout: f.wait.nanoseconds(cmd), end: "\n"}
				if f.null {
					t.end = "\x00"
				}
				switch {
				case f.lease:
					return t.work(ctx, args[1:], f.follow)
				case f.follow:
					return t.follow(ctx)
				}
				return t.printSome(ctx, f.count)
			})
		},
	}
	flags := cmd.Flags()
	flags.Uint64VarP(&f.count, "count", "n", 1, "take so many messages, waiting for each")
	flags.BoolVar(&f.follow, "follow", false, "go on until the queue was shut down and is empty")
	flags.BoolVar(&f.lease, "lease", false, "run COMMAND for the message; only its success takes it")
	flags.BoolVar(&f.dead, "dead", false, "take dead letters")
	flags.BoolVar(&f.null, "null", false, "print NUL, not newline, behind each message")
	f.wait.register(cmd, "")
	for _, pair := range [][2]string{{"count", "follow"}, {"count", "lease"}, {"dead", "follow"}, {"dead", "timeout"},
		{"lease", "null"}} {
		cmd.MarkFlagsMutuallyExclusive(pair[0], pair[1])
	}
	return cmd
}

// taker leases the messages of a queue.
type taker struct {
	app     *app
	object  *openObject
	dead    bool // dead letters
	timeout int64
	end     string // of a printed message
}

func (t *taker) lease(ctx context.Context) (m wire.Lease, err error) {
	if t.dead {
		err = t.object.call(ctx, wire.MethodTakeDead, &m)
	} else {
		err = t.object.call(ctx, wire.MethodLease, &m, t.timeout)
	}
	return m, asTake(err)
}

// asTake says what people asked for.
func asTake(err error) error {
	if e, ok := err.(*status.Error); ok {
		e.Op = "take"
	}
	return err
}

// text is a message as it is printed, without its end.
func (t *taker) text(m *wire.Lease) ([]byte, error) {
	if t.object.info.Content != wire.ContentRaw {
		if len(m.Message) == 0 { // the msgpack library reads nil into a RawMessage as nothing
			return []byte("null"), nil
		}
		return messageText(m.Message)
	}
	p := wire.SingleParam(m.Message)
	bytes, err := p.Bin("message")
	if err != nil {
		return nil, status.Wrap(status.BadFrame, "take", err, "the daemon's message")
	}
	return bytes, nil
}

func (t *taker) printSome(ctx context.Context, n uint64) error {
	for n > 0 {
		printed, err := t.printMany(ctx, n)
		if err != nil {
			return err
		}
		n -= uint64(printed)
	}
	return nil
}

func (t *taker) follow(ctx context.Context) error {
	for {
		if _, err := t.printMany(ctx, shm.BatchMax); err != nil {
			return unlessEnded(err)
		}
	}
}

// unlessEnded is nil for the end that --follow waits for.
func unlessEnded(err error) error {
	if errors.Is(err, status.Ended) {
		return nil
	}
	return err
}

// leases leases at most `most` messages, at least one.
func (t *taker) leases(ctx context.Context, most uint64) (wire.List[wire.Lease], error) {
	if t.dead {
		m, err := t.lease(ctx)
		return wire.List[wire.Lease]{m}, err
	}
	var all wire.List[wire.Lease]
	err := t.object.call(ctx, wire.MethodLeaseMany, &all, min(most, shm.BatchMax), t.timeout)
	return all, asTake(err)
}

// printMany takes at most `most` messages, at least one, out of the queue, each only when
// it is printed.
func (t *taker) printMany(ctx context.Context, most uint64) (int, error) {
	all, err := t.leases(ctx, most)
	if err != nil {
		return 0, err
	}
	names := make([]any, len(all))
	for i := range all {
		names[i] = all[i].Lease
	}
	for i := range all {
		if err := t.print(&all[i]); err != nil {
			return 0, errors.Join(err, t.ackMany(ctx, names[:i]),
				on(t.object.name, t.object.call(ctx, wire.MethodNackMany, nil, names[i:])))
		}
	}
	return len(all), t.ackMany(ctx, names)
}

// ackMany ends all these leases, and says which could not be ended first.
func (t *taker) ackMany(ctx context.Context, names []any) (first error) {
	for len(names) > 0 {
		var n int
		err := t.object.call(ctx, wire.MethodAckMany, &n, names)
		if err == nil && n < len(names) { // one that took too long
			err = t.object.call(ctx, wire.MethodAck, nil, names[n])
			n++
		}
		if first == nil {
			first = err
		}
		if n == 0 {
			return first
		}
		names = names[n:]
	}
	return first
}

func (t *taker) print(m *wire.Lease) error {
	text, err := t.text(m)
	if err != nil {
		return err
	}
	if !t.app.json {
		return t.app.printf("%s%s", text, t.end)
	}
	message := entry{"message", json.RawMessage(text)}
	if t.object.info.Content == wire.ContentRaw {
		message = entry{"base64", text}
	}
	return t.app.emit(append(t.object.head(), message, entry{"deliveries", m.Deliveries}))
}
