package shm

import "sync/atomic"

// recover takes a dead client out: its readers by one store to its cell, its writer
// by one to the word. Run again it finds both done.
func (l *RWLock) recover(v Victim) (held, done bool) {
	seat := SeatOf(v.Owner)
	if seat == 0 || int(seat) >= len(l.cells) {
		return false, true
	}
	cell := &l.cells[seat].Word
	x := atomic.LoadUint32(cell)
	store32(cell, x&readerRemoved) // nobody but the dead and the daemon changes it
	wrote, done := l.release(v)
	held = x&readerActiveMask != 0 || wrote
	if held || wakesAnyway { // a wake may have died with the client
		wakeCell(cell)
		futexWakeN(l.word, futexAll)
	}
	return held, done
}

// release frees the word of a dead writer: with the notice if it was inside, and
// with wanted, for the readers that it was letting in must not lose their turn.
func (l *RWLock) release(v Victim) (wrote, done bool) {
	told := false
	for range recoverTries {
		w := atomic.LoadUint32(l.word)
		if writerOf(w) != v.Owner&rwlockOwnerMask {
			return false, true // also if it was destroyed
		}
		inside := w&rwlockHeld != 0
		left := w&(rwlockWaiters|rwlockInconsistent) | rwlockWanted
		if inside {
			left |= rwlockInconsistent
			if !told {
				store64(&l.lines.Token, 0)
				l.lines.Death.record(&v)
				told = true
			}
		}
		if cas32(l.word, w, left) {
			return inside, true
		}
	}
	return false, false
}

// remove takes the word over for ever, and says so in the cells that writers sleep
// on; the state is stored already.
func (l *RWLock) remove() bool {
	done := setFor(l.word, func(uint32) uint32 { return rwlockRemoved })
	for i := range l.cells[1:] {
		cell := &l.cells[i+1].Word
		done = setFor(cell, func(x uint32) uint32 { return x | readerRemoved }) && done
		wakeCell(cell)
	}
	futexWakeN(l.word, futexAll)
	return done
}

// setFor changes a word that living clients change too; false = they were faster
// all the time.
func setFor(word *uint32, to func(uint32) uint32) bool {
	for range recoverTries {
		old := atomic.LoadUint32(word)
		if to(old) == old || cas32(word, old, to(old)) {
			return true
		}
	}
	return false
}
