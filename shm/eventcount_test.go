package shm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// stock is the object of tests/models/eventcount.pml: a count of things, from
// which items is derived under a latch, and an eventcount to wait for one.
type stock struct {
	seg          *Segment
	latch        *Latch
	ec           eventcount
	count, items *uint64 // authoritative; derived, and what the predicate looks at
	inside       *int    // not atomic: the race detector proves the exclusion
	die          int     // after which step of give to die; 0 = live
}

var errDead = errors.New("died here")

// stockWord is the n-th word of the segment's data area.
func stockWord(s *Segment, n int) *uint64 { return (*uint64)(unsafe.Pointer(&s.Data()[n*8])) }

func stockOf(s *Segment) *stock {
	return &stock{seg: s, latch: s.Latch(futexWord32(stockWord(s, 0))), ec: eventcount{stockWord(s, 1)},
		count: stockWord(s, 2), items: stockWord(s, 3), inside: new(int)}
}

func newStock(t *testing.T) *stock {
	t.Helper()
	return stockOf(newSegment(t, KindArray, ctypes.CodeULongLong, 8, FlagLockNone))
}

func (o *stock) rebuild() { store64(o.items, atomic.LoadUint64(o.count)) }

func (o *stock) enter(found uint32) error {
	if !isFree(found) {
		o.rebuild()
	}
	*o.inside++
	if count, items := atomic.LoadUint64(o.count), atomic.LoadUint64(o.items); count != items {
		return fmt.Errorf("%d in stock, %d derived", count, items)
	}
	return nil
}

const giveSteps = 5

func (o *stock) give(ctx context.Context, p *Parker, me uint32, n uint64) error {
	found, err := o.latch.Latch(ctx, p, me, 0)
	if err != nil {
		return err
	}
	if err := o.enter(found); err != nil {
		return err
	}
	if o.die == 1 {
		return errDead
	}
	store64(o.count, atomic.LoadUint64(o.count)+n) // the commit
	if o.die == 2 {
		return errDead
	}
	store64(o.items, atomic.LoadUint64(o.items)+n)
	if o.die == 3 {
		return errDead
	}
	due := o.ec.signal()
	if o.die == 4 {
		return errDead
	}
	if err := o.latch.Unlatch(me); err != nil {
		return err
	}
	if o.die == 5 {
		return errDead
	}
	if due {
		o.ec.wake(int(n))
	}
	return nil
}

// take takes one; duty = as somebody who was just woken.
func (o *stock) take(ctx context.Context, p *Parker, me uint32, deadline int64, duty bool) error {
	for {
		found, err := o.latch.Latch(ctx, p, me, deadline)
		if err != nil {
			if duty {
				o.ec.wake(1)
			}
			return err
		}
		if err := o.enter(found); err != nil {
			return err
		}
		if items := atomic.LoadUint64(o.items); items > 0 {
			store64(o.count, atomic.LoadUint64(o.count)-1) // the commit
			store64(o.items, items-1)
			due := duty && o.ec.settle(items > 1)
			if err := o.latch.Unlatch(me); err != nil {
				return err
			}
			if due {
				o.ec.wake(1)
			}
			return nil
		}
		announced := o.ec.announce()
		if err := o.latch.Unlatch(me); err != nil {
			return err
		}
		if o.seg.State() == StateRemoved { // after the announcement
			return status.Removed
		}
		o.seg.announce(me, 1)
		duty, err = o.ec.sleep(ctx, p, announced, deadline)
		o.seg.announce(me, ^uint32(0))
		if err != nil {
			return err
		}
	}
}

// restore is the recovery of one death.
func (o *stock) restore(me uint32, alive func(uint32) bool) error {
	if _, ok := o.latch.Steal(me, alive); !ok {
		return status.WouldBlock
	}
	o.rebuild()
	o.ec.rebuilt()
	if err := o.latch.Restore(me); err != nil {
		return err
	}
	o.ec.wake(futexAll)
	return nil
}

// Consumers that come and go, time out and are cancelled, beside producers: what
// was given is taken exactly once, and nobody sleeps beside an item.
func TestEventcountDeliversAll(t *testing.T) {
	for _, direct := range []int{1, 16} {
		o := newStock(t)
		p := NewParker(ParkerOptions{DirectMax: direct})
		const producers, consumers, rounds = 3, 4, 200
		var taken atomic.Uint64
		var wg sync.WaitGroup
		for i := range producers {
			wg.Go(func() {
				for r := range rounds {
					if err := o.give(context.Background(), p, client(uint16(i+1)), uint64(1+r%3)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		const total = producers * (rounds/3*6 + 1 + 2)
		done, stop := context.WithCancel(context.Background())
		defer stop()
		for i := range consumers {
			wg.Go(func() {
				for n := 0; done.Err() == nil; n++ {
					ctx, cancel := context.WithCancel(done)
					deadline := int64(0)
					switch (n + i) % 4 {
					case 0:
						deadline = monotonicNs() + int64(20*time.Microsecond)
					case 1:
						go cancel()
					}
					err := o.take(ctx, p, client(uint16(i+10)), deadline, false)
					cancel()
					switch {
					case err == nil:
						if taken.Add(1) == total {
							stop()
						}
					case err != status.TimedOut && err != status.Cancelled:
						t.Error(err)
						stop()
					}
				}
			})
		}
		wg.Wait()
		if taken.Load() != total || *o.count != 0 || *o.items != 0 {
			t.Errorf("direct %d: %d of %d taken, %d in stock", direct, taken.Load(), total, *o.count)
		}
		// One past contention does not cost a system call for ever.
		o.ec.signal()
		if o.ec.signal() || o.ec.load()&eventcountWaiters != 0 {
			t.Error("the waiters bit is left set by a signal")
		}
	}
}

// Three sleep, one signal wakes one and clears the bit, and the woken arms it
// again for the others: were it not for that, the second give would wake nobody.
func TestEventcountRearms(t *testing.T) {
	o := newStock(t)
	p := NewParker(ParkerOptions{})
	ended := make(chan error)
	for seat := uint16(2); seat < 5; seat++ {
		go func() { ended <- stockOf(o.seg).take(context.Background(), p, client(seat), 0, false) }()
		await(func() bool { return o.seg.Waiting(seat) == 1 })
	}
	for range 3 {
		if err := o.give(context.Background(), p, client(1), 1); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// The woken arms the word again; if there is more, it passes the wake on instead,
// for signals may have found the bit clear meanwhile.
func TestEventcountSettles(t *testing.T) {
	for _, more := range []bool{false, true} {
		for _, word := range []uint64{6, 7} { // armed again already, or not
			w := word
			due := eventcount{&w}.settle(more)
			if want := word | eventcountWaiters; !more && (due || w != want) {
				t.Errorf("%#x, no more: %#x, wake %v", word, w, due)
			}
			if more && (!due || w != 8) {
				t.Errorf("%#x, more: %#x, wake %v", word, w, due)
			}
		}
	}
}

// A sleeper that is cancelled may have eaten a wake, so it wakes another.
func TestEventcountCancelledPassesOn(t *testing.T) {
	o := newStock(t)
	p := NewParker(ParkerOptions{})
	word := o.ec.announce()
	woken := make(chan bool, 1)
	go func() {
		duty, err := o.ec.sleep(context.Background(), p, word, 0)
		woken <- duty && err == nil
	}()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		if duty, err := o.ec.sleep(gone, p, word, 0); duty || err != status.Cancelled {
			t.Fatalf("the cancelled: duty %v, %v", duty, err)
		}
		select {
		case ok := <-woken:
			if !ok {
				t.Error("the other does not know that it was woken")
			}
			return
		default: // not asleep yet
			runtime.Gosched()
		}
	}
}

// A producer dies after each of its steps, while somebody sleeps: recovery of the
// death delivers what was committed, and nothing else.
func TestEventcountDeath(t *testing.T) {
	for die := 1; die <= giveSteps; die++ {
		o := newStock(t)
		p := NewParker(ParkerOptions{})
		ended := make(chan error)
		go func() { ended <- stockOf(o.seg).take(context.Background(), p, client(2), 0, false) }()
		await(func() bool { return o.seg.Waiting(2) == 1 })
		victim := stockOf(o.seg)
		victim.die = die
		if err := victim.give(context.Background(), p, client(1), 1); err != errDead {
			t.Fatal(err)
		}
		if err := o.restore(daemonOf(1), alive(2, 3)); err != nil {
			t.Fatal(err)
		}
		if die == 1 { // nothing was committed
			if err := o.give(context.Background(), p, client(3), 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ended; err != nil {
			t.Errorf("died after step %d: %v", die, err)
		}
		if *o.count != 0 || *o.items != 0 {
			t.Errorf("died after step %d: %d in stock, %d derived", die, *o.count, *o.items)
		}
	}
}

// Destroying stores the state, moves the word, and wakes; whoever was about to
// sleep finds one of the three.
func TestEventcountRemoved(t *testing.T) {
	o := newStock(t)
	p := NewParker(ParkerOptions{})
	ended := make(chan error)
	for seat := uint16(2); seat < 5; seat++ {
		go func() { ended <- stockOf(o.seg).take(context.Background(), p, client(seat), 0, false) }()
		if seat < 4 {
			await(func() bool { return o.seg.Waiting(seat) == 1 })
		}
	}
	o.seg.Remove()
	o.ec.alarm()
	for range 3 {
		if err := <-ended; err != status.Removed {
			t.Error(err)
		}
	}
}

// An alarm moves the count and clears the bit, whether it was set or not.
func TestEventcountAlarm(t *testing.T) {
	o := newStock(t)
	for _, word := range []uint64{0, 1, 6, 7} {
		store64(o.ec.word, word)
		o.ec.alarm()
		if got := o.ec.load(); got&eventcountWaiters != 0 || eventcountOf(got) != eventcountOf(word)+1 {
			t.Errorf("%d becomes %d", word, got)
		}
	}
}
