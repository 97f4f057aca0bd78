package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
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
the queue: only so a full queue cannot change their order. Lines that are there already
are put together.

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

// line is one of stdin, or why there is none.
type line struct {
	number int
	text   []byte
	err    error
}

// putLines puts the lines that are there already at once, and never waits for more.
func (p *putter) putLines(ctx context.Context, lines *bufio.Scanner) error {
	read, stop := make(chan line, shm.BatchMax), make(chan struct{})
	defer close(stop)
	go readLines(lines, read, stop)
	for more := true; more; {
		var batch []numbered
		var failed error
		batch, more, failed = p.batch(read)
		if err := p.putMany(ctx, batch); err != nil {
			return err
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// readLines sends the lines until there are no more, or stop.
func readLines(lines *bufio.Scanner, read chan<- line, stop <-chan struct{}) {
	defer close(read)
	send := func(l line) bool {
		select {
		case read <- l:
			return true
		case <-stop:
			return false
		}
	}
	number := 0
	for lines.Scan() {
		number++
		if !send(line{number: number, text: bytes.Clone(lines.Bytes())}) {
			return
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		send(line{err: status.New(status.TooLarge, "put",
			"line %d of stdin has more than %d bytes", number+1, lineMax)})
	case err != nil:
		send(line{err: status.Wrap(status.System, "put", err, "read stdin behind line %d", number)})
	}
}

// numbered is a message and the line that it came from.
type numbered struct {
	message any
	line    int
}

// batchBytesMax bounds the lines of one request, but for a single one.
const batchBytesMax = wire.MessageMax / 2

// batch waits for a line, and takes along those that are there. An error is about the line
// behind the batch.
func (p *putter) batch(read <-chan line) (batch []numbered, more bool, err error) {
	size, most := 0, min(shm.BatchMax, int(p.object.info.MaxSize))
	for len(batch) < most && size < batchBytesMax {
		var l line
		if len(batch) == 0 {
			l, more = <-read
		} else {
			select {
			case l, more = <-read:
			default:
				return batch, true, nil
			}
		}
		switch {
		case !more || l.err != nil:
			return batch, more, l.err
		case p.object.info.Content != wire.ContentRaw && len(bytes.TrimSpace(l.text)) == 0:
			continue
		}
		m, err := p.message(l.text)
		if err != nil {
			return batch, true, onLine(l.number, on(p.object.name, err))
		}
		batch = append(batch, numbered{m, l.number})
		size += len(l.text)
	}
	return batch, true, nil
}

func onLine(number int, err error) error { return fmt.Errorf("line %d of stdin: %w", number, err) }

// putMany puts all of a batch.
func (p *putter) putMany(ctx context.Context, batch []numbered) error {
	for len(batch) > 0 {
		messages := make([]any, len(batch))
		for i, m := range batch {
			messages[i] = m.message
		}
		var n int
		err := p.object.call(ctx, wire.MethodPutMany, &n, messages, p.timeout)
		if e, ok := err.(*status.Error); ok {
			e.Op = "put" // what people asked for
		}
		if err == nil && n == 0 {
			err = status.New(status.Internal, "put", "the daemon put none, and says not why")
		}
		if err != nil {
			return onLine(batch[0].line, on(p.object.name, err))
		}
		p.count += n
		batch = batch[n:]
	}
	return nil
}
