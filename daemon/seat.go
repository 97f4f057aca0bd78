package daemon

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/shmd/shmd/shm"
)

// seat is one client's place in one object.
type seat struct {
	object *object // immutable
	client *client // immutable
	number uint16  // immutable
	word   uint32  // immutable; the owner bits that name this client in lock words
	guard  *seat   // immutable; the client's seat in the object's foreign mutex, or nil

	mapped  atomic.Bool  // the client was given the descriptor
	waiting atomic.Int32 // calls of the client that wait here through the daemon
	// leads is how the client last became the leader at a barrier; nil = not yet, or
	// it is over.
	leads   atomic.Pointer[shm.Arrival]
	threads threadTable // at an rwlock
	roles   roleTable   // at a stream or a pipe

	refs     int    // protected by registry.mu; see doc.go
	handles  uint64 // protected by registry.mu
	sweeping bool   // protected by registry.mu; no longer the client's, not yet free
	died     bool   // protected by registry.mu; its client had ended without bye when it was given up
}

// owner names the client's thread of control in the seat's own segment.
func (s *seat) owner(token uint32) shm.Owner { return shm.MakeOwner(s.word, token) }

// holder names it in the lock that guards the object.
func (s *seat) holder(token uint32) shm.Owner {
	if s.guard != nil {
		return s.guard.owner(token)
	}
	return s.owner(token)
}

// access names it for brackets.
func (s *seat) access(token uint32) shm.Access {
	return shm.Access{Self: s.owner(token), Holder: s.holder(token)}
}

// seatTable gives out the seats of one object, the one that has been free
// longest first. It is protected by registry.mu.
type seatTable struct {
	taken       map[uint16]*seat // sweeping ones included
	generations []uint32         // by seat number; how often it was given out
	free        []uint16         // used before and swept, oldest first
	sweeping    int
	// freed is closed when a seat becomes free; nil if nobody waits for that.
	freed chan struct{}
}

// take gives out a seat; not ok if there is none.
func (t *seatTable) take(seatsMax uint32) (number uint16, generation uint32, ok bool) {
	if t.taken == nil {
		t.taken = make(map[uint16]*seat)
		t.generations = make([]uint32, 1) // seat 0 is nobody
	}
	switch {
	case uint32(len(t.generations)) <= seatsMax: // one that was never used has been free longest
		number = uint16(len(t.generations))
		t.generations = append(t.generations, 0)
	case len(t.free) > 0:
		number = t.free[0]
		t.free = t.free[1:]
	default:
		return 0, 0, false
	}
	generation = t.generations[number] + 1
	if generation > shm.GenerationMax {
		generation = 1
	}
	t.generations[number] = generation
	return number, generation, true
}

// inherit continues the numbers of the daemon before.
func (t *seatTable) inherit(generations []uint32) {
	t.taken, t.generations = make(map[uint16]*seat), generations
	if len(generations) == 0 {
		t.generations = make([]uint32, 1) // seat 0 is nobody
	}
}

// vacate makes the seats free that were used before and are not taken.
func (t *seatTable) vacate() {
	for number := range t.generations[1:] {
		if n := uint16(number + 1); t.taken[n] == nil {
			t.free = append(t.free, n)
		}
	}
}

// seatsIn are the seats of an object that are taken.
func (r *registry) seatsIn(o *object) []*seat {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(o.seats.taken))
}

// living returns a function that reports whether an owner word is that of a client
// which may still act in o: any that has a seat there and is not recovered. What it
// says of a seat that is being given out at this moment may be out of date, which
// makes recovery come again.
func (r *registry) living(o *object) func(owner uint32) bool {
	return func(owner uint32) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		s := o.seats.taken[shm.SeatOf(owner)]
		return s != nil && s.word == owner && !s.sweeping
	}
}

// release makes a swept seat free and tells who waits for one.
func (t *seatTable) release(number uint16) {
	delete(t.taken, number)
	t.free = append(t.free, number)
	t.sweeping--
	if t.freed != nil {
		close(t.freed)
		t.freed = nil
	}
}

// wait returns a channel that is closed when a seat becomes free.
func (t *seatTable) wait() <-chan struct{} {
	if t.freed == nil {
		t.freed = make(chan struct{})
	}
	return t.freed
}
