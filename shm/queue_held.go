package shm

// HeldSlot is a slot that a client holds: a lease, or a reservation.
type HeldSlot struct {
	Slot       uint32
	Seq        uint64 // of the message, or the reservation's ticket
	Deliveries uint32 // of the message
	Writing    bool   // it is a reservation
}

// Held looks for the slots that the client of an owner word holds, at most `most`
// of them. It takes no latch, so others may come and go meanwhile; the client's
// own stay while it is in no other call.
func (q *Queue) Held(owner uint32, most int) []HeldSlot {
	var held []HeldSlot
	for slot := range q.size {
		if len(held) >= most {
			break
		}
		switch w := q.word(slot); {
		case SeatOf(owner) == 0:
		case w.is(slotLeased, owner):
			held = append(held, HeldSlot{Slot: slot, Seq: load64(&q.descs[slot].Seq), Deliveries: w.deliveries()})
		case w.is(slotWriting, owner):
			held = append(held, HeldSlot{Slot: slot, Seq: load64(&q.descs[slot].Ticket), Writing: true})
		}
	}
	return held
}

// Reserved reports whether the client of an owner word has the reservation. It takes
// no latch, like Held.
func (q *Queue) Reserved(owner uint32, r Reservation) bool {
	return r.Slot < q.size && r.Ticket != 0 && SeatOf(owner) != 0 && q.word(r.Slot).is(slotWriting, owner) &&
		load64(&q.descs[r.Slot].Ticket) == r.Ticket
}

// Holders counts the slots that each client holds, leased and reserved, by owner
// word. It takes no latch: a look at one slot after the other. For tools: when the
// counts say that nothing is held it believes them, because looking would commit
// the memory of every slot's words.
func (q *Queue) Holders() map[uint32]uint32 {
	holders := make(map[uint32]uint32)
	if load32(&q.lines.LeasedCount) == 0 && load32(&q.lines.WritingCount) == 0 {
		return holders
	}
	for slot := range q.size {
		if w := q.word(slot); w.state() == slotLeased || w.state() == slotWriting {
			holders[w.owner()]++
		}
	}
	return holders
}
