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

// Semaphore counts permits: acquire takes some or waits for them, release gives
// them back. There are two sorts, chosen by FlagUndo:
//
//	plain  as sem_t: one word, whoever likes releases, and what a client that
//	       dies had acquired is gone. Acquires one at a time.
//	undo   counts by client what it holds, gives back what the dead held, and
//	       lets a client release only that. Acquires several at once.
//
// The protocols are tests/models/semaphore.pml for plain and semaphore_undo.pml
// for undo; crash rules stand in recover.go. Not fair: who comes may be faster
// than who waits, and who wants many may wait beside those who want one. Safe for
// concurrent use.
type Semaphore struct {
	seg   *Segment
	lines *SemaphoreLines // immutable; points into the segment
	undo  *permitPool     // immutable; nil = plain
}

// Semaphore returns a view of the semaphore. Goroutines of one process should
// share one view; several are correct too.
func (s *Segment) Semaphore() *Semaphore {
	m := &Semaphore{seg: s, lines: kindLines[SemaphoreLines](s)}
	if s.geometry.Flags.Has(FlagUndo) {
		m.undo = newPermitPool(s, m.lines)
	}
	return m
}

// initSemaphore puts the initial permits into a segment that nobody else sees.
func (s *Segment) initSemaphore() {
	lines, initial := kindLines[SemaphoreLines](s), s.geometry.Initial
	if s.geometry.Flags.Has(FlagUndo) {
		lines.Total, lines.Available = initial, initial
		return
	}
	lines.Word = initial * semaphoreStep
}

// Permits is a look at a semaphore that holds nothing still.
type Permits struct {
	Available uint32 // that can be acquired now
	Total     uint32 // that exist, held ones included; 0 for a plain semaphore, which does not know
	Held      uint32 // by the asker's client; 0 for a plain semaphore
	Waiters   bool   // somebody may sleep
}

// Permits looks at the semaphore for the client of an owner word.
func (m *Semaphore) Permits(seat uint32) Permits {
	if m.undo != nil {
		return m.undo.look(seat)
	}
	word := atomic.LoadUint32(&m.lines.Word)
	if word == semaphoreRemoved {
		return Permits{}
	}
	return Permits{Available: word / semaphoreStep, Waiters: word&semaphoreWaiters != 0}
}

// AcquireWait takes n permits, all or none, waiting up to timeout: negative = for
// ever, 0 = not at all, which is status.WouldBlock. Ends with status.TimedOut at
// the timeout or ctx's deadline and with status.Cancelled when ctx is cancelled.
// Other errors: Unsupported (n > 1 and plain), Invalid (n is not 1 to the
// maximum), Removed, Permission (read-only mapping), Corrupt. After an error
// nothing was taken.
func (m *Semaphore) AcquireWait(ctx context.Context, p *Parker, a Actor, n uint32, timeout time.Duration) error {
	if err := m.check(a, n); err != nil {
		return err
	}
	if n > m.seg.geometry.Maximum {
		return status.New(status.Invalid, "", "%d permits; there are never more than %d", n, m.seg.geometry.Maximum)
	}
	if m.undo == nil && n > 1 {
		return status.New(status.Unsupported, "",
			"%d permits at once from a plain semaphore: create it with undo", n)
	}
	if m.undo == nil && m.try() {
		return nil
	}
	deadline := int64(0)
	if timeout != 0 {
		deadline = deadlineWithin(ctx, timeout)
	}
	if m.undo != nil {
		return m.undo.acquire(ctx, p, a, n, deadline, timeout == 0)
	}
	return m.acquire(ctx, p, a, deadline, timeout == 0)
}

// Release gives n permits back and wakes who waits for them. Of an undo semaphore
// the client must hold them: status.NotOwner. Of a plain one, where it is the
// same as Post, there must be room: status.Overflow. ctx and timeout bound the
// wait for others who are at it; the daemon, which waits for no client, may pass
// 0 and be told status.WouldBlock. Other errors: Invalid (n = 0), Removed,
// Permission, Corrupt. After an error nothing was given.
func (m *Semaphore) Release(ctx context.Context, p *Parker, a Actor, n uint32, timeout time.Duration) error {
	if err := m.check(a, n); err != nil {
		return err
	}
	if m.undo != nil {
		return m.undo.release(ctx, p, a, n, deadlineWithin(ctx, timeout), timeout == 0)
	}
	return m.post(n)
}

// Post makes n new permits, whoever holds how many; status.Overflow if there
// would be more than the maximum. Otherwise as Release.
func (m *Semaphore) Post(ctx context.Context, p *Parker, a Actor, n uint32, timeout time.Duration) error {
	if err := m.check(a, n); err != nil {
		return err
	}
	if m.undo != nil {
		return m.undo.post(ctx, p, a, n, deadlineWithin(ctx, timeout), timeout == 0)
	}
	return m.post(n)
}

// check is what every change asks first.
func (m *Semaphore) check(a Actor, n uint32) error {
	if err := m.seg.mayAct(a.Seat); err != nil {
		return err
	}
	if n == 0 {
		return status.New(status.Invalid, "", "0 permits; it must be at least 1")
	}
	return nil
}

// try takes one permit of a plain semaphore if there is one.
func (m *Semaphore) try() bool {
	for {
		x := atomic.LoadUint32(&m.lines.Word)
		if x < semaphoreStep || x == semaphoreRemoved {
			return false
		}
		if cas32(&m.lines.Word, x, x-semaphoreStep) { // acquire; pairs with post. The bit stays as it is.
			return true
		}
	}
}

// acquire takes one permit of a plain semaphore. Who was woken has the duty to
// take with the waiters bit set again, and to wake the next one while permits
// remain: posts may have found the bit clear meanwhile.
func (m *Semaphore) acquire(ctx context.Context, p *Parker, a Actor, deadline int64, try bool) error {
	word := &m.lines.Word
	duty := uint32(0) // semaphoreWaiters = a wake may have been consumed
	var leave error
	for {
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
		if try {
			return status.WouldBlock
		}
		if leave == nil && duty != 0 && deadline != 0 && monotonicNs() >= deadline {
			leave = status.TimedOut
		}
		if leave != nil {
			futexWakeN(word, 1) // the wake that we may have eaten was somebody's
			return leave
		}
		if x != semaphoreWaiters && !cas32(word, x, semaphoreWaiters) {
			continue
		}
		duty = 0 // done: no permit, and the bit is set
		m.seg.announce(a.Seat, 1)
		w := p.wait(ctx, word, semaphoreWaiters, deadline)
		m.seg.announce(a.Seat, ^uint32(0))
		switch w {
		case woken:
			duty = semaphoreWaiters
		case expired:
			return status.TimedOut
		case cancelled:
			duty, leave = semaphoreWaiters, endOf(ctx)
		}
	}
}

// post adds n permits to a plain semaphore. It clears the waiters bit, so that
// one past wait does not cost a system call for ever.
func (m *Semaphore) post(n uint32) error {
	word, maximum := &m.lines.Word, m.seg.geometry.Maximum
	for {
		x := atomic.LoadUint32(word)
		if x == semaphoreRemoved {
			return status.Removed
		}
		if value := x / semaphoreStep; n > maximum || value > maximum-n {
			return status.New(status.Overflow, "", "%d more permits than the %d there are; the maximum is %d",
				n, value, maximum)
		}
		if cas32(word, x, (x+n*semaphoreStep)&^semaphoreWaiters) { // release; pairs with try and acquire
			if x&semaphoreWaiters != 0 {
				futexWakeN(word, int(n))
			}
			return nil
		}
	}
}

// recover repeats a wake-up that may have died with a client; the word is right
// after every prefix of what it did.
func (m *Semaphore) recover(v Victim) (held, done bool) {
	if m.undo != nil {
		return m.undo.recover(v)
	}
	futexWakeN(&m.lines.Word, 1)
	return false, true
}

// remove moves every word that somebody sleeps on; the state is stored already.
// false asks to be called again.
func (m *Semaphore) remove() bool {
	if m.undo != nil {
		m.undo.one.alarm()
		m.undo.many.alarm()
		return m.undo.latch.abandon()
	}
	// A value of its own, for the bit alone would come back with the next waiter
	// that has not seen the state yet.
	store32(&m.lines.Word, semaphoreRemoved)
	futexWakeN(&m.lines.Word, futexAll)
	return true
}
