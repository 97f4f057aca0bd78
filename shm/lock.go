package shm

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// Lock is the lock of a segment: a mutex object, or a value's or array's own.
// The protocol is tests/models/mutex.pml; crash rules stand in recover.go.
//
// Safe for concurrent use. At most one goroutine per Lock waits in the kernel;
// the others queue at the gate.
type Lock struct {
	seg  *Segment
	line *LockLine // immutable; points into the segment
	// Copies of the geometry's, for the fast path: immutable.
	recursive bool // a value's or array's own lock always is
	unlockAny bool
	strict    bool
	bracketed bool        // the line counts write brackets
	gate      gate        // holds a token while somebody is in the slow path
	soon      atomic.Bool // somebody is in TakeSoon
	spin      spinner
}

// lockPausesMax bounds the pauses between two looks at a lock that is held.
const lockPausesMax = 32

// Lock returns a view of the segment's lock. Goroutines of one process should
// share one view, for its gate's sake; several are correct too.
func (s *Segment) Lock() *Lock {
	flags := s.geometry.Flags
	return &Lock{
		seg: s, line: &s.page.Lock, gate: make(gate, 1),
		recursive: s.geometry.Kind != KindMutex || flags.Has(FlagRecursive),
		unlockAny: flags.Has(FlagUnlockAny), strict: flags.Has(FlagStrict),
		bracketed: !flags.Has(FlagLockForeign),
	}
}

// LockStatus is a look at a lock that holds nothing still.
type LockStatus struct {
	Held         bool
	Owner        uint32 // the 30 owner bits
	Seat         uint16
	Depth        uint32 // further locks by the same thread
	Inconsistent bool
	Waiters      bool // somebody may sleep
	Removed      bool
	Poisoned     bool // strict: not recoverable
	Deaths       uint32
	LastDeath    *Notice // nil = none yet
}

// Status looks at the lock.
func (l *Lock) Status() LockStatus {
	w := atomic.LoadUint32(&l.line.Word)
	st := LockStatus{
		Held: !isFree(w) && !isRemoved(w), Inconsistent: isInconsistent(w), Waiters: hasWaiters(w),
		Removed: isRemoved(w), Poisoned: atomic.LoadUint32(&l.line.Poisoned) != 0,
		Deaths: atomic.LoadUint32(&l.line.Death.Count),
	}
	if st.Held {
		st.Owner, st.Seat, st.Depth = ownerOf(w), SeatOf(w), atomic.LoadUint32(&l.line.Depth)
	}
	if l.line.Death.any() {
		st.LastDeath = l.line.Death.notice()
	}
	return st
}

// Holds reports whether o holds the lock. With unlock_any: whether o's client
// took it.
func (l *Lock) Holds(o Owner) bool {
	return ownerOf(atomic.LoadUint32(&l.line.Word)) == o.Word &&
		(l.unlockAny || atomic.LoadUint64(&l.line.Token) == o.Token)
}

// depthMax bounds recursion.
const depthMax = 1 << 30

// TakeFree takes a lock that is free in every respect: no waiters, no notice. It
// is the front of TryLock, small enough to be inlined into a client's Lock.
func (l *Lock) TakeFree(o Owner) bool {
	line := l.line
	if !cas32(&line.Word, 0, o.Word) { // acquire; pairs with the release in Unlock
		return false
	}
	if !l.unlockAny {
		put64(&line.Token, o.Token)
	}
	return true
}

// RetakeFree locks a recursive lock again that o holds, without a notice. It is the
// front of TryLock too; false = nothing has changed, and TryLock decides.
func (l *Lock) RetakeFree(o Owner) bool {
	line := l.line
	if !l.recursive || o.Shared || atomic.LoadUint32(&line.Word)&^ownerWaiters != o.Word ||
		atomic.LoadUint64(&line.Token) != o.Token {
		return false
	}
	depth := atomic.LoadUint32(&line.Depth)
	if depth >= depthMax {
		return false
	}
	put32(&line.Depth, depth+1)
	return true
}

// TryLock takes the lock if that needs no waiting. A notice means that the lock
// is held and an owner died; an error means that it is not held:
// status.WouldBlock, Deadlock, Removed, NotRecoverable, Overflow.
func (l *Lock) TryLock(o Owner) (*Notice, error) {
	if l.TakeFree(o) {
		return nil, nil
	}
	for {
		old := atomic.LoadUint32(&l.line.Word)
		if !isFree(old) {
			again, err := l.relock(o, old)
			if again {
				return l.noticeIf(old), nil
			}
			if err != nil {
				return nil, err
			}
			return nil, status.WouldBlock
		}
		if cas32(&l.line.Word, old, o.Word|old&(ownerWaiters|ownerInconsistent)) {
			return l.taken(o, old)
		}
	}
}

// relock handles a word that is not free: ours already, or destroyed.
func (l *Lock) relock(o Owner, old uint32) (again bool, err error) {
	if isRemoved(old) {
		return false, status.Removed
	}
	if o.Shared || l.unlockAny || ownerOf(old) != o.Word || atomic.LoadUint64(&l.line.Token) != o.Token {
		return false, nil
	}
	if !l.recursive {
		return false, status.Deadlock
	}
	depth := atomic.LoadUint32(&l.line.Depth)
	if depth >= depthMax {
		return false, status.Overflow
	}
	put32(&l.line.Depth, depth+1)
	return true, nil
}

func (l *Lock) noticeIf(old uint32) *Notice {
	if isInconsistent(old) {
		return l.line.Death.notice()
	}
	return nil
}

// taken finishes an acquisition that found old. The poison is looked at only
// after the take: before it, another client may poison between the look and the
// compare-exchange (tests/models: POISON_NO_RECHECK).
func (l *Lock) taken(o Owner, old uint32) (*Notice, error) {
	if !l.unlockAny {
		put64(&l.line.Token, o.Token)
	}
	if !isInconsistent(old) {
		return nil, nil
	}
	if l.poisoned() {
		if err := l.Unlock(o); err != nil && !errors.Is(err, status.Removed) {
			return nil, err
		}
		return nil, status.NotRecoverable
	}
	return l.line.Death.notice(), nil
}

// LockWait takes the lock, waiting up to timeout: negative = for ever, 0 = not
// at all. Ends with status.TimedOut at the timeout or ctx's deadline and with
// status.Cancelled when ctx is cancelled; both mean that it is not held.
func (l *Lock) LockWait(ctx context.Context, p *Parker, o Owner, timeout time.Duration) (*Notice, error) {
	n, err := l.TryLock(o)
	if err != status.WouldBlock || timeout == 0 {
		return n, err
	}
	if l.TakeSoon(o) {
		return nil, nil
	}
	return l.LockAsleep(ctx, p, o, timeout)
}

// TakeSoon is TakeFree of who would wait, and has tried in vain: it waits briefly in the hope
// that the owner lets go. One goroutine at a time does, and only while nobody is at the gate:
// the others would keep processors from the owner. false = nothing has changed.
func (l *Lock) TakeSoon(o Owner) (taken bool) {
	if len(l.gate) != 0 || !l.soon.CompareAndSwap(false, true) {
		return false
	}
	l.spin.poll(func() bool {
		old := atomic.LoadUint32(&l.line.Word)
		if old == 0 { // at once: a moment later another has it
			taken = l.TakeFree(o)
			return taken
		}
		return isFree(old) || isRemoved(old)
	}, 0, 1, lockPausesMax)
	l.soon.Store(false)
	return taken
}

// LockAsleep is the rest of LockWait, of who has tried in vain, and TakeSoon too.
func (l *Lock) LockAsleep(ctx context.Context, p *Parker, o Owner, timeout time.Duration) (*Notice, error) {
	deadline := deadlineWithin(ctx, timeout)
	if !l.gate.tryEnter() {
		if err := l.gate.enter(ctx, deadline); err != nil {
			return nil, err
		}
		l.spin.whileHeld(&l.line.Word, 0, 1, lockPausesMax)
	}
	defer l.gate.leave()
	return l.lockSlow(ctx, p, o, deadline)
}

// endOf says how ctx ended.
func endOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return status.TimedOut
	}
	return status.Cancelled
}

func (l *Lock) lockSlow(ctx context.Context, p *Parker, o Owner, deadline int64) (*Notice, error) {
	c := contender{seg: l.seg, word: &l.line.Word, self: o.Word, deadline: deadline}
	for {
		old := atomic.LoadUint32(&l.line.Word)
		if isFree(old) {
			if cas32(&l.line.Word, old, o.Word|c.keep|old&(ownerWaiters|ownerInconsistent)) {
				return l.taken(o, old)
			}
			continue
		}
		if isRemoved(old) {
			return nil, status.Removed
		}
		if again, err := l.relock(o, old); again || err != nil {
			return l.noticeIf(old), err
		}
		if err := c.wait(ctx, p, old); err != nil {
			return nil, err
		}
	}
}

// ReleaseFree releases a lock that nobody waits for, held once, outside brackets
// and without a notice. It is the front of Unlock, small enough to be inlined; false
// = nothing has changed, and Unlock decides.
func (l *Lock) ReleaseFree(o Owner) bool {
	line := l.line
	if !line.once() || !line.give(o.Token) { // as in Unlock
		return false
	}
	if cas32(&line.Word, o.Word, 0) {
		return true
	}
	put64(&line.Token, o.Token) // we have it still: somebody waits
	return false
}

// Unlock releases one level. Errors, with nothing changed: status.NotOwner,
// Removed, and Invalid inside a write bracket.
func (l *Lock) Unlock(o Owner) error {
	line := l.line
	old := atomic.LoadUint32(&line.Word)
	if l.unlockAny {
		return l.release(old)
	}
	if ownerOf(old) != o.Word || atomic.LoadUint64(&line.Token) != o.Token {
		if isRemoved(old) {
			return status.Removed
		}
		return status.NotOwner
	}
	if d := atomic.LoadUint32(&line.Depth); d > 0 && !o.Shared { // who is shared never locks again
		put32(&line.Depth, d-1)
		return nil
	}
	if atomic.LoadUint32(&line.WriteDepth) != 0 && l.bracketed {
		return status.Invalid
	}
	if !line.give(o.Token) { // before the release, so that a stale token never matches
		return status.NotOwner
	}
	if old == o.Word && cas32(&line.Word, old, 0) {
		return nil // what release does if there are no waiters and no notice
	}
	return l.release(old)
}

// give clears the token of whoever releases. Of several who do so at once, through a
// handle that they share, one does: the others may find the next owner's token here.
func (l *LockLine) give(token uint64) bool { return cas64(&l.Token, token, 0) }

// release lets go of the word that was found as old.
func (l *Lock) release(old uint32) error {
	mine := ownerOf(old)
	switch {
	case isRemoved(old):
		return status.Removed
	case mine == 0:
		return status.NotOwner
	}
	for {
		if l.strict && isInconsistent(old) {
			store32(&l.line.Poisoned, 1)
		}
		// Not an unconditional exchange: a destroyed word must stay destroyed.
		if cas32(&l.line.Word, old, old&ownerInconsistent) { // release; pairs with TryLock
			break
		}
		old = atomic.LoadUint32(&l.line.Word)
		if isRemoved(old) {
			return status.Removed
		}
		if ownerOf(old) != mine {
			return status.NotOwner // unlock_any: another was faster
		}
	}
	if hasWaiters(old) {
		futexWakeN(&l.line.Word, 1)
	}
	return nil
}

// MarkConsistent ends the notices: the holder has repaired the data. It may be
// repeated. Errors: status.NotOwner, Removed.
func (l *Lock) MarkConsistent(o Owner) error {
	for {
		old := atomic.LoadUint32(&l.line.Word)
		switch {
		case isRemoved(old):
			return status.Removed
		case isFree(old), !l.unlockAny && !l.Holds(o):
			return status.NotOwner
		case !isInconsistent(old) || cas32(&l.line.Word, old, old&^ownerInconsistent):
			return nil
		}
	}
}

// HeldBy reports whether the lock word names the owner, whatever its thread.
func (s *Segment) HeldBy(owner uint32) bool {
	return owner&ownerMask != 0 && ownerOf(atomic.LoadUint32(&s.page.Lock.Word)) == owner&ownerMask
}
