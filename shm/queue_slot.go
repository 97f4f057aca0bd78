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

func (q *Queue) word(slot uint32) slotWord { return slotWord(load64(&q.descs[slot].State)) }

// set commits the state of a slot, with the latch of the side that has it held.
func (q *Queue) set(slot uint32, w slotWord) { put64(&q.descs[slot].State, uint64(w)) }

// nextNumber hands out the number of a message or reservation, with the latch of the
// producers held.
func (q *Queue) nextNumber() (uint64, error) {
	n := load64(&q.lines.NextSeq)
	if n-1 >= queueNumberMax-2 {
		return 0, errCorrupt
	}
	return n, nil
}

// count changes a derived count. Counts that a scribbler made are not worth an
// error here: who uses one checks it.
func count(p *uint32, delta uint32) { put32(p, load32(p)+delta) }
