package shm

import (
	"context"
	"runtime"
	"time"

	"github.com/shmd/shmd/status"
)

// Reservation is a slot that its client fills. Slot and Ticket name it: no other
// reservation and no message ever has the number. It ends with Commit, Abort, or
// the death of its client, which frees the slot.
type Reservation struct {
	Slot   uint32
	Ticket uint64

	number uint32 // of its side segment, 0 = it has none
	size   uint32 // bytes of that, as reserved
	side   *Side  // it
}

// ReserveSize reserves room for a message of up to size bytes, made in place. Errors
// as Put.
func (q *Queue) ReserveSize(ctx context.Context, p *Parker, a Actor, size uint32,
	timeout time.Duration) (Reservation, error) {
	if err := q.fits(uint64(size)); err != nil {
		return Reservation{}, err
	}
	long := size > q.seg.geometry.SlotSize
	if long && q.sides == nil {
		return Reservation{}, errNoSides
	}
	r, err := q.reserve(ctx, p, a, long, timeout)
	if err != nil || !long {
		return r, err
	}
	return q.placeLong(ctx, p, a, r, size)
}

// Reserve is ReserveSize for messages that lie in their slot.
func (q *Queue) Reserve(ctx context.Context, p *Parker, a Actor, timeout time.Duration) (Reservation, error) {
	return q.reserve(ctx, p, a, false, timeout)
}

// reserve reserves a slot; long = for a message in a side segment.
func (q *Queue) reserve(ctx context.Context, p *Parker, a Actor, long bool,
	timeout time.Duration) (Reservation, error) {
	w := q.waitForSlot(a, timeout)
	f, err := w.slot(ctx, p)
	if err != nil {
		return Reservation{}, err
	}
	ticket, err := q.nextNumber()
	if err != nil {
		return Reservation{}, w.leave(err)
	}
	if long {
		f = q.roundFree(f)
	}
	put64(&q.lines.NextSeq, ticket+1)
	put64(&q.descs[f.slot].Ticket, ticket)
	q.set(f.slot, makeSlot(slotWriting, a.Seat, 0)) // the commit of the reservation
	q.popFree(f)
	count(&q.lines.WritingCount, 1)
	return Reservation{Slot: f.slot, Ticket: ticket}, w.finish(nobody)
}

// Commit makes the first length bytes of the buffer a message, which is then the
// last one, also after Shutdown. It may be repeated until the slot is used again.
// Other errors: status.NotOwner if the client has no such reservation, and
// TooLarge beyond what was reserved.
func (q *Queue) Commit(ctx context.Context, p *Parker, a Actor, r Reservation, length uint32,
	timeout time.Duration) error {
	if err := q.fits(uint64(length)); err != nil {
		return err
	}
	if room := max(q.room, r.size); length > room {
		return status.New(status.TooLarge, "", "the message has %d bytes; %d were reserved", length, room)
	}
	w := q.waitForSlot(a, timeout)
	word, err := q.enterReservation(ctx, p, &w, r)
	if err != nil {
		return err
	}
	if word.state() != slotWriting && load64(&q.descs[r.Slot].Seq) > r.Ticket {
		return w.leave(nil) // done already: the number of the message came after the ticket
	}
	if !word.is(slotWriting, a.Seat) {
		return w.notReserved(r)
	}
	number, err := q.nextNumber()
	tail, ok := q.readPosition(&q.lines.ReadyTail)
	if err != nil || !ok {
		return w.leave(errCorrupt)
	}
	if r.side != nil && length <= q.seg.geometry.SlotSize {
		// Short after all: it lies in the slot. Copied here, where the slot is surely ours.
		storeBytes(q.slotData(r.Slot), r.side.mem[:length])
		runtime.KeepAlive(r.side)
	}
	count(&q.lines.WritingCount, ^uint32(0))
	q.publish(r.Slot, number, length, r.number)
	q.pushReady(tail, r.Slot)
	return w.finish(q.notEmpty)
}

// Abort frees the slot of a reservation. Other errors: status.NotOwner if the
// client has no such reservation.
func (q *Queue) Abort(ctx context.Context, p *Parker, a Actor, r Reservation, timeout time.Duration) error {
	w := q.waitForSlot(a, timeout)
	word, err := q.enterReservation(ctx, p, &w, r)
	if err != nil {
		return err
	}
	if !word.is(slotWriting, a.Seat) {
		return w.notReserved(r)
	}
	head, ok := q.readPosition(&q.lines.FreeHead)
	if !ok {
		return w.leave(errCorrupt)
	}
	q.rollBack(r.Slot, r.Ticket)
	count(&q.lines.WritingCount, ^uint32(0))
	q.unpopFree(head, r.Slot)
	return w.finish(q.notFull)
}

// rollBack frees a slot that was being written. The number before the state: a
// commit may have stored its own and died, and must not look done. The ticket
// after it: what is not free yet can still be committed or aborted.
func (q *Queue) rollBack(slot uint32, ticket uint64) {
	d := &q.descs[slot]
	put64(&d.Seq, ticket)
	q.set(slot, makeSlot(slotFree, 0, 0)) // the commit
	put64(&d.Ticket, 0)
}

// enterReservation enters and reads the word of the reserved slot.
func (q *Queue) enterReservation(ctx context.Context, p *Parker, w *queueWait, r Reservation) (slotWord, error) {
	if r.Slot >= q.size || r.Ticket == 0 {
		return 0, notReserved(r)
	}
	if err := w.enter(ctx, p); err != nil {
		return 0, err
	}
	if load64(&q.descs[r.Slot].Ticket) != r.Ticket {
		return 0, w.notReserved(r)
	}
	return q.word(r.Slot), nil
}

// notReserved ends a latch section that did not find the reservation.
func (w *queueWait) notReserved(r Reservation) error {
	if err := w.leave(nil); err != nil {
		return err
	}
	return notReserved(r)
}

func notReserved(r Reservation) error {
	return status.New(status.NotOwner, "", "reservation %d of slot %d is not this client's (any more)",
		r.Ticket, r.Slot)
}
