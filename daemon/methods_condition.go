package daemon

import (
	"context"
	"math"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// conditional reads the handle of a condition, which is always writable.
func (c *call) conditional() (*handle, *shm.Condition, error) {
	if err := c.params.Arity(1, 3); err != nil {
		return nil, nil, err
	}
	return handleOf(c, wire.KindCondition, func(o *object) *shm.Condition { return o.condition })
}

// waitCondition waits in a goroutine of its own, which also takes the mutex again:
// after a cancel and a timeout too, and as long as the handle is open.
func (c *call) waitCondition() error {
	h, condition, err := c.conditional()
	if err != nil {
		return err
	}
	timeout, token, err := c.locking()
	if err != nil {
		return err
	}
	o, actor, owner, parker := h.seat.object, c.actor(h), h.seat.holder(token), c.session.server.parker
	now := context.Background()
	_, err = condition.Wait(now, now, parker, actor, owner, 0) // it only looks
	if timeout == 0 || status.Of(err) != status.WouldBlock {
		return o.blame(err)
	}
	var notice *shm.Notice
	return c.waitBound([]*handle{h}, 0, func(ctx, life context.Context) (_ appender, err error) {
		notice, err = condition.Wait(ctx, life, parker, actor, owner, timeout)
		code := status.Of(err)
		switch {
		case err == nil, notice != nil && (code == status.TimedOut || code == status.Cancelled):
			return appendNotice(notice), nil
		case code == status.Cancelled && life.Err() != nil:
			// It was free. Whoever closes the handle does not want it, and knows so.
			_, _ = o.lock.Suspend(owner) // nobody else can have unlocked it, or it is destroyed
			err = status.Closed
		}
		if status.Of(err) == status.Closed {
			if err = context.Cause(life); err == errHandleClosed {
				err = status.New(status.Closed, "", "its handle was closed; the mutex is not held")
			}
		}
		return nil, o.blame(err)
	}, func() {
		if !o.losesBy(notice) { // as in lock
			_, _ = o.lock.Suspend(owner)
		}
	})
}

// notify wakes n waiters, 0 = all.
func (c *call) notify() error {
	h, condition, err := c.conditional()
	if err != nil {
		return err
	}
	o := h.seat.object
	n, err := c.params.Int64Or("n", 1)
	if err == nil && (n < 0 || n > math.MaxInt32) {
		err = status.New(status.Invalid, "", "n is %d; it must be 1 to %d, or 0 for all", n, math.MaxInt32)
	}
	if err != nil {
		return on(o, err)
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if n == 0 {
		n = math.MaxInt32
	}
	if err := condition.Notify(c.actor(h), h.seat.holder(token), int(n)); err != nil {
		return o.blame(err)
	}
	return c.nothing()
}

// blame names the object in an error at a condition: the mutex, if that cannot be had
// any more.
func (o *object) blame(err error) error {
	switch code := status.Of(err); {
	case code == status.Removed && !o.removed.Load():
		err = status.New(code, "", "it is the mutex of the condition %s, which is of no use any more", o.label())
		return on(o.guard, err)
	case code == status.NotRecoverable:
		return on(o.guard, err)
	}
	return on(o, err)
}
