//go:build shmd_replay

package shm

import "testing"

// A look without the latch, which may be slow, never misses what is there all the time:
// the head from after one store, the entry from after a later one, and the head again.
func TestQueueLookReplay(t *testing.T) {
	me := actor(victimSeat)
	ends := func(l ...Lease) func(*Queue) {
		return func(q *Queue) { _, err := q.NackMany(background, nil, me, l, 0); must(err) }
	}
	mine := []Lease{{Slot: 0, Seq: 1}, {Slot: 1, Seq: 2}}
	var reserved Reservation
	cases := []struct {
		name    string
		prepare func(*Queue) // of a queue of 4, with "d" ready, a slot that was used free, and two leases
		op      func(*Queue)
	}{
		{"nack", nil, ends(mine[0])},
		{"nack of the younger first", nil, ends(mine[1], mine[0])},
		{"nack behind", ends(mine[0]), ends(mine[1])},
		{"take beside others", func(q *Queue) { ends(mine[0])(q) }, func(q *Queue) { must(takeOne(q)) }},
		{"redeliver", func(q *Queue) {
			q.set(0, makeSlot(slotDead, 0, 1))
			q.set(1, makeSlot(slotDead, 0, 1))
			put32(&q.lines.LeasedCount, 0)
			put32(&q.lines.DeadCount, 2)
		}, func(q *Queue) { _, err := q.Redeliver(background, nil, me, 0); must(err) }},
		{"recovery", nil, func(q *Queue) { q.seg.Recover(victimOf(victimSeat, liveSeat)) }},
		{"abort", func(q *Queue) {
			must(q.Ack(background, nil, me, mine[0], 0))
			var err error
			reserved, err = q.Reserve(background, nil, me, 0)
			must(err)
		}, func(q *Queue) { must(q.Abort(background, nil, me, reserved, 0)) }},
	}
	for _, c := range cases {
		q := newQueue(t, 4, 16, 0)
		put(t, q, liveSeat, "a", "b", "c", "d")
		lease(t, q, victimSeat)
		lease(t, q, victimSeat)
		d := lease(t, q, liveSeat)
		must(q.Ack(background, nil, actor(liveSeat), d, 0)) // its slot is free
		if c.prepare != nil {
			c.prepare(q)
		}
		q.rebuild() // nothing is left before the heads
		whole := clone(q.seg)
		stores := recordStores(whole, func() { c.op(whole.Queue()) })
		var images []*Queue
		for _, image := range stores.prefixes(q.seg) {
			images = append(images, clone(image).Queue())
		}
		for _, side := range []struct {
			what string
			head func(*Queue) uint64
			ring func(*Queue) []uint64
		}{
			{"a message", func(q *Queue) uint64 { return q.lines.ReadyHead },
				func(q *Queue) []uint64 { return q.ready }},
			{"a slot", func(q *Queue) uint64 { return q.lines.FreeHead },
				func(q *Queue) []uint64 { return q.free }},
		} {
			for i := range images {
				for j := i; j < len(images); j++ {
					head := side.head(images[i])
					if mayHold(side.ring(images[j]), &head) {
						continue
					}
					for k := j; k < len(images); k++ {
						if side.head(images[k]) == head {
							t.Fatalf("%s: %s is missed by a look after stores %d, %d and %d of %d", c.name, side.what,
								i, j, k, len(stores))
						}
					}
				}
			}
		}
	}
}

// Who finds the queue empty without the latch may count on it: what a take has taken out of
// the ring does not come back if it dies.
func TestQueueLookIsFinalReplay(t *testing.T) {
	q := newQueue(t, 2, 16, 0)
	put(t, q, liveSeat, "a")
	whole := clone(q.seg)
	stores := recordStores(whole, func() {
		_, err := whole.Queue().Take(background, nil, actor(victimSeat), nil, 0)
		must(err)
	})
	for k, image := range stores.prefixes(q.seg) {
		died := clone(image).Queue()
		empty := died.Empty()
		if _, done := died.seg.Recover(victimOf(victimSeat, liveSeat)); !done {
			t.Fatalf("prefix %d is not recovered", k)
		}
		if empty && len(readySlots(died)) > 0 {
			t.Errorf("after store %d of %d the queue looks empty, and the message comes back", k, len(stores))
		}
	}
}
