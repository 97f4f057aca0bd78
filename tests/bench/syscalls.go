package main

import (
	"context"
	"errors"
	"io"

	"github.com/shmd/shmd/tests/measure"
)

// syscallTurns is short enough for the Go runtime to leave the thread in peace.
const syscallTurns = 10_000

// syscalls counts the system calls of turns that nobody else wants, before and after
// others have waited for the object.
func syscalls(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		type counted struct {
			what, program, name string
			create              func(ctx context.Context, s *service) (io.Closer, error)
			more                []string
		}
		all := []counted{
			{"mutex", "locker", lockName, createLock, nil},
			{"semaphore", "acquirer", permitsName(false), createPermits(false), nil},
			{"with undo", "acquirer", permitsName(true), createPermits(true), nil},
		}
		for _, o := range syncedObjects {
			all = append(all, counted{o.kind, "syncer", o.name, o.create, []string{o.kind}})
		}
		for _, each := range all {
			t, err := startTwins(ctx, s, each.program, each.name, each.create, each.more...)
			if err != nil {
				return err
			}
			if err := errors.Join(t.countBoth(ctx, b, each.what), t.stop()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *twins) countBoth(ctx context.Context, b *bench, what string) error {
	tid, err := t.inGo.Number("tid")
	if err != nil {
		return err
	}
	for _, each := range []struct {
		name   string
		taker  *measure.Child
		other  *measure.Child
		thread int
	}{
		{"C: " + what, t.inC, t.inGo, t.inC.Cmd.Process.Pid},
		{"Go: " + what, t.inGo, t.inC, int(tid)},
	} {
		if err := t.count(b, each.name+", never contended", each.taker, each.thread); err != nil {
			return err
		}
		for range b.scaled(100) {
			if err := t.handOver(ctx, each.taker, each.other); err != nil {
				return err
			}
			if err := t.handOver(ctx, each.other, each.taker); err != nil {
				return err
			}
		}
		if err := t.fight(b.scaled(lockTurns)); err != nil {
			return err
		}
		if err := t.count(b, each.name+", after contention", each.taker, each.thread); err != nil {
			return err
		}
	}
	return nil
}

func (t *twins) count(b *bench, name string, c *measure.Child, thread int) error {
	n, err := countCalls(c, thread, "count", syscallTurns)
	if err != nil {
		return err
	}
	w := single(name, "calls", []float64{float64(n)}, "no system call in 10,000 turns", n == 0)
	w.Note = "stops of ptrace between two markers"
	b.report.add(w)
	return nil
}
