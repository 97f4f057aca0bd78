package shmd

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// PutMany appends the first messages of several, at least one, next to each other, and
// returns how many: those that there is room for, up to 64 and 16 KiB at once; one of more
// than 512 bytes goes alone. It waits only while the queue is full. Errors as Put, about
// the first message, and ErrInvalid for none or for more than the queue holds; after each
// nothing was put. Put the rest by another call:
//
//	for len(messages) > 0 {
//		n, err := q.PutMany(ctx, messages)
//		if err != nil {
//			return err
//		}
//		messages = messages[n:]
//	}
func (q *Queue) PutMany(ctx context.Context, messages [][]byte) (n int, err error) {
	if messages, err = q.valid(messages); err == nil {
		if n, err = q.queue.PutMany(ctx, parker, q.me, messages, 0); err == status.WouldBlock {
			n, err = q.putManySlowly(ctx, messages)
		}
	}
	return n, wrap("put into", q.info.Name, err)
}

// putManySlowly waits, and so is apart from what must not allocate.
func (q *Queue) putManySlowly(ctx context.Context, messages [][]byte) (n int, err error) {
	err = q.slowly(ctx, func(ctx context.Context) (err error) {
		n, err = q.queue.PutMany(ctx, parker, q.me, messages, -1)
		return err
	})
	return n, err
}

// TryPutMany is PutMany that does not wait: ErrWouldBlock if the queue is full.
func (q *Queue) TryPutMany(messages [][]byte) (n int, err error) {
	if messages, err = q.valid(messages); err == nil {
		n, err = q.queue.PutMany(context.Background(), parker, q.me, messages, 0)
	}
	return n, wrap("put into", q.info.Name, err)
}

// valid are the messages up to the first that is none of this queue; an error if that is
// the first of all. More than the queue holds stay more.
func (q *Queue) valid(messages [][]byte) ([][]byte, error) {
	if err := q.usable(); err != nil || q.raw || len(messages) > int(q.info.MaxSize) {
		return messages, err
	}
	for i, m := range messages[:min(len(messages), shm.BatchMax)] {
		if err := q.check(m); err != nil {
			if i > 0 {
				err = nil
			}
			return messages[:i], err
		}
	}
	return messages, nil
}

// TakeMany takes up to most messages, at least one, and returns dst with them appended:
// those that are there, up to 64 and 16 KiB at once. It waits only while the queue is
// empty. Errors as Take, and ErrInvalid for most < 1; after each, dst is as it was.
func (q *Queue) TakeMany(ctx context.Context, dst [][]byte, most int) ([][]byte, error) {
	dst, _, err := q.TakeManyAppend(ctx, dst, nil, most)
	return dst, err
}

// TakeManyAppend is TakeMany that appends the messages to space and, as slices of that, to
// dst, and returns both. With room for most messages in either it takes no memory:
//
//	for err == nil {
//		messages, space, err = q.TakeManyAppend(ctx, messages[:0], space[:0], 64)
//		...
//	}
func (q *Queue) TakeManyAppend(ctx context.Context, dst [][]byte, space []byte, most int) ([][]byte, []byte, error) {
	err := q.usable()
	if err == nil {
		dst, space, err = q.queue.TakeManyAppend(ctx, parker, q.me, dst, space, most, 0)
		if err == status.WouldBlock {
			dst, space, err = q.takeManySlowly(ctx, dst, space, most)
		}
	}
	return dst, space, wrap("take from", q.info.Name, err)
}

// takeManySlowly waits, and so is apart from what must not allocate.
func (q *Queue) takeManySlowly(ctx context.Context, dst [][]byte, space []byte, most int) ([][]byte, []byte, error) {
	err := q.slowly(ctx, func(ctx context.Context) (err error) {
		dst, space, err = q.queue.TakeManyAppend(ctx, parker, q.me, dst, space, most, -1)
		return err
	})
	return dst, space, err
}

// TryTakeMany is TakeMany that does not wait: ErrWouldBlock if the queue is empty.
func (q *Queue) TryTakeMany(dst [][]byte, most int) ([][]byte, error) {
	dst, _, err := q.TryTakeManyAppend(dst, nil, most)
	return dst, err
}

// TryTakeManyAppend is TakeManyAppend that does not wait: ErrWouldBlock.
func (q *Queue) TryTakeManyAppend(dst [][]byte, space []byte, most int) ([][]byte, []byte, error) {
	err := q.usable()
	if err == nil {
		dst, space, err = q.queue.TakeManyAppend(context.Background(), parker, q.me, dst, space, most, 0)
	}
	return dst, space, wrap("take from", q.info.Name, err)
}

// Messages takes one message after the other, until the loop is left, the queue was shut
// down and is empty, or ctx ends; any other end than the second is an error, the last
// value. Several are taken at once, up to 64: those that the loop did not come to go back
// to the front. As after Take, the message that the loop is at is gone if this process
// dies; but one that it has not come to is delivered again.
func (q *Queue) Messages(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			leases, err := q.LeaseMany(ctx, nil, shm.BatchMax)
			if errors.Is(err, ErrEnded) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for i, l := range leases {
				message := append([]byte{}, l.Message()...)
				err := l.Ack()
				if errors.Is(err, ErrNotOwner) {
					continue // the lease time is over: it is another's now
				}
				if err != nil {
					message = nil
				}
				if !yield(message, err) || err != nil {
					if rest := leases[i+1:]; len(rest) > 0 {
						_, _ = q.NackMany(rest) // else the end of this client gives them back
					}
					return
				}
			}
		}
	}
}

// LeaseMany takes leases on up to most messages, at least one, and returns dst with them
// appended: those that are there, up to 64 at once. It waits only while there is none.
// Errors as TakeMany.
func (q *Queue) LeaseMany(ctx context.Context, dst []*Lease, most int) ([]*Lease, error) {
	var leases []shm.Lease
	err := q.tryThenWait(ctx, func(ctx context.Context, timeout time.Duration) (err error) {
		leases, err = q.queue.LeaseMany(ctx, parker, q.me, nil, most, timeout)
		return err
	})
	return q.appendLeases(dst, leases, err)
}

// TryLeaseMany is LeaseMany that does not wait: ErrWouldBlock.
func (q *Queue) TryLeaseMany(dst []*Lease, most int) ([]*Lease, error) {
	var leases []shm.Lease
	err := q.usable()
	if err == nil {
		leases, err = q.queue.LeaseMany(context.Background(), parker, q.me, nil, most, 0)
	}
	return q.appendLeases(dst, leases, err)
}

func (q *Queue) appendLeases(dst []*Lease, leases []shm.Lease, err error) ([]*Lease, error) {
	all := make([]Lease, len(leases))
	for i, l := range leases {
		all[i] = Lease{queue: q, lease: l}
		dst = append(dst, &all[i])
	}
	return dst, wrap("lease from", q.info.Name, err)
}

// AckMany is Ack of one lease of this queue after the other, up to the first that is not
// leased by this client (any more), and returns how many are done: all, or there is an
// error, ErrNotOwner for one; ErrInvalid, and none is done, if one is nil or of another
// handle.
func (q *Queue) AckMany(leases []*Lease) (int, error) {
	return q.endMany("acknowledge in", leases, q.queue.AckMany)
}

// NackMany is Nack likewise.
func (q *Queue) NackMany(leases []*Lease) (int, error) {
	return q.endMany("give back to", leases, q.queue.NackMany)
}

func (q *Queue) endMany(op string, leases []*Lease,
	end func(context.Context, *shm.Parker, shm.Actor, []shm.Lease, time.Duration) (int, error)) (n int, err error) {
	all := make([]shm.Lease, len(leases))
	for i, l := range leases {
		if l == nil || l.queue.queue != q.queue {
			return 0, wrap(op, q.info.Name, status.New(status.Invalid, "",
				"lease %d of %d is none of this queue (handle)",
				i+1, len(leases)))
		}
		all[i] = l.lease
	}
	err = q.now(op, func(ctx context.Context) (err error) {
		n, err = end(ctx, parker, q.me, all, -1)
		return err
	})
	return n, err
}

// Join waits until no message is in the queue and none is leased: until all that was put
// is acknowledged, taken, or a dead letter. Shutdown does not end it. Errors: ErrTimedOut,
// ErrCancelled, ErrRemoved, ErrCorrupt, ErrClosed, ErrPermission.
func (q *Queue) Join(ctx context.Context) error {
	err := q.tryThenWait(ctx, func(ctx context.Context, timeout time.Duration) error {
		return q.queue.Join(ctx, parker, q.me, timeout)
	})
	return wrap("join", q.info.Name, err)
}

// TryJoin is Join that does not wait: ErrWouldBlock if something is to be done.
func (q *Queue) TryJoin() error {
	err := q.usable()
	if err == nil {
		err = q.queue.Join(context.Background(), parker, q.me, 0)
	}
	return wrap("join", q.info.Name, err)
}
