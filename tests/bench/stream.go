package main

import "context"

const (
	streamBytes    = 64 << 10
	streamMessages = 2_000_000
	streamGoal     = 15 // million messages/s, one by one
)

// streams measures messages per second from one process to another, in streaming mode.
func streams(ctx context.Context, b *bench) error {
	err := withRoute(ctx, startC, byStream, func(r *route) error {
		return r.flows(b,
			flow{"C: send, recv", "send", "recv", streamMessages, streamGoal, one},
			flow{"C: send, recv, whole", "send-whole", "recv-whole", streamMessages, 0, whole},
			flow{"C: reserve, commit, peek, advance", "make", "look", streamMessages, 0, one + ", in place"},
			flow{"C: send_many, peek_many", "send-many", "recv-many", streamMessages, manyGoal, many})
	})
	if err != nil {
		return err
	}
	return withRoute(ctx, startSelf, byStream, func(r *route) error {
		return r.flows(b,
			flow{"Go: Send, RecvAppend", "send", "recv", queueMessages, goGoal, one},
			flow{"Go: SendMany, PeekMany", "send-many", "recv-many", queueMessages, goManyGoal, many})
	})
}
