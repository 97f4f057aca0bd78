package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// The change word of a value or array: an eventcount that every change moves on,
// and whose count is the version. The protocol is tests/models/value.pml.

// bump announces a change that has been made (never before it).
func (s *Segment) bump() { s.changes().broadcast() }

// Version counts changes. Read it *before* the data it shall stand for.
func (a *Array) Version() uint64 { return eventcountOf(a.seg.changes().load()) }

// WaitChange waits until the version differs from the given one and returns it.
// Errors: status.WouldBlock (timeout 0), TimedOut, Cancelled, Removed,
// Permission on a read-only mapping, which cannot announce a waiter.
func (a *Array) WaitChange(ctx context.Context, p *Parker, self Owner, version uint64,
	timeout time.Duration) (uint64, error) {
	if a.seg.readOnly {
		return 0, status.Permission
	}
	deadline := deadlineAfter(timeout)
	changes := a.seg.changes()
	for {
		c := changes.load()
		// The state after the word: destroying stores the state, then bumps.
		if err := a.live(); err != nil {
			return 0, err
		}
		if now := eventcountOf(c); now != version {
			return now, nil
		}
		if timeout == 0 {
			return 0, status.WouldBlock
		}
		c, ok := changes.announceAt(c)
		if !ok {
			continue
		}
		a.seg.announce(self.Word, 1)
		_, err := changes.sleep(ctx, p, c, deadline) // no duty: whoever clears the bit wakes all
		a.seg.announce(self.Word, ^uint32(0))
		if err != nil {
			return 0, err
		}
		if deadline != 0 && monotonicNs() >= deadline && a.Version() == version {
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
