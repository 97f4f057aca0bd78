package shm

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// newSegment makes a heap segment, so that the race detector sees every access.
func newSegment(t *testing.T, kind Kind, code ctypes.Code, length uint64, flags Flags) *Segment {
	t.Helper()
	var shape []uint64
	if kind == KindArray {
		shape = []uint64{length}
	}
	g, err := NewGeometry(kind, code, shape, flags, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1)
}

func owner(seat uint16, serial uint32) Owner { return MakeOwner(OwnerWord(seat, 1), serial) }

// await yields until the condition holds; the test's own deadline is the
// watchdog.
func await(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

func TestLockExcludes(t *testing.T) {
	for _, direct := range []int{1, 16} {
		s := newSegment(t, KindMutex, 0, 0, 0)
		p := NewParker(ParkerOptions{DirectMax: direct})
		counter := 0
		var wg sync.WaitGroup
		const seats, rounds = 6, 300
		for seat := uint16(1); seat <= seats; seat++ {
			l := s.Lock() // a view each, as processes have: the gate does not help
			wg.Go(func() {
				for range rounds {
					if _, err := l.LockWait(context.Background(), p, owner(seat, 0), -1); err != nil {
						t.Error(err)
						return
					}
					counter++
					if err := l.Unlock(owner(seat, 0)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if counter != seats*rounds {
			t.Errorf("direct %d: counted %d, want %d", direct, counter, seats*rounds)
		}
		if w := atomic.LoadUint32(&s.page.Lock.Word); !isFree(w) {
			t.Errorf("the lock is left as %#x", w)
		}
	}
}

func TestLockMisuse(t *testing.T) {
	a, b := owner(1, 0), owner(2, 0)
	l := newSegment(t, KindMutex, 0, 0, 0).Lock()
	steps := []struct {
		name string
		call func() error
		want status.Code
	}{
		{"unlock of a free lock", func() error { return l.Unlock(a) }, status.NotOwner},
		{"mark of a free lock", func() error { return l.MarkConsistent(a) }, status.NotOwner},
		{"lock", func() error { _, err := l.TryLock(a); return err }, status.OK},
		{"relock", func() error { _, err := l.TryLock(a); return err }, status.Deadlock},
		{"another", func() error { _, err := l.TryLock(b); return err }, status.WouldBlock},
		{"another thread", func() error { _, err := l.TryLock(owner(1, 7)); return err }, status.WouldBlock},
		{"unlock by another", func() error { return l.Unlock(b) }, status.NotOwner},
		{"unlock by another thread", func() error { return l.Unlock(owner(1, 7)) }, status.NotOwner},
		{"unlock", func() error { return l.Unlock(a) }, status.OK},
	}
	for _, st := range steps {
		if got := status.Of(st.call()); got != st.want {
			t.Errorf("%s: %s, want %s", st.name, got.Name(), st.want.Name())
		}
	}
}

func TestRecursiveLockCounts(t *testing.T) {
	a := owner(1, 3)
	l := newSegment(t, KindMutex, 0, 0, FlagRecursive).Lock()
	for range 3 {
		if _, err := l.TryLock(a); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if !l.Holds(a) {
			t.Fatalf("lost after %d unlocks", i)
		}
		if err := l.Unlock(a); err != nil {
			t.Fatal(err)
		}
	}
	if l.Holds(a) || l.Unlock(a) != status.NotOwner {
		t.Error("still held after as many unlocks")
	}
}

func TestUnlockAny(t *testing.T) {
	l := newSegment(t, KindMutex, 0, 0, FlagUnlockAny).Lock()
	if _, err := l.TryLock(owner(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.TryLock(owner(1, 0)); err != status.WouldBlock {
		t.Errorf("a lock without owner rights was locked twice: %v", err)
	}
	if err := l.Unlock(owner(2, 0)); err != nil {
		t.Errorf("another may not unlock: %v", err)
	}
	if err := l.Unlock(owner(1, 0)); err != status.NotOwner {
		t.Errorf("unlock of a free lock: %v", err)
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	for _, direct := range []int{1, 16} {
		s := newSegment(t, KindMutex, 0, 0, 0)
		p := NewParker(ParkerOptions{DirectMax: direct})
		holder := s.Lock()
		if _, err := holder.TryLock(owner(1, 0)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for seat := uint16(2); seat < 5; seat++ {
			wg.Go(func() {
				me := owner(seat, 0)
				_, err := s.Lock().LockWait(context.Background(), p, me, time.Millisecond)
				if err != status.TimedOut {
					t.Errorf("timeout: %v", err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error)
				go func() {
					_, err := s.Lock().LockWait(ctx, p, me, -1)
					ended <- err
				}()
				await(func() bool { return s.Waiting(seat) == 1 })
				cancel()
				if err := <-ended; err != status.Cancelled || !errors.Is(err, context.Canceled) {
					t.Errorf("cancel: %v", err)
				}
			})
		}
		wg.Wait()
		if err := holder.Unlock(owner(1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := holder.TryLock(owner(1, 0)); err != nil {
			t.Errorf("after everybody left: %v", err)
		}
	}
}

// A death while holding wakes the waiter with a notice that names the dead, and
// repeats it until somebody marks the state consistent.
func TestOwnerDeath(t *testing.T) {
	s := newSegment(t, KindMutex, 0, 0, 0)
	p := NewParker(ParkerOptions{})
	l := s.Lock()
	dead := owner(1, 0)
	if _, err := l.TryLock(dead); err != nil {
		t.Fatal(err)
	}
	got := make(chan *Notice)
	go func() {
		n, err := s.Lock().LockWait(context.Background(), p, owner(2, 0), -1)
		if err != nil {
			t.Error(err)
		}
		got <- n
	}()
	await(func() bool { return s.Waiting(2) == 1 })
	if held, done := s.Recover(Victim{Owner: dead.Word, PID: 77, UID: 5, NowNs: 99}); !held || !done {
		t.Fatalf("recovery: held %v done %v", held, done)
	}
	n := <-got
	if n == nil || n.PID != 77 || n.UID != 5 || n.DiedNs != 99 || n.Seat != 1 || n.Deaths != 1 {
		t.Fatalf("notice %+v", n)
	}
	if err := l.Unlock(owner(2, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := l.TryLock(owner(3, 0)); n == nil || err != nil {
		t.Errorf("the notice is not repeated: %v %v", n, err)
	}
	if err := l.MarkConsistent(owner(3, 0)); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(owner(3, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := l.TryLock(owner(3, 0)); n != nil || err != nil {
		t.Errorf("a notice after mark-consistent: %v %v", n, err)
	}
}

func TestStrictBecomesNotRecoverable(t *testing.T) {
	s := newSegment(t, KindMutex, 0, 0, FlagStrict)
	l := s.Lock()
	if _, err := l.TryLock(owner(1, 0)); err != nil {
		t.Fatal(err)
	}
	s.Recover(Victim{Owner: owner(1, 0).Word, NowNs: 1})
	if n, err := l.TryLock(owner(2, 0)); n == nil || err != nil {
		t.Fatalf("%v %v", n, err)
	}
	if err := l.Unlock(owner(2, 0)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := l.TryLock(owner(3, 0)); err != status.NotRecoverable {
			t.Errorf("got %v", err)
		}
	}
}

func TestRemoveEndsEveryWait(t *testing.T) {
	s := newSegment(t, KindMutex, 0, 0, 0)
	p := NewParker(ParkerOptions{})
	l := s.Lock()
	if _, err := l.TryLock(owner(1, 0)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	for seat := uint16(2); seat < 6; seat++ {
		go func() {
			_, err := s.Lock().LockWait(context.Background(), p, owner(seat, 0), -1)
			ended <- err
		}()
		await(func() bool { return s.Waiting(seat) == 1 })
	}
	for range 2 { // idempotent
		if !s.Remove() {
			t.Error("removal is not done at once")
		}
	}
	for range 4 {
		if err := <-ended; err != status.Removed {
			t.Errorf("waiter: %v", err)
		}
	}
	if err := l.Unlock(owner(1, 0)); err != status.Removed {
		t.Errorf("owner's unlock: %v", err)
	}
	if _, err := l.TryLock(owner(1, 0)); err != status.Removed {
		t.Errorf("later lock: %v", err)
	}
}

// ReleaseFree releases what is free in every respect, and else changes nothing, so
// that Unlock can decide.
func TestReleaseFree(t *testing.T) {
	a, b := owner(1, 0), owner(2, 0)
	held := func(t *testing.T, kind Kind, flags Flags) *Lock {
		t.Helper()
		l := newSegment(t, kind, 0, 0, flags).Lock()
		if _, err := l.TryLock(a); err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := held(t, KindMutex, 0)
	if l.ReleaseFree(b) || !l.Holds(a) {
		t.Error("released by another")
	}
	if !l.ReleaseFree(a) || l.line.Word != 0 || l.line.Token != 0 {
		t.Errorf("released: word %#x, token %#x", l.line.Word, l.line.Token)
	}
	if l.ReleaseFree(a) {
		t.Error("released twice")
	}
	for what, prepare := range map[string]func(*Lock){
		"waiters":       func(l *Lock) { l.line.Word |= ownerWaiters },
		"a notice":      func(l *Lock) { l.line.Word |= ownerInconsistent },
		"held twice":    func(l *Lock) { l.line.Depth = 1 },
		"in a bracket":  func(l *Lock) { l.line.WriteDepth = 1 },
		"it is removed": func(l *Lock) { l.line.Word = ownerRemoved },
	} {
		l := held(t, KindMutex, FlagRecursive)
		prepare(l)
		before := *l.line
		if l.ReleaseFree(a) || *l.line != before {
			t.Errorf("%s: the line was %+v and is %+v", what, before, *l.line)
		}
	}
	if held(t, KindMutex, FlagUnlockAny).ReleaseFree(a) {
		t.Error("unlock_any: nobody's token is there to be compared")
	}
}

// TakeSoon takes what is free, or becomes it, and leaves the rest to the gate.
func TestLockTakeSoon(t *testing.T) {
	l := newSegment(t, KindMutex, 0, 0, 0).Lock()
	mine, others := owner(1, 0), owner(2, 0)
	takes := func(what string, want bool) {
		t.Helper()
		if got := l.TakeSoon(mine); got != want || l.Holds(mine) != want {
			t.Fatalf("%s: it took it: %v; it holds it: %v", what, got, l.Holds(mine))
		}
	}
	takes("free", true)
	if err := l.Unlock(mine); err != nil {
		t.Fatal(err)
	}
	if !l.TakeFree(others) {
		t.Fatal("it is not free")
	}
	takes("held", false)
	if err := l.Unlock(others); err != nil {
		t.Fatal(err)
	}
	l.gate <- struct{}{}
	takes("somebody is at the gate", false)
	<-l.gate
	l.soon.Store(true)
	takes("somebody else spins", false)
	l.soon.Store(false)
	takes("free again", true)
}
