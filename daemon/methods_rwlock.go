package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// rwlock reads the handle of one, for its readers; its writers use the methods of
// locks.
func (c *call) rwlock(arity int) (*handle, *shm.RWLock, error) {
	if err := c.params.Arity(1, arity); err != nil {
		return nil, nil, err
	}
	h, l, err := handleOf(c, wire.KindRWLock, func(o *object) *shm.RWLock { return o.rwlock })
	if err != nil {
		return nil, nil, err
	}
	return h, l, h.writable()
}

func (c *call) readLock() error {
	h, l, err := c.rwlock(3)
	if err != nil {
		return err
	}
	timeout, token, err := c.locking()
	if err != nil {
		return err
	}
	s, parker := h.seat, c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		var notice *shm.Notice
		err := s.as(token, locks, func(t *thread) (err error) {
			if s.readsNamelessly() {
				// It may be this thread that reads, which must not wait for a writer then.
				t.owner.Assume(1)
				defer t.owner.Assume(-1)
			}
			if notice, err = l.ReadLock(ctx, parker, t.owner, timeout); err == nil {
				t.reads++
			}
			return err
		})
		if err != nil {
			return nil, on(s.object, err)
		}
		return appendNotice(notice), nil
	}, func() {
		_ = s.endRead(l, token) // the client is gone and never knew; else the sweep of its seat does it
	})
}

func (c *call) readUnlock() error {
	h, l, err := c.rwlock(2)
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if err := h.seat.endRead(l, token); err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}

// What a call does for a thread.
const (
	locks   = false
	unlocks = true
)

// as runs a call for a thread of the seat's client.
func (s *seat) as(token uint32, unlocks bool, act func(t *thread) error) error {
	t, err := s.enter(token, unlocks)
	if err != nil {
		return err
	}
	defer s.leave(token, t)
	return act(t)
}

func (s *seat) endRead(l *shm.RWLock, token uint32) error {
	return s.as(token, unlocks, func(t *thread) error {
		err := l.ReadUnlock(t.owner)
		if t.reads > 0 && (err == nil || status.Of(err) == status.Removed) {
			t.reads--
		}
		if t.nameless && err == nil {
			s.threads.mu.Lock()
			s.threads.nameless--
			s.threads.mu.Unlock()
		}
		return err
	})
}

// writer is one thread of a client, as a writer of an rwlock.
type writer struct {
	seat  *seat
	token uint32
}

func (w writer) lock(ctx context.Context, p *shm.Parker, timeout time.Duration) (n *shm.Notice, err error) {
	err = w.seat.as(w.token, locks, func(t *thread) (err error) {
		n, err = w.seat.object.rwlock.WriteLock(ctx, p, t.owner, timeout)
		return err
	})
	return n, err
}

func (w writer) unlock() error {
	return w.seat.as(w.token, unlocks, func(t *thread) error { return w.seat.object.rwlock.WriteUnlock(t.owner) })
}

func (w writer) markConsistent() error {
	return w.seat.as(w.token, unlocks, func(t *thread) error { return w.seat.object.rwlock.MarkConsistent(t.owner) })
}
