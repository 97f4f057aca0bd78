package main

import (
	"context"
	"errors"

	shmd "github.com/shmd/shmd/clients/go"
)

// streamer is the twin of c/streamer.c as far as what is not in place: the producer of one
// stream and the consumer of another.
func streamer(args []string) error { return asTwin(args, "SOCKET OUT IN", streamWhenTold) }

func streamWhenTold(ctx context.Context, c *shmd.Client, names []string) error {
	outStream, err := shmd.OpenStream(ctx, c, names[0])
	if err != nil {
		return err
	}
	inStream, err := shmd.OpenStream(ctx, c, names[1])
	if err != nil {
		return err
	}
	out, err := outStream.Producer(ctx)
	if err != nil {
		return err
	}
	in, err := inStream.Consumer(ctx)
	if err != nil {
		return err
	}
	send := func(message []byte) error { return out.Send(ctx, message) }
	recv := again(func(space []byte) ([]byte, error) { return in.RecvAppend(ctx, space) })
	tryRecv := again(untilReady(in.TryRecvAppend))
	err = serveWorks(map[string]work{
		"send": sends(send),
		"recv": receives(recv),
		"send-many": {run: func(n int) error {
			return sendBatches(n, func(messages [][]byte) (int, error) { return out.SendMany(ctx, messages) })
		}},
		"recv-many": {run: func(n int) error { return recvBatches(ctx, in, n) }},
		"ping":      pings(out.TrySend, tryRecv),
		"pong":      pongs(out.TrySend, tryRecv),
		"ping-wait": pings(send, recv),
		"pong-wait": pongs(send, recv),
	})
	return errors.Join(err, outStream.Close(), inStream.Close())
}

// recvBatches looks at the messages in place.
func recvBatches(ctx context.Context, in *shmd.StreamConsumer, count int) error {
	for i := 0; i < count; {
		batch, err := in.PeekMany(ctx, min(batchSize, count-i))
		if err != nil {
			return err
		}
		for j, message := range batch {
			if err := isMessage(message, i+j); err != nil {
				return err
			}
		}
		if err := in.Advance(len(batch)); err != nil {
			return err
		}
		i += len(batch)
	}
	return nil
}
