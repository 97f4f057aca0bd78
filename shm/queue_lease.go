package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// Lease is one delivery of one message. Slot and Seq name it: no other message
// ever has the number. It ends with Ack, Nack, the death of its client, or the lease
// time of the queue (queue_deadline.go).
type Lease struct {
	Slot       uint32
	Seq        uint64
	Deliveries uint32 // this one counted; stays at 255; 0 = not known
	Length     uint32 // bytes

	number uint32 // of the side segment that holds the message, 0 = the slot does
	side   *Side  // it
}

// Lease takes a lease on the first message, which stays where it is until Ack.
// Errors as Take.
func (q *Queue) Lease(ctx context.Context, p *Parker, a Actor, timeout time.Duration) (Lease, error) {
	w := q.waitForMessage(a, timeout)
	m, err := w.message(ctx, p)
	if err != nil {
		return Lease{}, err
	}
	return q.deliver(ctx, p, &w, m, q.leases.ns)
}

// deliver leases the message that w found, for leaseNs if leases end, ends its latch
// section, and finds the message. Errors as of findSide.
func (q *Queue) deliver(ctx context.Context, p *Parker, w *queueWait, m readyMessage, leaseNs uint64) (Lease, error) {
	l := q.leaseOf(&m, q.hand(w.actor, &m, leaseNs))
	if err := w.finish(nobody); err != nil {
		return l, err
	}
	return q.findSide(ctx, p, w.actor, l)
}

// hand leases the message that firstReady found, with the latch held, and returns the
// word of its slot.
func (q *Queue) hand(a Actor, m *readyMessage, leaseNs uint64) slotWord {
	word := m.word.delivered(a.Seat)
	q.leases.begin(q, m.slot, leaseNs)
	q.set(m.slot, word) // the commit
	q.popReady(m)
	count(&q.lines.LeasedCount, 1)
	return word
}

// leaseOf names the lease that hand gave, with the latch held.
func (q *Queue) leaseOf(m *readyMessage, word slotWord) Lease {
	return Lease{Slot: m.slot, Seq: load64(&q.descs[m.slot].Seq), Deliveries: word.deliveries(), Length: m.length,
		number: m.side}
}

// Ack ends a lease: the message is done. It may be repeated until the slot is used
// again. Other errors: status.NotOwner if the client has no such lease.
func (q *Queue) Ack(ctx context.Context, p *Parker, a Actor, l Lease, timeout time.Duration) error {
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return err
	}
	freed, err := q.ack(a, &l)
	return w.endOne(&l, freed, q.notFull, err)
}

// endOne ends a latch section that ended a lease, and made one of what those want who wait
// at `told`, or did not, for a reason.
func (w *queueWait) endOne(l *Lease, made bool, told eventcount, reason error) error {
	switch {
	case reason != nil:
		return w.noLease(*l, reason)
	case made:
		return w.finish(told)
	}
	return w.finish(nobody)
}

// ack is Ack with the latch held; freed = notFull.tell comes after it. Errors:
// status.NotOwner, Corrupt.
func (q *Queue) ack(a Actor, l *Lease) (freed bool, err error) {
	word := q.leasedWord(l)
	switch {
	case l.isIn(word, a.Seat):
		tail, ok := q.readPosition(&q.lines.FreeTail)
		if !ok {
			return false, errCorrupt
		}
		q.set(l.Slot, makeSlot(slotFree, a.Seat, 0)) // the commit; the seat, so that it may be repeated
		count(&q.lines.LeasedCount, ^uint32(0))
		q.pushFree(tail, l.Slot)
		return true, nil
	case word.is(slotFree, a.Seat):
		return false, nil // done already
	}
	return false, status.NotOwner
}

// Nack ends a lease: the message goes back to the front, in its old order, or
// becomes a dead letter after DeliveriesMax deliveries. Other errors:
// status.NotOwner if the client has no such lease.
func (q *Queue) Nack(ctx context.Context, p *Parker, a Actor, l Lease, timeout time.Duration) error {
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return err
	}
	ready, err := q.nack(a, &l)
	return w.endOne(&l, ready, q.notEmpty, err)
}

// nack is Nack with the latch held; ready = notEmpty.tell comes after it. Errors as
// of ack.
func (q *Queue) nack(a Actor, l *Lease) (ready bool, err error) {
	word := q.leasedWord(l)
	if !l.isIn(word, a.Seat) {
		return false, status.NotOwner
	}
	head, ok := q.readPosition(&q.lines.ReadyHead)
	if !ok {
		return false, errCorrupt
	}
	return q.comeBack(head, l.Slot, word), nil
}

// comeBack ends the lease of a slot whose word it is, for its message to be delivered
// again, with the latch held. ready = notEmpty.tell comes after it, else it is a dead
// letter. readPosition of the head comes before it.
func (q *Queue) comeBack(head position, slot uint32, word slotWord) (ready bool) {
	word = word.returned(q.seg.geometry.DeliveriesMax)
	q.set(slot, word) // the commit
	q.uncount(word)
	if word.state() == slotDead {
		return false
	}
	q.insertReady(head, slot)
	return true
}

// uncount counts a lease that has ended, with the word that its slot has now.
func (q *Queue) uncount(word slotWord) {
	count(&q.lines.LeasedCount, ^uint32(0))
	if word.state() == slotDead {
		count(&q.lines.DeadCount, 1)
	}
}

// leasedWord reads the word of the slot of a lease, with the latch held; 0 if it holds
// another message.
func (q *Queue) leasedWord(l *Lease) (word slotWord) {
	if l.Slot < q.size && load64(&q.descs[l.Slot].Seq) == l.Seq {
		word = q.word(l.Slot)
	}
	return word
}

// isIn reports whether the word of its slot says that the client has the lease: this
// one, and no later one of the same message.
func (l *Lease) isIn(word slotWord, seat uint32) bool {
	return word.is(slotLeased, seat) && (l.Deliveries == 0 || l.Deliveries == word.deliveries())
}

// noLease ends a latch section that did not find the lease, or found what cannot be.
// The text is made after it: no allocation under the latch.
func (w *queueWait) noLease(l Lease, reason error) error {
	if err := w.leave(nil); err != nil {
		return err
	}
	return whyNot(l, reason)
}

func whyNot(l Lease, reason error) error {
	if reason != status.NotOwner {
		return reason
	}
	return status.New(status.NotOwner, "", "message %d in slot %d is not leased by this client (any more)",
		l.Seq, l.Slot)
}
