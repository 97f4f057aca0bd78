package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

const (
	consumersCount = 1_000
	consumersQueue = "bench/awaited"
	// sharedMessages are what the consumers are woken for in one round, one by one.
	sharedMessages = 1_000
	sharedGoal     = 2
	// lastMessage ends the consumer that takes it.
	lastMessage = math.MaxUint64
)

// consumers blocks 1,000 threads of a C process, and then 1,000 goroutines of a Go process,
// at one queue without messages, and counts what that process and the daemon do meanwhile;
// then it counts how many of them wake up for one message.
func consumers(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		if _, err := shmd.CreateQueue(ctx, s.client, consumersQueue,
			shmd.QueueOptions{MaxSize: queueSize, SlotSize: messageBytes, Raw: true}); err != nil {
			return err
		}
		for _, each := range []struct {
			start    starter
			language string
			note     string
		}{
			{startC, "C", "of a C process with 1,000 threads blocked at one queue, and of the daemon"},
			{startSelf, "Go", "of a Go process with 1,000 goroutines blocked at one queue, and of the daemon"},
		} {
			c, err := each.start(ctx, "takers", s.socket, consumersQueue, strconv.Itoa(consumersCount))
			if err != nil {
				return err
			}
			if err := errors.Join(s.countConsumers(ctx, b, c, each.language, each.note), c.Stop()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *service) countConsumers(ctx context.Context, b *bench, c *measure.Child, language, note string) error {
	if err := c.Do("block"); err != nil {
		return err
	}
	if err := s.untilWaitingAll(ctx, consumersQueue, consumersCount); err != nil {
		return err
	}
	if err := measure.Pass(ctx, idleSettle); err != nil {
		return err
	}
	before, err := measure.ActivityOfAll(c.Cmd.Process.Pid, s.pid())
	if err != nil {
		return err
	}
	if err := measure.Pass(ctx, idleTime); err != nil {
		return err
	}
	after, err := measure.ActivityOfAll(c.Cmd.Process.Pid, s.pid())
	if err != nil {
		return err
	}
	b.addIdle(after.Switches-before.Switches, after.Ticks-before.Ticks, "all threads "+note)
	if err := countShares(b, c, language); err != nil {
		return err
	}
	return c.Do("wake")
}

// countShares counts how often a thread falls asleep for one message: once, if nobody but
// its consumer wakes up.
func countShares(b *bench, c *measure.Child, language string) error {
	var each []float64
	for range b.rounds() {
		sleeps, err := c.Number("share %d", sharedMessages)
		if err != nil {
			return err
		}
		each = append(each, sleeps/sharedMessages)
	}
	w := single(language+": sleeps a message", "", each, "at most 2", measure.SpreadOf(each).Median <= sharedGoal)
	if language == "Go" { // whose runtime puts threads to sleep between two goroutines
		w.Goal, w.Met = "", nil
	}
	w.Note = "threads that went to sleep, for one message to 1,000 who wait for it"
	b.report.add(w)
	return nil
}

// takers is the twin of c/takers.c.
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
	var taken atomic.Uint64
	failures := make([]error, count)
	put := func(message uint64) error {
		return queue.Put(ctx, binary.NativeEndian.AppendUint64(make([]byte, 0, messageBytes), message))
	}
	err = measure.Serve(func(command string, n int) (string, error) {
		switch command {
		case "block":
			for i := range count {
				waits.Go(func() { failures[i] = takeEach(ctx, queue, &taken) })
			}
			return "done", nil
		case "share":
			return shareEach(uint64(n), &taken, put)
		case "wake":
			for range count {
				if err := put(lastMessage); err != nil {
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

func takeEach(ctx context.Context, queue *shmd.Queue, taken *atomic.Uint64) error {
	for {
		message, err := queue.Take(ctx)
		if err != nil {
			return err
		}
		if binary.NativeEndian.Uint64(message) == lastMessage {
			return nil
		}
		taken.Add(1)
	}
}

func shareEach(count uint64, taken *atomic.Uint64, put func(uint64) error) (string, error) {
	before, err := sleeps()
	if err != nil {
		return "", err
	}
	taken.Store(0)
	for i := range count {
		if err := put(i); err != nil {
			return "", err
		}
		for taken.Load() <= i {
			runtime.Gosched()
		}
	}
	after, err := sleeps()
	return strconv.FormatInt(after-before, 10), err
}

// sleeps counts how often a thread of this process went to sleep, those included that have ended.
func sleeps() (int64, error) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return int64(usage.Nvcsw), err
}
