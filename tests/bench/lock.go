package main

import (
	"context"
	"errors"
	"io"

	shmd "github.com/shmd/shmd/clients/go"
)

const (
	lockName  = "bench/lock"
	lockTurns = 1_000_000
)

func createLock(ctx context.Context, s *service) (io.Closer, error) {
	return shmd.CreateMutex(ctx, s.client, lockName, shmd.MutexOptions{})
}

// locks compares an uncontended lock and unlock with pthread's, and Go's with C's.
func locks(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		l, err := startTwins(ctx, s, "locker", lockName, createLock)
		if err != nil {
			return err
		}
		return errors.Join(compareLocks(b, l), l.stop())
	})
}

func compareLocks(b *bench, l *twins) error {
	turns := b.scaled(lockTurns)
	var pthread, inC, inGo []float64
	for round := range b.rounds() + 1 {
		p, err := l.inC.number("pthread %d", turns)
		if err != nil {
			return err
		}
		c, err := l.inC.number("ours %d", turns)
		if err != nil {
			return err
		}
		g, err := l.inGo.number("ours %d", turns)
		if err != nil {
			return err
		}
		if round > 0 { // the first one warms up
			pthread, inC, inGo = append(pthread, p), append(inC, c), append(inGo, g)
		}
	}
	c := compared("C: lock+unlock", "ns", &pairs{pthread, inC}, 1.0)
	c.Note = "against a robust process-shared pthread mutex"
	b.report.add(c)
	g := compared("Go: lock+unlock", "ns", &pairs{inC, inGo}, 1.5)
	g.Note = "against the same in C"
	b.report.add(g)
	return nil
}
