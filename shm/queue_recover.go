package shm

// rebuild derives the ring, the stack and the counts from the slots' words, with
// the latch held, whatever the bytes are. false = some words cannot be right:
// their slots are in no list, and are never used again.
func (q *Queue) rebuild() bool {
	var counts [slotDead + 1]uint32
	next, whole := uint64(1), true
	for i := range q.size {
		slot := q.size - 1 - i // so that the low slots come first from the stack
		d := &q.descs[slot]
		word, seq, ticket := q.word(slot), load64(&d.Seq), load64(&d.Ticket)
		if !q.sound(word, seq, ticket, q.place(slot)) {
			whole = false
			continue
		}
		next = max(next, seq+1, ticket+1)
		state := word.state()
		switch state {
		case slotFree:
			put32(&q.free[counts[state]], slot)
		case slotReady:
			put32(&q.ready[counts[state]], slot)
		}
		counts[state]++
	}
	q.sortReady(counts[slotReady])
	l := q.lines
	put64(&l.NextSeq, next)
	put32(&l.ReadyHead, 0)
	put32(&l.ReadyCount, counts[slotReady])
	put32(&l.FreeCount, counts[slotFree])
	put32(&l.LeasedCount, counts[slotLeased])
	put32(&l.WritingCount, counts[slotWriting])
	put32(&l.DeadCount, counts[slotDead])
	if q.leases.deadlines != nil {
		put64(&l.ExpiryNs, 0)
	}
	return whole
}

// numberAt is the number of the message at a place of the ring; a slot that
// cannot be sorts last.
func (q *Queue) numberAt(at uint32) uint64 {
	slot := load32(&q.ready[at])
	if slot >= q.size {
		return queueNumberMax
	}
	return load64(&q.descs[slot].Seq)
}

// sortReady sorts the first n places of the ring by number. Heapsort, for it needs
// no memory, is fast in the worst case, and ends whatever it finds.
func (q *Queue) sortReady(n uint32) {
	swap := func(i, j uint32) {
		x, y := load32(&q.ready[i]), load32(&q.ready[j])
		put32(&q.ready[i], y)
		put32(&q.ready[j], x)
	}
	sink := func(root, end uint32) {
		for 2*root+1 < end {
			child := 2*root + 1
			if child+1 < end && q.numberAt(child) < q.numberAt(child+1) {
				child++
			}
			if q.numberAt(root) >= q.numberAt(child) {
				return
			}
			swap(root, child)
			root = child
		}
	}
	for i := n / 2; i > 0; i-- {
		sink(i-1, n)
	}
	for end := n; end > 1; end-- {
		swap(0, end-1)
		sink(0, end-1)
	}
}

// initQueue makes the derived state of a new segment, which nobody else sees: what
// rebuild would make of its zeros, but without a look at them. The kernel gives
// memory to pages that are only read, too.
func (s *Segment) initQueue() {
	q := s.Queue()
	for i := range q.size {
		put32(&q.free[i], q.size-1-i)
	}
	put64(&q.lines.NextSeq, 1)
	put32(&q.lines.FreeCount, q.size)
}

// giveBack ends what an owner holds in the queue, with the latch held: what it was
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
// half done, with a latch that is stolen from the dead. Words that cannot be right
// make the object CORRUPT: going on would lose messages without a word.
func (q *Queue) recover(v Victim) (held, done bool) {
	if !q.latch.Steal(v.Daemon, v.lives) {
		return false, false
	}
	held = q.giveBack(v.Owner & ownerMask)
	if !q.rebuild() {
		cas32(&q.seg.page.Header.State, uint32(StateLive), uint32(StateCorrupt))
	}
	return held, q.latch.finish(v, held, q.notEmpty, q.notFull, q.idle)
}

// remove moves every word that somebody sleeps on; the state is stored already.
// false = call it again.
func (q *Queue) remove() bool {
	q.alarmAll()
	return q.latch.abandon()
}
