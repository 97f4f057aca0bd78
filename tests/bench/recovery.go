package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

const (
	recoveryKills     = 300
	recoveryGoalMs    = 1.0
	recoveryGoalP99Ms = 10.0
	// recoveryObjects are what an owner has open beside the lock, in one of the rows.
	recoveryObjects = 1000
	holderGoalMs    = 20
)

// recoveries measures from just before the SIGKILL of an owner to the moment in
// which the process that waited for the lock has it.
func recoveries(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		mutex, err := shmd.CreateMutex(ctx, s.client, lockName, shmd.MutexOptions{})
		if err != nil {
			return err
		}
		waiter, err := startC(ctx, "locker", s.socket, lockName)
		if err != nil {
			return err
		}
		for _, holder := range []struct {
			name    string
			start   func(ctx context.Context, name string, args ...string) (*measure.Child, error)
			objects int
		}{
			{"C owner killed, C waiter runs", startC, 0},
			{"Go owner killed, C waiter runs", startSelf, 0},
			{"C owner with 1,000 objects killed", startC, recoveryObjects},
		} {
			var took []float64
			for range b.scaled(recoveryKills) {
				ms, err := s.killOwner(ctx, holder.start, holder.objects, waiter)
				if err != nil {
					return errors.Join(err, waiter.Stop())
				}
				took = append(took, ms)
			}
			b.report.add(latencies(holder.name, took))
		}
		return errors.Join(s.killHolder(ctx, b), waiter.Stop(), mutex.Close())
	})
}

// killHolder kills an owner of 1,000 mutexes, and waits until all of them are free.
func (s *service) killHolder(ctx context.Context, b *bench) error {
	var held [recoveryObjects]*shmd.Mutex
	var err error
	for i := range held {
		held[i], err = shmd.CreateMutex(ctx, s.client, fmt.Sprintf("%s/%d", lockName, i), shmd.MutexOptions{})
		if err != nil {
			return err
		}
	}
	var took []float64
	for range b.rounds() {
		ms, err := s.timeHolder(ctx, held[:])
		if err != nil {
			return err
		}
		took = append(took, ms)
	}
	w := single("C owner of 1,000 mutexes killed", "ms", took, "below 20 ms (median)",
		measure.SpreadOf(took).Median < holderGoalMs)
	w.Note = "until the last of them could be locked again, tried in turn by a Go process"
	b.report.add(w)
	return nil
}

func (s *service) timeHolder(ctx context.Context, held []*shmd.Mutex) (float64, error) {
	owner, err := startC(ctx, "locker", s.socket, lockName)
	if err != nil {
		return 0, err
	}
	defer owner.Kill()
	if err := owner.Do("hold %d", len(held)); err != nil {
		return 0, err
	}
	killed := time.Now()
	if err := owner.Cmd.Process.Kill(); err != nil {
		return 0, err
	}
	for _, m := range held {
		for {
			notice, err := m.TryLock()
			if errors.Is(err, shmd.ErrWouldBlock) {
				runtime.Gosched()
				continue
			}
			if err != nil {
				return 0, err
			}
			if notice == nil {
				return 0, errors.New("nobody was told that the owner died")
			}
			break
		}
	}
	took := time.Since(killed)
	for _, m := range held {
		if err := errors.Join(m.MarkConsistent(), m.Unlock()); err != nil {
			return 0, err
		}
	}
	return float64(took.Microseconds()) / 1000, nil
}

func latencies(name string, took []float64) row {
	sorted := slices.Sorted(slices.Values(took))
	p90, p99 := measure.Percentile(sorted, 900), measure.Percentile(sorted, 990)
	w := single(name, "ms", took, "below 1 ms at p50 and 10 ms at p99",
		measure.Median(sorted) < recoveryGoalMs && p99 < recoveryGoalP99Ms)
	w.P90, w.P99 = &p90, &p99
	w.Note = fmt.Sprintf("%d kills; every waiter was told that the owner died", len(took))
	return w
}

// killOwner is one death: milliseconds from the kill to the waiter's return.
func (s *service) killOwner(ctx context.Context,
	start func(ctx context.Context, name string, args ...string) (*measure.Child, error), objects int,
	waiter *measure.Child) (float64, error) {
	owner, err := start(ctx, "locker", s.socket, lockName)
	if err != nil {
		return 0, err
	}
	defer owner.Kill()
	if objects > 0 {
		if err := owner.Do("open %d", objects); err != nil {
			return 0, err
		}
	}
	if err := owner.Send("take"); err != nil {
		return 0, err
	}
	if _, err := owner.Line(); err != nil {
		return 0, err
	}
	if err := waiter.Send("take"); err != nil {
		return 0, err
	}
	if err := s.untilWaiting(ctx, lockName); err != nil {
		return 0, err
	}
	killed, err := measure.MonotonicNs()
	if err != nil {
		return 0, err
	}
	if err := owner.Cmd.Process.Kill(); err != nil {
		return 0, err
	}
	line, err := waiter.Line()
	if err != nil {
		return 0, err
	}
	var taken, died int64
	if _, err := fmt.Sscan(line, &taken, &died); err != nil {
		return 0, err
	}
	if died != 1 {
		return 0, errors.New("the waiter was not told that the owner died")
	}
	return float64(taken-killed) / 1e6, waiter.Do("give")
}
