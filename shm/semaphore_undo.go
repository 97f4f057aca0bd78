package shm

import (
	"context"
	"sync/atomic"

	"github.com/shmd/shmd/status"
)

// permitPool is an undo semaphore: what each seat holds and how many permits
// exist is authoritative, how many are available is derived, under a latch.
// Waiters sleep on two words, because a wake for one must not be eaten by
// somebody whom one permit does not help.
type permitPool struct {
	seg   *Segment
	lines *SemaphoreLines // immutable; points into the segment
	held  []HeldCell      // immutable; points into the segment; by seat
	latch *Latch
	one   eventcount // those who want one: a signal wakes as many as permits came
	many  eventcount // those who want more: a signal wakes all
}

func newPermitPool(s *Segment, lines *SemaphoreLines) *permitPool {
	return &permitPool{seg: s, lines: lines, held: kindCells[HeldCell](s), latch: s.Latch(&lines.Latch),
		one: eventcount{&lines.One}, many: eventcount{&lines.Many}}
}

func (u *permitPool) cell(owner uint32) *uint32 { return &u.held[SeatOf(owner)].Permits }

func (u *permitPool) look(owner uint32) Permits {
	p := Permits{Available: atomic.LoadUint32(&u.lines.Available), Total: atomic.LoadUint32(&u.lines.Total),
		Waiters: (u.one.load()|u.many.load())&eventcountWaiters != 0}
	if int(SeatOf(owner)) < len(u.held) {
		p.Held = atomic.LoadUint32(u.cell(owner))
	}
	return p
}

// rebuild derives what is available, with the latch held.
func (u *permitPool) rebuild() {
	rest := int64(atomic.LoadUint32(&u.lines.Total))
	for i := range u.held {
		rest -= int64(atomic.LoadUint32(&u.held[i].Permits))
	}
	put32(&u.lines.Available, uint32(max(0, rest)))
}

// balance is one consistent look at the words, for one seat.
type balance struct{ available, total, held uint32 }

// enter takes the latch and reads the words, which somebody hostile may have
// written. After an error the latch is free.
func (u *permitPool) enter(ctx context.Context, p *Parker, a Actor, deadline int64, try bool) (b balance, err error) {
	found, err := u.latch.enter(ctx, p, a, deadline, try)
	if err != nil {
		return b, err
	}
	if !isFree(found) {
		u.rebuild()
	}
	b = balance{atomic.LoadUint32(&u.lines.Available), atomic.LoadUint32(&u.lines.Total),
		atomic.LoadUint32(u.cell(a.Seat))}
	switch {
	case u.seg.State() == StateRemoved:
		err = status.Removed
	case b.total > u.seg.geometry.Maximum || b.available > b.total || b.held > b.total-b.available:
		err = status.New(status.Corrupt, "", "%d permits available, %d held by one client, %d in all, at most %d",
			b.available, b.held, b.total, u.seg.geometry.Maximum)
	default:
		return b, nil
	}
	return b, orElse(u.latch.Unlatch(a.Latcher), err)
}

// orElse is the first error of an end that failed, else the reason to end.
func orElse(err, reason error) error {
	if err != nil {
		return err
	}
	return reason
}

func (u *permitPool) acquire(ctx context.Context, p *Parker, a Actor, n uint32, deadline int64, try bool) error {
	queue := u.one
	if n > 1 {
		queue = u.many
	}
	duty := false
	for {
		b, err := u.enter(ctx, p, a, deadline, try)
		if err != nil {
			if duty {
				u.one.wake(1) // the wake that we ate was somebody's
			}
			return err
		}
		if b.available >= n {
			return u.take(a, b, n, duty)
		}
		if try {
			return orElse(u.latch.Unlatch(a.Latcher), status.WouldBlock)
		}
		announced := queue.announce()
		if err := u.latch.Unlatch(a.Latcher); err != nil {
			return err
		}
		if u.seg.State() == StateRemoved { // after the announcement; pairs with remove
			return status.Removed
		}
		u.seg.announce(a.Seat, 1)
		duty, err = queue.sleep(ctx, p, announced, deadline)
		u.seg.announce(a.Seat, ^uint32(0))
		if err != nil {
			return err
		}
		duty = duty && n == 1 // whoever signals many wakes all
	}
}

// take takes n of the available permits, gives the latch back, and does the duty
// of who was woken for them.
func (u *permitPool) take(a Actor, b balance, n uint32, duty bool) error {
	put32(u.cell(a.Seat), b.held+n) // the commit
	put32(&u.lines.Available, b.available-n)
	due := duty && u.one.settle(b.available > n)
	if err := u.latch.Unlatch(a.Latcher); err != nil {
		return err
	}
	if due {
		u.one.wake(1)
	}
	return nil
}

func (u *permitPool) release(ctx context.Context, p *Parker, a Actor, n uint32, deadline int64, try bool) error {
	b, err := u.enter(ctx, p, a, deadline, try)
	if err != nil {
		return err
	}
	if n > b.held {
		return orElse(u.latch.Unlatch(a.Latcher),
			status.New(status.NotOwner, "", "%d permits to release, and this client holds %d", n, b.held))
	}
	put32(u.cell(a.Seat), b.held-n) // the commit
	return u.give(a, b, n)
}

func (u *permitPool) post(ctx context.Context, p *Parker, a Actor, n uint32, deadline int64, try bool) error {
	b, err := u.enter(ctx, p, a, deadline, try)
	if err != nil {
		return err
	}
	if maximum := u.seg.geometry.Maximum; n > maximum || b.total > maximum-n {
		return orElse(u.latch.Unlatch(a.Latcher),
			status.New(status.Overflow, "", "%d more permits than the %d there are; the maximum is %d",
				n, b.total, maximum))
	}
	put32(&u.lines.Total, b.total+n) // the commit
	return u.give(a, b, n)
}

// give makes n committed permits available, gives the latch back, and wakes.
func (u *permitPool) give(a Actor, b balance, n uint32) error {
	put32(&u.lines.Available, b.available+n)
	one, many := u.one.signal(), u.many.signal()
	if err := u.latch.Unlatch(a.Latcher); err != nil {
		return err
	}
	if one {
		u.one.wake(int(n))
	}
	if many {
		u.many.wake(futexAll)
	}
	return nil
}

// recover gives back what a dead client held: its cell is zeroed and the rest is
// derived again, so that a second run returns nothing twice.
func (u *permitPool) recover(v Victim) (held, done bool) {
	if _, ok := u.latch.Steal(v.Daemon, v.lives); !ok {
		return false, false
	}
	if seat := SeatOf(v.Owner); seat != 0 && int(seat) < len(u.held) {
		held = atomic.LoadUint32(u.cell(v.Owner)) != 0
		put32(u.cell(v.Owner), 0)
	}
	u.rebuild()
	return held, u.latch.finish(v, held, u.one, u.many)
}
