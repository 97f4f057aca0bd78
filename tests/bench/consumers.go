package main

import (
	"context"
	"errors"
	"strconv"
	"sync"

	shmd "github.com/shmd/shmd/clients/go"
)

const (
	consumersCount = 1_000
	consumersQueue = "bench/awaited"
)

// consumers blocks 1,000 threads of a C process, and then 1,000 goroutines of a Go process,
// at one queue without messages, and counts what that process and the daemon do meanwhile.
func consumers(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		if _, err := shmd.CreateQueue(ctx, s.client, consumersQueue,
			shmd.QueueOptions{MaxSize: queueSize, SlotSize: messageBytes, Raw: true}); err != nil {
			return err
		}
		for _, each := range []struct {
			start starter
			note  string
		}{
			{startC, "of a C process with 1,000 threads blocked at one queue, and of the daemon"},
			{startSelf, "of a Go process with 1,000 goroutines blocked at one queue, and of the daemon"},
		} {
			c, err := each.start(ctx, "takers", s.socket, consumersQueue, strconv.Itoa(consumersCount))
			if err != nil {
				return err
			}
			if err := errors.Join(s.countConsumers(ctx, b, c, each.note), c.stop()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *service) countConsumers(ctx context.Context, b *bench, c *child, note string) error {
	if err := c.do("block"); err != nil {
		return err
	}
	if err := s.untilWaitingAll(ctx, consumersQueue, consumersCount); err != nil {
		return err
	}
	if err := pass(ctx, idleSettle); err != nil {
		return err
	}
	before, err := activityOfAll(c.cmd.Process.Pid, s.pid())
	if err != nil {
		return err
	}
	if err := pass(ctx, idleTime); err != nil {
		return err
	}
	after, err := activityOfAll(c.cmd.Process.Pid, s.pid())
	if err != nil {
		return err
	}
	b.addIdle(after.switches-before.switches, after.ticks-before.ticks, "all threads "+note)
	return c.do("wake")
}

func activityOfAll(pids ...int) (sum activity, err error) {
	for _, pid := range pids {
		a, err := activityOf(pid)
		if err != nil {
			return sum, err
		}
		sum.switches += a.switches
		sum.ticks += a.ticks
	}
	return sum, nil
}

// takers is the twin of c/takers.c: as many goroutines, of which each takes one message.
func takers(args []string) error { return asTwin(args, "SOCKET QUEUE COUNT", takeWhenTold) }

func takeWhenTold(ctx context.Context, c *shmd.Client, args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	queue, err := shmd.OpenQueue(ctx, c, args[0])
	if err != nil {
		return err
	}
	var waits sync.WaitGroup
	failures := make([]error, count)
	err = serve(func(command string, _ int) (string, error) {
		switch command {
		case "block":
			for i := range count {
				waits.Go(func() { _, failures[i] = queue.Take(ctx) })
			}
			return "done", nil
		case "wake":
			for range count {
				if err := queue.Put(ctx, make([]byte, messageBytes)); err != nil {
					return "", err
				}
			}
			waits.Wait()
			return "done", errors.Join(failures...)
		}
		return "", errors.New("no such command")
	})
	return errors.Join(err, queue.Close())
}
