package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
)

// messenger is the twin of c/messenger.c, without leases and lines: one end of two
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
