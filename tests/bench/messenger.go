package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
)

// messenger is the twin of c/messenger.c as far as put and take, of one and of many: one end of two
// queues, on one processor.
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
	err = serve(func(command string, n int) (string, error) {
		switch command {
		case "pin":
			var one unix.CPUSet
			one.Set(n)
			return "done", unix.SchedSetaffinity(0, &one)
		case "put":
			return between(func() error { return putAll(ctx, out, n) })
		case "take":
			return between(func() error { return takeAll(ctx, in, n) })
		case "ping":
			return between(func() error { return ping(out, in, n) })
		case "pong":
			return between(func() error { return pong(out, in, n) })
		case "put-many":
			return between(func() error { return putBatches(ctx, out, n) })
		case "take-many":
			return between(func() error { return takeBatches(ctx, in, n) })
		}
		return "", errors.New("no such command")
	})
	return errors.Join(err, out.Close(), in.Close())
}

// between runs work and answers when it began and when it ended.
func between(work func() error) (string, error) {
	begin, err := monotonicNs()
	if err != nil {
		return "", err
	}
	if err := work(); err != nil {
		return "", err
	}
	end, err := monotonicNs()
	return fmt.Sprintf("%d %d", begin, end), err
}

func putAll(ctx context.Context, q *shmd.Queue, count int) error {
	message := make([]byte, messageBytes)
	for i := range count {
		binary.LittleEndian.PutUint64(message, uint64(i))
		if err := q.Put(ctx, message); err != nil {
			return err
		}
	}
	return nil
}

func takeAll(ctx context.Context, q *shmd.Queue, count int) error {
	for i := range count {
		message, err := q.Take(ctx)
		if err != nil {
			return err
		}
		if len(message) != messageBytes || binary.LittleEndian.Uint64(message) != uint64(i) {
			return fmt.Errorf("not message %d: %x", i, message)
		}
	}
	return nil
}

const batchSize = 64

func putBatches(ctx context.Context, q *shmd.Queue, count int) error {
	batch := make([][]byte, batchSize)
	for i := range batch {
		batch[i] = make([]byte, messageBytes)
	}
	for i := 0; i < count; {
		some := batch[:min(batchSize, count-i)]
		for j, message := range some {
			binary.LittleEndian.PutUint64(message, uint64(i+j))
		}
		n, err := q.PutMany(ctx, some)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

func takeBatches(ctx context.Context, q *shmd.Queue, count int) error {
	var batch [][]byte
	for i := 0; i < count; i += len(batch) {
		var err error
		if batch, err = q.TakeMany(ctx, batch[:0], min(batchSize, count-i)); err != nil {
			return err
		}
		for j, message := range batch {
			if len(message) != messageBytes || binary.LittleEndian.Uint64(message) != uint64(i+j) {
				return fmt.Errorf("not message %d: %x", i+j, message)
			}
		}
	}
	return nil
}

// ping puts a message and takes the answer, n times, without sleeping.
func ping(out, in *shmd.Queue, count int) error {
	message := make([]byte, messageBytes)
	for i := range count {
		binary.LittleEndian.PutUint64(message, uint64(i))
		if err := out.TryPut(message); err != nil {
			return err
		}
		answer, err := tryTake(in)
		if err != nil {
			return err
		}
		if len(answer) != messageBytes || binary.LittleEndian.Uint64(answer) != uint64(i) {
			return fmt.Errorf("not answer %d: %x", i, answer)
		}
	}
	return nil
}

// pong answers each message with itself.
func pong(out, in *shmd.Queue, count int) error {
	for range count {
		message, err := tryTake(in)
		if err != nil {
			return err
		}
		if err := out.TryPut(message); err != nil {
			return err
		}
	}
	return nil
}

func tryTake(q *shmd.Queue) ([]byte, error) {
	for {
		message, err := q.TryTake()
		if !errors.Is(err, shmd.ErrWouldBlock) {
			return message, err
		}
	}
}
