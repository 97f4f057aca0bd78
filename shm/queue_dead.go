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
	back := comingBack{q: q}
	for slot := range q.size {
		if q.word(slot).state() == slotDead && !back.add(slot, makeSlot(slotReady, 0, 0)) {
			break
		}
	}
	n := back.ready
	count(&q.lines.DeadCount, -n)
	back.sort()
	w.revived = n
	return n, w.leave(back.err)
}

// comingBack puts many messages in front of the ready ring: as they come, and at last in
// order, for one by one each would go past all that came before it. Under the latch of
// the consumers.
type comingBack struct {
	q       *Queue
	ready   uint32 // so many are in the ring
	highest uint64 // number of them
	err     error  // why no more
}

// add commits a word of a slot that is no message to be delivered yet, and puts it in
// front if it says that it is one now. false = the ring cannot be right; nothing has changed.
func (c *comingBack) add(slot uint32, word slotWord) bool {
	q := c.q
	head, ok := q.readPosition(&q.lines.ReadyHead)
	if !ok {
		c.err = errCorrupt
		return false
	}
	q.set(slot, word) // the commit of this one
	if word.state() == slotReady {
		first := q.before(head)
		q.enlist(q.ready, first, slot)
		put64(&q.lines.ReadyHead, uint64(first))
		c.ready++
		c.highest = max(c.highest, load64(&q.descs[slot].Seq))
	}
	return true
}

// sort ends it: what came, and what was there and is older than some of it.
func (c *comingBack) sort() {
	q := c.q
	head, ok := q.readPosition(&q.lines.ReadyHead)
	if !ok || c.ready == 0 {
		return
	}
	n := c.ready
	for n < q.size && q.numberAt(q.further(head, n)) < c.highest {
		n++
	}
	q.sortReady(head, n)
}
