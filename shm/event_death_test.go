package shm

import (
	"context"
	"math/bits"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Who sets or pulses may die between the store and the wake.
func TestEventDeathBeforeTheWake(t *testing.T) {
	for name, word := range map[string]uint32{
		"set":           eventGenerationUnit | eventSet,
		"pulse":         eventGenerationUnit,
		"set and reset": eventGenerationUnit,
	} {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			e, p := newEvent(t, false, 0), NewParker(o)
			ended := e.sleepers(p, 3)
			atomic.StoreUint32(e.word, word)
			for range 2 { // the daemon may die too
				if held, done := e.seg.Recover(victimOf(1)); held || !done {
					t.Error(name, held, done)
				}
			}
			for range 3 {
				if err := <-ended; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if *e.word != word {
				t.Errorf("%s: recovery made %#x of %#x", name, *e.word, word)
			}
		})
	}
}

// With auto reset a setter may die so, or who was woken for the set: another gets it, with
// the bit set again for the rest.
func TestEventDeathOfTheWoken(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		e, p := newEvent(t, false, FlagAutoReset), NewParker(o)
		ended := e.sleepers(p, 3)
		atomic.StoreUint32(e.word, semaphoreStep)
		if held, done := e.seg.Recover(victimOf(1)); held || !done {
			t.Error(held, done)
		}
		for i := range 3 {
			if i > 0 {
				if err := e.Set(actor(2)); err != nil {
					t.Error(err)
				}
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// The seat of the dead counts no sleepers any more, and its waits harm nobody.
func TestEventDeathOfAWaiter(t *testing.T) {
	bothResets(t, func(t *testing.T, flags Flags) {
		e := newEvent(t, false, flags)
		// As an announcement and a sleep leave it.
		e.seg.announce(client(1), 1)
		*e.word = map[Flags]uint32{0: eventWaiters, FlagAutoReset: semaphoreWaiters}[flags]
		if held, done := e.seg.Recover(victimOf(1)); held || !done || e.seg.Waiting(1) != 0 {
			t.Error(held, done, e.seg.Waiting(1))
		}
		if err := e.Set(actor(2)); err != nil {
			t.Error(err)
		}
		if set, err := e.IsSet(); !set || err != nil || e.Waiters() {
			t.Error(set, err, e.Waiters())
		}
	})
}

// hostileWords are bit patterns that a scribbler may leave.
func hostileWords() []uint32 {
	words := []uint32{0, ^uint32(0), ^uint32(0) - 1, 0xaaaaaaaa, 0x55555555, eventSet | eventWaiters}
	for i := range 32 {
		words = append(words, bits.RotateLeft32(1, i), ^bits.RotateLeft32(1, i), 1<<i-1)
	}
	return words
}

// Whatever stands in the word, every operation ends, with an answer that it documents.
func TestEventHostileWords(t *testing.T) {
	me, p := actor(1), NewParker(ParkerOptions{})
	bothResets(t, func(t *testing.T, flags Flags) {
		for _, word := range hostileWords() {
			e := newEvent(t, false, flags)
			for name, do := range map[string]func() error{
				"wait":   func() error { return e.Wait(background, p, me, 1) },
				"try":    func() error { return e.try(1) },
				"set":    func() error { return e.Set(me) },
				"reset":  func() error { return e.Reset(me) },
				"pulse":  func() error { return e.Pulse(me) },
				"is_set": func() error { _, err := e.IsSet(); return err },
			} {
				*e.word = word
				switch err := do(); status.Of(err) {
				case status.OK, status.Removed, status.TimedOut, status.WouldBlock:
				case status.Unsupported:
					if name != "pulse" || flags == 0 {
						t.Errorf("%s of %#x: %v", name, word, err)
					}
				default:
					t.Errorf("%s of %#x: %v", name, word, err)
				}
			}
			*e.word = word
			e.Waiters()
			if _, done := e.seg.Recover(victimOf(1)); !done {
				t.Errorf("%#x is not recovered", word)
			}
			if !e.seg.Remove() || *e.word != eventRemoved {
				t.Errorf("%#x is not removed", word)
			}
		}
	})
}

// hooked is a context that does something whenever somebody looks whether it has ended:
// before each sleep, and whenever a wait may have to end.
type hooked struct {
	context.Context
	look func() error
}

func (h hooked) Err() error { return h.look() }

// A word that never holds still keeps nobody beyond its timeout or its cancel.
func TestEventHostileFlipping(t *testing.T) {
	bothResets(t, func(t *testing.T, flags Flags) {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			e, p := newEvent(t, false, flags), NewParker(o)
			looks := 0
			flip := func(end error) hooked { // takes the bit away before each sleep
				return hooked{background, func() error {
					store32(e.word, 0)
					if looks++; looks%100 == 0 {
						return end
					}
					return nil
				}}
			}
			if err := e.Wait(flip(nil), p, actor(1), 50*time.Microsecond); err != status.TimedOut {
				t.Errorf("timeout: %v", err)
			}
			if err := e.Wait(flip(context.Canceled), p, actor(1), -1); err != status.Cancelled {
				t.Errorf("cancel: %v", err)
			}
		})
	})
}

// Who is cancelled just when it has been woken owes the others what a woken one does: it
// takes what there is with the bit set again, or wakes another.
func TestEventCancelledWhenWoken(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		for _, left := range []uint32{semaphoreStep, 0} { // 0: somebody was faster
			e, p := newEvent(t, false, FlagAutoReset), NewParker(o)
			other := e.sleepers(p, 1)
			ctx := hooked{background, func() error {
				atomic.StoreUint32(e.word, left) // set, which cleared the bit, and woke the caller
				return context.Canceled
			}}
			err := e.Wait(ctx, p, actor(1), -1)
			if want := map[uint32]error{0: status.Cancelled}[left]; err != want {
				t.Errorf("%d left: %v", left, err)
			}
			await(func() bool { return atomic.LoadUint32(e.word) == semaphoreWaiters })
			if err := e.Set(actor(1)); err != nil {
				t.Error(err)
			}
			if err := <-other; err != nil {
				t.Error(err)
			}
		}
	})
}
