package shm

import (
	"context"
	"sync/atomic"

	"github.com/shmd/shmd/status"
)

// Latch guards derived state: lists, counts, free stacks, whatever can be rebuilt
// from authoritative words. It is an owner word without the inconsistent bit; the
// protocol is tests/models/mutex.pml with LATCH, and eventcount.pml around it.
//
// It is held only inside this package: no callback, no allocation, no system
// call, no index that was not checked before, so that nobody but the dead keeps
// it. What the dead leave is never a notice to a user: whoever takes the latch
// from one rebuilds the derived state before anything else.
//
//	holder                        who may take it from him
//	a dead seat, a seat of nobody recovery, for whichever death it runs
//	the daemon of an older epoch  anybody
//	a living client               nobody: recovery comes again later
//	the daemon of this epoch      nobody: it only ever tries, and holds no longer
//	                              than a client
//
// Owner words name a client, not its threads, so a thread of the same client is
// excluded like any other. Safe for concurrent use.
type Latch struct {
	seg  *Segment
	word *uint32 // immutable; points into the segment
	spin spinner
}

// How many pauses lie between two looks at a latch that is held, at most; a quarter at
// first.
const (
	// latchLookSeldom: the two who come in turn find that the other did several things
	// meanwhile, at the price of one.
	latchLookSeldom = 64
	// latchLookOften is for a batch: its holder writes the line at the end only, and does much.
	latchLookOften = 4
)

// latchTurns is how many turns a held latch is waited for at least: 5 to 25 us. Nobody
// holds one for as long as a sleep takes, but who is not running; with distant processors
// a few lines that have to come from there are more than what has helped lately.
const latchTurns = 500

// Latch returns a view of the latch at word, which lies in the segment.
func (s *Segment) Latch(word *uint32) *Latch { return &Latch{seg: s, word: word} }

// holder is the seat of whoever is in the middle of an operation; 0 = nobody.
func (l *Latch) holder() uint16 { return SeatOf(load32(l.word)) }

// LatchHolder is the seat whose client is in the middle of an operation on a
// semaphore with undo or a queue; 0 = nobody. A look that holds nothing still: who is
// found again and again is stopped.
func (s *Segment) LatchHolder() uint16 {
	switch {
	case s.geometry.Kind == KindQueue:
		return s.Queue().holder()
	case s.geometry.Flags.Has(FlagUndo):
		return s.Semaphore().undo.latch.holder()
	}
	return 0
}

// free reports whether anybody may take the latch: nobody has it, or a daemon
// that is certainly gone, for its successor has written its own epoch.
func (l *Latch) free(old uint32) bool {
	return isFree(old) ||
		SeatOf(old) == SeatDaemon && generationOf(old) < atomic.LoadUint32(&l.seg.page.Header.DaemonEpoch)
}

// TryLatch takes the latch for the owner word me if that needs no waiting, else
// it returns status.WouldBlock. found is the word that it had before: unless that is
// free, it is stolen, and the derived state is rebuilt first.
func (l *Latch) TryLatch(me uint32) (found uint32, err error) {
	if cas32(l.word, 0, me) { // without a look, which would fetch its line once more
		return 0, nil
	}
	for range recoverTries { // others can set the waiters bit only, so the second try is the last
		old := atomic.LoadUint32(l.word)
		if !l.free(old) {
			break
		}
		if cas32(l.word, old, me|old&ownerWaiters) { // acquire; pairs with the release in Unlatch
			return old, nil
		}
	}
	return 0, status.WouldBlock
}

// Latch takes the latch, after a short spin by sleeping. found is as TryLatch's. An
// error means that it is not held: status.TimedOut at the
// deadline (absolute CLOCK_MONOTONIC in ns, 0 = none), Cancelled with ctx, and
// WouldBlock for the daemon, which never waits for a client; Removed if it is held
// in an object that was destroyed, for its holder may be dead and never recovered.
func (l *Latch) Latch(ctx context.Context, p *Parker, me uint32, deadline int64) (found uint32, err error) {
	found, err = l.TryLatch(me)
	if err == nil || SeatOf(me) == SeatDaemon {
		return found, err
	}
	return l.await(ctx, p, me, deadline, false)
}

// await is Latch of a client that has tried in vain; many = for a batch.
func (l *Latch) await(ctx context.Context, p *Parker, me uint32, deadline int64, many bool) (found uint32, err error) {
	l.spinWhileHeld(many)
	c := contender{seg: l.seg, word: l.word, self: me, deadline: deadline}
	for {
		old := atomic.LoadUint32(l.word)
		if l.free(old) {
			if cas32(l.word, old, me|c.keep|old&ownerWaiters) {
				return old, nil
			}
			continue
		}
		if l.seg.State() == StateRemoved { // after the word; pairs with abandon
			return 0, status.Removed
		}
		if err := c.wait(ctx, p, old); err != nil {
			return 0, err
		}
	}
}

func (l *Latch) spinWhileHeld(many bool) {
	pauses := uint32(latchLookSeldom)
	if many {
		pauses = latchLookOften
	}
	l.spin.whileHeld(l.word, latchTurns, pauses/4, pauses)
}

// Unlatch gives the latch back and wakes one waiter. Errors, with nothing
// changed: status.NotOwner, and Corrupt for a word that somebody keeps flipping.
func (l *Latch) Unlatch(me uint32) error {
	if cas32(l.word, me, 0) { // release; pairs with TryLatch
		return nil
	}
	return l.unlatchWaited(me)
}

// unlatchWaited is Unlatch of a word that is not me alone: somebody waits.
func (l *Latch) unlatchWaited(me uint32) error {
	for range recoverTries {
		old := atomic.LoadUint32(l.word)
		if ownerOf(old) != me {
			return status.NotOwner
		}
		if cas32(l.word, old, 0) { // release; pairs with TryLatch
			if hasWaiters(old) {
				futexWakeN(l.word, 1)
			}
			return nil
		}
	}
	return status.Corrupt
}

// Steal takes the latch for recovery, by the daemon only, with its own word of
// this epoch as me. alive reports whether an owner word is a living client's; what
// nobody living has is stolen, whatever bits it holds. After true: rebuild the
// derived state, call rebuilt on each eventcount, then Restore; or PutBack of the word
// that was found. false = a living client or a thread of this daemon holds it: recover
// again later.
func (l *Latch) Steal(me uint32, alive func(owner uint32) bool) (found uint32, ok bool) {
	for range recoverTries {
		old := atomic.LoadUint32(l.word)
		holder := ownerOf(old)
		if holder == me || !isFree(old) && SeatOf(old) != SeatDaemon && alive(holder) {
			return 0, false
		}
		if cas32(l.word, old, me|old&ownerWaiters) {
			return old, true
		}
	}
	return 0, false
}

// PutBack undoes a TryLatch, Latch or Steal that found this word, of whoever does not
// go on: who comes next meets the dead holder again. One who sleeps is woken, for he
// may steal what he slept for.
func (l *Latch) PutBack(me, found uint32) {
	for range recoverTries {
		old := atomic.LoadUint32(l.word)
		if ownerOf(old) != me {
			return
		}
		left := uint32(0)
		if !isFree(found) {
			left = found | old&ownerWaiters
		}
		if cas32(l.word, old, left) {
			if hasWaiters(old) {
				futexWakeN(l.word, 1)
			}
			return
		}
	}
}

// Restore ends what Steal began: it gives the latch back, and repeats a wake-up
// that may have died with a client, whether or not that one held the latch. The
// eventcounts' wake(futexAll) comes after it. Errors as Unlatch: recover again
// later.
func (l *Latch) Restore(me uint32) error {
	if err := l.Unlatch(me); err != nil {
		return err
	}
	if wakesAnyway && !wakeGently(l.word) {
		return status.Corrupt
	}
	return nil
}

// finish is Restore, and the same for those who sleep on the eventcounts under the
// latch: all are woken, whether or not anything of the victim's came back. false =
// recover again later.
func (l *Latch) finish(v Victim, cameBack bool, events ...eventcount) bool {
	return finishAll(&v, cameBack, []*Latch{l}, events)
}

// finishAll is finish for eventcounts that lie between several latches.
func finishAll(v *Victim, cameBack bool, latches []*Latch, events []eventcount) bool {
	wakes := cameBack || wakesAnyway
	for _, e := range events {
		if wakes {
			e.rebuilt()
		}
	}
	for _, l := range latches {
		if l.Restore(v.Daemon) != nil {
			return false
		}
	}
	for _, e := range events {
		if wakes {
			e.wake(futexAll)
		}
	}
	return true
}

// abandon follows the store of REMOVED: nobody recovers the object any more, so
// nobody may go on waiting for a dead holder. The inconsistent bit, which a latch
// has for nothing else, changes the word for those about to sleep; a living holder
// releases it as ever. false = somebody keeps flipping the word: call it again.
func (l *Latch) abandon() bool {
	for range recoverTries {
		old := atomic.LoadUint32(l.word)
		if isInconsistent(old) || isFree(old) || cas32(l.word, old, old|ownerInconsistent) {
			futexWakeN(l.word, futexAll)
			return true
		}
	}
	return false
}
