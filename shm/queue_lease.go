package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// Lease is one delivery of one message. Slot and Seq name it: no other message
// ever has the number. It ends with Ack, Nack, or the death of its client.
type Lease struct {
	Slot       uint32
	Seq        uint64
	Deliveries uint32 // this one counted; stays at 255
	Length     uint32 // bytes

	number uint32 // of the side segment that holds the message, 0 = the slot does
	side   *Side  // it
}

// Lease takes a lease on the first message, which stays where it is until Ack.
// Errors as Take.
func (q *Queue) Lease(ctx context.Context, p *Parker, a Actor, timeout time.Duration) (Lease, error) {
	w := q.waitForMessage(a, timeout)
	for {
		m, ok, err := w.message(ctx, p)
		if err != nil {
			return Lease{}, err
		}
		if !ok {
			continue
		}
		l, err := q.deliver(&w, m)
		if err != nil {
			return l, err
		}
		return q.findSide(ctx, p, a, l)
	}
}

// deliver leases the message that w found, and ends its latch section.
func (q *Queue) deliver(w *queueWait, m readyMessage) (Lease, error) {
	word := m.word.delivered(w.actor.Seat)
	l := Lease{Slot: m.slot, Seq: load64(&q.descs[m.slot].Seq), Deliveries: word.deliveries(), Length: m.length,
		number: m.side}
	q.popReady()
	q.set(m.slot, word) // the commit
	count(&q.lines.LeasedCount, 1)
	return l, w.finish(q.notFull, false)
}

// Ack ends a lease: the message is done. It may be repeated until the slot is used
// again. Other errors: status.NotOwner if the client has no such lease.
func (q *Queue) Ack(ctx context.Context, p *Parker, a Actor, l Lease, timeout time.Duration) error {
	w := q.waitForMessage(a, timeout)
	word, err := q.enterLease(ctx, p, &w, l)
	if err != nil {
		return err
	}
	if word.is(slotFree, a.Seat) {
		return w.leave(nil) // done already
	}
	if !word.is(slotLeased, a.Seat) {
		return w.noLease(l)
	}
	if !q.roomFree() {
		return w.leave(errCorrupt)
	}
	q.set(l.Slot, makeSlot(slotFree, a.Seat, 0)) // the commit; the seat, so that it may be repeated
	count(&q.lines.LeasedCount, ^uint32(0))
	q.pushFree(l.Slot)
	return w.finish(q.notFull, q.notFull.signal())
}

// Nack ends a lease: the message goes back to the front, in its old order, or
// becomes a dead letter after DeliveriesMax deliveries. Other errors:
// status.NotOwner if the client has no such lease.
func (q *Queue) Nack(ctx context.Context, p *Parker, a Actor, l Lease, timeout time.Duration) error {
	w := q.waitForMessage(a, timeout)
	word, err := q.enterLease(ctx, p, &w, l)
	if err != nil {
		return err
	}
	if !word.is(slotLeased, a.Seat) {
		return w.noLease(l)
	}
	if !q.roomReady() {
		return w.leave(errCorrupt)
	}
	word = word.returned(q.seg.geometry.DeliveriesMax)
	q.set(l.Slot, word) // the commit
	count(&q.lines.LeasedCount, ^uint32(0))
	if word.state() == slotDead {
		count(&q.lines.DeadCount, 1)
		return w.leave(nil)
	}
	q.insertReady(l.Slot)
	return w.finish(q.notEmpty, q.notEmpty.signal())
}

// enterLease enters and reads the word of the slot that holds the leased message.
func (q *Queue) enterLease(ctx context.Context, p *Parker, w *queueWait, l Lease) (slotWord, error) {
	if l.Slot >= q.size {
		return 0, notLeased(l)
	}
	if err := w.enter(ctx, p); err != nil {
		return 0, err
	}
	if load64(&q.descs[l.Slot].Seq) != l.Seq {
		return 0, w.noLease(l)
	}
	return q.word(l.Slot), nil
}

// noLease ends a latch section that did not find the lease. The text is made
// after it: no allocation under the latch.
func (w *queueWait) noLease(l Lease) error {
	if err := w.leave(nil); err != nil {
		return err
	}
	return notLeased(l)
}

func notLeased(l Lease) error {
	return status.New(status.NotOwner, "", "message %d in slot %d is not leased by this client (any more)",
		l.Seq, l.Slot)
}
