package shm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// The word of an event with manual reset; include/shmd_abi.h draws its bit table.
const (
	eventSet            uint32 = 1
	eventWaiters        uint32 = 2
	eventGenerationMask uint32 = 0xfffffffc
	eventGenerationUnit uint32 = 4
	// eventRemoved stands in the word of a destroyed event for ever. No protocol
	// makes it: set and waiters exclude each other.
	eventRemoved uint32 = 0xffffffff
)

// Event is waited for until it is set. There are two sorts, chosen by FlagAutoReset:
//
//	manual  stays set until somebody resets it, and all waits end. A set or a pulse
//	        releases whoever was waiting, whatever comes after it.
//	auto    one wait ends for each set, and takes the set with it; setting one that is
//	        set changes nothing. The word is that of a semaphore of at most one permit.
//
// The protocols are tests/models/event.pml and semaphore.pml (MAX=1 RESET); crash rules stand
// in recover.go. Nobody owns an event, so nothing of it is lost with a client. Not fair.
// Safe for concurrent use.
//
// Errors that any method may return: status.Removed, and but for IsSet Permission
// (read-only mapping) and Invalid (an actor without a seat).
type Event struct {
	seg  *Segment
	word *uint32     // immutable; points into the segment
	auto *permitWord // immutable; nil = manual
	set  uint32      // immutable; the bits of the word that say that it is set
	spin spinner
}

// Event returns a view of the event. Several views are correct too.
func (s *Segment) Event() *Event {
	e := &Event{seg: s, word: &kindLines[EventLines](s).Word, set: eventSet}
	if s.geometry.Flags.Has(FlagAutoReset) {
		e.auto = &permitWord{seg: s, word: e.word, maximum: 1}
		e.set = semaphorePermits
	}
	return e
}

// initEvent sets an event that begins set; nobody else sees the segment yet.
func (s *Segment) initEvent() {
	if s.geometry.Initial == 0 {
		return
	}
	word := &kindLines[EventLines](s).Word
	*word = eventSet
	if s.geometry.Flags.Has(FlagAutoReset) {
		*word = semaphoreStep
	}
}

// eventOver reports whether a wait that began with the word first is over.
func eventOver(x, first uint32) bool {
	return x&eventSet != 0 || (x^first)&eventGenerationMask != 0 // the tombstone is set
}

// EventMoment is when a wait began, as the event knows it.
type EventMoment uint32

// Moment is now, for WaitSince.
func (e *Event) Moment() EventMoment { return EventMoment(load32(e.word)) }

// Wait waits until the event is set, up to timeout: negative = for ever, 0 = not at
// all, which is status.WouldBlock. Ends with status.TimedOut at the timeout or ctx's
// deadline and with status.Cancelled when ctx is cancelled; then nothing was taken.
func (e *Event) Wait(ctx context.Context, p *Parker, a Actor, timeout time.Duration) error {
	return e.WaitSince(ctx, p, a, e.Moment(), timeout)
}

// WaitSince is Wait for one who has been waiting since then: with manual reset, that
// the event was set or pulsed meanwhile ends the wait at once.
func (e *Event) WaitSince(ctx context.Context, p *Parker, a Actor, since EventMoment, timeout time.Duration) error {
	if err := e.seg.admits(a.Seat); err != nil {
		return err
	}
	if e.auto != nil {
		return e.auto.acquire(ctx, p, a, timeout)
	}
	first := uint32(since)
	deadline := int64(0)
	if !eventOver(load32(e.word), first) {
		if timeout == 0 {
			return status.WouldBlock
		}
		deadline = deadlineWithin(ctx, timeout)
		e.spin.forActor(a, e.word, func(x uint32) bool { return eventOver(x, first) })
	}
	for turn := 0; ; turn++ {
		x := atomic.LoadUint32(e.word)
		switch {
		case x == eventRemoved:
			return status.Removed
		case eventOver(x, first):
			return nil
		}
		if turn > 0 {
			if err := endedBy(ctx, deadline); err != nil {
				return err // without a duty: whoever clears the bit wakes all
			}
		}
		if x&eventWaiters == 0 {
			if !cas32(e.word, x, x|eventWaiters) {
				continue
			}
			x |= eventWaiters
		}
		switch e.seg.sleep(ctx, p, a.Seat, e.word, x, deadline) {
		case expired:
			return status.TimedOut
		case cancelled:
			return endOf(ctx)
		}
	}
}

// Set sets the event and wakes who waits for it: all, or one with auto reset.
func (e *Event) Set(a Actor) error {
	if err := e.seg.admits(a.Seat); err != nil {
		return err
	}
	if e.auto != nil {
		return e.auto.fill()
	}
	return e.release(eventSet)
}

// Pulse releases who waits now, and nobody later. It needs manual reset:
// status.Unsupported.
func (e *Event) Pulse(a Actor) error {
	if err := e.seg.admits(a.Seat); err != nil {
		return err
	}
	if e.auto != nil {
		return status.New(status.Unsupported, "", "pulse of an event with auto reset: set it, or create it without")
	}
	return e.release(0)
}

// release moves the word to the next generation, set or not, and wakes all. To set
// what is set is a read-modify-write all the same: after a load alone, what was
// written before this set and a reset with a look at it could miss each other.
func (e *Event) release(set uint32) error {
	for {
		x := atomic.LoadUint32(e.word)
		next := x&eventGenerationMask + eventGenerationUnit | set
		switch {
		case x == eventRemoved:
			return status.Removed
		case x&set != 0:
			next = x // and nobody waits
		}
		if cas32(e.word, x, next) { // pairs with the look of Wait, and with Reset
			if x&eventWaiters != 0 {
				futexWakeN(e.word, futexAll)
			}
			return nil
		}
	}
}

// Reset takes the set back. Who waited before it was reset is released all the same,
// but for auto reset: there it takes the set from whoever comes.
func (e *Event) Reset(a Actor) error {
	if err := e.seg.admits(a.Seat); err != nil {
		return err
	}
	if e.auto != nil {
		return e.auto.drain()
	}
	for {
		x := atomic.LoadUint32(e.word)
		switch {
		case x == eventRemoved:
			return status.Removed
		case x&eventSet == 0 || cas32(e.word, x, x&^eventSet):
			return nil
		}
	}
}

// IsSet is a look at the event that holds nothing still.
func (e *Event) IsSet() (bool, error) {
	set, live := e.Look()
	if !live {
		return false, status.Removed
	}
	return set, nil
}

// Look is IsSet with live = false instead of the error.
func (e *Event) Look() (set, live bool) {
	x := atomic.LoadUint32(e.word)
	return x&e.set != 0, x != eventRemoved // of both sorts
}

// Waiters reports whether somebody may sleep.
func (e *Event) Waiters() bool {
	bit := eventWaiters
	if e.auto != nil {
		bit = semaphoreWaiters
	}
	x := atomic.LoadUint32(e.word)
	return x != eventRemoved && x&bit != 0
}

// recover repeats the wake-ups that may have died with a client.
func (e *Event) recover() (held, done bool) {
	switch {
	case !wakesAnyway:
	case e.auto != nil:
		e.auto.pass()
	default:
		futexWakeN(e.word, futexAll)
	}
	return false, true
}

// remove ends every wait; the state is stored already.
func (e *Event) remove() bool {
	if e.auto != nil {
		e.auto.remove()
		return true
	}
	store32(e.word, eventRemoved)
	futexWakeN(e.word, futexAll)
	return true
}
