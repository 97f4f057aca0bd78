package shm

// rebuild derives the rings and the counts from the slots' words, with both latches
// held, whatever the bytes are. false = some words cannot be right: their slots are in
// no list, and are never used again.
func (q *Queue) rebuild() bool {
	l := q.lines
	// Who looks without a latch must not take a ring for empty of which the entries are gone,
	// or to come: the heads are hidden first, and come last.
	ready, free := anew(&l.ReadyHead), anew(&l.FreeHead)
	var counts [slotDead + 1]uint32
	next, whole, fresh := uint64(1), true, q.size
	for fresh > 0 && q.unused(fresh-1) {
		fresh--
	}
	for slot := range fresh {
		d := &q.descs[slot]
		word, seq, ticket := q.word(slot), load64(&d.Seq), load64(&d.Ticket)
		if !q.sound(word, seq, ticket, q.place(slot)) {
			whole = false
			continue
		}
		next = max(next, seq+1, ticket+1)
		state := word.state()
		switch n := counts[state]; state {
		case slotFree:
			q.enlist(q.free, q.further(free, n), slot)
		case slotReady:
			q.enlist(q.ready, q.further(ready, n), slot)
		}
		counts[state]++
	}
	forget(q.ready[counts[slotReady]:])
	forget(q.free[counts[slotFree]:])
	q.sortReady(ready, counts[slotReady])
	put64(&l.NextSeq, next)
	put32(&l.Fresh, fresh)
	put32(&l.LeasedCount, counts[slotLeased])
	put32(&l.WritingCount, counts[slotWriting])
	put32(&l.DeadCount, counts[slotDead])
	if q.leases.deadlines != nil {
		put64(&l.ExpiryNs, 0)
	}
	put64(&l.ReadyTail, uint64(q.further(ready, counts[slotReady])))
	put64(&l.FreeTail, uint64(q.further(free, counts[slotFree])))
	put64(&l.ReadyHead, uint64(ready))
	put64(&l.FreeHead, uint64(free))
	return whole
}

// anew hides a head, and returns from where on its ring is rebuilt.
func anew(head *uint64) position {
	was := position(load64(head))
	put64(head, uint64(was|positionHidden))
	return was&^positionPlaceMask + positionLeap
}

// unused reports whether a slot was never used.
func (q *Queue) unused(slot uint32) bool {
	d := &q.descs[slot]
	return load64(&d.State)|load64(&d.Seq)|load64(&d.Ticket) == 0
}

// forget empties places of a ring: what is not written needs no memory.
func forget(ring []uint64) {
	for i := range ring {
		if load64(&ring[i]) != 0 {
			put64(&ring[i], 0)
		}
	}
}

// initQueue makes the derived state of a new segment, which nobody else sees: what
// rebuild would make of its zeros, but without a look at them, and from tag 0. The kernel
// gives memory to pages that are only read, too.
func (s *Segment) initQueue() { put64(&s.Queue().lines.NextSeq, 1) }

// giveBack ends what an owner holds in the queue, with both latches held: what it was
// writing is gone, and what it had leased comes back, or is dead after enough
// deliveries. Every slot is one commit, so it may be repeated from the top.
func (q *Queue) giveBack(owner uint32) (held bool) {
	if SeatOf(owner) == 0 {
		return false
	}
	for slot := range q.size {
		word := q.word(slot)
		if word.owner() != owner {
			continue
		}
		switch word.state() {
		case slotWriting:
			held = true
			q.rollBack(slot, load64(&q.descs[slot].Ticket))
		case slotLeased:
			held = true
			q.set(slot, word.returned(q.seg.geometry.DeliveriesMax))
		case slotFree:
			q.set(slot, makeSlot(slotFree, 0, 0)) // no word names the dead
		}
	}
	return held
}

// recover gives back what a dead client held, and rebuilds what it may have left
// half done, with both latches, which are stolen from the dead. Words that cannot be
// right make the object CORRUPT: going on would lose messages without a word.
func (q *Queue) recover(v Victim) (held, done bool) {
	if !q.stealBoth(&v) {
		return false, false
	}
	held = q.giveBack(v.Owner & ownerMask)
	q.rebuildOrCondemn()
	return held, q.finish(&v, held)
}

// rebuildOrCondemn is rebuild by recovery.
func (q *Queue) rebuildOrCondemn() {
	if !q.rebuild() {
		cas32(&q.seg.page.Header.State, uint32(StateLive), uint32(StateCorrupt))
	}
}

// remove moves every word that somebody sleeps on; the state is stored already.
// false = call it again.
func (q *Queue) remove() bool {
	q.alarmAll()
	put, take := q.putLatch.abandon(), q.takeLatch.abandon()
	return put && take
}
