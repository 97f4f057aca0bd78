package shm

import (
	"sync"
	"testing"

	"github.com/shmd/shmd/status"
)

// bound is a condition and its mutex, on the heap, in epoch 1.
type bound struct {
	c *Condition
	l *Lock
	p *Parker
}

func newCondition(t *testing.T, flags Flags) bound {
	t.Helper()
	return newConditionWith(t, flags, ParkerOptions{})
}

func newConditionWith(t *testing.T, flags Flags, o ParkerOptions) bound {
	t.Helper()
	g, err := NewConditionGeometry(SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	l := newSegment(t, KindMutex, 0, 0, flags).Lock()
	return bound{NewHeapSegment(g, 1).Condition(l), l, NewParker(o)}
}

// view is the same objects as another process has them.
func (b bound) view() bound {
	l := b.l.seg.Lock()
	return bound{b.c.seg.Condition(l), l, b.p}
}

func (b bound) lock(t *testing.T, seat uint16) {
	t.Helper()
	if _, err := b.l.LockWait(background, b.p, owner(seat, 0), -1); err != nil {
		t.Error(err)
	}
}

func (b bound) unlock(t *testing.T, seat uint16) {
	t.Helper()
	if err := b.l.Unlock(owner(seat, 0)); err != nil {
		t.Error(err)
	}
}

func (b bound) wait(seat uint16) (*Notice, error) {
	return b.c.Wait(background, background, b.p, actor(seat), owner(seat, 0), -1)
}

func (b bound) notify(t *testing.T, seat uint16, n int) {
	t.Helper()
	if err := b.c.Notify(actor(seat), owner(seat, 0), n); err != nil {
		t.Error(err)
	}
}

// A bounded buffer between producers and consumers, each of which waits for its own
// predicate: nothing is lost, and nobody is left asleep.
func TestConditionBuffer(t *testing.T) {
	for _, o := range []ParkerOptions{{}, {DirectMax: 1}, {DirectMax: 1, WithoutWaitv: true}} {
		const size, threads, rounds = 2, 3, 200
		b := newConditionWith(t, 0, o)
		room := newConditionWith(t, 0, o)
		room.c.mutex, room.l = b.l, b.l
		items, made, taken := 0, 0, 0 // not atomic: the race detector proves the exclusion
		var wg sync.WaitGroup
		for i := range threads {
			me := uint16(i + 1)
			wg.Go(func() {
				for range rounds {
					b.lock(t, me)
					for items == size {
						if _, err := room.wait(me); err != nil {
							t.Error(err)
						}
					}
					items, made = items+1, made+1
					b.notify(t, me, 1)
					b.unlock(t, me)
				}
			})
			you := uint16(i + 11)
			wg.Go(func() {
				for range rounds {
					b.lock(t, you)
					for items == 0 {
						if _, err := b.wait(you); err != nil {
							t.Error(err)
						}
					}
					items, taken = items-1, taken+1
					room.notify(t, you, 1)
					b.unlock(t, you)
				}
			})
		}
		wg.Wait()
		if made != threads*rounds || taken != made || items != 0 {
			t.Errorf("%+v: %d made, %d taken, %d left", o, made, taken, items)
		}
	}
}

func TestConditionNeedsItsMutex(t *testing.T) {
	b := newCondition(t, 0)
	if _, err := b.wait(1); err != status.NotOwner {
		t.Errorf("wait: %v", err)
	}
	if err := b.c.Notify(actor(1), owner(1, 0), 1); err != status.NotOwner {
		t.Errorf("notify: %v", err)
	}
}
