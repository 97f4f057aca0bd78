package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// leaseTimes bound the leases of a queue that has a lease time: a message that is
// leased for longer comes back, as by Nack, which its lessee learns from what Ack,
// Nack and Extend answer. It may be reading the message still, from a slot that is
// another's by then: what it made of it counts if Ack says so.
//
// Nobody watches the clock. A lease is over when somebody finds it so under the latch:
// who wants a message, counts them, or waits for all to be done. Until then it can be
// acknowledged. Who sleeps is woken by nobody for it, and bounds the sleep: by the end
// of the leases there are, and by the lease time, for those that come later. So a
// lease that Extend has shortened may end late, by a lease time at most.
//
// A deadline decides nothing that a slot's word does not: recovery does without.
type leaseTimes struct {
	deadlines []uint64 // by slot; points into the segment; nil = leases do not end
	ns        uint64   // immutable
	clock     func() int64
}

// begin gives a slot that is about to be leased its deadline, with the latch held.
func (t *leaseTimes) begin(q *Queue, slot uint32, ns uint64) {
	if t.deadlines != nil {
		t.beginTimed(q.lines, slot, ns)
	}
}

func (t *leaseTimes) beginTimed(l *QueueLines, slot uint32, ns uint64) {
	t.set(l, slot, uint64(t.clock())+ns)
}

// set keeps expiry_ns at or before every deadline, after each of its stores.
func (t *leaseTimes) set(l *QueueLines, slot uint32, deadline uint64) {
	if load32(&l.LeasedCount) == 0 || deadline < load64(&l.ExpiryNs) {
		put64(&l.ExpiryNs, deadline)
	}
	put64(&t.deadlines[slot], deadline)
}

// leasesMayEnd is a look without the latch: whether a lease may be over.
func (q *Queue) leasesMayEnd() bool {
	return q.leases.deadlines != nil && load32(&q.lines.LeasedCount) != 0 &&
		load64(&q.lines.ExpiryNs) <= uint64(q.leases.clock())
}

// endLeases ends the leases that are over, with the latch held, and says until when
// nobody needs to look again.
func (w *queueWait) endLeases() {
	if w.q.leases.deadlines != nil {
		w.endLeasesNow()
	}
}

func (w *queueWait) endLeasesNow() { w.endLeasesAt(uint64(w.q.leases.clock())) }

func (w *queueWait) endLeasesAt(now uint64) {
	q, l := w.q, w.q.lines
	next := now + q.leases.ns
	if left := load32(&l.LeasedCount); left != 0 {
		expiry := load64(&l.ExpiryNs)
		if now >= expiry {
			expiry = w.endAllBefore(now, left)
		}
		next = min(next, expiry)
	}
	w.until = int64(next)
}

// endAllBefore looks at the deadlines of all slots, of which `left` are leased, and
// returns the earliest that is left.
func (w *queueWait) endAllBefore(now uint64, left uint32) (earliest uint64) {
	q, back, came, ended := w.q, comingBack{q: w.q}, uint32(0), 0
	earliest = now + LeaseNsMax
	for slot := uint32(0); slot < q.size && left > 0; slot++ {
		word := q.word(slot)
		if word.state() != slotLeased {
			continue
		}
		left--
		deadline := load64(&q.leases.deadlines[slot])
		if deadline > now {
			earliest = min(earliest, deadline)
			continue
		}
		head, ok := q.readPosition(&q.lines.ReadyHead)
		if !ok { // they end when it is repaired
			earliest = now
			break
		}
		if ended++; ended <= BatchMax {
			if q.comeBack(head, slot, word) {
				came++
			}
			continue
		}
		// So many are not put where they belong one by one.
		word = word.returned(q.seg.geometry.DeliveriesMax)
		back.add(slot, word)
		q.uncount(word)
	}
	back.sort()
	put64(&q.lines.ExpiryNs, earliest)
	w.revived = came + back.ready
	w.idled = ended > 0 && q.endsJoins()
	return earliest
}

// Extend makes a lease end leaseNs from now instead, whether that is sooner or later;
// LeaseNsMin to LeaseNsMax. Other errors: status.NotOwner if the client has no such
// lease (any more), Unsupported if the queue has no lease time.
func (q *Queue) Extend(ctx context.Context, p *Parker, a Actor, l Lease, leaseNs uint64, timeout time.Duration) error {
	if q.leases.deadlines == nil {
		return status.New(status.Unsupported, "", "the queue has no lease time (lease_ns): its leases do not end")
	}
	if err := checkLeaseNs(leaseNs); err != nil {
		return err
	}
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return err
	}
	if !l.isIn(q.leasedWord(&l), a.Seat) {
		return w.noLease(l, status.NotOwner)
	}
	q.leases.set(q.lines, l.Slot, uint64(q.leases.clock())+leaseNs)
	return w.leave(nil)
}
