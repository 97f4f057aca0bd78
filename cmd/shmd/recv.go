package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/wire"
)

const recvLong = `Receive messages from a stream or a pipe and print them, a line each, as the bytes that
they are. Without a message, wait for one.

The command has the role of the consumer, or an end of the pipe (--end), while it runs,
and fails if another process has it. A message has left the stream or pipe when it is
printed: if the printing fails, it is gone. With --follow recv goes on until the other
side ends: success if it ended in an orderly way, failure if its process died. Without,
any end is a failure.`

const recvExit = `0    success; with --follow also: the other side ended
1    failure; the message says which. That the other side ended is one without --follow,
     that its process died always
2    wrong usage: an unknown flag, a missing argument
75   no message: would block (--nonblock), or timed out (--timeout)`

func (a *app) newRecv() *cobra.Command {
	var wait waitFlags
	var end endFlag
	var count uint64
	var follow, null bool
	cmd := &cobra.Command{
		Use:   "recv NAME",
		Short: "Receive messages from a stream or a pipe",
		Long:  recvLong,
		Example: `shmd create log stream
shmd send log 1 2 3
shmd recv log --timeout 5s
shmd recv log -n 2`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(ringKinds...),
		Annotations:       map[string]string{sectionExit: recvExit},
		RunE: func(cmd *cobra.Command, args []string) error {
			receive := func(ctx context.Context, o *openObject) error {
				for n := uint64(0); follow || n < count; n++ {
					var message []byte
					if err := o.call(ctx, wire.MethodRecv, &message, wait.nanoseconds(cmd)); err != nil {
						if follow {
							err = unlessEnded(err)
						}
						return err
					}
					if err := a.showReceived(o, message, null); err != nil {
						return err
					}
				}
				return nil
			}
			return a.withRole(cmd, ringKinds, args[0], wire.RoleConsumer, end, receive)
		},
	}
	flags := cmd.Flags()
	flags.Uint64VarP(&count, "count", "n", 1, "receive so many messages, waiting for each")
	flags.BoolVar(&follow, "follow", false, "go on until the other side ends")
	flags.BoolVar(&null, "null", false, "print NUL, not newline, behind each message")
	wait.register(cmd, "")
	end.register(cmd)
	cmd.MarkFlagsMutuallyExclusive("count", "follow")
	return cmd
}

func (a *app) showReceived(o *openObject, message []byte, null bool) error {
	switch {
	case a.json:
		return a.emit(append(o.head(), entry{"base64", message}))
	case null:
		return a.printf("%s\x00", message)
	}
	return a.printf("%s\n", message)
}
