package shm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// ReadLock lets o in as a reader, waiting up to timeout: negative = for ever, 0 =
// not at all, which is status.WouldBlock. A thread that reads already is let in at
// once. A notice means that it is inside and that a writer died there. Ends with
// status.TimedOut at the timeout or ctx's deadline and with status.Cancelled when
// ctx is cancelled. Other errors: Deadlock (o writes), Overflow (65535 threads of
// the client are inside, or 32767 wait), Removed, Permission (read-only mapping),
// Invalid. After an error it is not inside.
func (l *RWLock) ReadLock(ctx context.Context, p *Parker, o *RWOwner, timeout time.Duration) (*Notice, error) {
	if err := l.seg.admits(o.word); err != nil {
		return nil, err
	}
	w, inside, err := atomic.LoadUint32(l.word), false, error(nil)
	switch {
	case o.readsAlready():
		inside, err = true, enterCell(l.cell(o)) // whatever the word
	case !keepsOut(w):
		w, inside, err = l.tryCell(l.cell(o))
	}
	switch {
	case err != nil:
		return nil, err
	case !inside:
		return l.readSlow(ctx, p, o, timeout)
	}
	o.began()
	return l.noticeIf(w), nil
}

// tryCell announces a reader, and takes that back if the word keeps it out then.
func (l *RWLock) tryCell(cell *uint32) (word uint32, inside bool, err error) {
	if err := enterCell(cell); err != nil {
		return 0, false, err
	}
	word = atomic.LoadUint32(l.word)
	if !keepsOut(word) {
		return word, true, nil
	}
	return word, false, stepBack(cell)
}

// stepBack takes an announcement back, for which the writer may sleep already.
func stepBack(cell *uint32) error {
	err := leaveCell(cell)
	wakeCell(cell)
	return err
}

// What follows is ReadLock and ReadUnlock where there is neither a writer nor a notice,
// in steps that are small enough to be inlined into a client's, and without the checks:
// the mapping may be written, and the seat is one of the object's.

// ReadAnnounce is the first step of o's way in. false = nothing has changed, and
// ReadLock decides. After true comes ReadEnter.
func (l *RWLock) ReadAnnounce(o *RWOwner) bool {
	cell := l.cell(o)
	x := load32(cell)
	// Not with the removed bit, which makes it larger, nor at the limit.
	return x&^readerWantMask < readerActiveMask && cas32(cell, x, x+1)
}

// ReadEnter lets o in. After false comes ReadStepBack, then ReadLock.
func (l *RWLock) ReadEnter(o *RWOwner) bool {
	if load32(l.word)&(rwlockOwnerMask|rwlockInconsistent) != 0 { // after the announcement
		return false
	}
	o.began()
	return true
}

// ReadStepBack takes the announcement back.
func (l *RWLock) ReadStepBack(o *RWOwner) {
	_ = stepBack(l.cell(o)) // a scribbler's cell: ReadLock says so
}

// ReadLeave ends one read of o if it reads. false = nothing has changed, and ReadUnlock
// decides. After true comes ReadLeft.
func (l *RWLock) ReadLeave(o *RWOwner) bool {
	cell := l.cell(o)
	x := load32(cell)
	// Not with the removed bit, nor where nobody reads.
	return x&^readerWantMask-1 < readerActiveMask && o.mayRead() && cas32(cell, x, x-1)
}

// ReadLeft completes that. After true comes ReadWake: a writer may wait for o's client.
func (l *RWLock) ReadLeft(o *RWOwner) bool {
	o.ended()
	return writerOf(load32(l.word)) != 0 // after the leaving
}

// ReadWake wakes that writer.
func (l *RWLock) ReadWake(o *RWOwner) { wakeCell(l.cell(o)) }

// enterCell announces a reader.
func enterCell(cell *uint32) error {
	for {
		x := atomic.LoadUint32(cell)
		switch {
		case x&readerRemoved != 0:
			return status.Removed
		case x&readerActiveMask == readerActiveMask:
			return status.New(status.Overflow, "", "%d threads of this client read", readerActiveMask)
		case cas32(cell, x, x+1):
			return nil
		}
	}
}

// leaveCell takes an announcement back, of a destroyed lock too.
func leaveCell(cell *uint32) error {
	for {
		x := atomic.LoadUint32(cell)
		switch {
		case x&readerActiveMask == 0:
			return status.New(status.Corrupt, "", "a reader is inside, and its client has none there")
		case cas32(cell, x, x-1):
			return nil
		}
	}
}

// readSlow is ReadLock of a thread that was kept out.
func (l *RWLock) readSlow(ctx context.Context, p *Parker, o *RWOwner, timeout time.Duration) (*Notice, error) {
	w := atomic.LoadUint32(l.word)
	switch {
	case rwlockGone(w):
		return nil, status.Removed
	case !o.shared && l.writes(o, w):
		return nil, status.Deadlock
	case timeout == 0:
		return nil, status.WouldBlock
	}
	cell := l.cell(o)
	l.spin.until(l.word, func(w uint32) bool { return !keepsOut(w) })
	if err := l.declare(cell); err != nil {
		return nil, err
	}
	w, err := l.comeIn(ctx, p, o, cell, deadlineWithin(ctx, timeout))
	l.undeclare(cell)
	if err != nil {
		return nil, err
	}
	o.began()
	return l.noticeIf(w), nil
}

// comeIn waits until the word lets the reader in, and returns that word.
func (l *RWLock) comeIn(ctx context.Context, p *Parker, o *RWOwner, cell *uint32, deadline int64) (uint32, error) {
	for {
		w := atomic.LoadUint32(l.word)
		switch {
		case rwlockGone(w):
			return w, status.Removed
		case keepsOut(w):
			if err := l.wait(ctx, p, o, w, deadline); err != nil {
				return w, err
			}
			continue
		}
		// want stays up during the try, for a writer that passes over it would
		// be one more than the bound.
		if w, inside, err := l.tryCell(cell); inside || err != nil {
			return w, err
		}
	}
}

// declare says that a thread wants to come in: want first, then the bit that makes
// the next writer look for it.
func (l *RWLock) declare(cell *uint32) error {
	for {
		x := atomic.LoadUint32(cell)
		if x&readerRemoved != 0 {
			return status.Removed
		}
		if x&readerWantMask == readerWantMask {
			return status.New(status.Overflow, "", "%d threads of this client wait to read",
				readerWantMask/readerWantUnit)
		}
		if cas32(cell, x, x+readerWantUnit) {
			break
		}
	}
	for {
		w := atomic.LoadUint32(l.word)
		if w&rwlockWanted != 0 || rwlockGone(w) || cas32(l.word, w, w|rwlockWanted) {
			return nil
		}
	}
}

// undeclare ends what declare began, inside or in vain; wanted may stay, for which
// the next writer looks once in vain.
func (l *RWLock) undeclare(cell *uint32) {
	for {
		x := atomic.LoadUint32(cell)
		if x&readerWantMask == 0 || cas32(cell, x, x-readerWantUnit) {
			break
		}
	}
	l.wakeWriter(cell)
}

// ReadUnlock ends one read of o. Errors: status.NotOwner (o does not read), Removed
// (which ends it too), Corrupt, Permission, Invalid.
func (l *RWLock) ReadUnlock(o *RWOwner) error {
	if err := l.seg.admits(o.word); err != nil {
		return err
	}
	cell, inside := l.cell(o), o.ended()
	if inside {
		err := leaveCell(cell)
		if err != nil && o.shared {
			return status.NotOwner // nobody of this client reads
		}
		if err != nil {
			return err
		}
	}
	w := atomic.LoadUint32(l.word)
	switch {
	case rwlockGone(w):
		return status.Removed
	case !inside:
		return status.NotOwner
	case writerOf(w) != 0:
		wakeCell(cell)
	}
	return nil
}
