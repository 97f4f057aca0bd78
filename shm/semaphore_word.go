package shm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// The word of a plain semaphore; include/shmd_abi.h draws its bit table.
const (
	semaphoreWaiters uint32 = 1
	semaphorePermits uint32 = 0xfffffffe
	semaphoreStep    uint32 = 2
	// semaphoreRemoved stands in the word of a destroyed semaphore for ever. No
	// protocol makes it: the waiters bit is set beside permits by a take only.
	semaphoreRemoved uint32 = 0xffffffff
)

// permitWord is the one word of a plain semaphore, and of an event with auto reset,
// which is a semaphore of at most one permit. The protocol is
// tests/models/semaphore.pml. Safe for concurrent use.
type permitWord struct {
	seg     *Segment
	word    *uint32 // immutable; points into the segment
	maximum uint32  // immutable
	spin    spinner
}

// hasPermits reports whether somebody may take from a word; a destroyed one has none.
func hasPermits(x uint32) bool { return x >= semaphoreStep && x != semaphoreRemoved }

// try takes one permit if there is one.
func (w *permitWord) try() bool {
	for {
		x := atomic.LoadUint32(w.word)
		if !hasPermits(x) {
			return false
		}
		if cas32(w.word, x, x-semaphoreStep) { // acquire; pairs with post. The bit stays as it is.
			return true
		}
	}
}

// acquire takes one permit, waiting up to timeout: negative = for ever, 0 = not at
// all. Errors: status.WouldBlock, TimedOut, Cancelled, Removed.
//
// Who was woken has the duty to take with the waiters bit set again, and to wake the
// next one while permits remain: posts may have found the bit clear meanwhile.
func (w *permitWord) acquire(ctx context.Context, p *Parker, a Actor, timeout time.Duration) error {
	if w.try() {
		return nil
	}
	deadline := int64(0)
	if timeout != 0 {
		deadline = deadlineWithin(ctx, timeout)
		w.spin.forActor(a, w.word, func(x uint32) bool { return x >= semaphoreStep }) // the tombstone is too
	}
	word := w.word
	duty := uint32(0) // semaphoreWaiters = a wake may have been consumed
	var leave error
	for turn := 0; ; turn++ {
		x := atomic.LoadUint32(word)
		if x == semaphoreRemoved {
			return status.Removed
		}
		if x >= semaphoreStep {
			rest := x - semaphoreStep | duty
			if !cas32(word, x, rest) {
				continue
			}
			if duty != 0 && rest >= semaphoreStep {
				futexWakeN(word, 1)
			}
			return nil
		}
		if timeout == 0 {
			return status.WouldBlock
		}
		if turn > 0 && leave == nil {
			leave = endedBy(ctx, deadline)
		}
		if leave != nil {
			if duty != 0 {
				futexWakeN(word, 1) // the wake that we may have eaten was somebody's
			}
			return leave
		}
		if x != semaphoreWaiters && !cas32(word, x, semaphoreWaiters) {
			continue
		}
		duty = 0 // done: no permit, and the bit is set
		switch w.seg.sleep(ctx, p, a.Seat, word, semaphoreWaiters, deadline) {
		case woken:
			duty = semaphoreWaiters
		case expired:
			return status.TimedOut
		case cancelled:
			duty, leave = semaphoreWaiters, endOf(ctx)
		}
	}
}

// post adds n permits, and returns how many there were. It clears the waiters bit, so
// that one past wait does not cost a system call for ever. Errors, with nothing
// changed: status.Overflow beyond the maximum, Removed.
func (w *permitWord) post(n uint32) (before uint32, err error) {
	for {
		x := atomic.LoadUint32(w.word)
		if x == semaphoreRemoved {
			return 0, status.Removed
		}
		if before = x / semaphoreStep; n > w.maximum || before > w.maximum-n {
			return before, status.Overflow
		}
		if cas32(w.word, x, (x+n*semaphoreStep)&^semaphoreWaiters) { // release; pairs with try and acquire
			if x&semaphoreWaiters != 0 {
				futexWakeN(w.word, int(n))
			}
			return before, nil
		}
	}
}

// drain takes whatever permits there are. Errors: status.Removed.
func (w *permitWord) drain() error {
	for {
		x := atomic.LoadUint32(w.word)
		if x == semaphoreRemoved {
			return status.Removed
		}
		if x < semaphoreStep || cas32(w.word, x, x&semaphoreWaiters) {
			return nil
		}
	}
}

// look returns the permits that there are, and whether somebody may sleep; of a
// destroyed word, nothing.
func (w *permitWord) look() (permits uint32, waiters bool) {
	x := atomic.LoadUint32(w.word)
	if x == semaphoreRemoved {
		return 0, false
	}
	return x / semaphoreStep, x&semaphoreWaiters != 0
}

// fill makes the one permit that there is at most, if it is not there; a
// read-modify-write all the same, as in Event.release.
func (w *permitWord) fill() error {
	for {
		x := atomic.LoadUint32(w.word)
		if x == semaphoreRemoved {
			return status.Removed
		}
		if !cas32(w.word, x, max(x&semaphorePermits, semaphoreStep)) { // release; pairs with try and acquire
			continue
		}
		if x&semaphoreWaiters != 0 {
			futexWakeN(w.word, 1)
		}
		return nil
	}
}

// pass repeats a wake-up that may have died with a client, or was consumed by who
// takes nothing. The word is right after every prefix of what a client does.
func (w *permitWord) pass() { futexWakeN(w.word, 1) }

// remove follows the store of REMOVED. A value of its own, for the bit alone would
// come back with the next waiter that has not seen the state yet.
func (w *permitWord) remove() {
	store32(w.word, semaphoreRemoved)
	futexWakeN(w.word, futexAll)
}
