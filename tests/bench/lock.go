package main

import (
	"context"
	"errors"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

const (
	lockName  = "bench/lock"
	lockTurns = 1_000_000
)

// lockers are a C and a Go process that have the same mutex open.
type lockers struct {
	inC, inGo *child
	service   *service
}

func withLockers(ctx context.Context, work func(l *lockers) error) error {
	return withService(ctx, func(s *service) error {
		mutex, err := shmd.CreateMutex(ctx, s.client, lockName, shmd.MutexOptions{})
		if err != nil {
			return err
		}
		l := &lockers{service: s}
		if l.inC, err = startC(ctx, "locker", s.socket, lockName); err != nil {
			return err
		}
		if l.inGo, err = startSelf(ctx, "locker", s.socket, lockName); err != nil {
			return errors.Join(err, l.inC.stop())
		}
		return errors.Join(work(l), l.inC.stop(), l.inGo.stop(), mutex.Close())
	})
}

// locks compares an uncontended lock and unlock with pthread's, and Go's with C's.
func locks(ctx context.Context, b *bench) error {
	return withLockers(ctx, func(l *lockers) error {
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
	})
}

// syscallTurns is short enough for the Go runtime to leave the thread in peace.
const syscallTurns = 10_000

// syscalls counts the system calls of uncontended locking, before and after
// others have waited for the lock.
func syscalls(ctx context.Context, b *bench) error {
	return withLockers(ctx, func(l *lockers) error {
		tid, err := l.inGo.number("tid")
		if err != nil {
			return err
		}
		for _, each := range []struct {
			name   string
			locker *child
			other  *child
			thread int
		}{
			{"C", l.inC, l.inGo, l.inC.cmd.Process.Pid},
			{"Go", l.inGo, l.inC, int(tid)},
		} {
			if err := l.count(b, each.name+": never contended", each.locker, each.thread); err != nil {
				return err
			}
			for range b.scaled(100) {
				if err := l.handOver(ctx, each.locker, each.other); err != nil {
					return err
				}
				if err := l.handOver(ctx, each.other, each.locker); err != nil {
					return err
				}
			}
			if err := l.fight(each.locker, each.other, b.scaled(lockTurns)); err != nil {
				return err
			}
			if err := l.count(b, each.name+": after contention", each.locker, each.thread); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *lockers) count(b *bench, name string, c *child, thread int) error {
	n, err := c.count(thread, "count", syscallTurns)
	if err != nil {
		return err
	}
	w := single(name, "calls", []float64{float64(n)}, "no system call in 10,000 times lock+unlock", n == 0)
	w.Note = "stops of ptrace between two markers"
	b.report.add(w)
	return nil
}

// handOver makes one process sleep for the lock until the other gives it.
func (l *lockers) handOver(ctx context.Context, from, to *child) error {
	if err := from.send("take"); err != nil {
		return err
	}
	if _, err := from.line(); err != nil {
		return err
	}
	if err := to.send("take"); err != nil {
		return err
	}
	if err := l.service.untilWaiting(ctx, lockName); err != nil {
		return err
	}
	if err := from.do("give"); err != nil {
		return err
	}
	if _, err := to.line(); err != nil {
		return err
	}
	return to.do("give")
}

// fight lets both lock and unlock at the same time.
func (l *lockers) fight(one, other *child, turns int) error {
	for _, c := range []*child{one, other} {
		if err := c.send("ours %d", turns); err != nil {
			return err
		}
	}
	_, err := one.line()
	_, otherErr := other.line()
	return errors.Join(err, otherErr)
}

// untilWaiting returns when somebody sleeps for the object.
func (s *service) untilWaiting(ctx context.Context, name string) error {
	for {
		var st wire.Stat
		if err := s.client.Call(ctx, wire.MethodStat, &st, name); err != nil {
			return err
		}
		if st.Waiters > 0 {
			return nil
		}
	}
}
