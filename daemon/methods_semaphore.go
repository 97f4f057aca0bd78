package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// actor is the daemon acting for a client: it takes latches as itself, and what it
// takes is the client's.
func (c *call) actor(h *handle) shm.Actor {
	return shm.Actor{Latcher: c.session.server.word(), Seat: h.seat.word}
}

// semaphore reads the handle of one, and how many permits the call is about.
func (c *call) semaphore(arity int) (h *handle, m *shm.Semaphore, n uint32, err error) {
	if err := c.params.Arity(1, arity); err != nil {
		return nil, nil, 0, err
	}
	if h, err = c.live(); err != nil {
		return nil, nil, 0, err
	}
	o := h.seat.object
	if o.semaphore == nil {
		return nil, nil, 0, status.New(status.KindMismatch, "", "it is %s, no semaphore", o.describe()).On(o.label())
	}
	if err := h.writable(); err != nil {
		return nil, nil, 0, err
	}
	count, err := c.params.Int64Or("n", 1)
	if err == nil && (count < 1 || count > int64(o.geometry.Maximum)) {
		err = status.New(status.Invalid, "", "n is %d; it must be 1 to the maximum, %d", count, o.geometry.Maximum)
	}
	return h, o.semaphore, uint32(count), on(o, err)
}

func (c *call) acquire() error {
	h, m, n, err := c.semaphore(3)
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	actor, parker := c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		return appendNil, on(h.seat.object, m.AcquireWait(ctx, parker, actor, n, timeout))
	}, func() {
		// The client is gone and never knew. If this fails, the sweep of its seat
		// does it, or the semaphore is destroyed.
		_ = m.Release(context.Background(), parker, actor, n, -1)
	})
}

func (c *call) release() error { return c.give((*shm.Semaphore).Release) }
func (c *call) post() error    { return c.give((*shm.Semaphore).Post) }

// give executes release and post. They wait for nothing but a latch.
func (c *call) give(
	act func(*shm.Semaphore, context.Context, *shm.Parker, shm.Actor, uint32, time.Duration) error) error {
	h, m, n, err := c.semaphore(2)
	if err != nil {
		return err
	}
	actor, parker := c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, -1, func(ctx context.Context, timeout time.Duration) (appender, error) {
		return appendNil, on(h.seat.object, act(m, ctx, parker, actor, n, timeout))
	}, nil)
}

func (c *call) permits() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, err := c.live()
	if err != nil {
		return err
	}
	o := h.seat.object
	if o.semaphore == nil {
		return status.New(status.KindMismatch, "", "it is %s, no semaphore", o.describe()).On(o.label())
	}
	p := o.semaphore.Permits(h.seat.word)
	return c.encoded(&wire.Permits{Available: p.Available, Total: p.Total, Held: p.Held, Maximum: o.geometry.Maximum})
}
