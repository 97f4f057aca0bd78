package shm

import (
	"context"

	"github.com/shmd/shmd/status"
)

// contender is one thread's wait for an owner word, a lock's or a latch's: how
// it announces itself, and what it owes after a wake. The protocol is
// tests/models/mutex.pml.
type contender struct {
	seg      *Segment
	word     *uint32
	self     uint32 // owner bits
	deadline int64  // absolute CLOCK_MONOTONIC in ns, 0 = none
	keep     uint32 // what the word is taken with: whoever slept keeps the waiters bit
	duty     bool   // a wake may have been consumed
	leave    error  // why to leave, nil = not yet
}

// wait sleeps once on the word that was found held as old. nil = look at the
// word again, which may be free. An error (status.TimedOut, Cancelled) = leave;
// the duty is done.
func (c *contender) wait(ctx context.Context, p *Parker, old uint32) error {
	if c.leave == nil && c.duty && c.deadline != 0 && monotonicNs() >= c.deadline {
		c.leave = status.TimedOut
	}
	if c.leave != nil {
		// Leaving duty: the wake we may have eaten was somebody's; make sure
		// that the owner wakes the next one.
		if c.duty && !hasWaiters(old) && !cas32(c.word, old, old|ownerWaiters) {
			return nil
		}
		return c.leave
	}
	if !hasWaiters(old) {
		if !cas32(c.word, old, old|ownerWaiters) {
			return nil
		}
		old |= ownerWaiters
	}
	c.keep = ownerWaiters // others may sleep behind us
	switch c.seg.sleep(ctx, p, c.self, c.word, old, c.deadline) {
	case woken:
		c.duty = true
	case expired:
		return status.TimedOut
	case cancelled:
		c.duty, c.leave = true, endOf(ctx)
	}
	return nil
}
