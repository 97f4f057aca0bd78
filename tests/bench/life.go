package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
	"github.com/shmd/shmd/wire"
)

const (
	fewObjects   = 1_000
	lifeClients  = 4 // hold those that are there
	lifeCycles   = 2_000
	lifeGoal     = 1.5
	createsCount = 2_000
	createsGoal  = 10_000
	keptGoal     = 1.3
	clientGoal   = 64 // KiB
)

// lives measures what an object's life costs at the daemon, from create to unlink: among
// many others against among few, pipelined, and with a keeper against without.
func lives(ctx context.Context, b *bench) error {
	return errors.Join(lifeAmongMany(ctx, b), createRates(ctx, b), memoryOfClients(ctx, b))
}

func lifeAmongMany(ctx context.Context, b *bench) error {
	few, err := populate(ctx, fewObjects, lifeClients)
	if err != nil {
		return err
	}
	many, err := populate(ctx, b.objects, lifeClients)
	if err != nil {
		return errors.Join(err, few.stop())
	}
	cycles := b.scaled(lifeCycles)
	p, err := interleave(b.rounds(),
		func() (float64, error) { return few.lifeP99(ctx, cycles) },
		func() (float64, error) { return many.lifeP99(ctx, cycles) })
	if err == nil {
		w := compared("create, open, close, unlink: p99", "us", p, lifeGoal)
		w.Note = fmt.Sprintf("among %d objects, against among %d; one call at a time", b.objects, fewObjects)
		b.report.add(w)
	}
	return errors.Join(err, few.stop(), many.stop())
}

// lifeP99 is the time of the slowest hundredth of so many lives.
func (s *service) lifeP99(ctx context.Context, cycles int) (float64, error) {
	took := make([]float64, 0, cycles)
	for range cycles {
		begin := time.Now()
		if err := s.live(ctx, "bench/life"); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
	}
	slices.Sort(took)
	return measure.Percentile(took, 990), nil
}

func (s *service) live(ctx context.Context, name string) error {
	code := "q"
	var made, opened wire.Attachment
	options := wire.CreateOptions{Code: &code}
	if err := s.client.Call(ctx, wire.MethodCreate, &made, name, wire.KindValue, options); err != nil {
		return err
	}
	if err := s.client.Call(ctx, wire.MethodOpen, &opened, name); err != nil {
		return err
	}
	for _, handle := range []uint64{opened.Handle, made.Handle} {
		if err := s.client.Call(ctx, wire.MethodClose, nil, handle); err != nil {
			return err
		}
	}
	return s.client.Unlink(ctx, name)
}

// createRates creates with 64 under way, with a keeper and without.
func createRates(ctx context.Context, b *bench) error {
	kept, err := startService(ctx)
	if err != nil {
		return err
	}
	alone, err := startService(ctx, "--keeper=none")
	if err != nil {
		return errors.Join(err, kept.stop())
	}
	count := b.scaled(createsCount)
	var rates []float64
	p, err := interleave(b.rounds(),
		func() (float64, error) { return alone.createMicroseconds(ctx, count) },
		func() (float64, error) {
			us, err := kept.createMicroseconds(ctx, count)
			rates = append(rates, 1e6/us)
			return us, err
		})
	if err == nil {
		rates = rates[1:] // the first one warms up
		b.report.add(single("creates, 64 under way", "a second", rates, "at least 10,000 (median)",
			measure.SpreadOf(rates).Median >= createsGoal))
		w := compared("create with a keeper", "us", p, keptGoal)
		w.Note = "64 under way on one connection, against --keeper=none"
		b.report.add(w)
	}
	return errors.Join(err, kept.stop(), alone.stop())
}

// createMicroseconds is the time of one create; what it made it unlinks again, untimed.
func (s *service) createMicroseconds(ctx context.Context, count int) (float64, error) {
	code := "q"
	handles := make([]wire.Attachment, count)
	name := func(i int) string { return fmt.Sprintf("bench/made/%d", i) }
	begin := time.Now()
	err := inWindows(ctx, count, func(i int) (*shmd.Pending, error) {
		return s.client.Start(wire.MethodCreate, name(i), wire.KindValue, wire.CreateOptions{Code: &code})
	}, func(i int, p *shmd.Pending) error { return p.Wait(ctx, &handles[i]) })
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	for i := range count {
		if err := s.client.Call(ctx, wire.MethodClose, nil, handles[i].Handle); err != nil {
			return 0, err
		}
		if err := s.client.Unlink(ctx, name(i)); err != nil {
			return 0, err
		}
	}
	return float64(took.Nanoseconds()) / float64(count) / 1000, nil
}

func memoryOfClients(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) (err error) {
		before, err := measure.MemoryOf(s.pid())
		if err != nil {
			return err
		}
		for range b.clients {
			c, e := s.dial(ctx)
			if e != nil {
				return e
			}
			defer func() { err = errors.Join(err, c.Close()) }()
		}
		after, err := measure.MemoryOf(s.pid())
		if err != nil {
			return err
		}
		each := (after.Anonymous - before.Anonymous) / float64(b.clients)
		w := single("daemon's own memory, per client", "KiB", []float64{each}, "at most 64 KiB", each <= clientGoal)
		w.Note = fmt.Sprintf("Anonymous of smaps_rollup, %d clients connected", b.clients)
		b.report.add(w)
		return nil
	})
}
