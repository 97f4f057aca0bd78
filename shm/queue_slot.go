package shm

// slotWord is the state of one slot of a queue, the only authoritative word about
// it; include/shmd_abi.h draws its bit table. Its store is the commit of every
// operation.
type slotWord uint64

const (
	slotStateShift             = 32
	slotStateMask     slotWord = 0xf << slotStateShift
	slotDeliveryShift          = 36
	slotDeliveryMask  slotWord = 0xff << slotDeliveryShift
	slotKnown                  = slotWord(ownerMask) | slotStateMask | slotDeliveryMask

	// deliveriesCounted is where the count of deliveries stays.
	deliveriesCounted = 255
)

// slotState is what a slot is. Never renumbered.
type slotState uint32

const (
	slotFree    slotState = 0 // names who acknowledged its last message, or nobody
	slotWriting slotState = 1 // its owner fills it
	slotReady   slotState = 2 // names nobody
	slotLeased  slotState = 3 // its owner has the message
	slotDead    slotState = 4 // names nobody
)

// makeSlot packs a state, its owner bits (0 = nobody) and how often the message was
// delivered.
func makeSlot(state slotState, owner, deliveries uint32) slotWord {
	return slotWord(owner&ownerMask) | slotWord(state)<<slotStateShift | slotWord(deliveries)<<slotDeliveryShift
}

func (w slotWord) state() slotState   { return slotState(w & slotStateMask >> slotStateShift) }
func (w slotWord) owner() uint32      { return uint32(w) & ownerMask }
func (w slotWord) deliveries() uint32 { return uint32(w & slotDeliveryMask >> slotDeliveryShift) }

// is reports whether the slot is in the state and belongs to the owner.
func (w slotWord) is(state slotState, owner uint32) bool {
	return w.state() == state && w.owner() == owner&ownerMask
}

// delivered is the word of a message on its next delivery, to the owner.
func (w slotWord) delivered(owner uint32) slotWord {
	return makeSlot(slotLeased, owner, min(w.deliveries()+1, deliveriesCounted))
}

// returned is the word of a message that comes back from a lease: ready again, or
// dead if it has been delivered often enough. deliveriesMax 0 = never dead.
func (w slotWord) returned(deliveriesMax uint32) slotWord {
	if deliveriesMax != 0 && w.deliveries() >= deliveriesMax {
		return makeSlot(slotDead, 0, w.deliveries())
	}
	return makeSlot(slotReady, 0, w.deliveries())
}

// queueNumberMax bounds the numbers that messages and reservations are given; no
// honest queue gets there.
const queueNumberMax = 1 << 63

// sound reports whether these words can be one slot's: whatever else they are,
// somebody has scribbled.
func (q *Queue) sound(w slotWord, seq, ticket uint64, at place) bool {
	if w&^slotKnown != 0 || seq >= queueNumberMax || ticket >= queueNumberMax {
		return false
	}
	seat := uint32(SeatOf(w.owner()))
	switch w.state() {
	case slotFree:
		return true
	case slotWriting:
		return seat != 0 && seat <= q.seg.geometry.SeatsMax
	case slotLeased:
		return seat != 0 && seat <= q.seg.geometry.SeatsMax && q.possible(at)
	case slotReady, slotDead:
		return w.owner() == 0 && q.possible(at)
	}
	return false
}

// --- The lists, under the latch. Nothing in them is believed: a count, an index
// or a state that cannot be is status.Corrupt, with nothing changed.

func (q *Queue) word(slot uint32) slotWord { return slotWord(load64(&q.descs[slot].State)) }

// set commits the state of a slot.
func (q *Queue) set(slot uint32, w slotWord) { put64(&q.descs[slot].State, uint64(w)) }

// wrap brings a ring position below twice the size back into the ring.
func (q *Queue) wrap(at uint32) uint32 {
	if at >= q.size {
		return at - q.size
	}
	return at
}

// topFree is the free slot that would be used next; false = there is none.
func (q *Queue) topFree() (slot uint32, ok bool, err error) {
	n := load32(&q.lines.FreeCount)
	if n == 0 {
		return 0, false, nil
	}
	if n > q.size {
		return 0, false, errCorrupt
	}
	slot = load32(&q.free[n-1])
	if slot >= q.size || q.word(slot).state() != slotFree {
		return 0, false, errCorrupt
	}
	return slot, true, nil
}

// enlist writes an entry of a list only if that changes it: what is there already need
// not go from one processor to another, and a few slots that go round and round leave
// most entries as they are.
func enlist(entry *uint32, slot uint32) {
	if load32(entry) != slot {
		put32(entry, slot)
	}
}

func (q *Queue) popFree() { put32(&q.lines.FreeCount, load32(&q.lines.FreeCount)-1) }

// roomFree reports whether a slot may be pushed on the free stack.
func (q *Queue) roomFree() bool { return load32(&q.lines.FreeCount) < q.size }

// pushFree follows roomFree and the commit of the slot.
func (q *Queue) pushFree(slot uint32) {
	n := load32(&q.lines.FreeCount)
	if n < q.size {
		enlist(&q.free[n], slot)
		put32(&q.lines.FreeCount, n+1)
	}
}

// readyMessage is a message that firstReady found.
type readyMessage struct {
	slot uint32
	word slotWord
	place
}

// firstReady is the message that is delivered next; false = there is none.
func (q *Queue) firstReady() (m readyMessage, ok bool, err error) {
	n, head := load32(&q.lines.ReadyCount), load32(&q.lines.ReadyHead)
	if n == 0 {
		return m, false, nil
	}
	if n > q.size || head >= q.size {
		return m, false, errCorrupt
	}
	if m.slot = load32(&q.ready[head]); m.slot >= q.size {
		return m, false, errCorrupt
	}
	m.word, m.place = q.word(m.slot), q.place(m.slot)
	if m.word.state() != slotReady || !q.possible(m.place) {
		return m, false, errCorrupt
	}
	return m, true, nil
}

func (q *Queue) popReady() {
	head := load32(&q.lines.ReadyHead)
	if head < q.size { // a scribbler may have been here since firstReady
		put32(&q.lines.ReadyHead, q.wrap(head+1))
	}
	put32(&q.lines.ReadyCount, load32(&q.lines.ReadyCount)-1)
}

// roomReady reports whether a slot may be put on the ready ring.
func (q *Queue) roomReady() bool {
	return load32(&q.lines.ReadyCount) < q.size && load32(&q.lines.ReadyHead) < q.size
}

// pushReady appends a slot that has the highest number of all. It follows roomReady
// and the commit.
func (q *Queue) pushReady(slot uint32) {
	n, head := load32(&q.lines.ReadyCount), load32(&q.lines.ReadyHead)
	if n < q.size && head < q.size {
		enlist(&q.ready[q.wrap(head+n)], slot)
		put32(&q.lines.ReadyCount, n+1)
	}
}

// insertReady puts a message that comes back where its number belongs. That is the
// front, behind messages that came back before it and are older: the ring is
// always what recovery would make of it. It follows roomReady and the commit.
func (q *Queue) insertReady(slot uint32) {
	n, head := load32(&q.lines.ReadyCount), load32(&q.lines.ReadyHead)
	if n >= q.size || head >= q.size {
		return
	}
	seq := load64(&q.descs[slot].Seq)
	at := q.wrap(head + q.size - 1)
	put32(&q.lines.ReadyHead, at)
	for range n {
		next := q.wrap(at + 1)
		other := load32(&q.ready[next])
		if other >= q.size || load64(&q.descs[other].Seq) > seq {
			break
		}
		put32(&q.ready[at], other)
		at = next
	}
	put32(&q.ready[at], slot)
	put32(&q.lines.ReadyCount, n+1)
}

// nextNumber hands out the number of a message or reservation.
func (q *Queue) nextNumber() (uint64, error) {
	n := load64(&q.lines.NextSeq)
	if n == 0 || n >= queueNumberMax-1 {
		return 0, errCorrupt
	}
	return n, nil
}

// count changes a derived count. Counts that a scribbler made are not worth an
// error here: who uses one checks it.
func count(p *uint32, delta uint32) { put32(p, load32(p)+delta) }
