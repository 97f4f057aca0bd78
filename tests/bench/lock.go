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
	return b.trio("lock+unlock", 1.0, "against a robust process-shared pthread mutex",
		func() (float64, error) { return l.inC.Number("pthread %d", turns) },
		func() (float64, error) { return l.inC.Number("ours %d", turns) },
		func() (float64, error) { return l.inGo.Number("ours %d", turns) })
}
