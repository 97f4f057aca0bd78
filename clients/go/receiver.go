package shmd

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// receiver is who receives through a ring: the consumer of a stream, or an end of a
// pipe.
type receiver struct {
	*direction
	reader *shm.RingReader // used in turns
	empty  error           // immutable; what who tries to receive in a loop is told each time
}

func newReceiver(o *object, r *shm.RingReader) *receiver {
	return &receiver{direction: newDirection(o), reader: r,
		empty: recvError("receive from", o.info.Name, status.WouldBlock)}
}

// Recv receives the next message, waiting until ctx ends while there is none. Errors:
// ErrEnded (it is io.EOF: the other side closed; of a stream told once, and then it is
// the next producer that is waited for), ErrPeerDied (likewise, and it is
// io.ErrUnexpectedEOF), ErrTimedOut, ErrCancelled, ErrRemoved, ErrCorrupt, ErrClosed,
// ErrUnsupported (a pipe of bytes).
func (r *receiver) Recv(ctx context.Context) ([]byte, error) { return r.RecvAppend(ctx, nil) }

// RecvAppend is Recv that appends the message to a slice.
func (r *receiver) RecvAppend(ctx context.Context, dst []byte) ([]byte, error) {
	message, what := r.recvNow(dst, true)
	if what == shm.FetchedOne {
		return message, nil
	}
	err := error(status.WouldBlock)
	if what != shm.FetchedEmpty {
		message, err = r.tryRecv(dst)
	}
	if err == status.WouldBlock {
		message, err = r.recvSlow(ctx, dst)
	}
	return message, recvError("receive from", r.object.info.Name, err)
}

// recvNow receives a message if nothing is in its way. patient = the call would wait for one.
func (r *receiver) recvNow(dst []byte, patient bool) ([]byte, shm.Fetched) {
	d := r.direction
	if !d.enters() {
		return dst, shm.FetchedNone
	}
	message, attention, what := r.reader.Fetch(dst, patient)
	d.turn.give() // the exchange that Fetch wants
	if what == shm.FetchedOne {
		r.reader.Settle(attention)
	}
	runtime.KeepAlive(d) // the mapping goes with its object
	return message, what
}

// recvSlow waits, and so is apart from what must not allocate.
func (r *receiver) recvSlow(ctx context.Context, dst []byte) (message []byte, err error) {
	err = r.wait(ctx, true, func(ctx context.Context, timeout time.Duration) (err error) {
		message, err = r.reader.Recv(ctx, parker, dst, timeout)
		return err
	})
	return message, err
}

// TryRecv is Recv that does not wait: ErrWouldBlock if there is no message, or another
// goroutine is receiving.
func (r *receiver) TryRecv() ([]byte, error) { return r.TryRecvAppend(nil) }

// TryRecvAppend is TryRecv that appends the message to a slice.
func (r *receiver) TryRecvAppend(dst []byte) ([]byte, error) {
	if r.usable() == nil && r.reader.Empty() {
		return dst, r.empty
	}
	message, what := r.recvNow(dst, false)
	if what == shm.FetchedOne {
		return message, nil
	}
	message, err := r.tryRecv(dst)
	if err == nil {
		return message, nil
	}
	return message, r.tried("receive from", err)
}

func (r *receiver) tryRecv(dst []byte) ([]byte, error) {
	if err := r.mayTry(); err != nil {
		return dst, err
	}
	message, err := r.reader.Recv(context.Background(), parker, dst, 0)
	r.turn.give()
	return message, err
}

// RecvInto is Recv into a buffer of the caller, and returns how long the message is. One
// that is longer than the buffer is ErrTooLarge, which names both sizes, and stays.
func (r *receiver) RecvInto(ctx context.Context, buffer []byte) (n int, err error) {
	err = r.wait(ctx, false, func(ctx context.Context, timeout time.Duration) error {
		message, err := r.reader.Peek(ctx, parker, timeout)
		switch {
		case err != nil:
			return err
		case len(message) > len(buffer):
			n = 0
			return status.New(status.TooLarge, "", "the message has %d bytes, the buffer %d", len(message), len(buffer))
		}
		n = copy(buffer, message)
		return r.reader.Advance(1)
	})
	return n, recvError("receive from", r.object.info.Name, err)
}

// RecvMany receives 1 to most messages, waiting for the first only. Errors as Recv, and
// ErrInvalid if most is less than 1.
func (r *receiver) RecvMany(ctx context.Context, most int) (messages [][]byte, err error) {
	err = r.wait(ctx, false, func(ctx context.Context, timeout time.Duration) (err error) {
		messages, err = r.takeMany(ctx, most, timeout)
		return err
	})
	return messages, recvError("receive from", r.object.info.Name, err)
}

// TryRecvMany is RecvMany that does not wait: ErrWouldBlock if there is no message, or
// another goroutine is receiving.
func (r *receiver) TryRecvMany(most int) (messages [][]byte, err error) {
	err = r.try(func() (err error) {
		messages, err = r.takeMany(context.Background(), most, 0)
		return err
	})
	return messages, r.tried("receive from", err)
}

// takeMany takes copies of what it peeks.
func (r *receiver) takeMany(ctx context.Context, most int, timeout time.Duration) ([][]byte, error) {
	peeked, err := r.peekMany(ctx, nil, most, timeout)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, message := range peeked {
		total += len(message)
	}
	space := make([]byte, 0, total)
	messages := make([][]byte, len(peeked))
	for i, message := range peeked {
		begin := len(space)
		space = append(space, message...)
		messages[i] = space[begin:len(space):len(space)]
	}
	if err := r.reader.Advance(len(peeked)); err != nil {
		return nil, err
	}
	return messages, nil
}

// tried is the error of a call that does not wait.
func (r *receiver) tried(op string, err error) error {
	if err == status.WouldBlock {
		return r.empty
	}
	return recvError(op, r.object.info.Name, err)
}

func (r *receiver) peekMany(ctx context.Context, dst [][]byte, most int, timeout time.Duration) ([][]byte, error) {
	if most < 1 {
		return dst, status.New(status.Invalid, "", "%d messages; it must be at least 1", most)
	}
	return r.reader.PeekMany(ctx, parker, dst, most, timeout)
}

// Peek is the next message where it lies, in shared memory: valid until a call that
// receives, or Advance, which takes it. Do not write to it; whoever may write the object
// can. One that came in pieces is a copy. It waits as Recv. Errors as Recv.
func (r *receiver) Peek(ctx context.Context) (message []byte, err error) {
	message, err = r.tryPeek()
	if err == nil {
		return message, nil
	}
	if err == status.WouldBlock {
		message, err = r.peekSlow(ctx)
	}
	return message, recvError("look into", r.object.info.Name, err)
}

// peekSlow waits, and so is apart from what must not allocate.
func (r *receiver) peekSlow(ctx context.Context) (message []byte, err error) {
	err = r.wait(ctx, true, func(ctx context.Context, timeout time.Duration) (err error) {
		message, err = r.reader.Peek(ctx, parker, timeout)
		return err
	})
	return message, err
}

// TryPeek is Peek that does not wait: ErrWouldBlock if there is no message, or another
// goroutine is receiving.
func (r *receiver) TryPeek() (message []byte, err error) {
	message, err = r.tryPeek()
	if err == nil {
		return message, nil
	}
	return message, r.tried("look into", err)
}

func (r *receiver) tryPeek() (message []byte, err error) {
	if err := r.mayTry(); err != nil {
		return nil, err
	}
	message, err = r.reader.Peek(context.Background(), parker, 0)
	r.turn.give()
	return message, err
}

// PeekMany is Peek of 1 to most messages. Errors as RecvMany.
func (r *receiver) PeekMany(ctx context.Context, most int) (messages [][]byte, err error) {
	return r.PeekManyAppend(ctx, nil, most)
}

// PeekManyAppend is PeekMany that appends the messages to dst, which it returns with them;
// after an error dst is as it was. With room in dst it takes no memory:
//
//	for err == nil {
//		messages, err = s.PeekManyAppend(ctx, messages[:0], 64)
//		...
//		err = s.Advance(len(messages))
//	}
func (r *receiver) PeekManyAppend(ctx context.Context, dst [][]byte, most int) ([][]byte, error) {
	messages, err := r.tryPeekMany(dst, most)
	if err == nil {
		return messages, nil
	}
	if err == status.WouldBlock {
		messages, err = r.peekManySlow(ctx, dst, most)
	}
	return messages, recvError("look into", r.object.info.Name, err)
}

// peekManySlow waits, and so is apart from what must not allocate.
func (r *receiver) peekManySlow(ctx context.Context, dst [][]byte, most int) (messages [][]byte, err error) {
	messages = dst
	err = r.wait(ctx, true, func(ctx context.Context, timeout time.Duration) (err error) {
		messages, err = r.peekMany(ctx, dst, most, timeout)
		return err
	})
	return messages, err
}

// TryPeekMany is PeekMany that does not wait: ErrWouldBlock as TryPeek.
func (r *receiver) TryPeekMany(most int) (messages [][]byte, err error) {
	return r.TryPeekManyAppend(nil, most)
}

// TryPeekManyAppend is PeekManyAppend that does not wait: ErrWouldBlock as TryPeek.
func (r *receiver) TryPeekManyAppend(dst [][]byte, most int) ([][]byte, error) {
	messages, err := r.tryPeekMany(dst, most)
	if err == nil {
		return messages, nil
	}
	return messages, r.tried("look into", err)
}

func (r *receiver) tryPeekMany(dst [][]byte, most int) ([][]byte, error) {
	if err := r.mayTry(); err != nil {
		return dst, err
	}
	messages, err := r.peekMany(context.Background(), dst, most, 0)
	r.turn.give()
	return messages, err
}

// Advance takes the first n of the messages that were peeked. Errors: ErrInvalid (that
// many were not), ErrRemoved, ErrClosed.
func (r *receiver) Advance(n int) error {
	if r.enters() {
		err := r.reader.Advance(n)
		r.turn.give()
		if err == nil {
			return nil
		}
		return recvError("receive from", r.object.info.Name, err)
	}
	return recvError("receive from", r.object.info.Name, r.now(func() error { return r.reader.Advance(n) }))
}

// Messages receives one message after the other, until the other side ends in an orderly
// way: that ends the loop, and any other error is the last that it gets. A message is
// valid for its turn of the loop only.
func (r *receiver) Messages(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var space []byte
		for {
			message, err := r.RecvAppend(ctx, space[:0])
			if errors.Is(err, status.Ended) || !yield(message, err) || err != nil {
				return
			}
			space = message
		}
	}
}

// Poll waits until a call that receives would not wait. Errors: ErrTimedOut (ctx's
// deadline), ErrCancelled, ErrClosed.
func (r *receiver) Poll(ctx context.Context) error {
	_, err := WaitAny(ctx, r.WaitableRecv())
	return err
}

// WaitableRecv is a message, or bytes, to receive, or the end of the other side.
func (r *receiver) WaitableRecv() Waitable { return r.waitable(r.reader.Waitable) }
