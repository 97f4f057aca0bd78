package daemon

import (
	"cmp"
	"slices"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// holdingsMax is how many holdings one answer tells of.
const holdingsMax = 4096

// holdings tells what the client holds: locks, reads, permits, leases, reserved slots,
// roles.
func (c *call) holdings() error {
	if err := c.params.Arity(0, 0); err != nil {
		return err
	}
	held := wire.List[wire.Holding]{}
	for _, s := range c.session.server.registry.seatsOf(c.client) {
		if len(held) >= holdingsMax {
			break
		}
		held = append(held, s.holdings(holdingsMax-len(held))...)
	}
	return c.encoded(&held)
}

// seatsOf are the client's seats, by object. They stay while the read loop executes
// a call, for only that gives handles back.
func (r *registry) seatsOf(c *client) []*seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	seats := make([]*seat, 0, len(c.seats))
	for _, s := range c.seats {
		seats = append(seats, s)
	}
	slices.SortFunc(seats, func(a, b *seat) int { return cmp.Compare(a.object.id, b.object.id) })
	return seats
}

// holdings are what the seat's client holds in its object, at most most of them.
func (s *seat) holdings(most int) []wire.Holding {
	o := s.object
	held := func(what string, count uint32) wire.Holding {
		return wire.Holding{ID: o.id, Name: o.name, Kind: o.geometry.Kind.String(), Holds: what, Count: count}
	}
	switch o.geometry.Kind {
	case shm.KindSemaphore:
		if n := o.semaphore.Permits(s.word).Held; n > 0 {
			return []wire.Holding{held(wire.HoldsPermits, n)}
		}
	case shm.KindQueue:
		var all []wire.Holding
		for _, slot := range o.queue.Held(s.word, most) {
			one := held(wire.HoldsLease, 1)
			if slot.Writing {
				one.Holds = wire.HoldsSlot
			}
			one.Lease = &wire.LeaseID{Slot: slot.Slot, Seq: slot.Seq, Delivery: slot.Deliveries}
			all = append(all, one)
		}
		return all
	case shm.KindBarrier:
		if o.barrier.Leads(s.word) {
			return []wire.Holding{held(wire.HoldsLead, 1)}
		}
	case shm.KindRWLock:
		if n := o.rwlock.ReadersOf(s.number); n > 0 {
			return []wire.Holding{held(wire.HoldsRead, n)}
		}
		if o.rwlock.Writes(s.number) {
			return []wire.Holding{held(wire.HoldsLock, 1)}
		}
	case shm.KindStream, shm.KindPipe:
		var all []wire.Holding
		for _, role := range o.rolesOf(s.word) {
			one := held(role, 1)
			if o.pipe != nil {
				one.Holds, one.End = wire.HoldsEnd, role
			}
			all = append(all, one)
		}
		return all
	default:
		if o.lock != nil && o.guard == nil {
			if lock := o.lock.Status(); lock.Held && lock.Owner == s.word {
				return []wire.Holding{held(wire.HoldsLock, lock.Depth+1)}
			}
		}
	}
	return nil
}
