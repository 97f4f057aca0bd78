package main

import (
	"context"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
)

// total is how many files there are.
func (b *board) total() uint64 { return uint64(b.results.Len() / columns) }

// count makes a worker the one that has done a file, and counts the file, unless it
// is counted already: a worker may die when it has counted, and not acknowledged
// yet. Between the two stores what the lock guards is inconsistent: hold, if not
// nil, is called there.
//
// The progress comes first: it may be ahead of the rows for a moment, never behind,
// so that a file whose worker dies in between counts as not done, which is right:
// its message comes back.
func (b *board) count(ctx context.Context, file int, worker uint64, hold func() error) error {
	if err := b.lock(ctx); err != nil {
		return err
	}
	by, err := b.results.Load(file*columns + columnWorker)
	if err != nil {
		return err
	}
	if by == 0 {
		counted, err := b.progress.Load()
		if err != nil {
			return err
		}
		if err := b.progress.Store(counted + 1); err != nil {
			return err
		}
		if hold != nil {
			return hold()
		}
		if err := b.results.Store(file*columns+columnWorker, worker); err != nil {
			return err
		}
	}
	return b.progress.Unlock()
}

// finished reports whether every file is done. More than all would be a mistake,
// which the coordinator finds.
func (b *board) finished(ctx context.Context) (bool, error) {
	counted, err := b.progress.Load()
	if err != nil || counted < b.total() {
		return false, err
	}
	// Without the lock, that may have been the moment between two stores.
	if err := b.lock(ctx); err != nil {
		return false, err
	}
	if counted, err = b.progress.Load(); err != nil {
		return false, err
	}
	return counted >= b.total(), b.progress.Unlock()
}

// lock takes the lock, and repairs what it guards if its last owner died.
func (b *board) lock(ctx context.Context) error {
	notice, err := b.progress.Lock(ctx)
	if err != nil || notice == nil {
		return err
	}
	return b.repair(ctx, notice)
}

// repair counts anew.
func (b *board) repair(ctx context.Context, notice *shmd.Notice) error {
	locked, err := monotonic()
	if err != nil {
		return err
	}
	counted, err := b.progress.Load()
	if err != nil {
		return err
	}
	rows, err := b.rows(ctx)
	if err != nil {
		return err
	}
	recount := uint64(0)
	for _, r := range rows {
		if r.worker != 0 {
			recount++
		}
	}
	if err := b.progress.Store(recount); err != nil {
		return err
	}
	if err := b.progress.MarkConsistent(); err != nil {
		return err
	}
	repaired, err := monotonic()
	if err != nil {
		return err
	}
	fmt.Printf("repair pid=%d counted=%d recount=%d locked_ns=%d repaired_ns=%d\n",
		notice.PID, counted, recount, locked, repaired)
	return nil
}
