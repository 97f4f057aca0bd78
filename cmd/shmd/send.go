package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const sendLong = `Send messages through a stream or a pipe, in their order: each argument is one, as the
bytes that it is; without arguments each line of stdin is one. --null ends each line of
input with a NUL byte instead of a newline.

The command has the role of the producer, or an end of the pipe (--end), while it runs,
and fails if another process has it. When it ends, so does the role: the receiver is told
after the last message. Of a stream another send may be the next producer; the end of a
pipe cannot be had again.

When there is no room, send waits: for ever, or per message as long as --timeout says. So
it does at a stream that nobody reads. A pipe whose other end is gone fails at once.`

func (a *app) newSend() *cobra.Command {
	var wait waitFlags
	var end endFlag
	var null bool
	cmd := &cobra.Command{
		Use:   "send NAME [MESSAGE...]",
		Short: "Send messages through a stream or a pipe",
		Long:  sendLong,
		Example: `shmd create log stream
shmd send log "one message" another
shmd recv log -n 2
shmd create talk pipe
shmd send talk --end a hello`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeKind(ringKinds...),
		RunE: func(cmd *cobra.Command, args []string) error {
			send := func(ctx context.Context, o *openObject) error {
				s := &feed{object: o, timeout: wait.nanoseconds(cmd)}
				var err error
				if len(args) > 1 {
					err = s.arguments(ctx, args[1:])
				} else {
					err = s.lines(ctx, a.lines(null))
				}
				if err != nil || !a.json {
					return err
				}
				return a.emit(append(o.head(), entry{"count", s.count}))
			}
			return a.withRole(cmd, ringKinds, args[0], wire.RoleProducer, end, send)
		},
	}
	wait.register(cmd, "")
	end.register(cmd)
	cmd.Flags().BoolVar(&null, "null", false, "lines of stdin end with NUL, not newline")
	return cmd
}

// feed sends one message after the other.
type feed struct {
	object  *openObject
	timeout int64
	count   int // of messages sent
}

func (s *feed) send(ctx context.Context, message []byte) error {
	if err := s.object.call(ctx, wire.MethodSend, nil, message, s.timeout); err != nil {
		return on(s.object.name, err)
	}
	s.count++
	return nil
}

func (s *feed) arguments(ctx context.Context, args []string) error {
	for i, arg := range args {
		if err := s.send(ctx, []byte(arg)); err != nil {
			if i > 0 {
				err = fmt.Errorf("message %d of %d: %w", i+1, len(args), err)
			}
			return err
		}
	}
	return nil
}

func (s *feed) lines(ctx context.Context, lines *bufio.Scanner) error {
	return eachLine("send", lines, func(text []byte) error { return s.send(ctx, text) })
}

// eachLine calls f for each line of stdin, and says of an error at which.
func eachLine(op string, lines *bufio.Scanner, f func(text []byte) error) error {
	number := 0
	for lines.Scan() {
		number++
		if err := f(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d of stdin: %w", number, err)
		}
	}
	return endOfLines(op, lines, number)
}

// endOfLines says why there are no more lines; nil = that was all.
func endOfLines(op string, lines *bufio.Scanner, number int) error {
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return status.New(status.TooLarge, op, "line %d of stdin has more than %d bytes", number+1, lineMax)
	case err != nil:
		return status.Wrap(status.System, op, err, "read stdin behind line %d", number)
	}
	return nil
}
