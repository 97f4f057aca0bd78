package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
)

// batchSize is BATCH of c/message.h.
const batchSize = 64

// messenger is the twin of c/messenger.c as far as put and take, of one and of many: one
// end of two queues.
func messenger(args []string) error { return asTwin(args, "SOCKET OUT IN", sendWhenTold) }

func sendWhenTold(ctx context.Context, c *shmd.Client, names []string) error {
	out, err := shmd.OpenQueue(ctx, c, names[0])
	if err != nil {
		return err
	}
	in, err := shmd.OpenQueue(ctx, c, names[1])
	if err != nil {
		return err
	}
	put := func(message []byte) error { return out.Put(ctx, message) }
	takeAppend := again(func(space []byte) ([]byte, error) { return in.TakeAppend(ctx, space) })
	tryTake := again(untilReady(in.TryTakeAppend))
	err = serveWorks(map[string]work{
		"put":              sends(put),
		"take":             receives(func() ([]byte, error) { return in.Take(ctx) }),
		"take-append":      receives(takeAppend),
		"put-many":         {run: func(n int) error { return putBatches(ctx, out, n) }},
		"take-many":        {run: func(n int) error { return takeBatches(ctx, in, n) }},
		"take-many-append": {run: func(n int) error { return appendBatches(ctx, in, n) }},
		"ping":             pings(out.TryPut, tryTake),
		"pong":             pongs(out.TryPut, tryTake),
		"ping-wait":        pings(put, takeAppend),
		"pong-wait":        pongs(put, takeAppend),
	})
	return errors.Join(err, out.Close(), in.Close())
}

// sends sends messages, counted from 0.
func sends(send func(message []byte) error) work {
	message := make([]byte, messageBytes)
	return repeated(func(i int) error {
		binary.LittleEndian.PutUint64(message, uint64(i))
		return send(message)
	})
}

// receives receives them.
func receives(receive func() ([]byte, error)) work {
	return repeated(func(i int) error {
		message, err := receive()
		if err != nil {
			return err
		}
		return isMessage(message, i)
	})
}

func isMessage(message []byte, i int) error {
	if len(message) != messageBytes || binary.LittleEndian.Uint64(message) != uint64(i) {
		return fmt.Errorf("not message %d: %x", i, message)
	}
	return nil
}

// pings sends a message and receives the answer.
func pings(send func(message []byte) error, receive func() ([]byte, error)) work {
	message := make([]byte, messageBytes)
	return repeated(func(i int) error {
		binary.LittleEndian.PutUint64(message, uint64(i))
		if err := send(message); err != nil {
			return err
		}
		answer, err := receive()
		if err != nil {
			return err
		}
		return isMessage(answer, i)
	})
}

// pongs answers each message with itself.
func pongs(send func(message []byte) error, receive func() ([]byte, error)) work {
	return repeated(func(int) error {
		message, err := receive()
		if err != nil {
			return err
		}
		return send(message)
	})
}

// again receives into the same memory each time.
func again(receive func(space []byte) ([]byte, error)) func() ([]byte, error) {
	var space []byte
	return func() (_ []byte, err error) {
		space, err = receive(space[:0])
		return space, err
	}
}

// untilReady tries without sleeping.
func untilReady(try func(space []byte) ([]byte, error)) func(space []byte) ([]byte, error) {
	return func(space []byte) ([]byte, error) {
		for {
			message, err := try(space)
			if !errors.Is(err, shmd.ErrWouldBlock) {
				return message, err
			}
		}
	}
}

// sendBatches sends messages by a function that sends some of the first and says how many.
func sendBatches(count int, send func(messages [][]byte) (int, error)) error {
	batch := make([][]byte, batchSize)
	for i := range batch {
		batch[i] = make([]byte, messageBytes)
	}
	for i := 0; i < count; {
		some := batch[:min(batchSize, count-i)]
		for j, message := range some {
			binary.LittleEndian.PutUint64(message, uint64(i+j))
		}
		n, err := send(some)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

func putBatches(ctx context.Context, q *shmd.Queue, count int) error {
	return sendBatches(count, func(messages [][]byte) (int, error) { return q.PutMany(ctx, messages) })
}

func takeBatches(ctx context.Context, q *shmd.Queue, count int) error {
	var batch [][]byte
	return receiveBatches(count, func(most int) (_ [][]byte, err error) {
		batch, err = q.TakeMany(ctx, batch[:0], most)
		return batch, err
	})
}

// appendBatches takes each batch into the same memory.
func appendBatches(ctx context.Context, q *shmd.Queue, count int) error {
	var batch [][]byte
	var space []byte
	return receiveBatches(count, func(most int) (_ [][]byte, err error) {
		batch, space, err = q.TakeManyAppend(ctx, batch[:0], space[:0], most)
		return batch, err
	})
}

func receiveBatches(count int, receive func(most int) ([][]byte, error)) error {
	for i := 0; i < count; {
		batch, err := receive(min(batchSize, count-i))
		if err != nil {
			return err
		}
		for j, message := range batch {
			if err := isMessage(message, i+j); err != nil {
				return err
			}
		}
		i += len(batch)
	}
	return nil
}
