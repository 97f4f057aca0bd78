package shmd

import (
	"context"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Queue is a bounded queue of messages between any number of producers and
// consumers in any language. Messages of one producer are taken in the order in
// which it put them; what a consumer leases and does not acknowledge, because it
// dies or says Nack, is delivered again, first and in the old order. Safe for
// concurrent use; leases and reservations belong to the client.
//
// In a queue that is not Raw each message is one msgpack value: PutValue and
// TakeValue encode and decode, Put and Take are about its bytes.
type Queue struct {
	*object
	queue *shm.Queue
	me    shm.Actor // immutable
	raw   bool      // immutable
	empty error     // immutable; what who tries to take in a loop is told each time
}

// QueueOptions are a queue's creation options.
type QueueOptions struct {
	CommonOptions
	// MaxSize is how many messages it holds, leased ones included; 0 = 1024.
	MaxSize uint32
	// SlotSize is how many bytes a message has room for in memory that is always
	// there; 0 = 256.
	SlotSize uint32
	// MessageMax bounds messages, in bytes, at most 1 GiB; 0 = SlotSize. A longer one
	// than SlotSize takes memory of its own, which the daemon makes: that Put asks the
	// daemon, and fails with ErrQuota, ErrNoSpace, or ErrLost without it.
	MessageMax uint32
	// DeliveriesMax makes a message that was delivered so often, and never
	// acknowledged, a dead letter; 0 = never, at most 254.
	DeliveriesMax uint32
	// LeaseTime makes a message that is leased for longer be delivered again; 0 = only
	// when its client dies or gives it back, else at least 1 ms. See Lease.Extend.
	LeaseTime time.Duration
	// Raw messages are any bytes.
	Raw bool
}

// QueueCounts is one consistent look at a queue: how many slots are in each state,
// and whether it was shut down.
type QueueCounts = shm.QueueCounts

// CreateQueue makes a queue; "" makes an anonymous one. ErrExists if the name is
// taken.
func CreateQueue(ctx context.Context, c *Client, name string, o QueueOptions) (*Queue, error) {
	return c.openQueue(ctx, "create queue", name, wire.MethodCreate, name, wire.KindQueue, o.wire())
}

// OpenQueue opens a queue by name. Errors: ErrNotFound, ErrKindMismatch,
// ErrPermission, ErrSeatsFull.
func OpenQueue(ctx context.Context, c *Client, name string) (*Queue, error) {
	return c.openQueue(ctx, "open queue", name, wire.MethodOpen, name, wire.OpenOptions{Kind: new(wire.KindQueue)})
}

// OpenOrCreateQueue opens a queue, or makes it; ErrOptionMismatch if it exists with
// other options.
func OpenOrCreateQueue(ctx context.Context, c *Client, name string, o QueueOptions) (*Queue, error) {
	return c.openQueue(ctx, "open queue", name, wire.MethodOpenOrCreate, name, wire.KindQueue, o.wire())
}

func (o *QueueOptions) wire() wire.CreateOptions {
	w := wire.CreateOptions{Content: new(wire.ContentMsgpack)}
	if o.Raw {
		w.Content = new(wire.ContentRaw)
	}
	for _, option := range []struct {
		value  *uint32
		target **uint32
	}{{&o.MaxSize, &w.MaxSize}, {&o.SlotSize, &w.SlotSize}, {&o.MessageMax, &w.MessageMax},
		{&o.DeliveriesMax, &w.DeliveriesMax}} {
		if *option.value != 0 {
			*option.target = option.value
		}
	}
	if o.LeaseTime != 0 {
		w.LeaseNS = new(uint64(max(o.LeaseTime, 1))) // what is too short the daemon refuses
	}
	o.fill(&w)
	return w
}

func (c *Client) openQueue(ctx context.Context, op, name, method string, params ...any) (*Queue, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	queue := o.segment.Queue().WithSides(&sides{client: c, handle: o.info.Handle})
	return &Queue{object: o, queue: queue, me: o.actor(), raw: o.segment.Geometry().Flags.Has(shm.FlagRaw),
		empty: wrap("take from", o.info.Name, status.WouldBlock)}, nil
}

// Put appends a message, waiting until ctx ends while the queue is full. Errors:
// ErrTooLarge, ErrBadType (not one msgpack value), ErrTimedOut, ErrCancelled,
// ErrEnded (after Shutdown), ErrRemoved, ErrCorrupt, ErrClosed, ErrPermission, and for
// a message longer than a slot ErrQuota, ErrNoSpace, ErrLost; after each nothing was
// put.
func (q *Queue) Put(ctx context.Context, message []byte) error {
	err := q.check(message)
	if err == nil {
		if err = q.queue.Put(ctx, parker, q.me, message, 0); err == status.WouldBlock {
			err = q.putSlowly(ctx, message)
		}
	}
	return wrap("put into", q.info.Name, err)
}

// putSlowly waits, and so is apart from what must not allocate.
func (q *Queue) putSlowly(ctx context.Context, message []byte) error {
	return q.slowly(ctx, func(ctx context.Context) error { return q.queue.Put(ctx, parker, q.me, message, -1) })
}

// TryPut is Put that does not wait: ErrWouldBlock if the queue is full.
func (q *Queue) TryPut(message []byte) error {
	err := q.check(message)
	if err == nil {
		err = q.queue.Put(context.Background(), parker, q.me, message, 0)
	}
	return wrap("put into", q.info.Name, err)
}

// check refuses what is no message of this queue, and a closed handle.
func (q *Queue) check(message []byte) error {
	if q.raw {
		return q.usable()
	}
	if err := q.usable(); err != nil {
		return err
	}
	return wire.ValidateContent(message)
}

// PutValue puts v as msgpack: anything that github.com/vmihailenco/msgpack encodes.
// Not for a Raw queue: ErrBadType.
func (q *Queue) PutValue(ctx context.Context, v any) error {
	if q.raw {
		return wrap("put into", q.info.Name, errRaw)
	}
	message, err := msgpack.Marshal(v)
	if err != nil {
		return wrap("put into", q.info.Name, status.Wrap(status.BadType, "", err, "the value has no msgpack form"))
	}
	return q.Put(ctx, message)
}

var errRaw = status.New(status.BadType, "", "the queue holds raw messages: use Put, Take and Message")

// Take removes the first message and returns it, waiting until ctx ends while the
// queue is empty. It is Lease and Ack at once: if this process dies with the
// message, it is gone. Errors: ErrTimedOut, ErrCancelled, ErrEnded (io.EOF: empty
// after Shutdown), ErrRemoved, ErrCorrupt, ErrClosed, ErrPermission, and ErrLost for a
// message longer than a slot whose memory this client has not seen before.
func (q *Queue) Take(ctx context.Context) (message []byte, err error) { return q.TakeAppend(ctx, nil) }

// TakeAppend is Take that appends the message to dst, which it returns with it; after an
// error dst is as it was. With room in dst for the longest message that lies in a slot, up
// to 512 bytes, it takes no memory:
//
//	for err == nil {
//		space, err = q.TakeAppend(ctx, space[:0])
//		...
//	}
func (q *Queue) TakeAppend(ctx context.Context, dst []byte) ([]byte, error) {
	err := q.usable()
	if err == nil {
		if dst, err = q.queue.Take(ctx, parker, q.me, dst, 0); err == status.WouldBlock {
			dst, err = q.takeSlowly(ctx, dst)
		}
	}
	return dst, wrap("take from", q.info.Name, err)
}

// takeSlowly waits, and so is apart from what must not allocate.
func (q *Queue) takeSlowly(ctx context.Context, dst []byte) ([]byte, error) {
	err := q.slowly(ctx, func(ctx context.Context) (err error) {
		dst, err = q.queue.Take(ctx, parker, q.me, dst, -1)
		return err
	})
	return dst, err
}

// TryTake is Take that does not wait: ErrWouldBlock if the queue is empty.
func (q *Queue) TryTake() ([]byte, error) { return q.TryTakeAppend(nil) }

// TryTakeAppend is TakeAppend that does not wait: ErrWouldBlock.
func (q *Queue) TryTakeAppend(dst []byte) ([]byte, error) {
	err := q.usable()
	if err == nil {
		if q.queue.Empty() {
			return dst, q.empty
		}
		dst, err = q.queue.Take(context.Background(), parker, q.me, dst, 0)
	}
	return dst, wrap("take from", q.info.Name, err)
}

// TakeValue is Take that decodes the message into the pointer v. What does not
// decode is gone all the same.
func (q *Queue) TakeValue(ctx context.Context, v any) error {
	if q.raw {
		return wrap("take from", q.info.Name, errRaw)
	}
	message, err := q.Take(ctx)
	if err != nil {
		return err
	}
	return wrap("take from", q.info.Name, wire.Decode(message, v))
}

// Shutdown ends the puts, for everybody and for ever; takes go on until the queue
// is empty and then get ErrEnded. It may be repeated.
func (q *Queue) Shutdown() error {
	return q.now("shut down", func(ctx context.Context) error {
		return q.queue.Shutdown(ctx, parker, q.me, -1)
	})
}

// Redeliver makes all dead letters messages again, at the front, and returns how
// many.
func (q *Queue) Redeliver() (n int, err error) {
	err = q.now("redeliver in", func(ctx context.Context) error {
		dead, err := q.queue.Redeliver(ctx, parker, q.me, -1)
		n = int(dead)
		return err
	})
	return n, err
}

// Counts looks at the queue.
func (q *Queue) Counts() (n QueueCounts, err error) {
	err = q.now("look at", func(ctx context.Context) (err error) {
		n, err = q.queue.Counts(ctx, parker, q.me, -1)
		return err
	})
	return n, err
}

// now runs what waits for nothing but others who are at the queue this moment.
func (q *Queue) now(op string, act func(ctx context.Context) error) error {
	err := q.usable()
	if err == nil {
		err = act(q.ctx)
	}
	return wrap(op, q.info.Name, err)
}
