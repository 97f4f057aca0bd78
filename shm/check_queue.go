package shm

import "fmt"

// queueWords are the derived words of a queue; while two loads of all find the same, with
// the latches free, nobody was at work.
type queueWords struct {
	put, take                            uint32
	next, readyTail, freeHead            uint64
	readyHead, freeTail                  uint64
	fresh, writing, leased, dead, closed uint32
}

func (q *Queue) derivedWords() queueWords {
	l := q.lines
	return queueWords{
		put: load32(q.putLatch.word), take: load32(q.takeLatch.word), next: load64(&l.NextSeq),
		readyTail: load64(&l.ReadyTail), freeHead: load64(&l.FreeHead), readyHead: load64(&l.ReadyHead),
		freeTail: load64(&l.FreeTail), fresh: load32(&l.Fresh), writing: load32(&l.WritingCount),
		leased: load32(&l.LeasedCount), dead: load32(&l.DeadCount), closed: load32(&l.Closed),
	}
}

// queueRemedy is what becomes of whatever can be derived from the slots.
const queueRemedy = "built anew from the slots"

// queue judges the words of a queue. Slots that were never used are not looked at, which
// would commit their memory: that they are no message, the rings and counts show.
func (l *look) queue(q *Queue) {
	put, take := l.latch("put_latch", q.putLatch), l.latch("take_latch", q.takeLatch)
	if !put || !take {
		return
	}
	aside := look{seg: l.seg, witness: l.witness, found: make(map[Finding]struct{}), derived: true}
	before := q.derivedWords()
	aside.slots(q, &before)
	if q.derivedWords() != before {
		l.busy = "others put and took at every look"
		return
	}
	for f := range aside.found {
		l.found[f] = struct{}{}
	}
}

// slots judges everything against the slots.
func (l *look) slots(q *Queue, w *queueWords) {
	s, lines := l.seg, q.lines
	if w.closed > 1 {
		l.add("closed", offsetOf(s, &lines.Closed), "1", "it is %d; 1 = shut down is all there is", w.closed)
	}
	if w.fresh > q.size {
		l.add("fresh", offsetOf(s, &lines.Fresh), queueRemedy, "%d slots were used, and there are %d", w.fresh,
			q.size)
		return
	}
	var counts [slotDead + 1]uint32
	for slot := range w.fresh {
		d := &q.descs[slot]
		word, seq, ticket, at := q.word(slot), load64(&d.Seq), load64(&d.Ticket), q.place(slot)
		if l.slot(q, slot, word, seq, ticket, at) {
			counts[word.state()]++
		}
		if seq >= w.next || ticket >= w.next {
			l.add("next_seq", offsetOf(s, &lines.NextSeq), queueRemedy,
				"the next number is %d, and a slot has one of %d", w.next, max(seq, ticket))
		}
	}
	if w.next-1 > queueNumberSane {
		l.add("next_seq", offsetOf(s, &lines.NextSeq), queueRemedy, "the next number is %d", w.next)
	}
	for _, c := range []struct {
		name  string
		word  *uint32
		says  uint32
		state slotState
	}{{"writing_count", &lines.WritingCount, w.writing, slotWriting},
		{"leased_count", &lines.LeasedCount, w.leased, slotLeased},
		{"dead_count", &lines.DeadCount, w.dead, slotDead}} {
		if c.says != counts[c.state] {
			l.add(c.name, offsetOf(s, c.word), queueRemedy, "it is %d, and so many slots are: %d", c.says,
				counts[c.state])
		}
	}
	used := make([]bool, w.fresh)
	l.entries(q, used, entryRing{"ready", q.ready, &lines.ReadyHead, w.readyHead, &lines.ReadyTail, w.readyTail,
		slotReady, counts[slotReady]})
	l.entries(q, used, entryRing{"free", q.free, &lines.FreeHead, w.freeHead, &lines.FreeTail, w.freeTail,
		slotFree, counts[slotFree]})
}

// queueNumberSane bounds the numbers that a check believes: with those above, the queue
// would soon have none left.
const queueNumberSane = queueNumberMax / 2

// sane is sound, and a little more: what has words beyond that is no message of anybody's.
func (q *Queue) sane(w slotWord, seq, ticket uint64, at place) bool {
	return q.sound(w, seq, ticket, at) && seq < queueNumberSane && ticket < queueNumberSane
}

// slot judges the words of one slot; whole = they can be right.
func (l *look) slot(q *Queue, slot uint32, word slotWord, seq, ticket uint64, at place) (whole bool) {
	name, offset := fmt.Sprintf("slot %d", slot), offsetOf(l.seg, &q.descs[slot].State)
	const lost = "free: what was in it is lost"
	state := word.state()
	if !q.sane(word, seq, ticket, at) {
		l.add(name, offset, lost, "its word is %#x, its number %d, its ticket %d, its message of %d bytes in side "+
			"segment %d (0 = the slot), which cannot be", uint64(word), seq, ticket, at.length, at.side)
		return false
	}
	if state == slotWriting || state == slotLeased {
		if owner := word.owner(); !l.witness.knows(owner) {
			l.add(name, offset, "given back, as after a death", "%s", whose(owner))
		}
	}
	if at.side == 0 || state != slotReady && state != slotLeased && state != slotDead {
		return true // a slot that has no message may name what it had
	}
	size, ok := uint64(0), false
	if l.witness.Side != nil {
		size, ok = l.witness.Side(slot, at.side)
	}
	switch {
	case !ok:
		l.add(name, offset, lost, "its message lies in side segment %d, which it does not have", at.side)
	case size < uint64(at.length):
		l.add(name, offset, lost, "its message has %d bytes, and side segment %d has %d", at.length, at.side, size)
	}
	return true
}

// entryRing is a ring of a queue, as one look found it.
type entryRing struct {
	name     string
	entries  []uint64
	headWord *uint64
	head     uint64
	tailWord *uint64
	tail     uint64
	state    slotState // of the slots in it
	count    uint32    // so many slots are in that state
}

// entries judges a ring.
func (l *look) entries(q *Queue, used []bool, r entryRing) {
	head, tail := position(r.head), position(r.tail)
	headAt, tailAt := offsetOf(l.seg, r.headWord), offsetOf(l.seg, r.tailWord)
	if head.place() >= q.size {
		l.add(r.name+"_head", headAt, queueRemedy, "it is at place %d of %d", head.place(), q.size)
		return
	}
	if tail.place() >= q.size {
		l.add(r.name+"_tail", tailAt, queueRemedy, "it is at place %d of %d", tail.place(), q.size)
		return
	}
	n := tail.tag() - head.tag()
	if n > q.size || q.further(head, n) != tail {
		l.add(r.name+"_tail", tailAt, queueRemedy, "it is at place %d with tag %d, and the head at %d with %d, "+
			"in a ring of %d", tail.place(), tail.tag(), head.place(), head.tag(), q.size)
		return
	}
	if n != r.count {
		l.add(r.name+"_head", headAt, queueRemedy, "%d slots are in the ring, and %d are in that state", n, r.count)
	}
	last := uint64(0)
	for i := range n {
		at := q.further(head, i)
		entry := load64(&r.entries[at.place()])
		name, offset := fmt.Sprintf("%s entry %d", r.name, at.place()), offsetOf(l.seg, &r.entries[at.place()])
		slot := slotOf(entry)
		switch {
		case !isEntryAt(at, entry):
			l.add(name, offset, queueRemedy, "it is %#x, which was not put there", entry)
		case uint64(slot) >= uint64(len(used)):
			l.add(name, offset, queueRemedy, "it names slot %d, and %d were used", slot, len(used))
		case used[slot]:
			l.add(name, offset, queueRemedy, "it names slot %d, which is in a ring already", slot)
		case q.word(slot).state() != r.state:
			l.add(name, offset, queueRemedy, "it names slot %d, which is in another state", slot)
		case r.state == slotReady && load64(&q.descs[slot].Seq) <= last:
			l.add(name, offset, queueRemedy, "its message has a number that is not above the one before it")
		default:
			used[slot] = true
			if r.state == slotReady {
				last = load64(&q.descs[slot].Seq)
			}
		}
	}
}
