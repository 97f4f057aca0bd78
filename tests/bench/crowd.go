package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

const (
	crowdSize        = 10_000
	crowdThreadsGoal = 128
	crowdOfOne       = 4_000 // objects of one connection
)

// crowds blocks 10,000 goroutines of one process on 10,000 events, counts the threads
// that this takes and what the process does meanwhile, and wakes them all; the rival is
// the same with channels.
func crowds(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		c, err := startSelf(ctx, "sleepers", s.socket, strconv.Itoa(crowdSize))
		if err != nil {
			return err
		}
		return errors.Join(measureCrowd(ctx, b, c), c.Stop())
	}, "--quota-connections", "100") // what those do not take is for objects
}

func measureCrowd(ctx context.Context, b *bench, c *measure.Child) error {
	if err := c.Do("block"); err != nil {
		return err
	}
	threads, err := c.Number("threads")
	if err != nil {
		return err
	}
	w := single("threads of 10,000 blocked goroutines", "", []float64{threads}, "at most 128",
		threads <= crowdThreadsGoal)
	w.Note = "each waits for an event of its own; all threads of the process"
	b.report.add(w)
	if err := measure.Pass(ctx, idleSettle); err != nil {
		return err
	}
	before, err := measure.ActivityOf(c.Cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := measure.Pass(ctx, idleTime); err != nil {
		return err
	}
	after, err := measure.ActivityOf(c.Cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.addIdle(after.Switches-before.Switches, after.Ticks-before.Ticks,
		"all threads of a process with 10,000 goroutines blocked on 10,000 events")
	if _, err := c.Number("wake"); err != nil {
		return err
	}
	p, err := interleave(b.rounds(),
		func() (float64, error) { return c.Number("channels") },
		func() (float64, error) {
			if err := c.Do("block"); err != nil {
				return 0, err
			}
			return c.Number("wake")
		})
	if err != nil {
		return err
	}
	w = compared("Go: waking 10,000 goroutines", "ms", p, 3)
	w.Note = "from the first set to the last wait that ended, against closing channels"
	b.report.add(w)
	return nil
}

// sleepers is a process of many goroutines. Commands: "block", "threads", "wake" and
// "channels", the latter two answered with milliseconds.
func sleepers(args []string) (err error) {
	if len(args) != 2 {
		return errors.New("want SOCKET SIZE")
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	var c *shmd.Client
	events := make([]*shmd.Event, size)
	for i := range events {
		if i%crowdOfOne == 0 { // a connection has a limit of handles
			if c, err = shmd.Dial(ctx, shmd.Options{Socket: args[0], Software: "shmd-bench"}); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
		}
		if events[i], err = shmd.CreateEvent(ctx, c, "", shmd.EventOptions{AutoReset: true}); err != nil {
			return err
		}
	}
	var waits sync.WaitGroup
	return measure.Serve(func(command string, _ int) (string, error) {
		switch command {
		case "block":
			return "done", blockAll(ctx, c, events, &waits)
		case "threads":
			return threadsOfSelf()
		case "wake":
			begin := time.Now()
			for _, e := range events {
				if err := e.Set(); err != nil {
					return "", err
				}
			}
			waits.Wait()
			return milliseconds(begin), nil
		case "channels":
			return milliseconds(wakeByChannels(size)), nil
		}
		return "", errors.New("no such command")
	})
}

// blockAll returns when a goroutine sleeps for each event.
func blockAll(ctx context.Context, c *shmd.Client, events []*shmd.Event, waits *sync.WaitGroup) error {
	for _, e := range events {
		waits.Go(func() {
			if err := e.Wait(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "shmd-bench:", err)
			}
		})
	}
	asker := &service{client: c}
	for _, e := range events {
		if err := asker.untilWaiting(ctx, e.ID()); err != nil {
			return err
		}
	}
	return nil
}

// wakeByChannels does with channels what wake does with events, and returns when it
// began to wake.
func wakeByChannels(size int) time.Time {
	gates := make([]chan struct{}, size)
	var ready, waits sync.WaitGroup
	for i := range gates {
		gates[i] = make(chan struct{})
		ready.Add(1)
		waits.Go(func() {
			ready.Done()
			<-gates[i]
		})
	}
	ready.Wait()
	begin := time.Now()
	for _, gate := range gates {
		close(gate)
	}
	waits.Wait()
	return begin
}

func milliseconds(since time.Time) string {
	return fmt.Sprintf("%.3f", float64(time.Since(since).Nanoseconds())/1e6)
}

func threadsOfSelf() (string, error) {
	text, err := os.ReadFile("/proc/self/status")
	return strings.TrimSpace(measure.Field(string(text), "Threads")), err
}
