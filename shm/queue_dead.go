package shm

import (
	"context"

	"time"

	"github.com/shmd/shmd/status"
)

// TakeDead leases the oldest dead letter, to be read, and then taken away by Ack
// or put back by Nack. It never waits for one: status.WouldBlock if there is none.
func (q *Queue) TakeDead(ctx context.Context, p *Parker, a Actor, timeout time.Duration) (Lease, error) {
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return Lease{}, err
	}
	dead := load32(&q.lines.DeadCount)
	if dead == 0 {
		return Lease{}, w.leave(status.WouldBlock)
	}
	oldest, seq, word := q.size, uint64(queueNumberMax), slotWord(0)
	for slot := range q.size {
		if s, seen := q.word(slot), load64(&q.descs[slot].Seq); s.state() == slotDead && seen < seq {
			oldest, seq, word = slot, seen, s
		}
	}
	var at place
	if oldest < q.size {
		at = q.place(oldest)
	}
	if oldest == q.size || !q.possible(at) {
		return Lease{}, w.leave(errCorrupt)
	}
	word = makeSlot(slotLeased, a.Seat, word.deliveries()) // looking at it is no delivery
	q.leases.begin(q, oldest, q.leases.ns)
	q.set(oldest, word) // the commit
	count(&q.lines.DeadCount, ^uint32(0))
	count(&q.lines.LeasedCount, 1)
	l := Lease{Slot: oldest, Seq: seq, Deliveries: word.deliveries(), Length: at.length, number: at.side}
	if err := w.leave(nil); err != nil {
		return l, err
	}
	return q.findSide(ctx, p, a, l)
}

// Redeliver makes all dead letters messages again, at the front, in their old order
// and with no deliveries counted, and returns how many.
func (q *Queue) Redeliver(ctx context.Context, p *Parker, a Actor, timeout time.Duration) (uint32, error) {
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return 0, err
	}
	n := uint32(0)
	for slot := range q.size {
		if q.word(slot).state() == slotDead {
			q.set(slot, makeSlot(slotReady, 0, 0)) // the commit of this one
			n++
		}
	}
	if n == 0 {
		return 0, w.leave(nil)
	}
	sound := q.rebuild()
	err := q.unlatch(a)
	q.notEmpty.alarm()
	if err == nil && !sound {
		err = errCorrupt
	}
	return n, err
}
