package shm

import "fmt"

// What is checked of kinds that have a cell for each seat.

// vacant judges the cell of a seat: what it says must be somebody's.
func vacantCell[T uint32 | uint64](l *look, name string, seat int, cell *T, value func() T) {
	v := value()
	if v == 0 || seat != 0 && l.witness.Seat(uint16(seat)) != 0 || value() != v {
		return
	}
	l.add(fmt.Sprintf("%s of seat %d", name, seat), offsetOf(l.seg, cell), "0",
		"it is %#x, and nobody has the seat", v)
}

// latch judges a latch. Not free = somebody is in the middle of an operation, so that
// what is derived cannot be judged.
func (l *look) latch(name string, latch *Latch) (free bool) {
	owner := l.stranger(latch.word)
	if owner != 0 && SeatOf(owner) == SeatDaemon && generationOf(owner) < generationOf(l.witness.Daemon) {
		return false // whoever comes next takes it, and rebuilds
	}
	if owner != 0 {
		l.add(name, offsetOf(l.seg, latch.word), "taken away, and what it guards built anew", "%s", whose(owner))
		return true // nobody is at it
	}
	if seat := latch.holder(); seat != 0 {
		l.busy = fmt.Sprintf("seat %d was in the middle of an operation at every look", seat)
		return false
	}
	return true
}

// semaphore judges the words of a semaphore of either sort.
func (l *look) semaphore() {
	m := l.seg.Semaphore()
	g := &l.seg.geometry
	if m.undo != nil {
		l.permits(m.undo)
		return
	}
	w, at := load32(m.plain.word), offsetOf(l.seg, m.plain.word)
	remedy := fmt.Sprintf("%d permits, as at creation: give back those that are out by hand", g.Initial)
	switch {
	case w == semaphoreRemoved:
		l.add("semaphore", at, remedy, "it says that the semaphore was destroyed, and it was not")
	case w/semaphoreStep > g.Maximum:
		l.add("semaphore", at, remedy, "it has %d permits; there are never more than %d", w/semaphoreStep, g.Maximum)
	}
}

// permits judges a semaphore with undo.
func (l *look) permits(u *permitPool) {
	for i := range u.held {
		cell := &u.held[i].Permits
		vacantCell(l, "held", i, cell, func() uint32 { return load32(cell) })
	}
	free := l.latch("latch", u.latch)
	if !free {
		return
	}
	type words struct {
		available, total uint32
		held             uint64
	}
	read := func() (w words) {
		w.available, w.total = load32(&u.lines.Available), load32(&u.lines.Total)
		for i := range u.held {
			w.held += uint64(load32(&u.held[i].Permits))
		}
		return w
	}
	before := load32(u.latch.word)
	w := read()
	if again := read(); again != w || load32(u.latch.word) != before {
		l.busy = "others acquired and released at every look"
		return
	}
	l.derived = true
	maximum := l.seg.geometry.Maximum
	total, available := offsetOf(l.seg, &u.lines.Total), offsetOf(l.seg, &u.lines.Available)
	switch {
	case w.total > maximum:
		l.add("total", total, "what is held, and at least the permits at creation",
			"there are %d permits; there are never more than %d", w.total, maximum)
	case w.held > uint64(w.total):
		l.add("total", total, "what is held, and at least the permits at creation",
			"there are %d permits, and the clients hold %d", w.total, w.held)
	case uint64(w.available)+w.held != uint64(w.total):
		l.add("available", available, "built anew from what is held",
			"%d are available and %d held, of %d", w.available, w.held, w.total)
	}
}

// barrier judges the words of a barrier.
func (l *look) barrier(b *Barrier) {
	l.barrierWord(b)
	for i := range b.cells {
		cell := &b.cells[i].Word
		vacantCell(l, "party", i, cell, func() uint64 { return load64(cell) })
		if v := load64(cell); v&^partyKnown != 0 {
			l.add(fmt.Sprintf("party of seat %d", i), offsetOf(l.seg, cell), "a party, or 0 if nobody has the seat",
				"it is %#x, which has bits that mean nothing", v)
		}
	}
}

func (l *look) barrierWord(b *Barrier) {
	w := b.load()
	at, remedy := offsetOf(l.seg, &b.lines.Word), "reset: the next generation, and who waits is told that it broke"
	switch {
	case w.phase() == barrierFill && w.field() >= b.parties:
		l.add("barrier", at, remedy, "%d have arrived, and all of the %d parties would have opened it", w.field(),
			b.parties)
	case w.phase() == barrierAction && (w.field() == 0 || w.field() > uint32(SeatsLimit) ||
		l.witness.Seat(uint16(w.field())) == 0 && b.load() == w):
		l.add("barrier", at, remedy, "seat %d runs its action, which is no client's", w.field())
	case w.phase() == barrierBroken && (w.field() == 0 ||
		w.field()&^barrierReasons != 0):
		l.add("barrier", at, remedy, "it is broken for the reasons %#x, of which some are none", w.field())
	case w.phase() > barrierBroken:
		l.add("barrier", at, remedy, "its phase is %d, which is none", w.phase())
	}
}

// rwlock judges the words of an rwlock.
func (l *look) rwlock(r *RWLock) {
	l.rwlockWord(r)
	for i := range r.cells {
		cell := &r.cells[i].Word
		value := func() uint32 { return load32(cell) &^ readerRemoved }
		vacantCell(l, "reader", i, cell, value)
		if load32(cell)&readerRemoved != 0 {
			l.add(fmt.Sprintf("reader of seat %d", i), offsetOf(l.seg, cell), "cleared of that bit",
				"it says that the rwlock was destroyed, and it was not")
		}
	}
}

func (l *look) rwlockWord(r *RWLock) {
	w := load32(r.word)
	at, remedy := offsetOf(l.seg, r.word), "nobody writes; the next writer is told as after a death"
	writer := writerOf(w)
	switch {
	case rwlockGone(w):
		l.add("rwlock", at, remedy, "it says that the rwlock was destroyed, and it was not")
	case writer == 0 && w&(rwlockHeld|rwlockPreparing) != 0:
		l.add("rwlock", at, remedy, "a writer is inside or about to be, and it is nobody's")
	case w&rwlockHeld != 0 && w&rwlockPreparing != 0:
		l.add("rwlock", at, remedy, "its writer is inside and lets others go first, which exclude each other")
	case writer != 0 && !l.writes(writer) && writerOf(load32(r.word)) == writer:
		l.add("rwlock", at, remedy, "its writer is in seat %d, which is no such client's", writer&rwlockSeatMask)
	}
}

// writes reports whether the owner bits of a writer are somebody's.
func (l *look) writes(writer uint32) bool {
	seat := uint16(writer & rwlockSeatMask)
	if seat == SeatDaemon {
		return writer == l.witness.Daemon&rwlockOwnerMask
	}
	owner := l.witness.Seat(seat)
	return owner != 0 && writer == owner&rwlockOwnerMask
}
