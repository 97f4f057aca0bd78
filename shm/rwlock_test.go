package shm

import (
	"sync"
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

func TestRWLockExcludes(t *testing.T) {
	for _, direct := range []int{1, 16} {
		l := newRWLock(t)
		p := NewParker(ParkerOptions{DirectMax: direct})
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
		if st := l.Status(); st.Writer != 0 || st.Readers != 0 {
			t.Errorf("%+v", st)
		}
	}
}

func TestRWLockMisuse(t *testing.T) {
	l := newRWLock(t)
	me, other := rwOwner(1, 1), rwOwner(1, 2)
	if err := l.ReadUnlock(me); err != status.NotOwner {
		t.Error(err)
	}
	if err := l.WriteUnlock(me); err != status.NotOwner {
		t.Error(err)
	}
	if _, err := l.ReadLock(background, nil, me, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.WriteLock(background, nil, me, 0); err != status.Deadlock {
		t.Error(err)
	}
	if _, err := l.WriteLock(background, nil, other, 0); err != status.WouldBlock {
		t.Error(err)
	}
	if err := l.ReadUnlock(me); err != nil {
		t.Error(err)
	}
	if _, err := l.WriteLock(background, nil, me, 0); err != nil {
		t.Fatal(err)
	}
	for name, lock := range map[string]func() (*Notice, error){
		"read":  func() (*Notice, error) { return l.ReadLock(background, nil, me, -1) },
		"write": func() (*Notice, error) { return l.WriteLock(background, nil, me, -1) },
	} {
		if _, err := lock(); err != status.Deadlock {
			t.Errorf("%s while writing: %v", name, err)
		}
	}
	if err := l.WriteUnlock(other); err != status.NotOwner {
		t.Error(err)
	}
	if err := l.WriteUnlock(me); err != nil {
		t.Error(err)
	}
}

func TestRWLockWriterDies(t *testing.T) {
	l := newRWLock(t)
	p := NewParker(ParkerOptions{})
	if _, err := l.WriteLock(background, nil, rwOwner(1, 1), 0); err != nil {
		t.Fatal(err)
	}
	got := make(chan *Notice)
	go func() {
		n, err := l.ReadLock(background, p, rwOwner(2, 1), -1)
		if err != nil {
			t.Error(err)
		}
		got <- n
	}()
	await(func() bool { return l.Status().Waiters && l.seg.Waiting(2) == 1 })
	if held, done := l.seg.Recover(victimOf(1)); !held || !done {
		t.Error(held, done)
	}
	if n := <-got; n == nil || n.PID != 7 || n.Seat != 1 {
		t.Errorf("%+v", n)
	}
	if _, err := l.WriteLock(background, p, rwOwner(3, 1), time.Microsecond); err != status.TimedOut {
		t.Error(err)
	}
}
