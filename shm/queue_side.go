package shm

import (
	"context"
	"runtime"

	"github.com/shmd/shmd/status"
)

// Side segments are where messages lie that are longer than a slot. A slot keeps the
// one that it has: its word names it also while the slot is free, or has a short message,
// so that a producer who has mapped it writes the next long message there and asks
// nobody. The word is written by
//
//	who has the slot WRITING   the number, at the commit; 0 before asking for another
//	who holds the latch        0, while no message lies there: then it is the daemon's
//	                           to take (Disown)
//
// The daemon takes a side segment from a slot, or gives it another one, only while the
// word names none, and checks that under its lock together with the reservation; and no
// number is ever another memory. So a number in a slot that is one's own names memory
// that stays the slot's as long as one has that. Of a number that is mapped the size is
// known from the daemon, so the worst that a scribbled one does is that messages
// overwrite each other.

// Sides are where a queue gets side segments. The daemon makes and numbers them; what
// is mapped already stays usable without the daemon. Safe for concurrent use.
type Sides interface {
	// Mapped returns the side segment that a slot names if it is at hand, else nil.
	Mapped(slot, number uint32) *Side
	// Make returns a side segment of at least size bytes for a reservation of this
	// client, whose slot names none, and its number. Errors: status.NotOwner, Quota,
	// NoSpace, Lost.
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
	at := place{length: load32(&d.Length)}
	if at.length > q.seg.geometry.SlotSize {
		at.side = load32(&d.Side)
	}
	return at
}

// possible reports whether a message can lie there.
func (q *Queue) possible(at place) bool {
	g := &q.seg.geometry
	return at.length <= g.MessageMax && (at.length <= g.SlotSize || at.side != 0)
}

// placeLong gives a reservation memory for size bytes: what its slot has, if that is
// mapped here and large enough, else what the daemon gives. After an error it is over.
func (q *Queue) placeLong(ctx context.Context, p *Parker, a Actor, r Reservation, size uint32) (Reservation, error) {
	named := &q.descs[r.Slot].Side
	if number := load32(named); number != 0 {
		if side := q.sides.Mapped(r.Slot, number); side != nil && len(side.mem) >= int(size) {
			r.number, r.size, r.side = number, size, side
			return r, nil
		}
		store32(named, 0)
	}
	return q.makeSide(ctx, p, a, r, size)
}

// makeSide gives a reservation whose slot names none a side segment of the daemon's, or
// else ends it.
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
		return Reservation{}, Unfinished(e)
	}
	return Reservation{}, err
}

// Unfinished is the error of a second step, without which the first one holds something
// for the client. Busy, which the daemon answers when another client stays in the middle of
// an operation, would mean that nothing was done, and that it may be tried again.
func Unfinished(err error) error {
	if status.Of(err) != status.Busy {
		return err
	}
	return status.New(status.OutcomeUnknown, "", "half of it is done, and the slot is this client's: "+
		"`holdings` lists its reservation or lease, to be ended; %v", err)
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
		return Lease{}, Unfinished(e)
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
