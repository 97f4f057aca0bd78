package shm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
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
	free  *uint32         // the word of a plain one that may be written; else nil
	plain permitWord      // of a plain one
	undo  *permitPool     // immutable; nil = plain
}

// Semaphore returns a view of the semaphore. Goroutines of one process should
// share one view; several are correct too.
func (s *Segment) Semaphore() *Semaphore {
	m := &Semaphore{seg: s, lines: kindLines[SemaphoreLines](s)}
	m.plain = permitWord{seg: s, word: &m.lines.Word, maximum: s.geometry.Maximum}
	if s.geometry.Flags.Has(FlagUndo) {
		m.undo = newPermitPool(s, m.lines)
	} else if !s.readOnly {
		m.free = &m.lines.Word
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
	available, waiters := m.plain.look()
	return Permits{Available: available, Waiters: waiters}
}

// TakeFree takes one permit of a plain semaphore that has one and is not fought for. It is
// the front of AcquireWait, small enough to be inlined; false = nothing has changed.
func (m *Semaphore) TakeFree() bool {
	if m.free == nil {
		return false
	}
	x := atomic.LoadUint32(m.free)
	return hasPermits(x) && cas32(m.free, x, x-semaphoreStep) // as permitWord.try
}

// GiveFree gives one permit back to a plain semaphore that has room and that nobody waits
// for. It is the front of Release, likewise.
func (m *Semaphore) GiveFree() bool {
	if m.free == nil {
		return false
	}
	x := atomic.LoadUint32(m.free)
	return x&semaphoreWaiters == 0 && x/semaphoreStep < m.plain.maximum && cas32(m.free, x, x+semaphoreStep)
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
	if m.undo == nil {
		if n > 1 {
			return status.New(status.Unsupported, "",
				"%d permits at once from a plain semaphore: create it with undo", n)
		}
		return m.plain.acquire(ctx, p, a, timeout)
	}
	deadline := int64(0)
	if timeout != 0 {
		deadline = deadlineWithin(ctx, timeout)
	}
	return m.undo.acquire(ctx, p, a, n, deadline, timeout == 0)
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
	if err := m.seg.admits(a.Seat); err != nil {
		return err
	}
	if n == 0 {
		return status.New(status.Invalid, "", "0 permits; it must be at least 1")
	}
	return nil
}

// post adds n permits to a plain semaphore.
func (m *Semaphore) post(n uint32) error {
	before, err := m.plain.post(n)
	if err == status.Overflow {
		return status.New(status.Overflow, "", "%d more permits than the %d there are; the maximum is %d",
			n, before, m.plain.maximum)
	}
	return err
}

// recover gives back what a dead client held, and repeats a wake-up that may have
// died with it.
func (m *Semaphore) recover(v Victim) (held, done bool) {
	if m.undo != nil {
		return m.undo.recover(v)
	}
	if wakesAnyway {
		m.plain.pass()
	}
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
	m.plain.remove()
	return true
}
