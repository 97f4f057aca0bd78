package shmd

import (
	"context"
	"runtime"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// sender is who sends through a ring: the producer of a stream, or an end of a pipe.
type sender struct {
	*direction
	writer *shm.RingWriter // used in turns
	inOne  int             // immutable; longer messages go in pieces
}

func newSender(o *object, w *shm.RingWriter) *sender {
	return &sender{direction: newDirection(o), writer: w, inOne: int(shm.RingMessageMax(o.segment.Geometry().Capacity))}
}

// Send sends a message, waiting until ctx ends while the ring is full. Errors: ErrTooLarge
// (both sizes are named), ErrTimedOut, ErrCancelled, ErrRemoved, ErrCorrupt, ErrClosed,
// ErrInvalid (a reserved message is neither committed nor aborted), ErrUnsupported (a
// pipe of bytes); of a pipe ErrEnded or ErrPeerDied (the other end is gone), which match
// syscall.EPIPE and io.ErrClosedPipe. After each nothing was sent; of a message in
// pieces the other end drops what it got.
func (s *sender) Send(ctx context.Context, message []byte) error {
	if s.sendNow(message) {
		return nil
	}
	if len(message) <= s.inOne {
		err := s.trySend(message)
		if err == nil {
			return nil
		}
		if err != status.WouldBlock {
			return sendError("send to", s.object.info.Name, err)
		}
	}
	return s.sendSlow(ctx, message)
}

// sendNow sends a message if nothing is in its way.
func (s *sender) sendNow(message []byte) bool {
	d := s.direction
	if !d.enters() {
		return false
	}
	attention, ok := s.writer.Post(message)
	d.turn.give() // the exchange that Post wants
	if ok {
		s.writer.Settle(attention)
	}
	runtime.KeepAlive(d) // the mapping goes with its object
	return ok
}

// sendSlow waits, and so is apart from what must not allocate.
func (s *sender) sendSlow(ctx context.Context, message []byte) error {
	err := s.wait(ctx, true, func(ctx context.Context, timeout time.Duration) error {
		return s.writer.Send(ctx, parker, message, timeout)
	})
	return sendError("send to", s.object.info.Name, err)
}

// TrySend is Send that does not wait: ErrWouldBlock if the ring is full, or another
// goroutine is sending.
func (s *sender) TrySend(message []byte) error {
	if s.sendNow(message) {
		return nil
	}
	err := s.trySend(message)
	if err == nil {
		return nil
	}
	return sendError("send to", s.object.info.Name, err)
}

func (s *sender) trySend(message []byte) error {
	if err := s.mayTry(); err != nil {
		return err
	}
	err := s.writer.Send(context.Background(), parker, message, 0)
	s.turn.give()
	return err
}

// SendMany sends as many of the messages as there is room for, waiting for the first
// only, and returns how many that were. Errors as Send, after which none was sent, and
// ErrInvalid if there are none.
func (s *sender) SendMany(ctx context.Context, messages [][]byte) (n int, err error) {
	n, err = s.trySendMany(messages)
	if err == nil {
		return n, nil
	}
	if err == status.WouldBlock {
		n, err = s.sendManySlow(ctx, messages)
	}
	return n, sendError("send to", s.object.info.Name, err)
}

// sendManySlow waits, and so is apart from what must not allocate.
func (s *sender) sendManySlow(ctx context.Context, messages [][]byte) (n int, err error) {
	err = s.wait(ctx, true, func(ctx context.Context, timeout time.Duration) (err error) {
		n, err = s.writer.SendMany(ctx, parker, messages, timeout)
		return err
	})
	return n, err
}

// TrySendMany is SendMany that does not wait: ErrWouldBlock if there is room for none, or
// another goroutine is sending.
func (s *sender) TrySendMany(messages [][]byte) (n int, err error) {
	n, err = s.trySendMany(messages)
	if err == nil {
		return n, nil
	}
	return n, sendError("send to", s.object.info.Name, err)
}

func (s *sender) trySendMany(messages [][]byte) (n int, err error) {
	if err := s.mayTry(); err != nil {
		return 0, err
	}
	n, err = s.writer.SendMany(context.Background(), parker, messages, 0)
	s.turn.give()
	return n, err
}

// Reserve is the room of a message of size bytes, in shared memory, to be filled in
// place; it waits until ctx ends while there is none. Until Commit nobody sees it;
// before that no other message is sent. Errors as Send: ErrTooLarge also for what would
// go in pieces, ErrInvalid also for size < 0.
func (s *sender) Reserve(ctx context.Context, size int) (buffer []byte, err error) {
	buffer, err = s.tryReserve(size)
	if err == nil {
		return buffer, nil
	}
	if err == status.WouldBlock {
		buffer, err = s.reserveSlow(ctx, size)
	}
	return buffer, sendError("reserve in", s.object.info.Name, err)
}

// reserveSlow waits, and so is apart from what must not allocate.
func (s *sender) reserveSlow(ctx context.Context, size int) (buffer []byte, err error) {
	err = s.wait(ctx, true, func(ctx context.Context, timeout time.Duration) (err error) {
		buffer, err = s.reserve(ctx, size, timeout)
		return err
	})
	return buffer, err
}

// TryReserve is Reserve that does not wait: ErrWouldBlock, also if another goroutine is
// sending.
func (s *sender) TryReserve(size int) (buffer []byte, err error) {
	buffer, err = s.tryReserve(size)
	if err == nil {
		return buffer, nil
	}
	return buffer, sendError("reserve in", s.object.info.Name, err)
}

func (s *sender) tryReserve(size int) (buffer []byte, err error) {
	if err := s.mayTry(); err != nil {
		return nil, err
	}
	buffer, err = s.reserve(context.Background(), size, 0)
	s.turn.give()
	return buffer, err
}

func (s *sender) reserve(ctx context.Context, size int, timeout time.Duration) ([]byte, error) {
	if size < 0 {
		return nil, status.New(status.Invalid, "", "%d bytes to be reserved", size)
	}
	return s.writer.Reserve(ctx, parker, uint32(min(size, maxUint32)), timeout)
}

// Commit sends the first n bytes of the reserved message. Errors: ErrInvalid (that many
// are not reserved), and as Send, after which nothing is reserved any more.
func (s *sender) Commit(n int) error {
	err := s.begin()
	if err == nil {
		err = s.commit(n)
		s.turn.give()
		if err == nil {
			return nil
		}
	} else {
		err = s.ended(err)
	}
	return sendError("commit to", s.object.info.Name, err)
}

func (s *sender) commit(n int) error {
	if n < 0 {
		return status.New(status.Invalid, "", "%d bytes to commit", n)
	}
	return s.writer.Commit(uint32(min(n, maxUint32)))
}

// Abort gives the reserved room back. Errors: ErrInvalid (nothing is reserved), ErrClosed.
func (s *sender) Abort() error {
	return wrap("abort in", s.object.info.Name, s.now(s.writer.Abort))
}

// WaitableSend is room in the ring, at least half of it; or that a send would say why
// there will never be any.
func (s *sender) WaitableSend() Waitable { return s.waitable(s.writer.Waitable) }
