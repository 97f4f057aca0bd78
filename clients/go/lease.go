package shmd

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Lease is one delivery of one message. It ends with Ack or Nack; when its client
// dies, the message is delivered again, and so after the queue's LeaseTime. To be used
// from one goroutine at a time.
type Lease struct {
	queue *Queue
	lease shm.Lease
}

// Lease takes a lease on the first message, waiting until ctx ends while there is
// none. Errors as Take.
func (q *Queue) Lease(ctx context.Context) (*Lease, error) {
	l := &Lease{queue: q}
	err := q.tryThenWait(ctx, func(ctx context.Context, timeout time.Duration) (err error) {
		l.lease, err = q.queue.Lease(ctx, parker, q.me, timeout)
		return err
	})
	if err != nil {
		return nil, wrap("lease from", q.info.Name, err)
	}
	return l, nil
}

// TryLease is Lease that does not wait: ErrWouldBlock.
func (q *Queue) TryLease() (*Lease, error) {
	if q.usable() == nil && q.queue.Empty() {
		return nil, wrap("lease from", q.info.Name, status.WouldBlock)
	}
	return q.leaseNow("lease from", q.queue.Lease)
}

// TakeDead leases the oldest dead letter: ErrWouldBlock if there is none.
func (q *Queue) TakeDead() (*Lease, error) {
	return q.leaseNow("take a dead letter from", q.queue.TakeDead)
}

func (q *Queue) leaseNow(op string,
	get func(context.Context, *shm.Parker, shm.Actor, time.Duration) (shm.Lease, error)) (*Lease, error) {
	err := q.usable()
	if err == nil {
		var l shm.Lease
		if l, err = get(context.Background(), parker, q.me, 0); err == nil {
			return &Lease{queue: q, lease: l}, nil
		}
	}
	return nil, wrap(op, q.info.Name, err)
}

// Message is the message, in shared memory: valid until the lease ends. Do not
// write to it. In a queue with a LeaseTime that may be at any time: what was made of the
// message counts if Ack says so.
func (l *Lease) Message() []byte { return l.queue.queue.Message(l.lease) }

// Decode decodes the message of a msgpack queue into the pointer v.
func (l *Lease) Decode(v any) error {
	if l.queue.raw {
		return wrap("decode", l.queue.info.Name, errRaw)
	}
	// A copy: whoever may write the queue may write it meanwhile.
	return wrap("decode", l.queue.info.Name, wire.Decode(l.queue.queue.AppendMessage(nil, l.lease), v))
}

// Deliveries is how often the message has been delivered, this time included.
func (l *Lease) Deliveries() int { return int(l.lease.Deliveries) }

// Seq is the message's number, which no other message of the queue ever has.
func (l *Lease) Seq() uint64 { return l.lease.Seq }

// Ack ends the lease: the message is done. It may be repeated until its slot is
// used again; then it is ErrNotOwner.
func (l *Lease) Ack() error { return l.end("acknowledge in", l.queue.queue.Ack) }

// Nack ends the lease: the message goes back to the front. ErrNotOwner if it is
// not leased by this client.
func (l *Lease) Nack() error { return l.end("give back to", l.queue.queue.Nack) }

// Extend makes the lease end after d from now instead, whether that is sooner or later:
// at least 1 ms. ErrNotOwner if it is over, ErrUnsupported if the queue has no LeaseTime.
// Nobody is woken for an end that has come nearer: it may take a LeaseTime longer to be
// noticed.
func (l *Lease) Extend(d time.Duration) error {
	q := l.queue
	return q.now("extend a lease of", func(ctx context.Context) error {
		return q.queue.Extend(ctx, parker, q.me, l.lease, uint64(max(d, 0)), -1)
	})
}

func (l *Lease) end(op string,
	end func(context.Context, *shm.Parker, shm.Actor, shm.Lease, time.Duration) error) error {
	q := l.queue
	return q.now(op, func(ctx context.Context) error { return end(ctx, parker, q.me, l.lease, -1) })
}

// Reservation is a slot that this client fills in place. It ends with Commit or
// Abort; when the client dies, the slot is free again.
type Reservation struct {
	queue *Queue
	slot  shm.Reservation
}

// Reserve reserves a slot, waiting until ctx ends while there is none: room for a
// message of the queue's SlotSize. Errors as Put.
func (q *Queue) Reserve(ctx context.Context) (*Reservation, error) {
	return q.ReserveSize(ctx, q.slotBytes())
}

// ReserveSize is Reserve for a message of up to size bytes. Errors as Put, and ErrInvalid
// (size < 0).
func (q *Queue) ReserveSize(ctx context.Context, size int) (*Reservation, error) {
	r := &Reservation{queue: q}
	err := q.tryThenWait(ctx, func(ctx context.Context, timeout time.Duration) error {
		return r.reserve(ctx, size, timeout)
	})
	if err != nil {
		return nil, wrap("reserve in", q.info.Name, err)
	}
	return r, nil
}

// TryReserve is Reserve that does not wait: ErrWouldBlock if there is no slot.
func (q *Queue) TryReserve() (*Reservation, error) {
	return q.TryReserveSize(q.slotBytes())
}

// TryReserveSize is ReserveSize that does not wait: ErrWouldBlock.
func (q *Queue) TryReserveSize(size int) (*Reservation, error) {
	r := &Reservation{queue: q}
	err := q.usable()
	if err == nil {
		err = r.reserve(context.Background(), size, 0)
	}
	if err != nil {
		return nil, wrap("reserve in", q.info.Name, err)
	}
	return r, nil
}

// slotBytes is what fits a slot.
func (q *Queue) slotBytes() int { return int(min(q.info.SlotSize, q.info.MessageMax)) }

func (r *Reservation) reserve(ctx context.Context, size int, timeout time.Duration) (err error) {
	q := r.queue
	if size < 0 {
		return status.New(status.Invalid, "", "%d bytes to be reserved", size)
	}
	r.slot, err = q.queue.ReserveSize(ctx, parker, q.me, uint32(min(size, maxUint32)), timeout)
	return err
}

// Buffer is where the message is made, in shared memory: valid until Commit or
// Abort.
func (r *Reservation) Buffer() []byte { return r.queue.queue.Buffer(r.slot) }

// Commit makes the first n bytes of the buffer the last message. It may be repeated
// until the slot is used again. Other errors: ErrTooLarge, ErrInvalid (n < 0), ErrNotOwner,
// and ErrBadType if they are not one msgpack value.
func (r *Reservation) Commit(n int) error {
	q := r.queue
	return q.now("commit to", func(ctx context.Context) error {
		if n < 0 {
			return status.New(status.Invalid, "", "%d bytes to commit", n)
		}
		if buffer := r.Buffer(); !q.raw && n <= len(buffer) {
			if err := wire.ValidateContent(buffer[:n]); err != nil {
				return err
			}
		}
		return q.queue.Commit(ctx, parker, q.me, r.slot, uint32(min(n, maxUint32)), -1)
	})
}

// Abort frees the slot.
func (r *Reservation) Abort() error {
	q := r.queue
	return q.now("abort in", func(ctx context.Context) error {
		return q.queue.Abort(ctx, parker, q.me, r.slot, -1)
	})
}

const maxUint32 = 1<<32 - 1
