package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// queueWait is one call's wait for a message, for a slot, or for all to be done.
type queueWait struct {
	q     *Queue
	actor Actor
	latch *Latch // of the side that waits
	ec    eventcount
	gate  gate // nil = none
	goal  queueGoal
	callClock
	spun    bool
	duty    bool   // a wake may have been consumed
	inside  bool   // of the gate
	idled   bool   // this latch section found the queue idle: wake those who wait for that
	revived uint32 // messages that came back in it: wake as many
	until   int64  // a lease may be over then, look again; as deadline
	many    bool   // it is for a batch
}

// queueGoal is what a queueWait is for.
type queueGoal uint8

const (
	forMessage queueGoal = iota
	forSlot
	forIdle
)

func (q *Queue) waitForMessage(a Actor, timeout time.Duration) queueWait {
	return queueWait{q: q, actor: a, latch: q.takeLatch, ec: q.notEmpty, gate: q.takers,
		callClock: within(timeout)}
}

func (q *Queue) waitForSlot(a Actor, timeout time.Duration) queueWait {
	return queueWait{q: q, actor: a, latch: q.putLatch, ec: q.notFull, gate: q.putters, goal: forSlot,
		callClock: within(timeout)}
}

// mayGo is a look, also without the latch: false = what w waits for is not there.
func (w *queueWait) mayGo() bool {
	switch w.goal {
	case forMessage:
		return w.q.mayTake()
	case forSlot:
		return w.q.mayPut()
	}
	return w.q.isIdle()
}

// mayEnd is mayGo, or that the queue was shut down, for those whom that concerns.
func (w *queueWait) mayEnd() bool {
	return w.mayGo() || w.goal != forIdle && load32(&w.q.lines.Closed) != 0
}

// enter takes the latch and sees to what a daemon that is gone left. After an error the
// latch is free and no duty is left.
func (w *queueWait) enter(ctx context.Context, p *Parker) error {
	if err := w.q.seg.admits(w.actor.Seat); err != nil {
		return err
	}
	for {
		found, err := w.enterOne(ctx, p, w.latch)
		if err != nil {
			return w.passOn(err)
		}
		if err := w.q.refuses(); err != nil {
			return w.leave(err)
		}
		if isFree(found) {
			return nil
		}
		w.latch.PutBack(w.actor.Latcher, found)
		if err := w.repair(ctx, p); err != nil {
			return w.passOn(err)
		}
	}
}

// enterOne takes one of the latches, and says what word it had.
func (w *queueWait) enterOne(ctx context.Context, p *Parker, l *Latch) (found uint32, err error) {
	found, err = l.TryLatch(w.actor.Latcher)
	if err == nil {
		return found, nil
	}
	return l.enterSlowly(ctx, p, w.actor, w.clock(ctx), w.timeout == 0, w.many)
}

// refuses says why an object that is not live does nothing any more; nil = it is live.
func (q *Queue) refuses() error {
	switch q.seg.State() {
	case StateLive:
		return nil
	case StateRemoved:
		return status.Removed
	}
	return errCorrupt
}

// passOn ends the wait; it wakes another if this call may have eaten its wake.
func (w *queueWait) passOn(reason error) error {
	w.exit()
	if w.duty {
		w.duty = false
		w.ec.wake(1)
	}
	return reason
}

// leave ends a latch section without having taken what w waits for.
func (w *queueWait) leave(reason error) error {
	return w.passOn(orElse(w.unlatch(), reason))
}

// unlatch ends a latch section, and does what it owes to others.
func (w *queueWait) unlatch() error {
	err := w.q.unlatch(w.latch, w.actor)
	w.wakeOthers()
	return err
}

func (w *queueWait) wakeOthers() {
	if w.revived != 0 || w.idled {
		w.wakeTheseOthers()
	}
}

func (w *queueWait) wakeTheseOthers() {
	if w.revived != 0 {
		w.q.notEmpty.tell(int(w.revived))
	}
	if w.idled {
		w.q.idle.wake(futexAll)
	}
	w.revived, w.idled = 0, false
}

// exit lets another goroutine wait in our place.
func (w *queueWait) exit() {
	if w.inside {
		w.inside = false
		w.gate.leave()
	}
}

// waitOutside ends a latch section that found nothing, of one for whom the gate has no
// room: it has not slept yet, so it owes nobody a wake.
func (w *queueWait) waitOutside(ctx context.Context) error {
	if err := w.unlatch(); err != nil {
		return err
	}
	seg, seat := w.q.seg, w.actor.Seat
	seg.announce(seat, 1)
	err := w.gate.enter(ctx, w.clock(ctx))
	seg.announce(seat, ^uint32(0))
	w.inside = err == nil
	return err
}

// unlatch gives a latch back; one that is not ours any more was scribbled on.
func (q *Queue) unlatch(l *Latch, a Actor) error {
	if l.Unlatch(a.Latcher) != nil {
		return errCorrupt
	}
	return nil
}

// announce announces a waiter, with the latch held, and looks again: what came in between,
// from the other side, may have told nobody. Pairs with tell.
func (w *queueWait) announce() (announced uint64, came bool) {
	announced = w.ec.announce()
	return announced, w.mayEnd()
}

// sleep ends a latch section that found nothing. nil = enter and look again.
func (w *queueWait) sleep(ctx context.Context, p *Parker) error {
	q := w.q
	if w.timeout == 0 {
		return w.leave(status.WouldBlock)
	}
	if !w.spun && !w.duty && !q.spin.skip() {
		w.spun = true
		if err := w.unlatch(); err != nil {
			return w.passOn(err)
		}
		q.spin.untilTrue(w.mayEnd)
		return nil
	}
	if w.gate != nil && !w.inside {
		if w.inside = w.gate.tryEnter(); !w.inside {
			return w.waitOutside(ctx)
		}
	}
	announced, came := w.announce() // does what a duty owes: others sleep on a set bit again
	if came {
		// A duty stays: what came may be for another, who sleeps.
		if err := w.unlatch(); err != nil {
			return w.passOn(err)
		}
		return nil
	}
	w.duty = false
	if err := w.unlatch(); err != nil {
		return w.passOn(err)
	}
	if q.seg.State() != StateLive { // after the announcement; pairs with remove and recover
		return nil // enter says why
	}
	q.seg.announce(w.actor.Seat, 1)
	deadline := w.clock(ctx)
	early := w.until != 0 && (deadline == 0 || w.until < deadline)
	if early {
		deadline = w.until
	}
	duty, err := w.ec.sleep(ctx, p, announced, deadline)
	q.seg.announce(w.actor.Seat, ^uint32(0))
	w.duty = duty
	if early && err == status.TimedOut {
		return nil // not the call's: a lease may be over
	}
	if err != nil {
		w.exit()
	}
	return err
}

// nobody waits for what some calls make.
var nobody eventcount

// finish ends a latch section that took what w waits for, and made one of what those want
// who wait at `told`.
func (w *queueWait) finish(told eventcount) error {
	if told == nobody {
		return w.finishMany(told, 0)
	}
	return w.finishMany(told, 1)
}

// finishMany is finish for `many` at once, each of which is enough for one waiter. The due
// of w itself: more for others = pass the wake on.
func (w *queueWait) finishMany(told eventcount, many int) error {
	own := w.duty && w.ec.rearm(w.mayGo)
	if w.goal != forSlot && w.q.endsJoins() {
		w.idled = true
	}
	err := w.q.unlatch(w.latch, w.actor)
	w.exit()
	w.wakeOthers()
	if many > 0 {
		told.tell(many)
	}
	if own {
		w.ec.tell(1)
	}
	return err
}

// slot enters and waits for the free slot for a new message; then the latch is held.
func (w *queueWait) slot(ctx context.Context, p *Parker) (freeSlot, error) {
	q := w.q
	for {
		if err := w.enter(ctx, p); err != nil {
			return freeSlot{}, err
		}
		if load32(&q.lines.Closed) != 0 {
			return freeSlot{}, w.leave(status.Ended)
		}
		f, ok, err := q.topFree()
		switch {
		case err != nil:
			return f, w.leave(err)
		case ok:
			return f, nil
		}
		if err := w.sleep(ctx, p); err != nil {
			return f, err
		}
	}
}

// message enters and waits for the message that is next; then the latch is held.
func (w *queueWait) message(ctx context.Context, p *Parker) (readyMessage, error) {
	for {
		if m, ok, err := w.messageOrSleep(ctx, p); ok || err != nil {
			return m, err
		}
	}
}

// messageOrSleep is one round of message; ok = false: slept, look again.
func (w *queueWait) messageOrSleep(ctx context.Context, p *Parker) (m readyMessage, ok bool, err error) {
	if err := w.enter(ctx, p); err != nil {
		return m, false, err
	}
	q := w.q
	w.endLeases()
	closed := load32(&q.lines.Closed) != 0 // before the look: what was put before the end is then found
	m, ok, err = q.firstReady()
	switch {
	case err != nil:
		return m, false, w.leave(err)
	case ok:
		return m, true, nil
	case closed:
		return m, false, w.leave(status.Ended)
	}
	return m, false, w.sleep(ctx, p)
}
