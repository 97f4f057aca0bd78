package shm

import (
	"context"
	"sync/atomic"

	"github.com/shmd/shmd/status"
)

// The eventcount: a word to sleep on until something has happened. Its bit table
// and who clears the waiters bit stand in include/shmd_abi.h; the protocols are
// tests/models/value.pml for the one that needs no lock (change.go) and
// tests/models/eventcount.pml for the one under a latch.
//
// Every update is one read-modify-write, because the daemon moves the word
// without holding anything. Only the low 32 bits are compared by the kernel: a
// waiter that is stopped between its announcement and its sleep for exactly
// 2^31 steps would sleep beside its event.
const (
	eventcountWaiters uint64 = 1
	eventcountStep    uint64 = 2
)

// eventcount is a view of such a word; copy it freely.
type eventcount struct{ word *uint64 }

func (s *Segment) changes() eventcount { return eventcount{&s.page.Change.Word} }

func (e eventcount) load() uint64 { return atomic.LoadUint64(e.word) }

// eventcountOf is the count in a word: how many steps so far.
func eventcountOf(word uint64) uint64 { return word >> 1 }

// announce sets the waiters bit and returns what to sleep on. Look at the
// predicate (and at the segment's state) again after it, unless the latch that
// guards the predicate is held.
func (e eventcount) announce() uint64 { return or64(e.word, eventcountWaiters) | eventcountWaiters }

// announceAt is announce if the word is still seen.
func (e eventcount) announceAt(seen uint64) (uint64, bool) {
	if seen&eventcountWaiters != 0 {
		return seen, true // stays valid: the kernel compares
	}
	return seen | eventcountWaiters, cas64(e.word, seen, seen|eventcountWaiters)
}

// --- Without a lock: whoever clears the bit wakes all, so nobody owes anything.

// broadcast announces an event that has happened (never before it), and wakes
// all who wait. The next one is free of system calls again.
func (e eventcount) broadcast() {
	if add64(e.word, eventcountStep)&eventcountWaiters != 0 {
		e.wakeAll()
	}
}

// alarm is broadcast for a death or a removal: it wakes whatever the bit says,
// because a wake may have died after its bit was cleared. The count moves and the bit is
// cleared in one store: where a wake is for one only, who announces himself between two
// would sleep on a word that is as it was, unannounced (tests/models: ALARM_CLEARS).
func (e eventcount) alarm() {
	for range recoverTries {
		word := e.load()
		if cas64(e.word, word, (word|eventcountWaiters)+1) {
			break
		}
	}
	e.wake(futexAll)
}

// wakeAll is no part of what is inlined with broadcast.
//
//go:noinline
func (e eventcount) wakeAll() {
	and64(e.word, ^eventcountWaiters)
	e.wake(futexAll)
}

// --- Under a latch. All waiters of one word want the same thing: one that
// cannot use a wake would swallow another's. The signal clears the bit, and the
// one that it woke owes the others a duty: settle in its next latch section, or
// wake(1) if it leaves without taking.

// signal announces n >= 1 events whose store is made, with the latch held. true
// = wake(n) is due once the latch is free.
func (e eventcount) signal() (due bool) {
	if e.load()&eventcountWaiters == 0 {
		return false
	}
	add64(e.word, 1) // odd to even: the next count, and the bit is clear
	return true
}

// settle does the duty of a woken waiter that has taken what it waited for, with
// the latch held: others may sleep unannounced. more = the predicate still holds
// for them. true = wake(1) is due once the latch is free.
func (e eventcount) settle(more bool) (due bool) {
	or64(e.word, eventcountWaiters)
	if more {
		add64(e.word, 1)
	}
	return more
}

// --- Across two latches, as the two sides of a queue have: who signals does not hold
// the latch of those who wait, if any. The waiter looks again after its announcement;
// the signal comes after the store of what it announces. So one of the two sees the
// other (tests/models/eventcount_sides.pml).

// tell announces n >= 1 events whose store is made, and wakes so many. Not under a
// latch: it makes a system call.
func (e eventcount) tell(n int) {
	if e.load()&eventcountWaiters != 0 {
		e.tellWaiters(n)
	}
}

// tellWaiters: whoever clears the bit wakes, for his own events; those of another who
// comes too late for it are found by whom the first has woken.
func (e eventcount) tellWaiters(n int) {
	for range recoverTries {
		word := e.load()
		if word&eventcountWaiters == 0 {
			return
		}
		if cas64(e.word, word, word+1) { // odd to even, as in signal
			e.wake(n)
			return
		}
	}
}

// rearm does the duty of a woken waiter that has taken what it waited for, with the latch
// of its side held: others may sleep unannounced. more = what they wait for may be there,
// asked after that. True = tell(1) is due once the latch is free.
func (e eventcount) rearm(more func() bool) (due bool) {
	or64(e.word, eventcountWaiters)
	return more()
}

// wake wakes at most n; harmless at any time.
func (e eventcount) wake(n int) { futexWakeN(futexWord32(e.word), n) }

// sleep sleeps once while the word is what announce returned; the latch is free.
// nil = latch and look at the predicate again; with duty, settle is owed. An
// error (status.TimedOut, Cancelled) owes nothing. Deadline: absolute
// CLOCK_MONOTONIC in ns, 0 = none.
func (e eventcount) sleep(ctx context.Context, p *Parker, announced uint64, deadline int64) (duty bool, err error) {
	switch p.wait(ctx, futexWord32(e.word), uint32(announced), deadline) {
	case woken:
		return true, nil
	case expired:
		return false, status.TimedOut
	case cancelled:
		e.wake(1) // the wake that we may have eaten was somebody's
		return false, endOf(ctx)
	}
	return false, nil
}

// rebuilt moves the word of a rebuilt object on, with the latch held by
// recovery; wake(futexAll) is due once the latch is free, always. The bit stays:
// a stray one costs a call, a lost one a waiter.
func (e eventcount) rebuilt() { add64(e.word, eventcountStep) }
