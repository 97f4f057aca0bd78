package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// Condition is waited for, by who holds its mutex, until somebody who holds the mutex
// notifies. Its word is an eventcount (include/shmd_abi.h); the protocol is
// tests/models/condition.pml and crash rules stand in recover.go. The mutex is another
// object, of any flags; with unlock_any, "holds" means that the caller's client took it.
//
// Wake-ups without a cause happen: a death wakes everybody. Look at the predicate again
// after every Wait.
//
// Errors that Wait and Notify may return: status.Removed (the condition or the mutex),
// NotOwner (the caller does not hold the mutex), Permission (a read-only mapping of
// either), Invalid. Safe for concurrent use.
type Condition struct {
	seg   *Segment
	ec    eventcount
	mutex *Lock // immutable; of another segment
	spin  spinner
}

// Condition returns a view of the condition, bound to a view of its mutex. Alarm and
// Waiters do without a mutex, which may be nil then.
func (s *Segment) Condition(mutex *Lock) *Condition {
	return &Condition{seg: s, ec: eventcount{&kindLines[ConditionLines](s).Word}, mutex: mutex}
}

// check is what Wait and Notify ask first.
func (c *Condition) check(a Actor, o Owner) error {
	if err := c.seg.admits(a.Seat); err != nil {
		return err
	}
	switch {
	case c.mutex.seg.readOnly:
		return status.Permission
	case c.seg.State() == StateRemoved:
		return status.Removed
	case !c.mutex.Holds(o):
		if c.mutex.Status().Removed {
			return status.Removed
		}
		return status.NotOwner
	}
	return nil
}

// Wait releases the mutex, whatever its depth, sleeps until it is notified, up to timeout,
// and takes the mutex again at the same depth: a is the caller in the condition, o in the
// mutex. timeout: negative = for ever, 0 = not at all, which is status.WouldBlock with
// nothing released. The sleep ends with status.TimedOut at the timeout or ctx's deadline
// and with status.Cancelled when ctx is cancelled; of one that is so already nothing is released.
//
// relock bounds taking the mutex again; context.Background() = for ever.
//
// Whatever Wait returns, the mutex is held again as before, unless it cannot be had any
// more: status.Removed if it was destroyed, NotRecoverable (strict, and poisoned), Closed if
// relock has ended. A notice, which may stand beside an error, says that an owner of the
// mutex died, as of Lock. Unlocking is right or harmless after every answer.
func (c *Condition) Wait(ctx, relock context.Context, p *Parker, a Actor, o Owner,
	timeout time.Duration) (*Notice, error) {
	if err := c.check(a, o); err != nil {
		return nil, err
	}
	if timeout == 0 {
		return nil, status.WouldBlock
	}
	if ctx.Err() != nil && endOf(ctx) == status.Cancelled {
		return nil, status.Cancelled
	}
	deadline := deadlineWithin(ctx, timeout) // even if that is over, others get the mutex meanwhile
	announced := c.ec.announce()
	if c.seg.State() == StateRemoved { // after the announcement; pairs with remove
		return nil, status.Removed
	}
	depth, err := c.mutex.Suspend(o)
	if err != nil {
		return nil, err
	}
	word := uint32(announced)
	w := c.sleep(ctx, p, a, word, deadline)
	duty := w != expired && c.moved(word) // a wake may have been eaten
	n, err := c.mutex.Resume(relock, p, o, depth)
	switch {
	case err != nil:
		if duty || err == status.NotRecoverable {
			c.Alarm() // nobody notifies the others for us
		}
		return nil, notResumed(err)
	case c.seg.State() == StateRemoved:
		return n, status.Removed
	case w == expired:
		return n, status.TimedOut
	case w == cancelled:
		if duty {
			c.notify(1)
		}
		return n, endOf(ctx)
	}
	return n, nil
}

// sleep sleeps until the word has moved on from the value that its caller announced
// itself with, or it must leave. No wake is lost by spinning: whoever finds the word moved
// needs none, and a notify counts those who slept only.
func (c *Condition) sleep(ctx context.Context, p *Parker, a Actor, word uint32, deadline int64) wakeup {
	if c.mutex.poisoned() {
		return changed // nobody can ever notify
	}
	futex := futexWord32(c.ec.word)
	c.spin.forActor(a, futex, func(x uint32) bool { return x != word })
	for !c.moved(word) {
		if w := c.seg.sleep(ctx, p, a.Seat, futex, word, deadline); w == expired || w == cancelled {
			return w
		}
	}
	return woken
}

// moved reports whether anybody has been woken since a waiter announced itself. One that
// finds the word as it left it is announced still, whatever has woken it.
func (c *Condition) moved(word uint32) bool { return uint32(c.ec.load()) != word }

// notResumed makes an error of what kept a wait from taking its mutex again: the codes of
// a wait that has ended mean that it did.
func notResumed(err error) error {
	if err == status.TimedOut || err == status.Cancelled {
		return status.New(status.Closed, "", "the wait is over, and the mutex was not taken again: %v", err)
	}
	return err
}

// Notify wakes n of those who wait, or all there are; math.MaxInt32 = all. It needs n >= 1
// and never waits for a waiter. With unlock_any nobody should unlock the mutex under it: a
// wake might go to somebody who came later.
func (c *Condition) Notify(a Actor, o Owner, n int) error {
	if err := c.check(a, o); err != nil {
		return err
	}
	if n < 1 {
		return status.New(status.Invalid, "", "notify %d; it must be at least 1", n)
	}
	c.notify(min(n, futexAll))
	return nil
}

// notify wakes n with the mutex held. Who announced before has the mutex released since,
// so it is asleep, or finds the word moved. If fewer slept than asked, nobody sleeps any
// more, and nobody announces before the mutex is released: the bit can go.
func (c *Condition) notify(n int) {
	if c.ec.load()&eventcountWaiters == 0 {
		return
	}
	add64(c.ec.word, eventcountStep)
	if futexWakeN(futexWord32(c.ec.word), n) < n {
		c.nobodySleeps()
	}
}

// nobodySleeps clears the waiters bit with the mutex held. With unlock_any somebody may have
// unlocked that under us, and another announced itself: it is woken, in vain, rather than
// left asleep without the bit.
func (c *Condition) nobodySleeps() {
	and64(c.ec.word, ^eventcountWaiters)
	if c.mutex.unlockAny {
		c.ec.wake(futexAll)
	}
}

// Alarm wakes all who wait, without the mutex: by the daemon, after a death and after
// the mutex was destroyed. The waiters bit stays: a stray one costs a call.
func (c *Condition) Alarm() {
	c.ec.rebuilt()
	c.ec.wake(futexAll)
}

// Waiters reports whether somebody may sleep.
func (c *Condition) Waiters() bool { return c.ec.load()&eventcountWaiters != 0 }

// recover wakes all: the victim may have been woken, or may have notified without
// waking, and died.
func (c *Condition) recover(v Victim) (held, done bool) {
	if wakesAnyway && (!v.Orderly || v.HeldForeign) {
		c.Alarm()
	}
	return false, true
}

// remove ends every wait; the state is stored already.
func (c *Condition) remove() bool {
	c.Alarm()
	return true
}
