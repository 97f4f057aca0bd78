package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
)

const (
	// messageBytes is MESSAGE_BYTES of c/messenger.c.
	messageBytes  = 64
	queueSize     = 1024
	queueMessages = 500_000
	queueGoal     = 8 // million messages/s, one by one; and so on:
	leaseGoal     = 4
	manyGoal      = 20
	goGoal        = 4
	goManyGoal    = 10
	manyMessages  = 2_000_000
	tripGoal      = 4 // of the line's
	trips         = 100_000
)

// route is two queues, a line of an array, and two processes, each on a processor of
// its own: the near one puts into "there" and takes from "back".
type route struct{ near, far *child }

// withRoute pins processes of the program, started by start, to two processors.
func withRoute(ctx context.Context, start func(ctx context.Context, name string, args ...string) (*child, error),
	work func(r *route) error) error {
	cpus, err := twoProcessors()
	if err != nil {
		return err
	}
	const there, back, line = "bench/there", "bench/back", "bench/line"
	return withService(ctx, func(s *service) error {
		for _, name := range []string{there, back} {
			if _, err := shmd.CreateQueue(ctx, s.client, name,
				shmd.QueueOptions{MaxSize: queueSize, SlotSize: messageBytes, Raw: true}); err != nil {
				return err
			}
		}
		if _, err := shmd.CreateArray[int64](ctx, s.client, line, shmd.ArrayOptions{Length: 8}); err != nil {
			return err
		}
		near, err := start(ctx, "messenger", s.socket, there, back, line)
		if err != nil {
			return err
		}
		far, err := start(ctx, "messenger", s.socket, back, there, line)
		if err != nil {
			return errors.Join(err, near.stop())
		}
		err = errors.Join(near.do("pin %d", cpus[0]), far.do("pin %d", cpus[1]))
		if err == nil {
			err = work(&route{near, far})
		}
		return errors.Join(err, near.stop(), far.stop())
	})
}

// twoProcessors are two that this process may use.
func twoProcessors() ([]int, error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < 2 && cpu < 8*len(may)*8; cpu++ {
		if may.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) < 2 {
		return nil, errors.New("it needs two processors")
	}
	return cpus, nil
}

// took is nanoseconds a turn, from when the near process began to when the one ended
// that ends last.
func (r *route) took(near, far string, turns int) (float64, error) {
	a, b, err := both(r.near, r.far, func(c *child) error {
		command := far
		if c == r.near {
			command = near
		}
		return c.send("%s %d", command, turns)
	})
	if err != nil {
		return 0, err
	}
	var begin, end, ignored, farEnd int64
	if _, err := fmt.Sscan(a, &begin, &end); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(b, &ignored, &farEnd); err != nil {
		return 0, err
	}
	return float64(max(end, farEnd)-begin) / float64(turns), nil
}

// queues measures messages per second from one process to another.
func queues(ctx context.Context, b *bench) error {
	err := withRoute(ctx, startC, func(r *route) error {
		for _, s := range []stream{
			{"C: put, take", "put", "take", queueMessages, queueGoal, one},
			{"C: put, lease, ack", "put", "lease", queueMessages, leaseGoal, one},
			{"C: put_many, take_many", "put-many", "take-many", manyMessages, manyGoal, many},
			{"C: put_many, lease_many, ack_many", "put-many", "lease-many", manyMessages, 0, many},
		} {
			if err := r.stream(b, s); err != nil {
				return err
			}
		}
		return r.distance(b)
	})
	if err != nil {
		return err
	}
	return withRoute(ctx, startSelf, func(r *route) error {
		return errors.Join(r.stream(b, stream{"Go: Put, Take", "put", "take", queueMessages, goGoal, one}),
			r.stream(b, stream{"Go: PutMany, TakeMany", "put-many", "take-many", queueMessages, goManyGoal, many}))
	})
}

const (
	one  = "64 bytes, one by one, two processes on two processors"
	many = "64 bytes, up to 64 in one call, two processes on two processors"
)

// stream is a way to send messages one way; goal 0 = none.
type stream struct {
	name, put, take string
	messages        int
	goal            float64 // million/s
	note            string
}

func (r *route) stream(b *bench, s stream) error {
	var rates []float64
	for round := range b.rounds() + 1 {
		ns, err := r.took(s.put, s.take, b.scaled(s.messages))
		if err != nil {
			return err
		}
		if round > 0 { // the first one warms up
			rates = append(rates, 1000/ns)
		}
	}
	w := single(s.name, "million/s", rates, fmt.Sprintf("at least %g (median)", s.goal),
		spreadOf(rates).Median >= s.goal)
	if s.goal == 0 {
		w.Goal, w.Met = "", nil
	}
	w.Note = s.note
	b.report.add(w)
	return nil
}

// distance tells how far the processors are from each other at the moment.
func (r *route) distance(b *bench) error {
	var took []float64
	for range b.rounds() {
		ns, err := r.took("ping-line", "pong-line", b.scaled(trips))
		if err != nil {
			return err
		}
		took = append(took, ns)
	}
	b.report.add(row{Name: "a word there and back", Unit: "ns", Ours: spreadOf(took),
		Note: "for information: what these two processors make of one cache line"})
	return nil
}

// queueRoundTrips compares a message there and one back with the least that two
// processors can do: a cache line there and back. Neither side ever sleeps.
func queueRoundTrips(ctx context.Context, b *bench) error {
	return withRoute(ctx, startC, func(inC *route) error {
		return withRoute(ctx, startSelf, func(inGo *route) error {
			for _, each := range []struct {
				language string
				r        *route
			}{{"C", inC}, {"Go", inGo}} {
				turns := b.scaled(trips)
				p, err := interleave(b.rounds(),
					func() (float64, error) { return inC.took("ping-line", "pong-line", turns) },
					func() (float64, error) { return each.r.took("ping", "pong", turns) })
				if err != nil {
					return err
				}
				w := compared(each.language+": put, and take the answer", "ns", p, tripGoal)
				w.Note = "64 bytes through two queues, trying in a loop, against one word there and back"
				b.report.add(w)
			}
			return nil
		})
	})
}
