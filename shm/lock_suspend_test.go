package shm

import (
	"testing"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// What Suspend refuses changes nothing.
func TestSuspendRefuses(t *testing.T) {
	a := owner(1, 0)
	for _, c := range []struct {
		name    string
		flags   Flags
		prepare func(l *Lock)
		by      Owner
		want    status.Code
	}{
		{"a free lock", 0, func(l *Lock) { succeeds(t, l.Unlock(a)) }, a, status.NotOwner},
		{"a free lock, unlock_any", FlagUnlockAny, func(l *Lock) { succeeds(t, l.Unlock(a)) }, a, status.NotOwner},
		{"another client's", 0, nil, owner(2, 0), status.NotOwner},
		{"another client's, unlock_any", FlagUnlockAny, nil, owner(2, 0), status.NotOwner},
		{"another thread's", FlagRecursive, nil, owner(1, 7), status.NotOwner},
		{"a destroyed lock", 0, func(l *Lock) { l.seg.Remove() }, a, status.Removed},
		{"a destroyed lock, unlock_any", FlagUnlockAny, func(l *Lock) { l.seg.Remove() }, a, status.Removed},
	} {
		l := newSegment(t, KindMutex, 0, 0, c.flags).Lock()
		if _, err := l.TryLock(a); err != nil {
			t.Fatal(err)
		}
		if c.prepare != nil {
			c.prepare(l)
		}
		before := *l.line
		if depth, err := l.Suspend(c.by); depth != 0 || err != c.want {
			t.Errorf("%s: depth %d, %v", c.name, depth, err)
		}
		if *l.line != before {
			t.Errorf("%s: the line was %+v and is %+v", c.name, before, *l.line)
		}
	}
	x := newSegment(t, KindArray, ctypes.CodeInt, 4, 0)
	l := x.Lock()
	if _, err := l.TryLock(a); err != nil {
		t.Fatal(err)
	}
	succeeds(t, x.Array(l).BeginWrite(Access{Self: a, Holder: a}))
	if _, err := l.Suspend(a); err != status.Invalid || !l.Holds(a) {
		t.Errorf("inside a bracket: %v, held %v", err, l.Holds(a))
	}
}

// Between Suspend and Resume the lock is free in every respect, and then held as before.
func TestSuspendAndResume(t *testing.T) {
	a, b, p := owner(1, 0), owner(2, 0), NewParker(ParkerOptions{})
	l := newSegment(t, KindMutex, 0, 0, FlagRecursive).Lock()
	for range 3 {
		if _, err := l.TryLock(a); err != nil {
			t.Fatal(err)
		}
	}
	depth, err := l.Suspend(a)
	if depth != 2 || err != nil {
		t.Errorf("depth %d, %v", depth, err)
	}
	if !l.TakeFree(b) || l.Status().Depth != 0 || !l.ReleaseFree(b) {
		t.Errorf("not free: %+v", l.Status())
	}
	if n, err := l.Resume(background, p, a, depth); n != nil || err != nil {
		t.Error(n, err)
	}
	for range 3 {
		succeeds(t, l.Unlock(a))
	}
	if err := l.Unlock(a); err != status.NotOwner {
		t.Errorf("held deeper than before: %v", err)
	}
}

func succeeds(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
