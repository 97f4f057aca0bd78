package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

func appendCount(n int) appender {
	return func(b []byte) ([]byte, error) { return wire.AppendUint(b, uint64(n)), nil }
}

func (c *call) putMany() error {
	h, q, err := c.queue(2, 3)
	if err != nil {
		return err
	}
	o := h.seat.object
	list, err := c.params.List("messages")
	if err != nil {
		return err
	}
	var messages [][]byte
	size := 0
	for list.More() && len(messages) <= int(o.geometry.Length) { // one too many is refused below
		m, err := messageFrom(&list, o)
		if err != nil {
			return err
		}
		messages = append(messages, m)
		size += len(m)
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	if list.Len() > int(o.geometry.Length) {
		return on(o, status.New(status.Invalid, "", "%d messages at once; this queue takes 1 to %d (maxsize)",
			list.Len(), o.geometry.Length))
	}
	actor, parker := c.actor(h), c.session.server.parker
	return c.tryThenWait(h, size, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		ctx, end := o.sides.using(ctx)
		defer end()
		n, err := q.PutMany(ctx, parker, actor, messages, timeout)
		if timeout == 0 && err != nil { // a waiting call outlives the bytes of its request
			for i := range messages {
				messages[i] = slices.Clone(messages[i])
			}
		}
		return appendCount(n), on(o, err)
	}, nil)
}

// batch reads what take_many and lease_many take.
func (c *call) batch() (h *handle, q *shm.Queue, most int, timeout time.Duration, err error) {
	if h, q, err = c.queue(2, 3); err != nil {
		return nil, nil, 0, 0, err
	}
	n, err := c.params.Uint32("max")
	if err != nil {
		return nil, nil, 0, 0, err
	}
	timeout, err = c.timeout()
	return h, q, int(min(n, shm.BatchMax)), timeout, err
}

// batchCarriedMax is how many bytes the messages of one answer have together, but for a
// single one; the rest is for what stands around each.
const batchCarriedMax = carriedMax - 128*shm.BatchMax

func (c *call) takeMany() error {
	h, q, most, timeout, err := c.batch()
	if err != nil {
		return err
	}
	o, actor, parker := h.seat.object, c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		ctx, end := o.sides.using(ctx)
		defer end()
		messages, err := o.takenMany(ctx, q, parker, actor, most, timeout)
		if err != nil {
			return nil, on(o, err)
		}
		values, err := o.valuesOf(messages)
		return func(b []byte) ([]byte, error) {
			b = wire.AppendArrayLen(b, len(values))
			for _, v := range values {
				b = append(b, v...)
			}
			return b, nil
		}, err
	}, nil)
}

// takenMany is taken for several.
func (o *object) takenMany(ctx context.Context, q *shm.Queue, p *shm.Parker, a shm.Actor, most int,
	timeout time.Duration) ([][]byte, error) {
	if o.geometry.MessageMax <= carriedMax {
		return q.TakeMany(ctx, p, a, nil, most, timeout)
	}
	leases, messages, err := o.leasedMany(ctx, q, p, a, most, timeout)
	if err != nil {
		return nil, err
	}
	n, err := q.AckMany(ctx, p, a, leases, -1)
	if n > 0 {
		return messages[:n], nil
	}
	return nil, shm.Unfinished(err)
}

// valuesOf makes values of an answer of messages; those that are none are left out,
// unless that leaves nothing.
func (o *object) valuesOf(messages [][]byte) (values [][]byte, err error) {
	for _, m := range messages {
		v, e := o.appendMessage(nil, m)
		if e != nil {
			err = e
			continue
		}
		values = append(values, v)
	}
	if len(values) > 0 {
		return values, nil
	}
	return nil, err
}

// leasedMany leases what one answer carries, and copies it.
func (o *object) leasedMany(ctx context.Context, q *shm.Queue, p *shm.Parker, a shm.Actor, most int,
	timeout time.Duration) (leases []shm.Lease, messages [][]byte, err error) {
	leases, err = q.LeaseManyWithin(ctx, p, a, nil, most, batchCarriedMax, timeout)
	if err != nil {
		return nil, nil, err
	}
	if len(leases) == 1 { // which may be too long
		m, err := carried(ctx, q, p, a, leases[0])
		return leases, [][]byte{m}, err
	}
	for _, l := range leases {
		messages = append(messages, q.AppendMessage(nil, l))
	}
	return leases, messages, nil
}

func (c *call) leaseMany() error {
	h, q, most, timeout, err := c.batch()
	if err != nil {
		return err
	}
	o, actor, parker := h.seat.object, c.actor(h), c.session.server.parker
	var leases []shm.Lease
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		ctx, end := o.sides.using(ctx)
		defer end()
		var messages [][]byte
		var err error
		if leases, messages, err = o.leasedMany(ctx, q, parker, actor, most, timeout); err != nil {
			return nil, on(o, err)
		}
		results := make(wire.List[wire.Lease], 0, len(leases))
		kept := leases[:0]
		for i, l := range leases {
			value, e := o.appendMessage(nil, messages[i])
			if e != nil { // dropped, as by lease
				if e2 := q.Ack(ctx, parker, actor, l, -1); e2 != nil {
					e = shm.Unfinished(e2)
				}
				err = e
				continue
			}
			kept = append(kept, l)
			results = append(results, wireLease(l, value))
		}
		if leases = kept; len(leases) == 0 {
			return nil, on(o, err)
		}
		return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, &results) }, nil
	}, func() {
		// The client is gone and never knew; else the sweep of its seat does it.
		_, _ = q.NackMany(context.Background(), parker, actor, leases, -1)
	})
}

func (c *call) ackMany() error  { return c.endLeases((*shm.Queue).AckMany) }
func (c *call) nackMany() error { return c.endLeases((*shm.Queue).NackMany) }

func (c *call) endLeases(
	end func(*shm.Queue, context.Context, *shm.Parker, shm.Actor, []shm.Lease, time.Duration) (int, error)) error {
	h, q, err := c.queue(2, 2)
	if err != nil {
		return err
	}
	list, err := c.params.List("leases")
	if err != nil {
		return err
	}
	var leases []shm.Lease
	for list.More() {
		id, err := list.Lease("lease")
		if err != nil {
			return err
		}
		leases = append(leases, leaseOf(id))
	}
	done := 0
	return c.atQueue(h, func(ctx context.Context, p *shm.Parker, a shm.Actor, timeout time.Duration) (appender, error) {
		n, err := end(q, ctx, p, a, leases[done:], timeout)
		done += n // a call that had to wait goes on where it was
		if status.Of(err) == status.NotOwner {
			err = nil
		}
		return appendCount(done), err
	})
}

func (c *call) extend() error {
	h, q, err := c.queue(3, 3)
	if err != nil {
		return err
	}
	id, err := c.params.Lease("lease")
	if err != nil {
		return err
	}
	leaseNs, err := c.params.Uint64("lease_ns")
	if err != nil {
		return err
	}
	return c.atQueue(h, func(ctx context.Context, p *shm.Parker, a shm.Actor, timeout time.Duration) (appender, error) {
		return appendNil, q.Extend(ctx, p, a, leaseOf(id), leaseNs, timeout)
	})
}

func (c *call) join() error {
	h, q, err := c.queue(1, 2)
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	actor, parker := c.actor(h), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		return appendNil, on(h.seat.object, q.Join(ctx, parker, actor, timeout))
	}, nil)
}
