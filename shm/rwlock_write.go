package shm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// WriteLock makes o the writer, waiting up to timeout: negative = for ever, 0 = not
// at all, which is status.WouldBlock. A notice means that it is inside and that a
// writer died there. Ends with status.TimedOut at the timeout or ctx's deadline and
// with status.Cancelled when ctx is cancelled. Other errors: Deadlock (o reads or
// writes), Removed, Permission (read-only mapping), Invalid. After an error it is
// not inside.
func (l *RWLock) WriteLock(ctx context.Context, p *Parker, o *RWOwner, timeout time.Duration) (*Notice, error) {
	if err := l.seg.admits(o.word); err != nil {
		return nil, err
	}
	if o.readsAlready() {
		return nil, status.Deadlock
	}
	if timeout == 0 && l.readBySome() {
		return l.writeRefused(o)
	}
	deadline := deadlineWithin(ctx, timeout)
	w, err := l.own(ctx, p, o, deadline, timeout == 0)
	if err != nil {
		return nil, err
	}
	if w&rwlockWanted != 0 {
		err = l.awaitCells(ctx, p, o, readerWantMask, deadline, timeout == 0)
		if err == nil {
			_, err = l.change(o, func(w uint32) uint32 { return w &^ rwlockPreparing })
		}
	}
	if err == nil {
		err = l.awaitCells(ctx, p, o, readerActiveMask, deadline, timeout == 0)
	}
	if err == nil {
		w, err = l.change(o, func(w uint32) uint32 { return w | rwlockHeld })
	}
	if err != nil {
		return nil, l.withdraw(o, err)
	}
	put64(&l.lines.Token, o.token)
	return l.noticeIf(w), nil
}

// readBySome reports whether a try would find a reader in its way.
func (l *RWLock) readBySome() bool {
	for i := range l.cells[1:] {
		if x := atomic.LoadUint32(&l.cells[i+1].Word); x != 0 {
			return true
		}
	}
	return false
}

// writeRefused says why o cannot write at once.
func (l *RWLock) writeRefused(o *RWOwner) (*Notice, error) {
	switch w := atomic.LoadUint32(l.word); {
	case rwlockGone(w):
		return nil, status.Removed
	case !o.shared && l.writes(o, w):
		return nil, status.Deadlock
	}
	return nil, status.WouldBlock
}

// own makes o the owner of the word, who may not be inside yet, and returns what it
// found there. Wanted is cleared here, before the cells are looked at: readers that
// want later count for the next writer.
func (l *RWLock) own(ctx context.Context, p *Parker, o *RWOwner, deadline int64, try bool) (uint32, error) {
	if !try {
		l.spin.until(l.word, func(w uint32) bool { return writerOf(w) == 0 || rwlockGone(w) })
	}
	for {
		w := atomic.LoadUint32(l.word)
		if writerOf(w) == 0 {
			owned := w&(rwlockWaiters|rwlockInconsistent) | o.writer()
			if w&rwlockWanted != 0 {
				owned |= rwlockPreparing
			}
			if cas32(l.word, w, owned) {
				return w, nil
			}
			continue
		}
		if try || rwlockGone(w) || !o.shared && l.writes(o, w) {
			_, err := l.writeRefused(o)
			return 0, err
		}
		if err := l.wait(ctx, p, o, w, deadline); err != nil {
			return 0, err
		}
	}
}

// awaitCells waits until each cell has been without the bits once, one after the
// other. status.Removed when the lock was destroyed.
func (l *RWLock) awaitCells(ctx context.Context, p *Parker, o *RWOwner, bits uint32, deadline int64, try bool) error {
	for i := range l.cells[1:] {
		cell, spun := &l.cells[i+1].Word, false
		for {
			x := atomic.LoadUint32(cell)
			if x&bits == 0 {
				break
			}
			switch {
			case x&readerRemoved != 0:
				return status.Removed
			case try:
				return status.WouldBlock
			case !spun:
				spun = true
				l.quiet.until(cell, func(x uint32) bool { return x&bits == 0 || x&readerRemoved != 0 })
			default:
				if err := l.seg.sleepFree(ctx, p, o.word, cell, x, deadline); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// change changes the word as its owner, and returns what it was. An error if o does
// not own it any more: status.Removed, or Corrupt.
func (l *RWLock) change(o *RWOwner, to func(uint32) uint32) (uint32, error) {
	for {
		w := atomic.LoadUint32(l.word)
		switch {
		case rwlockGone(w):
			return w, status.Removed
		case writerOf(w) != o.writer():
			return w, status.New(status.Corrupt, "", "a writer's lock belongs to seat %d now", w&rwlockSeatMask)
		case cas32(l.word, w, to(w)):
			return w, nil
		}
	}
}

// withdraw is for a writer that leaves before it is inside. It sets wanted again,
// for the readers whose turn it was must not lose that. It returns why.
func (l *RWLock) withdraw(o *RWOwner, reason error) error {
	w, err := l.change(o, func(w uint32) uint32 { return w&rwlockInconsistent | rwlockWanted })
	if err != nil {
		return err
	}
	l.wakeAll(w)
	return reason
}

// wakeAll wakes all who sleep on the word, as it was left.
func (l *RWLock) wakeAll(left uint32) {
	if left&rwlockWaiters != 0 {
		futexWakeN(l.word, futexAll)
	}
}

// WriteUnlock ends the write of o. Errors, with nothing changed: status.NotOwner
// (o does not write), Removed, Permission, Invalid.
func (l *RWLock) WriteUnlock(o *RWOwner) error {
	if err := l.seg.admits(o.word); err != nil {
		return err
	}
	if w := atomic.LoadUint32(l.word); !l.writes(o, w) {
		if rwlockGone(w) {
			return status.Removed
		}
		return status.NotOwner
	}
	// Before the release, so that a stale token never matches. Of several who unlock at
	// once, through a handle that they share, one does: the others may find the next
	// writer's here.
	if !cas64(&l.lines.Token, o.token, 0) {
		return status.NotOwner
	}
	w, err := l.change(o, func(w uint32) uint32 { return w & (rwlockInconsistent | rwlockWanted) })
	if err == nil {
		l.wakeAll(w)
	}
	return err
}
