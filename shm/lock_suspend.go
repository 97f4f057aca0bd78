package shm

import (
	"context"
	"sync/atomic"

	"github.com/shmd/shmd/status"
)

// Suspend releases the lock whatever its depth, for a wait, and returns the depth for
// Resume. A strict lock that is inconsistent is poisoned by it, as by Unlock. Errors,
// with nothing changed: status.NotOwner, Removed, and Invalid inside a write bracket.
func (l *Lock) Suspend(o Owner) (depth uint32, err error) {
	line := l.line
	old := atomic.LoadUint32(&line.Word)
	if isRemoved(old) {
		return 0, status.Removed
	}
	if ownerOf(old) != o.Word || !l.unlockAny && atomic.LoadUint64(&line.Token) != o.Token {
		return 0, status.NotOwner
	}
	if l.unlockAny { // no token, no depth
		return 0, l.release(old)
	}
	if l.bracketed && atomic.LoadUint32(&line.WriteDepth) != 0 {
		return 0, status.Invalid
	}
	if !line.give(o.Token) { // as in Unlock
		return 0, status.NotOwner
	}
	if depth = atomic.LoadUint32(&line.Depth); depth != 0 {
		put32(&line.Depth, 0)
	}
	return depth, l.release(old)
}

// Resume takes the lock that Suspend released, at the same depth, waiting as long as
// ctx allows. Notice and errors as LockWait: an error means that it is not held.
func (l *Lock) Resume(ctx context.Context, p *Parker, o Owner, depth uint32) (*Notice, error) {
	n, err := l.LockWait(ctx, p, o, -1)
	if err == nil && depth != 0 {
		put32(&l.line.Depth, depth)
	}
	return n, err
}

// poisoned reports whether the lock can never be had again.
func (l *Lock) poisoned() bool { return l.strict && atomic.LoadUint32(&l.line.Poisoned) != 0 }
