package shm

import (
	"context"
	"runtime"

	"github.com/shmd/shmd/status"
)

// Sides are where a queue gets the memory of messages that are longer than a slot.
// The daemon makes and numbers it; what is mapped already stays usable without the
// daemon. Safe for concurrent use.
type Sides interface {
	// Make returns a side segment of at least size bytes for a reservation of this
	// client, and its number. Errors: status.NotOwner, Quota, NoSpace, Lost.
	Make(ctx context.Context, r Reservation, size uint32) (number uint32, side *Side, err error)
	// Find returns the side segment that a slot names. Errors: status.Corrupt (there
	// is no such side segment), Lost.
	Find(ctx context.Context, slot, number uint32) (*Side, error)
}

// WithSides makes the view take and give messages longer than a slot, and returns
// it. Call it before anything else. A view without refuses them: status.Unsupported.
func (q *Queue) WithSides(s Sides) *Queue {
	q.sides = s
	return q
}

// place is where the message of a slot lies, as its descriptor says.
type place struct {
	length uint32
	side   uint32 // 0 = in the slot
}

// place reads each word once.
func (q *Queue) place(slot uint32) place {
	d := &q.descs[slot]
	return place{length: load32(&d.Length), side: load32(&d.Side)}
}

// possible reports whether a message can lie there.
func (q *Queue) possible(at place) bool {
	g := &q.seg.geometry
	return at.length <= g.MessageMax && (at.length > g.SlotSize) == (at.side != 0)
}

// makeSide gives a reservation memory for size bytes, or else ends it.
func (q *Queue) makeSide(ctx context.Context, p *Parker, a Actor, r Reservation, size uint32) (Reservation, error) {
	number, side, err := q.sides.Make(ctx, r, size)
	if err == nil && (number == 0 || len(side.mem) < int(size)) {
		err = errCorrupt
	}
	if err == nil {
		r.number, r.size, r.side = number, size, side
		return r, nil
	}
	// Not to be given up: nobody else could free the slot.
	if e := q.Abort(context.WithoutCancel(ctx), p, a, r, -1); e != nil {
		return Reservation{}, e
	}
	return Reservation{}, err
}

// findSide finds the message of a lease that does not lie in its slot, or gives the
// lease back.
func (q *Queue) findSide(ctx context.Context, p *Parker, a Actor, l Lease) (Lease, error) {
	if l.number == 0 {
		return l, nil
	}
	err := errNoSides
	if q.sides != nil {
		if l.side, err = q.sides.Find(ctx, l.Slot, l.number); err == nil {
			if uint64(l.Length) <= uint64(len(l.side.mem)) {
				return l, nil
			}
			err = errCorrupt
		}
	}
	if e := q.Nack(context.WithoutCancel(ctx), p, a, l, -1); e != nil {
		return Lease{}, e
	}
	return Lease{}, err
}

var errNoSides error = status.New(status.Unsupported, "",
	"the message is longer than a slot, and this view of the queue has no side segments")

// Buffer is where the message of a reservation is made, in shared memory: valid
// until Commit or Abort, as long as the Reservation is reachable. It has the size
// that was reserved, at least; it is nil for a reservation that no queue of this
// geometry can have given.
func (q *Queue) Buffer(r Reservation) []byte {
	if r.Slot >= q.size {
		return nil
	}
	if r.side != nil {
		return r.side.mem[:r.size:r.size]
	}
	return q.slotData(r.Slot)
}

// Message is the message of a lease, in shared memory: valid until the lease ends,
// as long as the Lease is reachable. It is nil for a lease that no queue of this
// geometry can have given.
func (q *Queue) Message(l Lease) []byte {
	switch {
	case l.Slot >= q.size:
		return nil
	case l.side != nil:
		return l.side.mem[:l.Length:l.Length]
	case l.Length > q.room:
		return nil
	}
	return q.slotData(l.Slot)[:l.Length:l.Length]
}

// AppendMessage appends a copy of the message of a lease.
func (q *Queue) AppendMessage(dst []byte, l Lease) []byte {
	dst = append(dst, q.Message(l)...)
	runtime.KeepAlive(l.side)
	return dst
}
