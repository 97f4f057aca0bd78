package shm

import (
	"testing"

	"github.com/shmd/shmd/status"
)

// A writer that dies inside leaves a notice to all who come in, until a writer says
// that the data is consistent.
func TestRWLockWriterDies(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	ok(t, l.tryWrite(rwOwner(1, 1)))
	r, w := l.reader(background, p, rwOwner(2, 1)), l.writer(background, p, rwOwner(3, 1))
	for run := range 2 {
		if held, done := l.seg.Recover(deathOf(1)); held != (run == 0) || !done {
			t.Errorf("run %d: held %v, done %v", run, held, done)
		}
	}
	got := <-r // before the writer, which finds that it has waited
	if n := got.notice; got.err != nil || n == nil || n.PID != 7 || n.UID != 8 || n.Seat != 1 || n.Deaths != 1 {
		t.Errorf("%+v, %+v", got, got.notice)
	}
	ok(t, leaveCell(&l.cells[2].Word))
	l.wakeWriter(&l.cells[2].Word)
	if got := <-w; got.err != nil || got.notice == nil {
		t.Errorf("%+v", got)
	}
	me := rwOwner(3, 1)
	ok(t, l.WriteUnlock(me)) // not consistent
	if n, err := l.ReadLock(background, nil, rwOwner(2, 2), 0); n == nil || err != nil {
		t.Error(n, err)
	}
	ok(t, leaveCell(&l.cells[2].Word))
	if n, err := l.WriteLock(background, nil, me, 0); n == nil || err != nil {
		t.Error(n, err)
	}
	ok(t, l.MarkConsistent(me), l.MarkConsistent(me), l.WriteUnlock(me))
	if n, err := l.ReadLock(background, nil, rwOwner(2, 2), 0); n != nil || err != nil {
		t.Error(n, err)
	}
	if st := l.Status(); st.Inconsistent || st.Deaths != 1 || st.LastDeath == nil {
		t.Errorf("%+v", st)
	}
}

// A writer that dies before it is inside has written nothing.
func TestRWLockWriterDiesOutside(t *testing.T) {
	for _, preparing := range []bool{false, true} {
		l, p := newRWLock(t), NewParker(ParkerOptions{})
		if preparing {
			ok(t, l.declare(&l.cells[5].Word))
		}
		ok(t, l.tryRead(rwOwner(5, 1)))
		w, err := l.own(background, p, rwOwner(1, 1), 0, true)
		if err != nil || (w&rwlockWanted != 0) != preparing {
			t.Fatal(w, err)
		}
		var r <-chan granted
		if !preparing {
			r = l.reader(background, p, rwOwner(2, 1))
		}
		if held, done := l.seg.Recover(deathOf(1)); held || !done {
			t.Error(held, done)
		}
		if r != nil {
			if got := <-r; got.err != nil || got.notice != nil {
				t.Errorf("%+v", got)
			}
		}
		if st := l.Status(); st.Writer != 0 || st.Inconsistent || !st.Wanted || st.LastDeath != nil {
			t.Errorf("%+v", st)
		}
	}
}

// What a dead client read or wanted is over, and who waited for that goes on.
func TestRWLockReaderDies(t *testing.T) {
	for name, before := range map[string]func(*RWLock) error{
		"inside": func(l *RWLock) error { return l.tryRead(rwOwner(1, 1)) },
		"wants":  func(l *RWLock) error { return l.declare(&l.cells[1].Word) },
		"both, and trying": func(l *RWLock) error {
			l.cells[1].Word = 5*readerWantUnit + 7
			l.lines.Word = rwlockWanted
			return nil
		},
	} {
		l, p := newRWLock(t), NewParker(ParkerOptions{})
		ok(t, before(l))
		inside := l.ReadersOf(1) != 0
		w := l.writer(background, p, rwOwner(2, 1))
		if len(w) != 0 {
			t.Errorf("%s: it does not wait", name)
		}
		for run := range 2 {
			if held, done := l.seg.Recover(deathOf(1)); held != (inside && run == 0) || !done {
				t.Errorf("%s: held %v, done %v", name, held, done)
			}
		}
		if got := <-w; got.err != nil || got.notice != nil {
			t.Errorf("%s: %+v", name, got)
		}
		ok(t, l.WriteUnlock(rwOwner(2, 1)))
		l.atRest(t)
	}
}

// A wake that died with whoever should have made it is made again.
func TestRWLockDeathWakes(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	ok(t, l.tryWrite(rwOwner(1, 1)))
	r := l.reader(background, p, rwOwner(2, 1))
	if _, err := l.change(rwOwner(1, 1), func(uint32) uint32 { return rwlockWanted }); err != nil {
		t.Fatal(err)
	}
	if held, done := l.seg.Recover(deathOf(1)); held || !done {
		t.Error(held, done)
	}
	if got := <-r; got.err != nil || got.notice != nil {
		t.Errorf("%+v", got)
	}
	// Of a reader that left.
	w := l.writer(background, p, rwOwner(3, 1))
	ok(t, leaveCell(&l.cells[2].Word))
	l.seg.Recover(deathOf(2))
	ok(t, (<-w).err)
}

func TestRWLockDeathOfNobody(t *testing.T) {
	l := newRWLock(t)
	before := bytesOf(l.seg)
	for _, owner := range []uint32{0, OwnerWord(SeatsDefault+1, 1), daemonOf(1)} {
		if held, done := l.recover(Victim{Owner: owner, Died: true}); held || !done {
			t.Errorf("%#x: %v, %v", owner, held, done)
		}
	}
	if before != bytesOf(l.seg) {
		t.Error("something was changed")
	}
}

func TestRWLockRemoved(t *testing.T) {
	for _, direct := range []int{1, 16} {
		p := NewParker(ParkerOptions{DirectMax: direct})
		for name, before := range map[string]func(*RWLock) error{
			"behind a writer": func(l *RWLock) error { return l.tryWrite(rwOwner(1, 1)) },
			"behind a reader": func(l *RWLock) error { return l.tryRead(rwOwner(1, 1)) },
			"prepares":        func(l *RWLock) error { return l.declare(&l.cells[1].Word) },
		} {
			l := newRWLock(t)
			ok(t, before(l))
			waits := []<-chan granted{l.writer(background, p, rwOwner(2, 1)), l.writer(background, p, rwOwner(3, 1))}
			if name != "prepares" {
				waits = append(waits, l.reader(background, p, rwOwner(4, 1)))
			}
			for range 2 { // it may be repeated
				if !l.seg.Remove() {
					t.Error("not done")
				}
			}
			for _, w := range waits {
				wantCode(t, name, (<-w).err, status.Removed)
			}
			for range 2 {
				if held, done := l.seg.Recover(deathOf(1)); held && name == "prepares" || !done {
					t.Errorf("%s: %v, %v", name, held, done)
				}
			}
			reads := rwOwner(1, 1)
			reads.began()
			for what, err := range map[string]error{
				"read":            second(l.ReadLock(background, p, rwOwner(2, 1), -1)),
				"read again":      second(l.ReadLock(background, p, reads, -1)),
				"try to read":     l.tryRead(rwOwner(2, 1)),
				"a late reader":   second(l.readSlow(background, p, rwOwner(2, 1), -1)),
				"a late want":     l.declare(&l.cells[2].Word),
				"write":           second(l.WriteLock(background, p, rwOwner(2, 1), -1)),
				"try to write":    l.tryWrite(rwOwner(2, 1)),
				"read unlock":     l.ReadUnlock(rwOwner(2, 1)),
				"write unlock":    l.WriteUnlock(rwOwner(2, 1)),
				"mark consistent": l.MarkConsistent(rwOwner(2, 1)),
			} {
				wantCode(t, name+", "+what, err, status.Removed)
			}
			if st := l.Status(); !st.Removed || st.Writer != 0 || st.Held {
				t.Errorf("%+v", st)
			}
		}
	}
	// Whoever is inside learns it when it leaves.
	l := newRWLock(t)
	r := rwOwner(1, 1)
	ok(t, l.tryRead(r))
	l.seg.Remove()
	wantCode(t, "a reader leaves", l.ReadUnlock(r), status.Removed)
	wantCode(t, "it has left", l.ReadUnlock(r), status.Removed)
	if l.cellOf(1) != readerRemoved {
		t.Errorf("the cell is %#x", l.cellOf(1))
	}
}
