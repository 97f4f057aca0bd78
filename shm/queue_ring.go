package shm

// The two rings of a queue, ready and free, through which slots go from one side to the
// other: the side that takes from a ring has its head, the one that adds has its tail,
// and neither looks at the other's. That an entry is there its tag says; include/shmd_abi.h
// draws the bit tables. Nothing in a ring is believed: an entry or a position that cannot
// be is status.Corrupt, with nothing changed.

// position is where in a ring its head or tail is: a tag, and a place below the length.
type position uint64

const (
	positionTagShift           = 32
	positionPlaceMask position = 1<<positionTagShift - 1
	positionStep      position = 1<<positionTagShift + 1
	// positionLeap parts the positions of a rebuilt ring from those shortly before, also
	// if there were several rebuilds.
	positionLeap position = (1<<31 + 1<<17) << positionTagShift
	// positionHidden is the place of a head while its ring is rebuilt: who looks without
	// the latch takes what is unsaid for no empty ring.
	positionHidden = positionPlaceMask
)

func (p position) place() uint32 { return uint32(p) }
func (p position) tag() uint32   { return uint32(p >> 32) }

// readPosition reads a head or tail once; false = it cannot be.
func (q *Queue) readPosition(word *uint64) (p position, ok bool) {
	p = position(load64(word))
	return p, p.place() < q.size
}

// after is the next position. Preconditions: the place of p is below the size.
func (q *Queue) after(p position) position {
	if p += positionStep; p.place() == q.size {
		p &^= positionPlaceMask
	}
	return p
}

// before is the position before; as after.
func (q *Queue) before(p position) position {
	if p.place() == 0 {
		p += position(q.size)
	}
	return p - positionStep
}

// further is n steps after p, n at most the size; as after.
func (q *Queue) further(p position, n uint32) position {
	place := p.place() + n
	if place >= q.size {
		place -= q.size
	}
	return (p&^positionPlaceMask + position(n)<<32) | position(place)
}

// entryAt is what is put at a position for a slot.
func entryAt(p position, slot uint32) uint64 { return uint64(p&^positionPlaceMask) | uint64(slot+1) }

// isEntryAt reports whether an entry was put at a position, not a lap or more before.
func isEntryAt(p position, entry uint64) bool {
	return (uint64(p)^entry)>>32 == 0 && uint32(entry) != 0
}

// slotOf is the slot that an entry names; it may be any number.
func slotOf(entry uint64) uint32 { return uint32(entry) - 1 }

// between is how many entries are in a ring, with both latches held.
func between(head, tail *uint64) uint32 {
	return position(load64(tail)).tag() - position(load64(head)).tag()
}

// enlist puts a slot at a position of a ring; as after.
func (q *Queue) enlist(ring []uint64, at position, slot uint32) {
	put64(&ring[at.place()], entryAt(at, slot)) // release; pairs with the load of who takes it
}

// mayHold is a look at a ring, also without the latch of who takes from it: false = nothing
// is there. A head that cannot be, or is being rebuilt, is worth a look with the latch.
func mayHold(ring []uint64, head *uint64) bool {
	p := position(load64(head))
	return uint64(p.place()) >= uint64(len(ring)) || isEntryAt(p, load64(&ring[p.place()]))
}

// mayTake is mayHold for messages, mayPut for slots.
func (q *Queue) mayTake() bool { return mayHold(q.ready, &q.lines.ReadyHead) }
func (q *Queue) mayPut() bool {
	return mayHold(q.free, &q.lines.FreeHead) || load32(&q.lines.Fresh) < q.size
}

// expectMessage asks for the lines of the next message, with its entry and not after it:
// they come from the same processor. Slots go round, so the entry of a lap before mostly
// names the slot.
func (q *Queue) expectMessage(head position) {
	if slot, ok := q.slotNamedAt(head); ok {
		expectWords(&q.descs[slot].State, q.firstWord(slot))
	}
}

// slotNamedAt is the slot that is named at a position of the ready ring, maybe by the entry
// of a lap before: a hint, without the latch.
func (q *Queue) slotNamedAt(p position) (slot uint32, ok bool) {
	if uint64(p.place()) >= uint64(len(q.ready)) {
		return 0, false
	}
	slot = slotOf(load64(&q.ready[p.place()]))
	return slot, uint64(slot) < uint64(len(q.descs))
}

// freeSlot is a slot that topFree found.
type freeSlot struct {
	slot  uint32
	fresh bool     // it was never used
	next  position // of the head then, unless it is fresh
}

// topFree is the free slot that is used next, with the latch of the producers held;
// false = there is none. Slots that were used come first: memory follows the most that
// was ever in flight.
func (q *Queue) topFree() (f freeSlot, ok bool, err error) {
	head := position(load64(&q.lines.FreeHead))
	if uint64(head.place()) >= uint64(len(q.free)) {
		return f, false, errCorrupt
	}
	if entry := load64(&q.free[head.place()]); isEntryAt(head, entry) {
		f.slot, f.next = slotOf(entry), q.after(head)
	} else {
		f.slot, f.fresh = load32(&q.lines.Fresh), true
		if f.slot == q.size {
			return f, false, nil
		}
	}
	if uint64(f.slot) >= uint64(len(q.descs)) || q.word(f.slot).state() != slotFree {
		return f, false, errCorrupt
	}
	return f, true, nil
}

// popFree takes what topFree found: after the commit of what becomes of it, so that who
// looks without the latch misses nothing that a death may bring back, and before its
// entry in the other ring, from which it may come back at once.
func (q *Queue) popFree(f freeSlot) {
	if f.fresh {
		put32(&q.lines.Fresh, f.slot+1)
		return
	}
	put64(&q.lines.FreeHead, uint64(f.next))
}

// Long messages go round among the longRound slots that were freed last and have a side
// segment; so many are looked at to find them.
const (
	longRound = 4
	longLooks = 16
)

// roundFree chooses the slot of a long message, where topFree has found one: of the few that
// were freed last and have a side segment, the one that was freed first; and gives its place
// in the ring to the other. Fewer slots need fewer side segments; but what was freed last of
// all is still in the cache of who read it, and every line written there has to be taken
// from him. The tail is the consumers', and only says where to look.
func (q *Queue) roundFree(f freeSlot) freeSlot {
	tail, ok := q.readPosition(&q.lines.FreeTail)
	if f.fresh || !ok {
		return f
	}
	top, chosen := f.slot, f.slot
	head := q.before(f.next)
	at, place := tail, head
	looks := min(tail.tag()-head.tag(), q.size, longLooks)
	for found := 0; looks > 0 && found < longRound; looks-- {
		at = q.before(at)
		entry := load64(&q.free[at.place()])
		slot := slotOf(entry)
		if !isEntryAt(at, entry) || slot >= q.size || q.word(slot).state() != slotFree {
			break
		}
		if load32(&q.descs[slot].Side) != 0 {
			chosen, place = slot, at
			found++
		}
	}
	if chosen != top {
		q.enlist(q.free, place, top)
	}
	f.slot = chosen
	return f
}

// readyMessage is a message that firstReady found.
type readyMessage struct {
	slot uint32
	word slotWord
	next position // of the head once it is taken
	place
}

// firstReady is the message that is delivered next, with the latch of the consumers held;
// false = there is none.
func (q *Queue) firstReady() (m readyMessage, ok bool, err error) {
	head := position(load64(&q.lines.ReadyHead))
	if uint64(head.place()) >= uint64(len(q.ready)) {
		return m, false, errCorrupt
	}
	entry := load64(&q.ready[head.place()]) // acquire; pairs with enlist
	if !isEntryAt(head, entry) {
		return m, false, nil
	}
	m.slot, m.next = slotOf(entry), q.after(head)
	if uint64(m.slot) >= uint64(len(q.descs)) {
		return m, false, errCorrupt
	}
	m.word, m.place = q.word(m.slot), q.place(m.slot)
	if m.word.state() != slotReady || !q.possible(m.place) {
		return m, false, errCorrupt
	}
	return m, true, nil
}

// popReady takes what firstReady found; as popFree.
func (q *Queue) popReady(m *readyMessage) { put64(&q.lines.ReadyHead, uint64(m.next)) }

// pushReady hands a slot that has the highest number of all to the consumers, with the
// latch of the producers held. It follows the commit; tail is what readPosition found
// before it.
func (q *Queue) pushReady(tail position, slot uint32) {
	q.enlist(q.ready, tail, slot)
	put64(&q.lines.ReadyTail, uint64(q.after(tail)))
}

// pushFree hands a slot to the producers, with the latch of the consumers held; as pushReady.
func (q *Queue) pushFree(tail position, slot uint32) {
	q.enlist(q.free, tail, slot)
	put64(&q.lines.FreeTail, uint64(q.after(tail)))
}

// unpopFree gives a slot back to the front of the free ring, with the latch of the
// producers held. It follows the commit; head is what readPosition found before it. The
// entry comes before the head, so that who looks without the latch finds no gap.
func (q *Queue) unpopFree(head position, slot uint32) {
	at := q.before(head)
	q.enlist(q.free, at, slot)
	put64(&q.lines.FreeHead, uint64(at))
}

// insertReady puts a message that comes back where its number belongs, with the latch of
// the consumers held. That is the front, behind messages that came back before it and are
// older: the ring is always what recovery would make of it. It follows the commit; head
// is what readPosition found before it. There is room, for the slot was in neither ring.
func (q *Queue) insertReady(head position, slot uint32) {
	seq := load64(&q.descs[slot].Seq)
	first := q.before(head)
	at := first
	for range q.size - 1 {
		next := q.after(at)
		other, ok := q.readySlot(next)
		if !ok || load64(&q.descs[other].Seq) > seq {
			break
		}
		q.enlist(q.ready, at, other)
		at = next
	}
	q.enlist(q.ready, at, slot)
	put64(&q.lines.ReadyHead, uint64(first)) // as in unpopFree
}

// readySlot is the slot of the entry at a position of the ready ring; false = none is there.
func (q *Queue) readySlot(at position) (slot uint32, ok bool) {
	entry := load64(&q.ready[at.place()])
	slot = slotOf(entry)
	return slot, isEntryAt(at, entry) && slot < q.size
}

// sortReady sorts the first n messages of the ready ring by number, with the latch of the
// consumers held. Heapsort, for it needs no memory, is fast in the worst case, and ends
// whatever it finds.
func (q *Queue) sortReady(head position, n uint32) {
	number := func(i uint32) uint64 { return q.numberAt(q.further(head, i)) }
	sink := func(root, end uint32) {
		for 2*root+1 < end {
			child := 2*root + 1
			if child+1 < end && number(child) < number(child+1) {
				child++
			}
			if number(root) >= number(child) {
				return
			}
			q.swapReady(q.further(head, root), q.further(head, child))
			root = child
		}
	}
	for i := n / 2; i > 0; i-- {
		sink(i-1, n)
	}
	for end := n; end > 1; end-- {
		q.swapReady(head, q.further(head, end-1))
		sink(0, end-1)
	}
}

// swapReady swaps the slots of two entries.
func (q *Queue) swapReady(i, j position) {
	x, y := slotOf(load64(&q.ready[i.place()])), slotOf(load64(&q.ready[j.place()]))
	q.enlist(q.ready, i, y)
	q.enlist(q.ready, j, x)
}

// numberAt is the number of the message at a position of the ready ring; a slot that
// cannot be sorts last.
func (q *Queue) numberAt(at position) uint64 {
	slot, ok := q.readySlot(at)
	if !ok {
		return queueNumberMax
	}
	return load64(&q.descs[slot].Seq)
}
