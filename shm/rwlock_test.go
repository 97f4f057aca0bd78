package shm

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// newRWLock makes an rwlock on the heap, in epoch 1.
func newRWLock(t *testing.T) *RWLock {
	t.Helper()
	g, err := NewRWLockGeometry(SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).RWLock()
}

func rwOwner(seat uint16, serial uint32) *RWOwner { return MakeRWOwner(client(seat), serial) }

func (l *RWLock) tryRead(o *RWOwner) error { return second(l.ReadLock(background, nil, o, 0)) }

func (l *RWLock) tryWrite(o *RWOwner) error { return second(l.WriteLock(background, nil, o, 0)) }

func (l *RWLock) cellOf(seat uint16) uint32 { return atomic.LoadUint32(&l.cells[seat].Word) }

func ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// granted is how a wait in the background ended.
type granted struct {
	notice *Notice
	err    error
}

// reader starts a read of another thread, and returns when that sleeps, or is inside.
func (l *RWLock) reader(ctx context.Context, p *Parker, o *RWOwner) <-chan granted {
	return l.start(o, func() (*Notice, error) { return l.seg.RWLock().ReadLock(ctx, p, o, -1) })
}

// writer starts a write of another thread, likewise.
func (l *RWLock) writer(ctx context.Context, p *Parker, o *RWOwner) <-chan granted {
	return l.start(o, func() (*Notice, error) { return l.seg.RWLock().WriteLock(ctx, p, o, -1) })
}

func (l *RWLock) start(o *RWOwner, lock func() (*Notice, error)) <-chan granted {
	got := make(chan granted, 1)
	var over atomic.Bool
	go func() {
		n, err := lock()
		over.Store(true)
		got <- granted{n, err}
	}()
	await(func() bool { return over.Load() || l.seg.Waiting(SeatOf(o.word)) != 0 })
	return got
}

// atRest checks what is left when nobody is inside or wants to be.
func (l *RWLock) atRest(t *testing.T) {
	t.Helper()
	if st := l.Status(); st.Writer != 0 || st.Held || st.Preparing || st.Readers != 0 || l.lines.Token != 0 {
		t.Errorf("%+v, token %#x", st, l.lines.Token)
	}
	for seat := range uint16(SeatsDefault + 1) {
		if l.cellOf(seat) != 0 || l.seg.Waiting(seat) != 0 {
			t.Errorf("seat %d: cell %#x, %d wait", seat, l.cellOf(seat), l.seg.Waiting(seat))
		}
	}
}

func TestRWLockExcludes(t *testing.T) {
	for _, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		defer runtime.GOMAXPROCS(before)
		for _, direct := range []int{1, 16} {
			excludes(t, newRWLock(t), NewParker(ParkerOptions{DirectMax: direct}))
		}
	}
}

func excludes(t *testing.T, l *RWLock, p *Parker) {
	a, b := 0, 0
	var wg sync.WaitGroup
	const rounds = 300
	for i := range 6 {
		view := l.seg.RWLock()
		o := rwOwner(uint16(i/2+1), uint32(i+1)) // two threads a client
		wg.Go(func() {
			for round := range rounds {
				if (round+i)%3 == 0 {
					if n, err := view.WriteLock(background, p, o, -1); n != nil || err != nil {
						t.Error(n, err)
						return
					}
					a++
					b++
					if err := view.WriteUnlock(o); err != nil {
						t.Error(err)
					}
					continue
				}
				for range 2 {
					if n, err := view.ReadLock(background, p, o, -1); n != nil || err != nil {
						t.Error(n, err)
						return
					}
				}
				if a != b {
					t.Errorf("a reader beside a writer: %d, %d", a, b)
				}
				for range 2 {
					if err := view.ReadUnlock(o); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if a != 6*rounds/3 {
		t.Errorf("%d writes of %d", a, 6*rounds/3)
	}
	l.atRest(t)
}

// A thread that reads may read again while a writer waits for it; another may not.
func TestRWLockReadsAgain(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	me, other := rwOwner(1, 1), rwOwner(1, 2)
	ok(t, l.tryRead(me))
	w := l.writer(background, p, rwOwner(2, 1))
	ok(t, l.tryRead(me), l.tryRead(me))
	if n := l.ReadersOf(1); n != 3 {
		t.Errorf("%d reads", n)
	}
	wantCode(t, "another thread of the client", l.tryRead(other), status.WouldBlock)
	ok(t, l.ReadUnlock(me), l.ReadUnlock(me))
	if len(w) != 0 {
		t.Error("the writer is inside beside a reader")
	}
	ok(t, l.ReadUnlock(me), (<-w).err)
	ok(t, l.WriteUnlock(rwOwner(2, 1)))
	l.atRest(t)
}

// A reader that a writer overtakes between the look and the announcement takes that
// back, for which the writer may sleep already.
func TestRWLockReaderLooksAgain(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	cell := &l.cells[1].Word
	ok(t, enterCell(cell))
	w := l.writer(background, p, rwOwner(2, 1)) // asleep on the cell
	ok(t, leaveCell(cell))                      // whose wake is yet to come
	if word, inside, err := l.tryCell(cell); inside || err != nil || !keepsOut(word) {
		t.Errorf("%#x, %v, %v", word, inside, err)
	}
	ok(t, (<-w).err, l.WriteUnlock(rwOwner(2, 1)))
	l.atRest(t)
}

// readFree is the steps in which a client reads a free lock.
func (l *RWLock) readFree(o *RWOwner) bool {
	if !l.ReadAnnounce(o) {
		return false
	}
	if !l.ReadEnter(o) {
		l.ReadStepBack(o)
		return false
	}
	return true
}

// readUnlockFree is those in which it ends that.
func (l *RWLock) readUnlockFree(o *RWOwner) bool {
	if !l.ReadLeave(o) {
		return false
	}
	if l.ReadLeft(o) {
		l.ReadWake(o)
	}
	return true
}

// The fronts of ReadLock and ReadUnlock do all of it or nothing.
func TestRWLockReadFree(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	me, other := rwOwner(1, 1), rwOwner(1, 2)
	once := l.readFree(me)
	if !once || !l.readFree(me) || l.ReadersOf(1) != 2 || me.reads != 2 {
		t.Errorf("%d reads, %d here", l.ReadersOf(1), me.reads)
	}
	refused := func(what string, done bool) {
		t.Helper()
		if done || l.ReadersOf(1) != 2 || me.reads != 2 {
			t.Errorf("%s: done %v, %d reads, %d here", what, done, l.ReadersOf(1), me.reads)
		}
	}
	refused("another does not read", l.readUnlockFree(other))
	w := l.writer(background, p, rwOwner(2, 1)) // asleep on the cell, and woken in vain
	refused("a writer waits", l.readFree(me))
	refused("for another too", l.readFree(other))
	once = l.readUnlockFree(me)
	if !once || len(w) != 0 || !l.readUnlockFree(me) { // the last one wakes the writer
		t.Error("not unlocked, or the writer beside a reader")
	}
	ok(t, (<-w).err)
	if l.readFree(me) || l.readUnlockFree(me) {
		t.Error("in beside a writer")
	}
	l.seg.Recover(deathOf(2))
	if l.readFree(me) {
		t.Error("the notice is passed over")
	}
	atomic.StoreUint32(l.word, 0)
	atomic.StoreUint32(&l.cells[1].Word, readerActiveMask)
	if l.readFree(me) {
		t.Error("one too many")
	}
	l.seg.Remove()
	me.began()
	if l.readFree(me) || l.readUnlockFree(me) {
		t.Error("of a destroyed lock")
	}
}

// Many threads behind one owner: each is let in or waits as a thread of its own.
func TestRWLockSharedOwner(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	o := SharedRWOwner(client(1))
	wantCode(t, "nobody reads", l.ReadUnlock(o), status.NotOwner)
	ok(t, l.tryRead(o), l.tryRead(o))
	wantCode(t, "write beside reads", l.tryWrite(o), status.WouldBlock)
	w := l.writer(background, p, o)
	wantCode(t, "read beside a writer that waits", l.tryRead(o), status.WouldBlock)
	wantCode(t, "it is not inside", l.WriteUnlock(o), status.NotOwner)
	wantCode(t, "nor consistent", l.MarkConsistent(o), status.NotOwner)
	ok(t, l.ReadUnlock(o), l.ReadUnlock(o), (<-w).err)
	wantCode(t, "read beside a write", l.tryRead(o), status.WouldBlock)
	wantCode(t, "write beside a write", l.tryWrite(o), status.WouldBlock)
	ok(t, l.WriteUnlock(o))
	wantCode(t, "nobody reads again", l.ReadUnlock(o), status.NotOwner)

	shared := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if _, err := l.WriteLock(background, p, o, -1); err != nil {
					t.Error(err)
				}
				shared++
				if err := l.WriteUnlock(o); err != nil {
					t.Error(err)
				}
				if _, err := l.ReadLock(background, p, o, -1); err != nil {
					t.Error(err)
				}
				_ = shared
				if err := l.ReadUnlock(o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if shared != 800 {
		t.Errorf("%d writes of 800", shared)
	}
	l.atRest(t)
}

func TestRWLockMisuse(t *testing.T) {
	l := newRWLock(t)
	me, other := rwOwner(1, 1), rwOwner(1, 2)
	wantCode(t, "read unlock", l.ReadUnlock(me), status.NotOwner)
	wantCode(t, "write unlock", l.WriteUnlock(me), status.NotOwner)
	wantCode(t, "mark consistent", l.MarkConsistent(me), status.NotOwner)
	ok(t, l.tryRead(me))
	for _, timeout := range []time.Duration{0, -1} {
		_, err := l.WriteLock(background, nil, me, timeout)
		wantCode(t, "write while reading", err, status.Deadlock)
	}
	wantCode(t, "another's read", l.ReadUnlock(other), status.NotOwner)
	ok(t, l.ReadUnlock(me), l.tryWrite(me))
	for _, timeout := range []time.Duration{0, -1} {
		_, err := l.ReadLock(background, nil, me, timeout)
		wantCode(t, "read while writing", err, status.Deadlock)
		_, err = l.WriteLock(background, nil, me, timeout)
		wantCode(t, "write while writing", err, status.Deadlock)
	}
	wantCode(t, "another thread's write", l.WriteUnlock(other), status.NotOwner)
	wantCode(t, "another client's write", l.WriteUnlock(rwOwner(2, 1)), status.NotOwner)
	wantCode(t, "another thread marks", l.MarkConsistent(other), status.NotOwner)
	wantCode(t, "no read", l.ReadUnlock(me), status.NotOwner)
	ok(t, l.MarkConsistent(me), l.WriteUnlock(me))
	wantCode(t, "again", l.WriteUnlock(me), status.NotOwner)
	l.atRest(t)
}

// What an rwlock refuses leaves it as it was.
func TestRWLockRefuses(t *testing.T) {
	operations := map[string]func(*RWLock, *RWOwner) error{
		"read":         (*RWLock).tryRead,
		"write":        (*RWLock).tryWrite,
		"read unlock":  (*RWLock).ReadUnlock,
		"write unlock": (*RWLock).WriteUnlock,
	}
	for name, do := range operations {
		l := newRWLock(t)
		before := bytesOf(l.seg)
		for _, word := range []uint32{0, client(SeatsDefault + 1), daemonOf(1)} {
			wantCode(t, name, do(l, MakeRWOwner(word, 1)), status.Invalid)
		}
		l.seg.readOnly = true
		wantCode(t, name, do(l, rwOwner(1, 1)), status.Permission)
		if before != bytesOf(l.seg) {
			t.Errorf("%s: something was changed", name)
		}
	}
	for name, before := range map[string]func(*RWLock) error{
		"readers": func(l *RWLock) error { return l.tryRead(rwOwner(2, 1)) },
		"writer":  func(l *RWLock) error { return l.tryWrite(rwOwner(2, 1)) },
		"wants":   func(l *RWLock) error { return l.declare(&l.cells[2].Word) },
		"reader, want": func(l *RWLock) error {
			return errors.Join(l.tryRead(rwOwner(2, 1)), l.declare(&l.cells[3].Word))
		},
	} {
		l := newRWLock(t)
		ok(t, before(l))
		held := bytesOf(l.seg)
		wantCode(t, name, l.tryWrite(rwOwner(1, 1)), status.WouldBlock)
		if name == "writer" {
			wantCode(t, name, l.tryRead(rwOwner(1, 1)), status.WouldBlock)
		}
		if held != bytesOf(l.seg) {
			t.Errorf("%s: a try has changed something", name)
		}
	}
	for _, seats := range []uint32{0, SeatsLimit + 1} {
		if _, err := NewRWLockGeometry(seats); !errors.Is(err, status.Invalid) {
			t.Errorf("%d seats: %v", seats, err)
		}
	}
}

func TestRWLockOverflow(t *testing.T) {
	l := newRWLock(t)
	me := rwOwner(1, 1)
	for range readerActiveMask {
		ok(t, l.tryRead(me))
	}
	wantCode(t, "read", l.tryRead(me), status.Overflow)
	if n := l.Status().Readers; n != readerActiveMask {
		t.Errorf("%d readers", n)
	}
	for range readerActiveMask {
		ok(t, l.ReadUnlock(me))
	}
	l.atRest(t)
	ok(t, l.tryWrite(rwOwner(2, 1)))
	atomic.StoreUint32(&l.cells[1].Word, readerWantMask)
	_, err := l.ReadLock(background, nil, me, -1)
	wantCode(t, "wait to read", err, status.Overflow)
	if l.cellOf(1) != readerWantMask {
		t.Errorf("the cell is %#x", l.cellOf(1))
	}
	// Full between the look and the try.
	atomic.StoreUint32(&l.cells[1].Word, readerActiveMask)
	ok(t, l.WriteUnlock(rwOwner(2, 1)))
	_, err = l.readSlow(background, nil, me, -1)
	wantCode(t, "a late try", err, status.Overflow)
	if l.cellOf(1) != readerActiveMask {
		t.Errorf("the cell is %#x", l.cellOf(1))
	}
}
