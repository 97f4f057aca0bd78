package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/wire"
)

// lineMax bounds one line of input: the largest message, written as wastefully as
// JSON allows without being padded.
const lineMax = 16 * wire.MessageMax

const putLong = `Put messages into a queue, in their order: each JSON argument is one; without arguments
each line of stdin is one. A queue with the content raw takes the arguments or lines as
they are, bytes, instead of JSON.

A JSON number without fraction and exponent is an integer and stays one, up to 64 bits
(-2^63 to 2^64-1); any other number is a float. What JSON does not have, NaN for one,
is refused. Lines that are empty are skipped, unless the queue is raw: there they are
empty messages. --null ends each line of input with a NUL byte instead of a newline, for
messages that contain newlines.

A queue that is full makes put wait, and so whoever writes to its stdin: for ever, or
per message as long as --timeout says. The arguments are looked at before the first is
put; of stdin, the lines before one that fails are in the queue, and the message
says which line failed. One put after the other is made, each when the one before is in
the queue: only so a full queue cannot change their order.

A queue that was shut down takes nothing more.`

func (a *app) newPut() *cobra.Command {
	var wait waitFlags
	var null bool
	cmd := &cobra.Command{
		Use:   "put NAME [JSON...]",
		Short: "Put messages into a queue",
		Long:  putLong,
		Example: `shmd create jobs/todo queue --maxsize 100
shmd put jobs/todo '{"file": "a.png", "size": [640, 480]}'
shmd put jobs/todo 1 -2.5 null '"text needs its quotes"'
shmd put jobs/todo --timeout 500ms 18446744073709551615
shmd take jobs/todo -n 6 --timeout 5s
shmd create log queue --content raw
shmd put log "any bytes"`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindQueue),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKind(cmd, []string{wire.KindQueue}, args[0], func(ctx context.Context, o *openObject) error {
				p := &putter{object: o, timeout: wait.nanoseconds(cmd)}
				var err error
				if len(args) > 1 {
					err = p.putArguments(ctx, args[1:])
				} else {
					err = p.putLines(ctx, a.lines(null))
				}
				if err != nil || !a.json {
					return err
				}
				return a.emit(append(o.head(), entry{"count", p.count}))
			})
		},
	}
	wait.register(cmd, "")
	cmd.Flags().BoolVar(&null, "null", false, "lines of stdin end with NUL, not newline")
	return cmd
}

// lines reads stdin line by line.
func (a *app) lines(null bool) *bufio.Scanner {
	end := byte('\n')
	if null {
		end = 0
	}
	s := bufio.NewScanner(a.stdin)
	s.Buffer(nil, lineMax)
	// Unlike bufio.ScanLines, keep a carriage return: in a raw queue it is data.
	s.Split(func(data []byte, atEOF bool) (advance int, token []byte, err error) {
		if i := bytes.IndexByte(data, end); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	return s
}

// putter puts one message after the other.
type putter struct {
	object  *openObject
	timeout int64
	count   int // of messages put
}

// message is a text as a parameter of put.
func (p *putter) message(text []byte) (any, error) {
	if p.object.info.Content == wire.ContentRaw {
		return text, nil
	}
	return parseMessage(text)
}

func (p *putter) put(ctx context.Context, message any) error {
	if err := p.object.call(ctx, wire.MethodPut, nil, message, p.timeout); err != nil {
		return on(p.object.name, err)
	}
	p.count++
	return nil
}

func (p *putter) putArguments(ctx context.Context, args []string) error {
	messages := make([]any, len(args))
	for i, arg := range args {
		var err error
		if messages[i], err = p.message([]byte(arg)); err != nil {
			return err
		}
	}
	for i, m := range messages {
		if err := p.put(ctx, m); err != nil {
			if i > 0 {
				err = fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
			}
			return err
		}
	}
	return nil
}

func (p *putter) putLines(ctx context.Context, lines *bufio.Scanner) error {
	return eachLine("put", lines, func(text []byte) error {
		if p.object.info.Content != wire.ContentRaw && len(bytes.TrimSpace(text)) == 0 {
			return nil
		}
		m, err := p.message(text)
		if err == nil {
			err = p.put(ctx, m)
		}
		return on(p.object.name, err)
	})
}
