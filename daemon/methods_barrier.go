package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// writableBarrier reads the handle of a barrier that the call changes.
func (c *call) writableBarrier(arity int) (*handle, *shm.Barrier, error) {
	if err := c.params.Arity(1, arity); err != nil {
		return nil, nil, err
	}
	h, b, err := barrierOf(c)
	if err != nil {
		return nil, nil, err
	}
	return h, b, h.writable()
}

func barrierOf(c *call) (*handle, *shm.Barrier, error) {
	return handleOf(c, wire.KindBarrier, func(o *object) *shm.Barrier { return o.barrier })
}

// arrive waits for the others. With an action the last to arrive is told that it
// leads; should nobody be left to be told, the sweep of its seat breaks the barrier.
func (c *call) arrive() error {
	h, b, err := c.writableBarrier(3)
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	action, err := c.params.BoolOr("action", false)
	if err != nil {
		return err
	}
	o, s, actor, parker := h.seat.object, h.seat, c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		arrival, err := b.Arrive(ctx, parker, actor, timeout, action)
		if err != nil {
			return nil, on(o, err)
		}
		if arrival.Leader {
			s.leads.Store(&arrival)
		}
		result := wire.Arrival{Index: arrival.Index, Leader: arrival.Leader}
		return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, &result) }, nil
	}, nil)
}

// complete ends the action of the generation that the client leads.
func (c *call) complete() error {
	h, b, err := c.writableBarrier(2)
	if err != nil {
		return err
	}
	ok, err := c.params.BoolOr("ok", true)
	if err != nil {
		return err
	}
	err = b.CompleteCurrent(c.actor(h), ok)
	if last := h.seat.leads.Swap(nil); status.Of(err) == status.NotOwner && last != nil {
		err = b.Complete(c.actor(h), *last, ok) // which knows what became of it
	}
	if status.Of(err) == status.NotOwner {
		err = status.New(status.NotOwner, "", "this client leads no generation of the barrier")
	}
	if err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}

func (c *call) abort() error {
	h, b, err := c.writableBarrier(1)
	if err != nil {
		return err
	}
	if err := b.Abort(c.actor(h)); err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}

// barrier tells how it stands.
func (c *call) barrier() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	_, b, err := barrierOf(c)
	if err != nil {
		return err
	}
	now := b.Status()
	return c.encoded(&wire.Barrier{
		Parties: now.Parties, Waiting: now.Waiting, Broken: now.Broken, Reasons: now.Reasons.Names(),
		Acting: now.Acting, Generation: now.Generation, LastDeath: wireNoticeIf(now.LastDeath),
	})
}
