package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

func eventOf(c *call) (*handle, *shm.Event, error) {
	return handleOf(c, wire.KindEvent, func(o *object) *shm.Event { return o.event })
}

func (c *call) signal() error { return c.change((*shm.Event).Set) }
func (c *call) pulse() error  { return c.change((*shm.Event).Pulse) }

// change executes what needs no waiting at an event.
func (c *call) change(act func(*shm.Event, shm.Actor) error) error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, e, err := eventOf(c)
	if err == nil {
		err = h.writable()
	}
	if err != nil {
		return err
	}
	if err := act(e, c.actor(h)); err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}

// reset is of an event or a barrier.
func (c *call) reset() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, err := c.live()
	if err != nil {
		return err
	}
	o := h.seat.object
	if o.event == nil && o.barrier == nil {
		return o.isNo("event or barrier")
	}
	if err := h.writable(); err != nil {
		return err
	}
	var cleared *shm.Notice
	if o.event != nil {
		err = o.event.Reset(c.actor(h))
	} else {
		cleared, err = o.barrier.Reset(c.actor(h))
	}
	if err != nil {
		return on(o, err)
	}
	c.out, err = appendNotice(cleared)(wire.AppendResultHeader(c.out, c.id))
	return err
}

func (c *call) isSet() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, e, err := eventOf(c)
	if err != nil {
		return err
	}
	set, err := e.IsSet()
	if err != nil {
		return on(h.seat.object, err)
	}
	c.out = wire.AppendBool(wire.AppendResultHeader(c.out, c.id), set)
	return nil
}

func (c *call) waitEvent() error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	h, e, err := eventOf(c)
	if err == nil {
		err = h.writable()
	}
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	o, actor, parker := h.seat.object, c.actor(h), c.session.server.parker
	var undo func()
	if o.geometry.Flags.Has(shm.FlagAutoReset) {
		// The client is gone and never knew. That it is destroyed is no matter.
		undo = func() { _ = e.Set(actor) }
	}
	// It waits from here on, whenever it comes to sleep: a pulse that its client makes
	// next, or makes another make, is for it too.
	since := e.Moment()
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		return appendNil, on(o, e.WaitSince(ctx, parker, actor, since, timeout))
	}, undo)
}
