package shm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// The change word: an eventcount that every change bumps. The protocol is
// tests/models/value.pml. Every update is one read-modify-write, because the
// daemon bumps without holding anything.
const (
	changeWaiters uint64 = 1
	changeStep    uint64 = 2
)

// bump announces a change that has been made (never before it), and wakes all
// who wait for one. Whoever clears the waiters bit wakes everybody, so nobody
// owes a duty and the next bump is free of system calls again.
func (s *Segment) bump() {
	word := &s.page.Change.Word
	if add64(word, changeStep)&changeWaiters != 0 {
		and64(word, ^changeWaiters)
		futexWakeN(futexWord32(word), futexAll)
	}
}

// Version counts changes. Read it *before* the data it shall stand for.
func (a *Array) Version() uint64 { return atomic.LoadUint64(&a.seg.page.Change.Word) >> 1 }

// WaitChange waits until the version differs from the given one and returns it.
// Errors: status.WouldBlock (timeout 0), TimedOut, Cancelled, Removed,
// Permission on a read-only mapping, which cannot announce a waiter.
func (a *Array) WaitChange(ctx context.Context, p *Parker, self Owner, version uint64,
	timeout time.Duration) (uint64, error) {
	if a.seg.readOnly {
		return 0, status.Permission
	}
	deadline := deadlineAfter(timeout)
	word := &a.seg.page.Change.Word
	for {
		c := atomic.LoadUint64(word)
		if c>>1 != version {
			return c >> 1, nil
		}
		// The state after the value: destroying stores the state, then bumps.
		if err := a.live(); err != nil {
			return 0, err
		}
		if timeout == 0 {
			return 0, status.WouldBlock
		}
		if c&changeWaiters == 0 {
			if !cas64(word, c, c|changeWaiters) {
				continue
			}
			c |= changeWaiters
		}
		a.seg.announce(self.Word, 1)
		w := p.wait(ctx, futexWord32(word), uint32(c), deadline)
		a.seg.announce(self.Word, ^uint32(0))
		switch w {
		case expired:
			return 0, status.TimedOut
		case cancelled:
			return 0, endOf(ctx)
		}
		if deadline != 0 && monotonicNs() >= deadline && atomic.LoadUint64(word)>>1 == version {
			return 0, status.TimedOut
		}
	}
}

// live is status.Removed once the object was destroyed.
func (a *Array) live() error {
	if a.seg.State() == StateRemoved {
		return status.Removed
	}
	return nil
}
