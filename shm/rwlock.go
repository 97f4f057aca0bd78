package shm

import (
	"context"
	"sync/atomic"

	"github.com/shmd/shmd/status"
)

// RWLock lets many readers in, or one writer. A reader that has to wait comes in
// after one more writer at most; a writer waits for the readers that are inside or
// have waited. Among themselves writers are not fair.
//
// The protocol is tests/models/rwlock.pml; crash rules stand in recover.go. All
// accesses of word and cells are sequentially consistent: a reader stores its cell
// and loads the word, a writer stores the word and loads the cells. Safe for
// concurrent use.
type RWLock struct {
	seg   *Segment
	lines *RWLockLines // immutable; points into the segment
	cells []ReaderCell // immutable; points into the segment; by seat
	word  *uint32      // immutable; points into the segment
	spin  spinner      // on the word
	quiet spinner      // on cells
}

// RWLock returns a view of the rwlock.
func (s *Segment) RWLock() *RWLock {
	lines := kindLines[RWLockLines](s)
	return &RWLock{seg: s, lines: lines, cells: kindCells[ReaderCell](s), word: &lines.Word}
}

// RWLockStatus is a look at an rwlock that holds nothing still.
type RWLockStatus struct {
	Writer       uint32 // low owner bits of the writer, inside or not; 0 = none
	Seat         uint16 // of the writer
	Held         bool   // the writer is inside
	Preparing    bool   // the writer lets the readers that have waited go first
	Wanted       bool   // readers wait, or have given up
	Inconsistent bool
	Waiters      bool   // somebody may sleep
	Readers      uint32 // threads inside, of all clients, and those that are trying
	Removed      bool
	Deaths       uint32  // of writers inside
	LastDeath    *Notice // nil = none yet
}

// Status looks at the rwlock.
func (l *RWLock) Status() RWLockStatus {
	w := atomic.LoadUint32(l.word)
	st := RWLockStatus{Removed: rwlockGone(w), Wanted: w&rwlockWanted != 0, Inconsistent: w&rwlockInconsistent != 0,
		Waiters: w&rwlockWaiters != 0, Deaths: atomic.LoadUint32(&l.lines.Death.Count)}
	if writerOf(w) != 0 && !st.Removed {
		st.Writer, st.Seat = writerOf(w), uint16(w&rwlockSeatMask)
		st.Held, st.Preparing = w&rwlockHeld != 0, w&rwlockPreparing != 0
	}
	for i := range l.cells[1:] {
		st.Readers += l.ReadersOf(uint16(i + 1))
	}
	if l.lines.Death.any() {
		st.LastDeath = l.lines.Death.notice()
	}
	return st
}

// ReadersOf is how often threads of the seat's client are inside as readers, with
// those that are trying.
func (l *RWLock) ReadersOf(seat uint16) uint32 {
	if int(seat) >= len(l.cells) {
		return 0
	}
	return atomic.LoadUint32(&l.cells[seat].Word) & readerActiveMask
}

// Writes reports whether a thread of the seat's client is the writer inside.
func (l *RWLock) Writes(seat uint16) bool {
	w := atomic.LoadUint32(l.word)
	return !rwlockGone(w) && w&rwlockHeld != 0 && uint16(w&rwlockSeatMask) == seat
}

// cell is the word of the threads of the owner's seat.
func (l *RWLock) cell(o *RWOwner) *uint32 { return &l.cells[SeatOf(o.word)].Word }

// writes reports whether o is the writer inside.
func (l *RWLock) writes(o *RWOwner, word uint32) bool {
	return writerOf(word) == o.writer() && word&rwlockHeld != 0 && atomic.LoadUint64(&l.lines.Token) == o.token
}

// noticeIf is the notice of a word that was loaded inside.
func (l *RWLock) noticeIf(word uint32) *Notice {
	if word&rwlockInconsistent != 0 {
		return l.lines.Death.notice()
	}
	return nil
}

// wait sleeps once on the word that was seen, with the waiters bit; errors as of
// Segment.sleep.
func (l *RWLock) wait(ctx context.Context, p *Parker, o *RWOwner, seen uint32, deadline int64) error {
	if seen&rwlockWaiters == 0 {
		if !cas32(l.word, seen, seen|rwlockWaiters) {
			return nil
		}
		seen |= rwlockWaiters
	}
	return l.seg.sleepFree(ctx, p, o.word, l.word, seen, deadline)
}

// wakeCell wakes the writer that waits for a cell.
func wakeCell(cell *uint32) { futexWakeN(cell, futexAll) }

// wakeWriter is wakeCell if there is a writer.
func (l *RWLock) wakeWriter(cell *uint32) {
	if writerOf(atomic.LoadUint32(l.word)) != 0 {
		wakeCell(cell)
	}
}

// MarkConsistent ends the notices: the writer inside has repaired the data. It may
// be repeated. Errors: status.NotOwner, Removed.
func (l *RWLock) MarkConsistent(o *RWOwner) error {
	for {
		w := atomic.LoadUint32(l.word)
		switch {
		case rwlockGone(w):
			return status.Removed
		case !l.writes(o, w):
			return status.NotOwner
		case w&rwlockInconsistent == 0 || cas32(l.word, w, w&^rwlockInconsistent):
			return nil
		}
	}
}
