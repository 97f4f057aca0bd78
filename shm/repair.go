package shm

import "fmt"

// repair makes the words of an object right that a check found wrong, by the daemon only,
// as recovery: one at a time per object, idempotent, and the daemon may die inside it and
// run it again from the top. Words that say what somebody living has stay, as far as they
// can be right; whoever has more than that is treated as one who died.
type repair struct {
	seg     *Segment
	witness *Witness
	victim  Victim // whoever nobody is
	notes   []string
}

// Repair repairs the object, and says what that cost its users. Not done = a living client
// is in the middle of an operation, or scribbles all the time: call it again.
// Preconditions: the object was not destroyed, and is not while this runs. v has no Owner.
func (s *Segment) Repair(w Witness, v Victim) (notes []string, done bool) {
	v.Died = true
	r := &repair{seg: s, witness: &w, victim: v}
	want := s.header()
	have := headerWords(&s.page.Header)
	for i, word := range headerWords(&want) {
		if load64(&have[i]) != word {
			store64(&have[i], word)
		}
	}
	store32(&s.page.Header.DaemonEpoch, generationOf(v.Daemon))
	switch s.geometry.Kind {
	case KindSemaphore:
		done = r.semaphore(s.Semaphore())
	case KindQueue:
		done = r.queue(s.Queue())
	case KindEvent:
		done = r.event(s.Event())
	case KindCondition:
		s.Condition(nil).Alarm()
		done = true
	case KindBarrier:
		done = r.barrier(s.Barrier())
	case KindRWLock:
		done = r.rwlock(s.RWLock())
	case KindStream, KindPipe:
		done = r.rings()
	default:
		done = r.lock()
	}
	if done { // last: until then a call that looks is told CORRUPT
		store32(&s.page.Header.State, uint32(StateLive))
	}
	return r.notes, done
}

func (r *repair) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// vacates reports whether the cell of a seat must be 0.
func (r *repair) vacates(seat int) bool { return seat == 0 || r.witness.Seat(uint16(seat)) == 0 }

// lock repairs a value, array or mutex. What nobody living holds is taken by the daemon,
// and released as if that had died.
func (r *repair) lock() bool {
	s, g := r.seg, &r.seg.geometry
	lock := &s.page.Lock
	if p := load32(&lock.Poisoned); p > 1 || p == 1 && !g.Flags.Has(FlagStrict) {
		store32(&lock.Poisoned, 0)
	}
	if g.Flags&(FlagLockNone|FlagLockForeign) == 0 {
		return r.ownLock()
	}
	store32(&lock.Word, 0)
	if g.Flags.Has(FlagLockNone) {
		and64(&s.page.Sequence.Word, ^sequenceOdd)
		return true
	}
	if writer := load32(&s.page.Sequence.Writer) & ownerMask; writer == 0 || !r.witness.knows(writer) {
		if writer != 0 || load64(&s.page.Sequence.Word)&sequenceOdd != 0 {
			r.note("the data was being written, it seems: it is dirty until its owner marks it consistent")
			s.markDirty()
		}
		store32(&lock.WriteDepth, 0)
		store32(&s.page.Sequence.Writer, 0)
		s.changes().alarm()
	}
	return true
}

func (r *repair) ownLock() bool {
	s := r.seg
	word := &s.page.Lock.Word
	for range recoverTries {
		old := load32(word)
		if owner := ownerOf(old); owner != 0 && r.witness.knows(owner) {
			return true // its private words are its own
		}
		if isFree(old) && s.page.Lock.once() && load64(&s.page.Lock.Token) == 0 &&
			!(s.geometry.Kind.HasData() && load64(&s.page.Sequence.Word)&sequenceOdd != 0) {
			return true
		}
		if cas32(word, old, r.victim.Daemon&ownerMask|old&(ownerWaiters|ownerInconsistent)) {
			v := r.victim
			v.Owner = v.Daemon
			r.note("whoever takes the lock next is told that an owner died")
			_, done := s.recoverLock(v)
			return done
		}
	}
	return false
}

// semaphore puts the permits of a plain one back to what they were at first; of one with
// undo, what the clients hold says how many there are.
func (r *repair) semaphore(m *Semaphore) bool {
	g := &r.seg.geometry
	if m.undo != nil {
		return r.permits(m.undo)
	}
	w := load32(m.plain.word)
	if w == semaphoreRemoved || w/semaphoreStep > g.Maximum {
		r.note("it has %d permits, as at creation, however many are out", g.Initial)
		store32(m.plain.word, g.Initial*semaphoreStep)
	}
	futexWakeN(m.plain.word, futexAll)
	return true
}

func (r *repair) permits(u *permitPool) bool {
	g := &r.seg.geometry
	if _, ok := u.latch.Steal(r.victim.Daemon, r.victim.lives); !ok {
		return false
	}
	held := uint64(0)
	for i := range u.held {
		cell := &u.held[i].Permits
		if load32(cell) != 0 && r.vacates(i) {
			put32(cell, 0)
		}
		held += uint64(load32(cell))
	}
	if held > uint64(g.Maximum) {
		r.note("what the clients held could not be: they hold nothing now")
		for i := range u.held {
			put32(&u.held[i].Permits, 0)
		}
		held = 0
	}
	if total := load32(&u.lines.Total); total > g.Maximum || held > uint64(total) {
		anew := max(g.Initial, uint32(held))
		r.note("there were %d permits, it said, and are %d", total, anew)
		put32(&u.lines.Total, anew)
	}
	u.rebuild()
	return u.latch.finish(r.victim, true, u.one, u.many)
}

// event puts an event back to what it was at first.
func (r *repair) event(e *Event) bool {
	w, first := load32(e.word), uint32(0)
	bad := w == eventRemoved || e.auto == nil && w&eventSet != 0 && w&eventWaiters != 0
	if r.seg.geometry.Initial != 0 {
		first = eventSet
	}
	if e.auto != nil {
		bad = w == semaphoreRemoved || w/semaphoreStep > 1
		first *= semaphoreStep
	}
	if bad {
		r.note("it is %s, as at creation", map[bool]string{true: "set", false: "not set"}[first != 0])
		store32(e.word, first)
	}
	futexWakeN(e.word, futexAll)
	return true
}

// barrier begins the next generation, if the word cannot be right.
func (r *repair) barrier(b *Barrier) bool {
	l := &look{seg: r.seg, witness: r.witness, found: make(map[Finding]struct{})}
	l.barrierWord(b)
	if len(l.found) != 0 {
		w := b.load()
		r.note("whoever waited is told that the barrier broke, and it begins anew")
		store64(&b.lines.Word, uint64(w.next(barrierWasBad)))
	}
	for i := range b.cells {
		cell := &b.cells[i].Word
		if v := load64(cell); r.vacates(i) {
			store64(cell, 0)
		} else if v&^partyKnown != 0 {
			store64(cell, partyParty)
		}
	}
	b.wakeAll()
	return true
}

// rwlock frees the word of a writer that is nobody, and the cells of readers that are.
func (r *repair) rwlock(k *RWLock) bool {
	l := &look{seg: r.seg, witness: r.witness, found: make(map[Finding]struct{})}
	l.rwlockWord(k)
	if len(l.found) != 0 {
		r.note("whoever writes next is told that a writer died")
		store64(&k.lines.Token, 0)
		k.lines.Death.record(&r.victim)
		store32(k.word, rwlockInconsistent|rwlockWanted)
	}
	done := true
	for i := range k.cells {
		cell := &k.cells[i].Word
		if r.vacates(i) {
			store32(cell, 0)
		} else {
			done = setFor(cell, func(x uint32) uint32 { return x &^ readerRemoved }) && done
		}
		wakeCell(cell)
	}
	futexWakeN(k.word, futexAll)
	return done
}

// ringLeap parts the positions of a ring that was emptied from those before: what a client
// commits late, of what it was in the middle of, cannot be taken for a message.
const ringLeap = 1 << 40

// rings empties the rings in which something cannot be right, and frees roles that nobody
// has.
func (r *repair) rings() bool {
	bad := false
	for i := range int(r.seg.geometry.rings()) {
		ring := r.seg.ring(i)
		l := &look{seg: r.seg, witness: r.witness, found: make(map[Finding]struct{})}
		l.flow(ring, func(word string) string { return word })
		bad = bad || len(l.found) != 0
		if ring.pipe {
			store32(&ring.head.Owner, 0)
		}
		for _, line := range []*RingLine{ring.tail, ring.head} {
			if owner := ownerOf(load32(&line.Owner)); owner != 0 && !r.witness.knows(owner) {
				store32(&line.Owner, 0)
				r.lookAgain(ring)
			}
		}
	}
	if !bad {
		return true
	}
	// Of a pipe both: an end whose client lost one direction has lost the other.
	r.note("what was under way is lost, and whoever had a role has lost it and may claim it again")
	for i := range int(r.seg.geometry.rings()) {
		ring := r.seg.ring(i)
		store32(&ring.tail.Owner, 0)
		store32(&ring.head.Owner, 0)
		at := uint64(makeRingWord(ringWord(load64(&ring.tail.Word)).position()&ringLeap ^ ringLeap))
		store64(&ring.tail.Word, at)
		store64(&ring.head.Word, at)
		r.lookAgain(ring)
	}
	return true
}

// lookAgain makes whoever has a role look at everything.
func (r *repair) lookAgain(ring *ring) {
	add32(&ring.tail.Attention, 1)
	add32(&ring.head.Attention, 1)
	ring.wakeAll()
}

// queue frees the slots that cannot be right, gives back what nobody holds, and derives the
// rest. What clients hold, and messages whose words can be right, stay.
func (r *repair) queue(q *Queue) bool {
	if !q.stealBoth(&r.victim) {
		return false
	}
	ruined, returned := 0, 0
	for slot := range q.size {
		d := &q.descs[slot]
		word, at := q.word(slot), q.place(slot)
		l := &look{seg: r.seg, witness: r.witness, found: make(map[Finding]struct{})}
		if q.unused(slot) || l.slot(q, slot, word, load64(&d.Seq), load64(&d.Ticket), at) && len(l.found) == 0 {
			continue
		}
		owner := word.owner()
		switch {
		case !q.sane(word, load64(&d.Seq), load64(&d.Ticket), at), r.witness.knows(owner), owner == 0:
			ruined++
			q.ruin(slot)
		case word.state() == slotWriting:
			returned++
			q.rollBack(slot, load64(&d.Ticket))
		case !q.reachable(r.witness, slot, at):
			ruined++
			q.ruin(slot)
		default:
			returned++
			q.set(slot, word.returned(q.seg.geometry.DeliveriesMax))
		}
	}
	if ruined > 0 {
		r.note("%d of %d slots could not be right: the messages in them are lost", ruined, q.size)
	}
	if returned > 0 {
		r.note("%d slots were held by no client, and came back", returned)
	}
	q.renumber()
	if load32(&q.lines.Closed) > 1 {
		store32(&q.lines.Closed, 1)
	}
	whole := q.rebuild()
	return q.finish(&r.victim, true) && whole
}

// renumber gives messages with a number that another has a new one, which puts them last.
func (q *Queue) renumber() {
	next, taken := uint64(1), make(map[uint64]struct{})
	for slot := range q.size {
		next = max(next, load64(&q.descs[slot].Seq)+1, load64(&q.descs[slot].Ticket)+1)
	}
	for slot := range q.size {
		d := &q.descs[slot]
		switch q.word(slot).state() {
		case slotReady, slotLeased, slotDead:
		default:
			continue
		}
		seq := load64(&d.Seq)
		if _, twice := taken[seq]; twice || seq == 0 {
			if next >= queueNumberSane {
				q.ruin(slot) // there is none left
				continue
			}
			put64(&d.Seq, next)
			next++
		}
		taken[seq] = struct{}{}
	}
}

// ruin frees a slot whatever it holds. Its numbers first: the state is the commit.
func (q *Queue) ruin(slot uint32) {
	d := &q.descs[slot]
	put64(&d.Seq, 0)
	put64(&d.Ticket, 0)
	put32(&d.Length, 0)
	put32(&d.Side, 0)
	q.set(slot, makeSlot(slotFree, 0, 0))
}

// reachable reports whether the message of a slot lies where it can be read.
func (q *Queue) reachable(w *Witness, slot uint32, at place) bool {
	if at.side == 0 {
		return true
	}
	if w.Side == nil {
		return false
	}
	size, ok := w.Side(slot, at.side)
	return ok && size >= uint64(at.length)
}
