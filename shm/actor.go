package shm

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
