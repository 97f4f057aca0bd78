package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// queue reads the handle of one.
func (c *call) queue(least, most int) (*handle, *shm.Queue, error) {
	if err := c.params.Arity(least, most); err != nil {
		return nil, nil, err
	}
	h, q, err := queueOf(c)
	if err != nil {
		return nil, nil, err
	}
	return h, q, h.writable()
}

func queueOf(c *call) (*handle, *shm.Queue, error) {
	return handleOf(c, wire.KindQueue, func(o *object) *shm.Queue { return o.queue })
}

func (o *object) raw() bool { return o.geometry.Flags.Has(shm.FlagRaw) }

// message reads one for the queue: part of the request.
func (c *call) message(o *object) ([]byte, error) { return messageFrom(&c.params, o) }

func messageFrom(params *wire.Params, o *object) ([]byte, error) {
	raw, err := params.Value("message")
	if err != nil {
		return nil, err
	}
	if o.raw() {
		p := wire.SingleParam(raw)
		m, err := p.Bin("message")
		if err != nil {
			err = status.New(status.BadType, "", "the queue is raw: a message is a bin")
		}
		return m, on(o, err)
	}
	return raw, on(o, wire.ValidateContent(raw))
}

func (c *call) put() error {
	h, q, err := c.queue(2, 3)
	if err != nil {
		return err
	}
	o := h.seat.object
	message, err := c.message(o)
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	// Most need not wait, and then need nothing of what waiting does.
	ctx, end := o.sides.using(context.Background())
	err = q.Put(ctx, c.session.server.parker, c.actor(h), message, 0)
	end()
	switch {
	case err == nil:
		return c.nothing()
	case mayWait(err, timeout):
		return c.putLater(h, q, slices.Clone(message), timeout) // outlives the bytes of its request
	}
	return on(o, err)
}

func (c *call) putLater(h *handle, q *shm.Queue, message []byte, timeout time.Duration) error {
	o, actor, parker := h.seat.object, c.actor(h), c.session.server.parker
	return c.tryThenWait(h, len(message), timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		ctx, end := o.sides.using(ctx)
		defer end()
		return appendNil, on(o, q.Put(ctx, parker, actor, message, timeout))
	}, nil)
}

// appendMessage appends a message as a value of an answer. What another client put
// in memory need not be what the queue holds.
func (o *object) appendMessage(b, message []byte) ([]byte, error) {
	if o.raw() {
		return wire.AppendBin(b, message), nil
	}
	if err := wire.ValidateContent(message); err != nil {
		return nil, on(o, status.New(status.Corrupt, "",
			"a client put %d bytes that are no msgpack value; they were dropped", len(message)))
	}
	return append(b, message...), nil
}

func (c *call) take() error {
	h, q, err := c.queue(1, 2)
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	o := h.seat.object
	ctx, end := o.sides.using(context.Background())
	message, err := o.taken(ctx, q, c.session.server.parker, c.actor(h), c.session.short[:0], 0)
	end()
	switch {
	case err == nil:
		c.out, err = o.appendMessage(wire.AppendResultHeader(c.out, c.id), message)
		return err
	case mayWait(err, timeout):
		return c.takeLater(h, q, timeout)
	}
	return on(o, err)
}

func (c *call) takeLater(h *handle, q *shm.Queue, timeout time.Duration) error {
	o, actor, parker := h.seat.object, c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		ctx, end := o.sides.using(ctx)
		defer end()
		message, err := o.taken(ctx, q, parker, actor, nil, timeout)
		if err != nil {
			return nil, on(o, err)
		}
		return func(b []byte) ([]byte, error) { return o.appendMessage(b, message) }, nil
	}, nil)
}

// taken takes a message, in room if it fits. One that no answer carries stays where it is.
func (o *object) taken(ctx context.Context, q *shm.Queue, p *shm.Parker, a shm.Actor, room []byte,
	timeout time.Duration) ([]byte, error) {
	if o.geometry.MessageMax <= carriedMax {
		return q.Take(ctx, p, a, room, timeout)
	}
	lease, err := q.Lease(ctx, p, a, timeout)
	if err != nil {
		return nil, err
	}
	message, err := carried(ctx, q, p, a, lease)
	if err != nil {
		return nil, err
	}
	return message, shm.Unfinished(q.Ack(ctx, p, a, lease, -1))
}

// carriedMax is how long a message may be for an answer to carry it.
const carriedMax = wire.MessageMax - 128

// carried is a copy of a leased message, or an error if no answer carries it; the
// lease is over then.
func carried(ctx context.Context, q *shm.Queue, p *shm.Parker, a shm.Actor, lease shm.Lease) ([]byte, error) {
	if lease.Length <= carriedMax {
		return q.AppendMessage(nil, lease), nil
	}
	if err := q.Nack(ctx, p, a, lease, -1); err != nil {
		return nil, shm.Unfinished(err)
	}
	return nil, status.New(status.TooLarge, "", "the message has %d bytes, an answer carries up to %d: "+
		"map the queue to take it", lease.Length, carriedMax)
}

func (c *call) lease() error {
	h, q, err := c.queue(1, 2)
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	return c.leased(h, timeout, q.Lease)
}

func (c *call) takeDead() error {
	h, q, err := c.queue(1, 1)
	if err != nil {
		return err
	}
	return c.leased(h, 0, q.TakeDead)
}

// leased answers with a lease.
func (c *call) leased(h *handle, timeout time.Duration,
	get func(context.Context, *shm.Parker, shm.Actor, time.Duration) (shm.Lease, error)) error {
	o, q, actor, parker := h.seat.object, h.seat.object.queue, c.actor(h), c.session.server.parker
	var lease shm.Lease
	return c.tryThenWait(h, 0, timeout,
		func(ctx context.Context, timeout time.Duration) (_ appender, err error) {
			ctx, end := o.sides.using(ctx)
			defer end()
			if lease, err = get(ctx, parker, actor, timeout); err != nil {
				return nil, on(o, err)
			}
			message, err := carried(ctx, q, parker, actor, lease)
			if err != nil {
				return nil, on(o, err)
			}
			if message, err = o.appendMessage(nil, message); err != nil {
				if e := q.Ack(ctx, parker, actor, lease, -1); e != nil {
					err = shm.Unfinished(e)
				}
				return nil, on(o, err)
			}
			result := wireLease(lease, message)
			return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, &result) }, nil
		}, func() {
			// The client is gone and never knew; else the sweep of its seat does it.
			_ = q.Nack(context.Background(), parker, actor, lease, -1)
		})
}

// wireLease is what an answer says of a lease; message is a value.
func wireLease(l shm.Lease, message []byte) wire.Lease {
	return wire.Lease{Lease: wire.LeaseID{Slot: l.Slot, Seq: l.Seq, Delivery: l.Deliveries}, Message: message,
		Deliveries: l.Deliveries}
}

func leaseOf(id wire.LeaseID) shm.Lease {
	return shm.Lease{Slot: id.Slot, Seq: id.Seq, Deliveries: id.Delivery}
}

func (c *call) ack() error  { return c.endLease((*shm.Queue).Ack) }
func (c *call) nack() error { return c.endLease((*shm.Queue).Nack) }

func (c *call) endLease(
	end func(*shm.Queue, context.Context, *shm.Parker, shm.Actor, shm.Lease, time.Duration) error) error {
	h, q, err := c.queue(2, 2)
	if err != nil {
		return err
	}
	id, err := c.params.Lease("lease")
	if err != nil {
		return err
	}
	lease := leaseOf(id)
	return c.atQueue(h, func(ctx context.Context, p *shm.Parker, a shm.Actor, timeout time.Duration) (appender, error) {
		return appendNil, end(q, ctx, p, a, lease, timeout)
	})
}

// atQueue executes what waits for nothing but the queue's latch.
func (c *call) atQueue(h *handle,
	act func(context.Context, *shm.Parker, shm.Actor, time.Duration) (appender, error)) error {
	actor, parker := c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, -1, func(ctx context.Context, timeout time.Duration) (appender, error) {
		result, err := act(ctx, parker, actor, timeout)
		return result, on(h.seat.object, err)
	}, nil)
}

func (c *call) redeliver() error {
	h, q, err := c.queue(1, 1)
	if err != nil {
		return err
	}
	return c.atQueue(h, func(ctx context.Context, p *shm.Parker, a shm.Actor, timeout time.Duration) (appender, error) {
		n, err := q.Redeliver(ctx, p, a, timeout)
		return func(b []byte) ([]byte, error) { return wire.AppendUint(b, uint64(n)), nil }, err
	})
}

func (c *call) shutdown() error {
	h, q, err := c.queue(1, 1)
	if err != nil {
		return err
	}
	return c.atQueue(h, func(ctx context.Context, p *shm.Parker, a shm.Actor, timeout time.Duration) (appender, error) {
		return appendNil, q.Shutdown(ctx, p, a, timeout)
	})
}

func (c *call) counts() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, q, err := queueOf(c)
	if err != nil {
		return err
	}
	return c.atQueue(h, func(ctx context.Context, p *shm.Parker, a shm.Actor, timeout time.Duration) (appender, error) {
		n, err := q.Counts(ctx, p, a, timeout)
		counts := wireCounts(h.seat.object, n)
		return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, &counts) }, err
	})
}

func wireCounts(o *object, n shm.QueueCounts) wire.Counts {
	return wire.Counts{Ready: n.Ready, Leased: n.Leased, Writing: n.Writing, Free: n.Free, Dead: n.Dead,
		MaxSize: uint32(o.geometry.Length), Shutdown: n.Closed}
}
