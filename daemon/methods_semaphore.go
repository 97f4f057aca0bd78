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
func (c *call) actor(h *handle) shm.Actor { return c.session.server.actor(h.seat) }

func (s *Server) actor(seat *seat) shm.Actor { return shm.Actor{Latcher: s.word(), Seat: seat.word} }

// semaphore reads the handle of one, and how many permits the call is about.
func (c *call) semaphore(arity int) (h *handle, m *shm.Semaphore, n uint32, err error) {
	if err := c.params.Arity(1, arity); err != nil {
		return nil, nil, 0, err
	}
	if h, m, err = semaphoreOf(c); err == nil {
		err = h.writable()
	}
	if err != nil {
		return nil, nil, 0, err
	}
	o := h.seat.object
	count, err := c.params.Int64Or("n", 1)
	if err == nil && (count < 1 || count > int64(o.geometry.Maximum)) {
		err = status.New(status.Invalid, "", "n is %d; it must be 1 to the maximum, %d", count, o.geometry.Maximum)
	}
	return h, m, uint32(count), on(o, err)
}

func semaphoreOf(c *call) (*handle, *shm.Semaphore, error) {
	return handleOf(c, wire.KindSemaphore, func(o *object) *shm.Semaphore { return o.semaphore })
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
	h, m, err := semaphoreOf(c)
	if err != nil {
		return err
	}
	p := m.Permits(h.seat.word)
	return c.encoded(&wire.Permits{Available: p.Available, Total: p.Total, Held: p.Held,
		Maximum: h.seat.object.geometry.Maximum})
}
