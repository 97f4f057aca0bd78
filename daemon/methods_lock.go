package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// locked reads the handle of an object that has a lock. What was destroyed is no
// matter here: an own lock is destroyed with it, and a foreign one lives on.
func (c *call) locked() (*handle, *shm.Lock, error) {
	h, err := c.handle()
	if err != nil {
		return nil, nil, err
	}
	if err := h.writable(); err != nil {
		return nil, nil, err
	}
	o := h.seat.object
	if o.lock == nil {
		return nil, nil, status.New(status.Unsupported, "", "%s was created without a lock", o.describe()).On(o.label())
	}
	return h, o.lock, nil
}

func (c *call) lock() error {
	if err := c.params.Arity(1, 3); err != nil {
		return err
	}
	h, lock, err := c.locked()
	if err == nil {
		err = h.alive()
	}
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	o, owner, parker := h.seat.object, h.seat.holder(token), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		notice, err := lock.LockWait(ctx, parker, owner, timeout)
		if err == nil && o.removed.Load() {
			// Only a foreign lock is to be had at all: it lives on.
			err = status.Removed
			if failed := lock.Unlock(owner); failed != nil {
				err = failed
			}
		}
		switch {
		case err != nil:
			return nil, on(o, err)
		case notice == nil:
			return appendNil, nil
		}
		told := wireNotice(notice)
		return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, &told) }, nil
	}, func() {
		// The client is gone and never knew: no notice is due.
		_ = lock.Unlock(owner)
	})
}

func (c *call) unlock() error {
	return c.held(func(h *handle, lock *shm.Lock, token uint32) error { return lock.Unlock(h.seat.holder(token)) })
}

func (c *call) markConsistent() error {
	return c.held(func(h *handle, lock *shm.Lock, token uint32) error {
		if array := h.seat.object.array; array != nil {
			return array.MarkConsistent(h.seat.access(token))
		}
		return lock.MarkConsistent(h.seat.holder(token))
	})
}

// held executes a call on a lock that the client should hold.
func (c *call) held(act func(h *handle, lock *shm.Lock, token uint32) error) error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	h, lock, err := c.locked()
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if err := act(h, lock, token); err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}
