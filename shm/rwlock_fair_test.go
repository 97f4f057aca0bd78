package shm

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// The bound, step by step: the reader declares itself behind a writer that owns the
// word and is not inside yet. That one goes first, the next one does not.
func TestRWLockReaderWaitsForOneWriter(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	inside, a, b, me := rwOwner(1, 1), rwOwner(2, 1), rwOwner(3, 1), rwOwner(4, 1)
	cell := &l.cells[4].Word
	ok(t, l.tryRead(inside))
	first := l.writer(background, p, a) // asleep on the cell of seat 1
	ok(t, l.declare(cell))              // as far as the reader comes until it is stopped
	second := l.writer(background, p, b)
	ok(t, l.ReadUnlock(inside), (<-first).err) // the one section
	if st := l.Status(); !st.Wanted || !st.Held {
		t.Errorf("%+v", st)
	}
	ok(t, l.WriteUnlock(a))
	// Now b owns the word, and prepares: it sleeps on the reader's cell.
	await(func() bool { return l.Status().Preparing && l.seg.Waiting(3) == 1 })
	// A writer that waited long would be let in now, were it not for the reader.
	await(func() bool { st := l.Status(); return st.Seat == 3 && !st.Held && !st.Wanted })
	if _, err := l.comeIn(background, nil, me, cell, 0); err != nil {
		t.Fatal(err)
	}
	l.undeclare(cell)
	me.began()
	// b keeps readers out now, and waits for this one to leave.
	await(func() bool { st := l.Status(); return st.Seat == 3 && !st.Preparing && l.seg.Waiting(3) == 1 })
	if len(second) != 0 {
		t.Error("a writer is inside beside a reader")
	}
	ok(t, l.ReadUnlock(me), (<-second).err, l.WriteUnlock(b))
	l.atRest(t)
}

// Who declares itself after the writer has looked at its cell counts for the next.
func TestRWLockLateReaderCountsForTheNext(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	early, late := &l.cells[5].Word, &l.cells[1].Word // 1 is looked at first
	ok(t, l.declare(early))
	a := l.writer(background, p, rwOwner(2, 1)) // asleep on the cell of seat 5
	if st := l.Status(); !st.Preparing || st.Wanted {
		t.Errorf("%+v", st)
	}
	ok(t, l.declare(late))
	l.undeclare(early)
	ok(t, (<-a).err)
	if !l.Status().Wanted {
		t.Error("the late reader is forgotten")
	}
	b := l.writer(background, p, rwOwner(3, 1))
	ok(t, l.WriteUnlock(rwOwner(2, 1)))
	await(func() bool { st := l.Status(); return st.Preparing && st.Seat == 3 && l.seg.Waiting(3) == 1 })
	l.undeclare(late)
	ok(t, (<-b).err, l.WriteUnlock(rwOwner(3, 1)))
	l.atRest(t)
}

// A writer that leaves before it is inside, by its own will or dead, leaves the turn
// of the readers that it was letting in.
func TestRWLockTurnIsKept(t *testing.T) {
	for name, leave := range map[string]func(*RWLock){
		"withdraws": func(l *RWLock) {
			wantCode(t, "withdraw", l.withdraw(rwOwner(2, 1), status.TimedOut), status.TimedOut)
		},
		"dies": func(l *RWLock) {
			if held, done := l.seg.Recover(deathOf(2)); held || !done {
				t.Error(held, done)
			}
		},
	} {
		l, p := newRWLock(t), NewParker(ParkerOptions{})
		cell := &l.cells[1].Word
		ok(t, l.declare(cell))
		w, err := l.own(background, p, rwOwner(2, 1), 0, true)
		if err != nil || w&rwlockWanted == 0 {
			t.Fatal(w, err)
		}
		leave(l)
		next := l.writer(background, p, rwOwner(3, 1))
		if st := l.Status(); !st.Preparing || st.Seat != 3 || st.Inconsistent {
			t.Errorf("%s: %+v", name, st)
		}
		l.undeclare(cell)
		ok(t, (<-next).err, l.WriteUnlock(rwOwner(3, 1)))
		l.atRest(t)
	}
}

// The bound under load: from its declaration on, a reader sees one writer begin.
func TestRWLockBoundUnderLoad(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{DirectMax: 2})
	var begun, over atomic.Int64
	var writers, readers sync.WaitGroup
	for i := range uint16(3) {
		o, view := rwOwner(i+1, 1), l.seg.RWLock()
		writers.Go(func() {
			for over.Load() == 0 {
				if _, err := view.WriteLock(background, p, o, -1); err != nil {
					t.Error(err)
					return
				}
				begun.Add(1)
				if err := view.WriteUnlock(o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range uint16(2) {
		o, view := rwOwner(10+i, 1), l.seg.RWLock()
		cell := view.cell(o)
		readers.Go(func() {
			for range 400 {
				if err := view.declare(cell); err != nil {
					t.Error(err)
				}
				before := begun.Load()
				if _, err := view.comeIn(background, p, o, cell, 0); err != nil {
					t.Error(err)
					return
				}
				view.undeclare(cell)
				o.began()
				if n := begun.Load() - before; n > 1 {
					t.Errorf("%d writers went before a reader", n)
				}
				if err := view.ReadUnlock(o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Wait()
	over.Store(1)
	writers.Wait()
	l.atRest(t)
}

// Endless readers do not keep a writer out.
func TestRWLockWriterComesIn(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	var over atomic.Bool
	var readers sync.WaitGroup
	for i := range uint16(3) {
		o, view := rwOwner(i+1, 1), l.seg.RWLock()
		readers.Go(func() {
			for !over.Load() {
				if _, err := view.ReadLock(background, p, o, time.Minute); err != nil {
					t.Error(err)
					return
				}
				if err := view.ReadUnlock(o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	me := rwOwner(9, 1)
	for range 100 {
		if _, err := l.WriteLock(background, p, me, -1); err != nil {
			t.Error(err)
			break
		}
		ok(t, l.WriteUnlock(me))
	}
	over.Store(true)
	readers.Wait()
	l.atRest(t)
}
