package main

import (
	"context"
	"errors"
)

const (
	trips = 100_000
	// unpinnedTrips are fewer: while both are on one processor, each takes a time slice.
	unpinnedTrips = 20_000

	// Of the line's: what a round trip of a queue, and of a stream, may take.
	queueTripGoal    = 3
	queueTripGoGoal  = 4
	streamTripGoal   = 1.7
	streamTripGoGoal = 2.7
)

// spinningTrips compares a message there and one back with the least that two processors
// can do: a cache line there and back. Neither side ever sleeps.
func spinningTrips(ctx context.Context, b *bench) error {
	return withRoute(ctx, startC, byQueue, func(line *route) error {
		rival := func(turns int) (float64, error) { return line.took("ping-line", "pong-line", turns) }
		for _, each := range []struct {
			name  string
			start starter
			means means
			limit float64
			note  string
		}{
			{"bare: write, and read the answer", startC, byNothing, 0, "two rings without any safety, for information"},
			{"C: put, and take the answer", startC, byQueue, queueTripGoal, "two queues"},
			{"Go: TryPut, and TryTakeAppend the answer", startSelf, byQueue, queueTripGoGoal, "two queues"},
			{"C: send, and recv the answer", startC, byStream, streamTripGoal, "two streams"},
			{"Go: TrySend, and TryRecvAppend the answer", startSelf, byStream, streamTripGoGoal, "two streams"},
		} {
			err := withRoute(ctx, each.start, each.means, func(r *route) error {
				t := trip{each.name, r, "ping", "pong", trips, each.limit,
					"64 bytes through " + each.note + ", trying in a loop, against one word there and back", rival}
				if err := t.measure(b); err != nil {
					return err
				}
				t.name, t.turns = t.name+", unpinned", unpinnedTrips
				return line.unpinned(func() error { return r.unpinned(func() error { return t.measure(b) }) })
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sleepingTrips compares a message there and one back on one processor, where spinning
// is useless and either side sleeps each time, with bare futexes.
func sleepingTrips(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		d, err := startDuos(ctx, s)
		if err != nil {
			return err
		}
		return errors.Join(compareSleeping(ctx, b, d), d.stop())
	})
}

func compareSleeping(ctx context.Context, b *bench, d *duos) error {
	cpus, err := twoProcessors()
	if err != nil {
		return err
	}
	if err := d.inC.pin(cpus[0], cpus[0]); err != nil {
		return err
	}
	rival := func(turns int) (float64, error) { return d.inC.turns("futex", turns) }
	for _, each := range []struct {
		name  string
		start starter
		means means
	}{
		{"C: put, take, both asleep", startC, byQueue},
		{"C: send, recv, both asleep", startC, byStream},
		{"Go: Put, TakeAppend, both asleep", startSelf, byQueue},
		{"Go: Send, RecvAppend, both asleep", startSelf, byStream},
	} {
		err := withRoute(ctx, each.start, each.means, func(r *route) error {
			if err := r.pin(cpus[0], cpus[0]); err != nil {
				return err
			}
			t := trip{each.name, r, "ping-wait", "pong-wait", handOffTurns, 1.15,
				"64 bytes there and back, on one processor, against bare FUTEX_WAIT and FUTEX_WAKE", rival}
			return t.measure(b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
