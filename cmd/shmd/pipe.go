package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const pipeLong = `Connect stdin and stdout to an end of a pipe that was created with --bytes: what comes in
goes to the other end, and what comes from there goes out.

It ends when the other end does: success if that was closed, failure if its process died.
With --close it also ends, and closes its end, when stdin does. The end cannot be had
again by anybody.`

func (a *app) newPipe() *cobra.Command {
	var end endFlag
	var closes bool
	cmd := &cobra.Command{
		Use:   "pipe NAME",
		Short: "Connect stdin and stdout to an end of a pipe of bytes",
		Long:  pipeLong,
		Example: `shmd create tube pipe --bytes
shmd pipe tube --end a --close
shmd pipe tube --end b`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKind(wire.KindPipe),
		RunE: func(cmd *cobra.Command, args []string) error {
			connect := func(ctx context.Context, o *openObject) error { return a.connect(ctx, o, closes) }
			return a.withRole(cmd, []string{wire.KindPipe}, args[0], "", end, connect)
		},
	}
	cmd.Flags().BoolVarP(&closes, "close", "N", false, "close the end when stdin ends")
	end.register(cmd)
	return cmd
}

// connect copies both ways until the other end is gone, or, if it closes with stdin, until
// that ends.
func (a *app) connect(ctx context.Context, o *openObject, closes bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent, received := make(chan error, 1), make(chan error, 1)
	go func() { sent <- a.sendInput(ctx, o) }()
	go func() { received <- a.printBytes(ctx, o) }()
	for {
		select {
		case err := <-received:
			return unlessEnded(err)
		case err := <-sent:
			// That the other end is gone is told to who receives, after what that sent before.
			gone := errors.Is(err, status.Ended) || errors.Is(err, status.PeerDied)
			if !gone && (err != nil || closes) {
				return err
			}
		}
	}
}

// chunk is how many bytes go over the socket at once.
const chunk = 64 << 10

// sendInput sends stdin.
func (a *app) sendInput(ctx context.Context, o *openObject) error {
	buffer := make([]byte, chunk)
	for {
		n, failed := a.stdin.Read(buffer)
		for rest := buffer[:n]; len(rest) > 0; {
			var wrote int
			if err := o.call(ctx, wire.MethodWriteBytes, &wrote, rest); err != nil {
				return err
			}
			rest = rest[min(max(wrote, 0), len(rest)):]
		}
		switch {
		case failed == io.EOF:
			return nil
		case failed != nil:
			return status.Wrap(status.System, "pipe", failed, "read stdin")
		}
	}
}

// printBytes prints what comes, until the error that ends it.
func (a *app) printBytes(ctx context.Context, o *openObject) error {
	for {
		var bytes []byte
		if err := o.call(ctx, wire.MethodReadBytes, &bytes, chunk); err != nil {
			return err
		}
		if _, err := a.stdout.Write(bytes); err != nil {
			return err
		}
	}
}
