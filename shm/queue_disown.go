package shm

// Idle reports whether no message lies in the side segment of a slot, nor can come to:
// the slot is free, or has a short message. It takes no latch, like Held.
func (q *Queue) Idle(slot uint32) bool {
	if slot >= q.size {
		return false
	}
	switch q.word(slot).state() {
	case slotFree:
		return true
	case slotReady, slotLeased, slotDead:
		return load32(&q.descs[slot].Length) <= q.seg.geometry.SlotSize
	}
	return false
}

// Disown takes its side segment from an idle slot, by the daemon whose owner word it is:
// the slot names none from then on, so whoever reserves it has to ask for one. The latch of
// the producers is enough, without which no long message comes to lie there. false = the
// slot is not idle, or others were at the queue all the time.
func (q *Queue) Disown(daemon, slot uint32) bool {
	if !q.Idle(slot) {
		return false
	}
	found, err := q.putLatch.TryLatch(daemon)
	if err != nil {
		return false
	}
	done := isFree(found) && q.seg.State() == StateLive && q.Idle(slot)
	if done {
		put32(&q.descs[slot].Side, 0) // the commit
	}
	q.putLatch.PutBack(daemon, found) // what a daemon left that is gone, others rebuild
	return done
}

// Named is the number of the side segment that a slot names; 0 = none.
func (q *Queue) Named(slot uint32) uint32 {
	if slot >= q.size {
		return 0
	}
	return load32(&q.descs[slot].Side)
}
