package shm

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// bound is a condition and its mutex, as one process has them.
type bound struct {
	c *Condition
	l *Lock
	p *Parker
}

// newCondition makes a condition and its mutex on the heap, in epoch 1.
func newCondition(t *testing.T, flags Flags, o ParkerOptions) bound {
	t.Helper()
	g, err := NewConditionGeometry(SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	l := newSegment(t, KindMutex, 0, 0, flags).Lock()
	return bound{NewHeapSegment(g, 1).Condition(l), l, NewParker(o)}
}

// another is a further condition of the same mutex.
func (b bound) another(t *testing.T) bound {
	t.Helper()
	g, err := NewConditionGeometry(SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return bound{NewHeapSegment(g, 1).Condition(b.l), b.l, b.p}
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

func (b bound) waitFor(ctx context.Context, seat uint16, timeout time.Duration) (*Notice, error) {
	return b.c.Wait(ctx, background, b.p, actor(seat), owner(seat, 0), timeout)
}

func (b bound) wait(seat uint16) (*Notice, error) { return b.waitFor(background, seat, -1) }

func (b bound) notify(t *testing.T, seat uint16, n int) {
	t.Helper()
	if err := b.c.Notify(actor(seat), owner(seat, 0), n); err != nil {
		t.Error(err)
	}
}

func (b bound) lockNotifyUnlock(t *testing.T, seat uint16, n int) {
	t.Helper()
	b.lock(t, seat)
	b.notify(t, seat, n)
	b.unlock(t, seat)
}

// answer is what a wait said, and whether its caller held the mutex after it.
type answer struct {
	n    *Notice
	err  error
	held bool
}

// sleeper starts a client that locks the mutex depth times, waits once, and unlocks as often.
// It returns when that sleeps, or has ended.
func (b bound) sleeper(t *testing.T, ctx context.Context, seat uint16, timeout time.Duration, depth int) <-chan answer {
	t.Helper()
	ended := make(chan answer, 1)
	view, o := b.view(), owner(seat, 0)
	for range depth {
		if _, err := b.l.LockWait(background, b.p, o, -1); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		n, err := view.waitFor(ctx, seat, timeout)
		a := answer{n, err, true}
		for range depth {
			a.held = a.held && view.l.Holds(o)
			if a.held {
				view.unlock(t, seat)
			}
		}
		if view.l.Holds(o) && !view.l.unlockAny {
			t.Errorf("seat %d holds the mutex deeper than before", seat)
		}
		ended <- a
	}()
	await(func() bool { return b.c.seg.Waiting(seat) == 1 || len(ended) == 1 })
	return ended
}

func (a answer) want(t *testing.T, what string, err error, held bool) {
	t.Helper()
	if !errors.Is(a.err, err) || err == nil && a.err != nil || a.held != held {
		t.Errorf("%s: %v, held %v; want %v, held %v", what, a.err, a.held, err, held)
	}
}

// What is refused, or would block, changes nothing.
func TestConditionRefuses(t *testing.T) {
	wait := func(timeout time.Duration) func(b bound) error {
		return func(b bound) error { _, err := b.waitFor(background, 1, timeout); return err }
	}
	notify := func(n int) func(b bound) error {
		return func(b bound) error { return b.c.Notify(actor(1), owner(1, 0), n) }
	}
	gone, cancel := context.WithCancel(background)
	cancel()
	for _, c := range []struct {
		name    string
		prepare func(b bound)
		do      func(b bound) error
		want    status.Code
	}{
		{"wait, and it is free", func(b bound) { b.unlock(t, 1) }, wait(-1), status.NotOwner},
		{"notify, and it is free", func(b bound) { b.unlock(t, 1) }, notify(1), status.NotOwner},
		{"wait, and another has it", nil, func(b bound) error { _, err := b.wait(2); return err }, status.NotOwner},
		{"wait, and another thread has it", nil, func(b bound) error {
			_, err := b.c.Wait(background, background, b.p, actor(1), owner(1, 7), -1)
			return err
		}, status.NotOwner},
		{"notify, and another has it", nil,
			func(b bound) error { return b.c.Notify(actor(2), owner(2, 0), 1) }, status.NotOwner},
		{"notify 0", nil, notify(0), status.Invalid},
		{"notify -1", nil, notify(-1), status.Invalid},
		{"try", nil, wait(0), status.WouldBlock},
		{"cancelled before", nil,
			func(b bound) error { _, err := b.waitFor(gone, 1, -1); return err }, status.Cancelled},
		{"read-only wait", func(b bound) { b.c.seg.readOnly = true }, wait(-1), status.Permission},
		{"read-only notify", func(b bound) { b.c.seg.readOnly = true }, notify(1), status.Permission},
		{"wait, read-only mutex", func(b bound) { b.l.seg.readOnly = true }, wait(-1), status.Permission},
		{"notify, read-only mutex", func(b bound) { b.l.seg.readOnly = true }, notify(1), status.Permission},
		{"nobody", nil, func(b bound) error { return b.c.Notify(Actor{}, owner(1, 0), 1) }, status.Invalid},
		{"destroyed, wait", func(b bound) { b.c.seg.Remove() }, wait(-1), status.Removed},
		{"destroyed, notify", func(b bound) { b.c.seg.Remove() }, notify(1), status.Removed},
		{"no mutex any more, wait", func(b bound) { b.l.seg.Remove() }, wait(-1), status.Removed},
		{"no mutex any more, notify", func(b bound) { b.l.seg.Remove() }, notify(1), status.Removed},
		{"notify, and nobody waits", nil, notify(math.MaxInt), status.OK},
	} {
		b := newCondition(t, 0, ParkerOptions{})
		b.lock(t, 1)
		if c.prepare != nil {
			c.prepare(b)
		}
		condition, mutex := string(b.c.seg.mem), string(b.l.seg.mem)
		if err := c.do(b); status.Of(err) != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if string(b.c.seg.mem) != condition || string(b.l.seg.mem) != mutex {
			t.Errorf("%s: something was changed", c.name)
		}
	}
}

// The mutex is held again as before, however often that was, and in between it is free.
func TestConditionRestoresTheMutex(t *testing.T) {
	for flags, depth := range map[Flags]int{0: 1, FlagRecursive: 3, FlagStrict | FlagRecursive: 2, FlagUnlockAny: 1} {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			b := newCondition(t, flags, o)
			one := b.sleeper(t, background, 1, -1, depth)
			ctx, cancel := context.WithCancel(background)
			two := b.sleeper(t, ctx, 2, -1, depth)
			cancel()
			(<-two).want(t, "cancelled", status.Cancelled, true)
			(<-b.sleeper(t, background, 3, time.Millisecond, depth)).want(t, "timed out", status.TimedOut, true)
			short, end := context.WithTimeout(background, time.Millisecond)
			(<-b.sleeper(t, short, 4, -1, depth)).want(t, "ctx's deadline", status.TimedOut, true)
			end()
			b.lockNotifyUnlock(t, 5, 1)
			(<-one).want(t, "notified", nil, true)
			for seat := range uint16(6) {
				if n := b.c.seg.Waiting(seat); n != 0 {
					t.Errorf("%d of seat %d still wait, as the seat cell says", n, seat)
				}
			}
		})
	}
}

// Who polls with timeouts that are over at once lets others have the mutex all the same.
func TestConditionPollLetsOthersIn(t *testing.T) {
	b := newCondition(t, 0, ParkerOptions{})
	b.lock(t, 1)
	other := b.view()
	var done atomic.Bool
	go func() {
		other.lock(t, 2)
		done.Store(true)
		other.unlock(t, 2)
	}()
	await(func() bool {
		_, err := b.waitFor(background, 1, 1)
		if err != status.TimedOut {
			t.Error(err)
		}
		return done.Load() || err != status.TimedOut
	})
	b.unlock(t, 1)
}

// A notify wakes as many as it says of those who sleep; then it is free of calls again.
func TestConditionNotifies(t *testing.T) {
	for _, n := range []int{1, 2, 4, 5, math.MaxInt} {
		const sleepers = 4
		b := newCondition(t, 0, ParkerOptions{DirectMax: sleepers})
		var threads [sleepers]thread
		var awake atomic.Int32
		var wg sync.WaitGroup
		for i := range threads {
			seat, view := uint16(i+1), b.view()
			wg.Go(func() {
				threads[i].bind()
				view.lock(t, seat)
				if _, err := view.wait(seat); err != nil {
					t.Error(err)
				}
				awake.Add(1)
				view.unlock(t, seat)
			})
		}
		futex := futexWord32(b.c.ec.word)
		asleep := func() (count int) {
			for i := range threads {
				if threads[i].asleepOn(t, futex) {
					count++
				}
			}
			return count
		}
		await(func() bool { return asleep() == sleepers })
		b.lockNotifyUnlock(t, 9, n)
		want := min(n, sleepers)
		await(func() bool { return int(awake.Load()) >= want })
		if left := asleep(); left != sleepers-want {
			t.Errorf("notify %d: %d of %d sleep on", n, left, sleepers)
		}
		if more := n <= sleepers; b.c.Waiters() != more {
			t.Errorf("notify %d: waiters %v", n, !more)
		}
		b.lockNotifyUnlock(t, 9, math.MaxInt)
		wg.Wait()
		if b.c.Waiters() {
			t.Error("the waiters bit is left set")
		}
	}
}

// Who is cancelled just when it has been notified wakes another.
func TestConditionPassesOn(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		b := newCondition(t, 0, o)
		var asleep thread
		other := make(chan error)
		go func() {
			asleep.bind()
			view := b.view()
			view.lock(t, 2)
			_, err := view.wait(2)
			view.unlock(t, 2)
			other <- err
		}()
		await(func() bool { return asleep.asleepOn(t, futexWord32(b.c.ec.word)) })
		b.lock(t, 1)
		if _, err := b.waitFor(notified(b), 1, -1); err != status.Cancelled {
			t.Error(err)
		}
		b.unlock(t, 1)
		if err := <-other; err != nil {
			t.Error(err)
		}
	})
}

// notified is a context that ends just when the waiter to which it belongs is notified.
func notified(b bound) context.Context {
	looks := 0
	return hooked{background, func() error {
		switch looks++; looks {
		case 1: // before the announcement
			return nil
		case 2:
			add64(b.c.ec.word, eventcountStep)
		}
		return context.Canceled
	}}
}

// Destroying the condition ends the waits, with the mutex held again. Destroying the mutex
// does when the condition is alarmed, and then there is none to hold.
func TestConditionRemoved(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		for name, destroy := range map[string]func(b bound){
			"condition": func(b bound) { b.c.seg.Remove(); b.c.seg.Remove() },
			"mutex":     func(b bound) { b.l.seg.Remove(); b.c.seg.Condition(nil).Alarm() },
		} {
			b := newCondition(t, FlagRecursive, o)
			var all []<-chan answer
			for seat := uint16(1); seat <= 3; seat++ {
				all = append(all, b.sleeper(t, background, seat, -1, 2))
			}
			destroy(b)
			for _, ended := range all {
				(<-ended).want(t, name, status.Removed, name == "condition")
			}
		}
	})
}

// Whatever is destroyed between the look and the announcement of a waiter, it does not sleep.
func TestConditionRemovedBeforeTheAnnouncement(t *testing.T) {
	for name, destroy := range map[string]func(b bound){
		"condition": func(b bound) { b.c.seg.Remove() },
		"mutex":     func(b bound) { b.l.seg.Remove(); b.c.Alarm() },
	} {
		b := newCondition(t, 0, ParkerOptions{})
		b.lock(t, 1)
		looks := 0
		ctx := hooked{background, func() error {
			if looks++; looks == 1 {
				destroy(b)
			}
			return nil
		}}
		_, err := b.waitFor(ctx, 1, -1)
		answer{nil, err, b.l.Holds(owner(1, 0))}.want(t, name, status.Removed, name == "condition")
	}
}

// A wait that begins too late is one that ends at once: the mutex is taken again, and a
// death in it is told of.
func TestConditionTooLateBefore(t *testing.T) {
	late, end := context.WithDeadline(background, time.Now())
	defer end()
	b := newCondition(t, 0, ParkerOptions{})
	b.lock(t, 9)
	b.die(t, 9)
	if n, err := b.l.LockWait(background, b.p, owner(1, 0), -1); err != nil || n == nil {
		t.Fatal(n, err)
	}
	n, err := b.waitFor(late, 1, -1)
	answer{n, err, b.l.Holds(owner(1, 0))}.want(t, "too late", status.TimedOut, true)
	if n == nil || n.Seat != 9 {
		t.Errorf("the notice is %+v", n)
	}
}

// A relock that must not last for ever ends the wait with an error that cannot be taken for
// one with the mutex held, and the wake goes to another.
func TestConditionRelockEnds(t *testing.T) {
	for name, relock := range map[string]func() (context.Context, context.CancelFunc){
		"cancelled": func() (context.Context, context.CancelFunc) { return context.WithCancel(background) },
		"timed out": func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(background, time.Now())
		},
	} {
		b := newCondition(t, 0, ParkerOptions{})
		ctx, cancel := relock()
		ended := make(chan answer)
		for seat := uint16(1); seat <= 2; seat++ {
			b.lock(t, seat)
			go func() {
				n, err := b.c.Wait(background, ctx, b.p, actor(seat), owner(seat, 0), -1)
				ended <- answer{n, err, b.l.Holds(owner(seat, 0))}
			}()
			await(func() bool { return b.c.seg.Waiting(seat) == 1 })
		}
		b.lock(t, 3)
		b.notify(t, 3, 1) // wakes one, who wakes the other
		cancel()
		for range 2 {
			got := <-ended
			got.want(t, name, status.Closed, false)
			if errors.Is(got.err, status.Cancelled) || errors.Is(got.err, status.TimedOut) ||
				!strings.Contains(got.err.Error(), "mutex") {
				t.Errorf("%s: %v", name, got.err)
			}
		}
		b.unlock(t, 3)
	}
}

// With unlock_any somebody may unlock the mutex under a notifier, and another may announce
// itself and sleep before the notifier clears the bit.
func TestConditionUnlockedUnderANotifier(t *testing.T) {
	b := newCondition(t, FlagUnlockAny, ParkerOptions{})
	late := b.sleeper(t, background, 1, -1, 1)
	b.c.nobodySleeps() // as the notifier believes
	(<-late).want(t, "late", nil, true)
	if b.c.Waiters() {
		t.Error("the waiters bit is left set")
	}
}
