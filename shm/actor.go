package shm

import (
	"context"

	"github.com/shmd/shmd/status"
)

// Actor is who acts on a latched object: a semaphore with undo, or a queue. A
// client acts for itself, so both words are its own; the daemon takes the latch
// as itself and acts for a client that has not mapped the object.
type Actor struct {
	// Latcher is the owner word that takes the latch.
	Latcher uint32
	// Seat is the owner word that holds permits, leases and slots, or is a party.
	Seat uint32
}

// ClientActor is the actor of a client that acts for itself.
func ClientActor(owner uint32) Actor {
	return Actor{Latcher: owner & ownerMask, Seat: owner & ownerMask}
}

// daemon reports whether the daemon acts, which never waits for a latch.
func (a Actor) daemon() bool { return SeatOf(a.Latcher) == SeatDaemon }

// mayAct is what every change of an object asks first, for the client of an owner
// word.
func (s *Segment) mayAct(owner uint32) error {
	switch seat := uint32(SeatOf(owner)); {
	case s.readOnly:
		return status.Permission
	case seat == 0 || seat > s.geometry.SeatsMax:
		return status.New(status.Invalid, "", "seat %d of an object with %d seats", seat, s.geometry.SeatsMax)
	}
	return nil
}

// sleep sleeps once while the word is what was seen, for the client of an owner
// word, where every wake is for all, so that nobody owes a duty. nil = look at the
// word again. An error, status.TimedOut or Cancelled, = leave. Deadline: absolute
// CLOCK_MONOTONIC in ns, 0 = none.
func (s *Segment) sleep(ctx context.Context, p *Parker, owner uint32, word *uint32, seen uint32, deadline int64) error {
	if deadline != 0 && monotonicNs() >= deadline {
		return status.TimedOut
	}
	s.announce(owner, 1)
	w := p.wait(ctx, word, seen, deadline)
	s.announce(owner, ^uint32(0))
	switch w {
	case expired:
		return status.TimedOut
	case cancelled:
		return endOf(ctx)
	}
	return nil
}
