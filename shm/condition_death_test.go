package shm

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// die is the recovery of a client in both objects, as often as the daemon may need.
func (b bound) die(t *testing.T, seat uint16) {
	t.Helper()
	v := victimOf(seat)
	for range 2 {
		v.HeldForeign = v.HeldForeign || b.l.seg.HeldBy(v.Owner)
		if _, done := b.l.seg.Recover(v); !done {
			t.Error("the mutex is not recovered")
		}
		if held, done := b.c.seg.Recover(v); held || !done {
			t.Error("the condition:", held, done)
		}
	}
}

// A notifier may die with the mutex, between its store and its wake; a waiter between its
// wake and what it was woken for. All others wake up, with the notice.
func TestConditionDeathWakesAll(t *testing.T) {
	for name, half := range map[string]func(b bound){
		"before the notify": func(b bound) {},
		"before the wake":   func(b bound) { add64(b.c.ec.word, eventcountStep) },
		"after the wake":    func(b bound) { b.c.notify(1) },
	} {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			b := newCondition(t, 0, o)
			var all []<-chan answer
			for seat := uint16(1); seat <= 3; seat++ {
				all = append(all, b.sleeper(t, background, seat, -1, 1))
			}
			b.lock(t, 9)
			half(b)
			b.die(t, 9)
			for _, ended := range all {
				got := <-ended
				got.want(t, name, nil, true)
				if got.n == nil || got.n.Seat != 9 {
					t.Errorf("%s: notice %+v", name, got.n)
				}
			}
		})
	}
	b := newCondition(t, 0, ParkerOptions{})
	other := b.sleeper(t, background, 1, -1, 1)
	b.die(t, 2) // was woken
	(<-other).want(t, "the other one", nil, true)
}

// A notice stands beside the error of a wait, and the mutex is held.
func TestConditionNoticeBesideAnError(t *testing.T) {
	for _, want := range []status.Code{status.Cancelled, status.TimedOut, status.Removed} {
		b := newCondition(t, 0, ParkerOptions{})
		ctx, end := context.WithCancel(background)
		if want == status.TimedOut {
			ctx, end = context.WithTimeout(background, 5*time.Millisecond)
		}
		ended := b.sleeper(t, ctx, 1, -1, 1)
		b.lock(t, 9)
		if _, done := b.l.seg.Recover(victimOf(9)); !done {
			t.Error("the mutex is not recovered")
		}
		switch want {
		case status.Cancelled:
			end()
		case status.Removed:
			b.c.seg.Remove()
		}
		got := <-ended
		end()
		// A timeout may have come before the death.
		if late := want == status.TimedOut && got.n == nil; !late {
			got.want(t, want.Name(), want, true)
			if got.n == nil || got.n.Seat != 9 {
				t.Errorf("%s: notice %+v", want.Name(), got.n)
			}
		}
	}
}

// Who leaves in good order moves nothing, unless it had the mutex.
func TestConditionOrderlyEnd(t *testing.T) {
	for _, foreign := range []bool{false, true} {
		b := newCondition(t, 0, ParkerOptions{})
		before := b.c.ec.load()
		v := victimOf(1)
		v.Orderly, v.HeldForeign = true, foreign
		if held, done := b.c.seg.Recover(v); held || !done {
			t.Error(held, done)
		}
		if moved := b.c.ec.load() != before; moved != foreign {
			t.Errorf("held foreign %v: moved %v", foreign, moved)
		}
	}
}

// A strict mutex is poisoned by who waits without having repaired what it guards, as by
// who unlocks. Then nobody can notify, so that nobody goes on waiting.
func TestConditionPoisons(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		b := newCondition(t, FlagStrict|FlagRecursive, o)
		var all []<-chan answer
		for seat := uint16(1); seat <= 3; seat++ {
			all = append(all, b.sleeper(t, background, seat, -1, 2))
		}
		b.lock(t, 9)
		if _, done := b.l.seg.Recover(victimOf(9)); !done {
			t.Error("the mutex is not recovered")
		}
		if n, err := b.l.LockWait(background, b.p, owner(5, 0), -1); n == nil || err != nil {
			t.Errorf("heir: %v %v", n, err)
		}
		if n, err := b.wait(5); n != nil || err != status.NotRecoverable {
			t.Errorf("the heir's wait: %v %v", n, err)
		}
		for _, ended := range all {
			(<-ended).want(t, "others", status.NotRecoverable, false)
		}
		if _, err := b.l.TryLock(owner(6, 0)); err != status.NotRecoverable {
			t.Errorf("a later lock: %v", err)
		}
	})
	// Marked consistent, it is as good as new.
	b := newCondition(t, FlagStrict, ParkerOptions{})
	b.lock(t, 9)
	b.die(t, 9)
	b.lock(t, 1)
	if err := b.l.MarkConsistent(owner(1, 0)); err != nil {
		t.Error(err)
	}
	if n, err := b.waitFor(background, 1, time.Microsecond); n != nil || err != status.TimedOut {
		t.Errorf("repaired: %v %v", n, err)
	}
	b.unlock(t, 1)
}

// A bit that a dead waiter left behind costs one notify a call.
func TestConditionDeathOfAWaiter(t *testing.T) {
	b := newCondition(t, 0, ParkerOptions{})
	b.lock(t, 1)
	b.c.ec.announce()
	b.c.seg.announce(client(1), 1)
	b.die(t, 1)
	if b.c.seg.Waiting(1) != 0 {
		t.Error("the dead still waits, as its seat cell says")
	}
	b.lockNotifyUnlock(t, 2, 1)
	if b.c.Waiters() {
		t.Error("the waiters bit is left set")
	}
}

// Whatever stands in the word, every operation ends, with an answer that it documents.
func TestConditionHostileWords(t *testing.T) {
	b := newCondition(t, 0, ParkerOptions{})
	var words []uint64
	for _, w := range hostileWords() {
		words = append(words, uint64(w), uint64(w)<<32, uint64(w)<<32|uint64(^w))
	}
	for _, word := range words {
		b.lock(t, 1)
		for name, do := range map[string]func() error{
			"wait":       func() error { _, err := b.waitFor(background, 1, 1); return err },
			"notify":     func() error { return b.c.Notify(actor(1), owner(1, 0), 1) },
			"notify all": func() error { return b.c.Notify(actor(1), owner(1, 0), futexAll) },
		} {
			atomic.StoreUint64(b.c.ec.word, word)
			if err := do(); err != nil && err != status.TimedOut || !b.l.Holds(owner(1, 0)) {
				t.Errorf("%s of %#x: %v, held %v", name, word, err, b.l.Holds(owner(1, 0)))
			}
		}
		b.unlock(t, 1)
		atomic.StoreUint64(b.c.ec.word, word)
		b.c.Waiters()
		if _, done := b.c.seg.Recover(victimOf(1)); !done || b.c.ec.load() == word {
			t.Errorf("%#x is not recovered", word)
		}
	}
}

// A word that never holds still keeps nobody; one that nobody moves and that somebody wakes
// for ever keeps nobody beyond its timeout or its cancel.
func TestConditionHostileWakes(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		for name, disturb := range map[string]func(b bound){
			"flips": func(b bound) { b.c.ec.alarm() },
			"wakes": func(b bound) { b.c.ec.wake(futexAll) },
		} {
			b := newCondition(t, 0, o)
			ctx, stop := context.WithCancel(background)
			disturbing := make(chan bool)
			go func() {
				for ctx.Err() == nil {
					disturb(b)
				}
				close(disturbing)
			}()
			b.lock(t, 1)
			for range 3 {
				if _, err := b.waitFor(background, 1, 50*time.Microsecond); err != status.TimedOut &&
					(err != nil || name != "flips") {
					t.Errorf("%s, timeout: %v", name, err)
				}
				soon, cancel := context.WithCancel(background)
				go cancel()
				if _, err := b.waitFor(soon, 1, -1); err != status.Cancelled && (err != nil || name != "flips") {
					t.Errorf("%s, cancel: %v", name, err)
				}
			}
			b.unlock(t, 1)
			stop()
			<-disturbing
		}
	})
}
