//go:build shmd_replay

package shm

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// Of two goroutines that unlock at once what they share one may be so late that the
// other has unlocked it, and a client of another process has it: that one's token stays.
// The late one is held at its first store, in the accessor.
func TestUnlockTwiceAtOnce(t *testing.T) {
	for name, unlock := range map[string]func(l *Lock, o Owner) bool{
		"ReleaseFree": (*Lock).ReleaseFree,
		"Unlock":      func(l *Lock, o Owner) bool { return l.Unlock(o) == nil },
		"Suspend":     func(l *Lock, o Owner) bool { _, err := l.Suspend(o); return err == nil },
	} {
		l := newSegment(t, KindMutex, 0, 0, 0).Lock()
		shared, other := owner(1, 0), owner(2, 0)
		shared.Shared = true
		if !l.TakeFree(shared) {
			t.Fatal("not free")
		}
		late := whileAtItsFirstStore(func() bool { return unlock(l, shared) }, func() {
			atomic.StoreUint32(&l.line.Word, other.Word)
			atomic.StoreUint64(&l.line.Token, other.Token)
		})
		if late || !l.Holds(other) {
			t.Errorf("%s: unlocked %v, the next owner has it still %v", name, late, l.Holds(other))
		}
	}
	l := newRWLock(t)
	shared, other := SharedRWOwner(client(1)), rwOwner(2, 1)
	ok(t, l.tryWrite(shared))
	late := whileAtItsFirstStore(func() bool { return l.WriteUnlock(shared) == nil }, func() {
		atomic.StoreUint32(l.word, rwlockHeld|other.writer())
		atomic.StoreUint64(&l.lines.Token, other.token)
	})
	if has := l.writes(other, load32(l.word)); late || !has {
		t.Errorf("WriteUnlock: unlocked %v, the next writer is inside still %v", late, has)
	}
}

// whileAtItsFirstStore runs act, and change while act is about to make its first store;
// what act says.
func whileAtItsFirstStore(act func() bool, change func()) bool {
	said := make(chan bool)
	storeMu.Lock()
	go func() { said <- act() }()
	await(func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for one := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(one, "whileAtItsFirstStore.func") && strings.Contains(one, "sync.(*Mutex).Lock") {
				return true
			}
		}
		return false
	})
	change()
	storeMu.Unlock()
	return <-said
}
