package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// exclusive is a lock that one thread of a client may hold alone.
type exclusive interface {
	lock(ctx context.Context, p *shm.Parker, timeout time.Duration) (*shm.Notice, error)
	unlock() error
	markConsistent() error
}

// holder is one thread of a client, as an owner of a mutex or of an array's lock.
type holder struct {
	lockable *shm.Lock
	seat     *seat
	token    uint32
}

func (o holder) lock(ctx context.Context, p *shm.Parker, timeout time.Duration) (*shm.Notice, error) {
	return o.lockable.LockWait(ctx, p, o.seat.holder(o.token), timeout)
}

func (o holder) unlock() error { return o.lockable.Unlock(o.seat.holder(o.token)) }

func (o holder) markConsistent() error {
	if array := o.seat.object.array; array != nil {
		return array.MarkConsistent(o.seat.access(o.token))
	}
	return o.lockable.MarkConsistent(o.seat.holder(o.token))
}

// exclusive is the seat's lock for one thread.
func (s *seat) exclusive(token uint32) exclusive {
	if s.object.rwlock != nil {
		return writer{s, token}
	}
	return holder{s.object.lock, s, token}
}

// locked reads the handle of an object that has a lock. What was destroyed is no
// matter here: an own lock is destroyed with it, and a foreign one lives on.
func (c *call) locked() (*handle, error) {
	h, err := c.handle()
	if err != nil {
		return nil, err
	}
	if err := h.writable(); err != nil {
		return nil, err
	}
	o := h.seat.object
	if o.lock == nil && o.rwlock == nil {
		return nil, status.New(status.Unsupported, "", "%s was created without a lock", o.describe()).On(o.label())
	}
	return h, nil
}

func (c *call) lock() error {
	if err := c.params.Arity(1, 3); err != nil {
		return err
	}
	h, err := c.locked()
	if err == nil {
		err = h.alive()
	}
	if err != nil {
		return err
	}
	timeout, token, err := c.locking()
	if err != nil {
		return err
	}
	o, lock, parker := h.seat.object, h.seat.exclusive(token), c.session.server.parker
	var notice *shm.Notice
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (_ appender, err error) {
		notice, err = lock.lock(ctx, parker, timeout)
		if err == nil && o.removed.Load() {
			// Only a foreign lock is to be had at all: it lives on.
			err = status.Removed
			if failed := lock.unlock(); failed != nil {
				err = failed
			}
		}
		if err != nil {
			return nil, on(o, err)
		}
		return appendNotice(notice), nil
	}, func() {
		// The client is gone and never knew: no notice is due.
		if !o.losesBy(notice) {
			_ = lock.unlock()
		}
	})
}

// losesBy reports whether to release the object's lock after this notice would lose it
// for ever: it is strict. For a client that never heard of the notice the sweep of its
// seat releases the lock, which passes the notice on.
func (o *object) losesBy(notice *shm.Notice) bool {
	if o.guard != nil {
		o = o.guard
	}
	return notice != nil && o.geometry.Flags.Has(shm.FlagStrict)
}

// appendNotice appends a notice, or nil.
func appendNotice(n *shm.Notice) appender {
	if n == nil {
		return appendNil
	}
	told := wireNotice(n)
	return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, &told) }
}

func (c *call) unlock() error         { return c.held(exclusive.unlock) }
func (c *call) markConsistent() error { return c.held(exclusive.markConsistent) }

// held executes a call on a lock that the client should hold.
func (c *call) held(act func(exclusive) error) error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	h, err := c.locked()
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if err := act(h.seat.exclusive(token)); err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}
