package shm

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/shmd/shmd/status"
)

// Batches: several messages under one latch hold, each with a commit of its own, as
// if there were one call after the other with nobody between them. A batch is no
// transaction: of one that a death cut short, the first messages are there, and all
// others are not.
//
// A batch that puts, takes or leases waits for its first slot or message only, then
// it takes what is there, and answers how many: fewer than asked is no error, and
// after an error it was none. One latch hold handles at most BatchMax messages and
// copies BatchSizeMax bytes. A message that is not short (Take) ends the batch before
// it; as the first it goes alone.
//
// The wake-ups are tests/models/queue_batch.pml: k messages wake k who wait for one.

// PutMany puts the first messages, at least one. Errors as Put for the first one, and
// status.Invalid for none or for more than the queue holds.
func (q *Queue) PutMany(ctx context.Context, p *Parker, a Actor, msgs [][]byte, timeout time.Duration) (int, error) {
	if len(msgs) == 0 || len(msgs) > int(q.size) {
		return 0, status.New(status.Invalid, "", "%d messages at once; this queue takes 1 to %d (maxsize)",
			len(msgs), q.size)
	}
	n := q.shortOnes(msgs)
	if n == 0 {
		if err := q.Put(ctx, p, a, msgs[0], timeout); err != nil {
			return 0, err
		}
		return 1, nil
	}
	w := q.waitForSlot(a, timeout)
	w.many = true
	f, err := w.slot(ctx, p)
	if err != nil {
		return 0, err
	}
	done := 0
	for ok := true; ok && err == nil && done < n; {
		if err = q.fill(f, msgs[done]); err == nil {
			done++
			f, ok, err = q.topFree()
		}
	}
	if done == 0 {
		return 0, w.leave(err)
	}
	return done, w.finishMany(q.notEmpty, done)
}

// shortOnes is how many of the first messages one latch hold may put.
func (q *Queue) shortOnes(msgs [][]byte) (n int) {
	limit, size := int(min(copyMax, q.room)), 0
	for n < min(len(msgs), BatchMax) && len(msgs[n]) <= limit {
		if size += len(msgs[n]); size > BatchSizeMax {
			break
		}
		n++
	}
	return n
}

// TakeMany takes at most `most` messages, at least one, and returns dst with copies of
// them appended. Errors as Take for the first one, and status.Invalid for most < 1.
func (q *Queue) TakeMany(ctx context.Context, p *Parker, a Actor, dst [][]byte, most int,
	timeout time.Duration) ([][]byte, error) {
	dst, _, err := q.TakeManyAppend(ctx, p, a, dst, nil, most, timeout)
	return dst, err
}

// TakeManyAppend is TakeMany that appends the copies to space, which grows if it has no
// room for what one latch hold copies at most, and returns that too.
func (q *Queue) TakeManyAppend(ctx context.Context, p *Parker, a Actor, dst [][]byte, space []byte, most int,
	timeout time.Duration) ([][]byte, []byte, error) {
	most, err := batchOf(most)
	if err != nil {
		return dst, space, err
	}
	// No allocation under the latch.
	dst = slices.Grow(dst, most)
	room := min(most*int(min(copyMax, q.room)), BatchSizeMax)
	space = slices.Grow(space, room)
	full := len(space) + room // however much room there is
	w := q.waitForMessage(a, timeout)
	w.many = true
	m, err := w.message(ctx, p)
	if err != nil {
		return dst, space, err
	}
	if !m.short() {
		from := len(space)
		space, err = q.takeLong(ctx, p, &w, m, space)
		if err == nil {
			dst = append(dst, space[from:len(space):len(space)])
		}
		return dst, space, err
	}
	done := 0
	for ok := true; ok && err == nil && done < most && m.short() && int(m.length) <= full-len(space); {
		tail, sound := q.readPosition(&q.lines.FreeTail)
		if !sound {
			err = errCorrupt
			break
		}
		from := len(space)
		space = q.takeShort(&m, tail, space)
		dst = append(dst, space[from:len(space):len(space)])
		done++
		m, ok, err = q.firstReady()
	}
	if done == 0 {
		return dst, space, w.leave(orElse(err, errCorrupt))
	}
	return dst, space, w.finishMany(q.notFull, done)
}

// batchOf is how many messages one latch hold handles, of those that are asked for.
func batchOf(most int) (int, error) {
	if most < 1 {
		return 0, status.New(status.Invalid, "", "at most %d messages; it must be at least 1", most)
	}
	return min(most, BatchMax), nil
}

// LeaseMany takes leases on at most `most` messages, at least one, and returns dst with
// them appended. A message of a side segment is not short, every other one is. Errors as
// Lease for the first one, and status.Invalid for most < 1.
func (q *Queue) LeaseMany(ctx context.Context, p *Parker, a Actor, dst []Lease, most int,
	timeout time.Duration) ([]Lease, error) {
	return q.LeaseManyWithin(ctx, p, a, dst, most, math.MaxInt, timeout)
}

// LeaseManyWithin is LeaseMany of messages that have at most size bytes together, or of
// the first one.
func (q *Queue) LeaseManyWithin(ctx context.Context, p *Parker, a Actor, dst []Lease, most, size int,
	timeout time.Duration) ([]Lease, error) {
	most, err := batchOf(most)
	if err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, most) // no allocation under the latch
	w := q.waitForMessage(a, timeout)
	w.many = true
	m, err := w.message(ctx, p)
	if err != nil {
		return dst, err
	}
	if m.side != 0 {
		l, err := q.deliver(ctx, p, &w, m, q.leases.ns)
		if err == nil {
			dst = append(dst, l)
		}
		return dst, err
	}
	for done, ok := 0, true; ok && err == nil && done < most && m.side == 0; done++ {
		if size -= int(m.length); size < 0 && done > 0 {
			break
		}
		dst = append(dst, q.leaseOf(&m, q.hand(a, &m, q.leases.ns)))
		m, ok, err = q.firstReady()
	}
	return dst, w.finish(nobody)
}

// AckMany is Ack of one lease after the other, up to the first that the client does not
// have, and returns how many are done: all, or there is an error.
func (q *Queue) AckMany(ctx context.Context, p *Parker, a Actor, leases []Lease, timeout time.Duration) (int, error) {
	return q.endMany(ctx, p, a, leases, timeout, q.notFull, q.ack)
}

// NackMany is Nack likewise.
func (q *Queue) NackMany(ctx context.Context, p *Parker, a Actor, leases []Lease, timeout time.Duration) (int, error) {
	return q.endMany(ctx, p, a, leases, timeout, q.notEmpty, q.nack)
}

// endMany ends leases, BatchMax to a latch hold; told is who waits for what `end` says it
// has made.
func (q *Queue) endMany(ctx context.Context, p *Parker, a Actor, leases []Lease, timeout time.Duration,
	told eventcount, end func(Actor, *Lease) (bool, error)) (int, error) {
	if len(leases) == 0 {
		return 0, status.New(status.Invalid, "", "no leases to end; it must be at least 1")
	}
	w := q.waitForMessage(a, timeout)
	w.many = true
	for done := 0; done < len(leases); {
		if err := w.enter(ctx, p); err != nil {
			return done, err
		}
		made := 0
		var reason error
		for hold := 0; hold < BatchMax && done < len(leases) && reason == nil; hold++ {
			var makes bool
			if makes, reason = end(a, &leases[done]); reason == nil {
				done++
			}
			if makes {
				made++
			}
		}
		err := w.finishMany(told, made)
		if err == nil && reason != nil {
			err = whyNot(leases[done], reason)
		}
		if err != nil {
			return done, err
		}
	}
	return len(leases), nil
}
