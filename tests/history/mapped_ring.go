package history

import (
	"context"
	"io"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// mappedRing is a stream, or a pipe of which the client has one end at most.
type mappedRing struct {
	object   io.Closer
	claim    func(role uint32) (sends ringSender, receives ringReceiver, err error)
	sends    ringSender   // nil = the client does not have the role
	takes    ringReceiver // likewise
	reserved []byte       // nil = nothing is
	peeked   []int64      // messages that were shown and not received
	flow
}

// ringSender is the producer of a stream, or the end of a pipe.
type ringSender interface {
	Send(ctx context.Context, message []byte) error
	TrySend(message []byte) error
	SendMany(ctx context.Context, messages [][]byte) (int, error)
	TrySendMany(messages [][]byte) (int, error)
	Reserve(ctx context.Context, size int) ([]byte, error)
	TryReserve(size int) ([]byte, error)
	Commit(n int) error
	Abort() error
	Close() error
}

// ringReceiver is the consumer of a stream, or the end of a pipe.
type ringReceiver interface {
	Recv(ctx context.Context) ([]byte, error)
	TryRecv() ([]byte, error)
	RecvMany(ctx context.Context, most int) ([][]byte, error)
	PeekMany(ctx context.Context, most int) ([][]byte, error)
	Advance(n int) error
	Close() error
}

func claimStream(s *shmd.Stream) func(uint32) (ringSender, ringReceiver, error) {
	return func(role uint32) (ringSender, ringReceiver, error) {
		if role == RoleProducer {
			p, err := s.Producer(context.Background())
			if err != nil {
				return nil, nil, err
			}
			return p, nil, nil
		}
		c, err := s.Consumer(context.Background())
		if err != nil {
			return nil, nil, err
		}
		return nil, c, nil
	}
}

func claimPipe(p *shmd.Pipe) func(uint32) (ringSender, ringReceiver, error) {
	return func(role uint32) (ringSender, ringReceiver, error) {
		e, err := p.End(context.Background(), shmd.End(role-EndA))
		if err != nil {
			return nil, nil, err
		}
		return e, e, nil
	}
}

func (r *mappedRing) close() error { return r.object.Close() }

func (r *mappedRing) perform(e *Entry) error {
	switch e.Op {
	case OpClaim:
		return r.begins(e)
	case OpRetire:
		return r.retire(e)
	case OpSend, OpSendMany, OpReserve, OpCommit, OpAbort, OpWriteBytes:
		if r.sends == nil {
			return e.skip()
		}
		return r.send(e)
	case OpRecv, OpRecvMany, OpPeek, OpAdvance, OpReadBytes:
		if r.takes == nil {
			return e.skip()
		}
		return r.recv(e)
	}
	return status.Unsupported
}

// begins claims a role.
func (r *mappedRing) begins(e *Entry) error {
	e.begin()
	sends, takes, err := r.claim(e.N)
	if sends != nil {
		r.sends, r.reserved = sends, nil
	}
	if takes != nil {
		r.takes, r.peeked = takes, nil
	}
	if err == nil && r.flow.end != e.N {
		r.flow = flow{end: e.N}
	}
	return err
}

func (r *mappedRing) send(e *Entry) error {
	ctx, cancel := within(e.Timeout)
	defer cancel()
	switch e.Op {
	case OpCommit, OpAbort:
		return r.fill(e)
	case OpWriteBytes:
		return r.write(e, func(b []byte) (int, error) {
			if e.Timeout == 0 {
				return r.sends.(*shmd.PipeEnd).TryWriteBytes(b)
			}
			return r.sends.(*shmd.PipeEnd).WriteBytes(ctx, b)
		})
	}
	e.begin()
	switch e.Op {
	case OpReserve:
		reserve := r.sends.TryReserve
		if e.Timeout != 0 {
			reserve = func(size int) ([]byte, error) { return r.sends.Reserve(ctx, size) }
		}
		buffer, err := reserve(int(max(e.N, MessageMin)))
		if err == nil {
			r.reserved = buffer
		}
		return err
	case OpSend:
		if e.Timeout == 0 {
			return r.sends.TrySend(e.Message())
		}
		return r.sends.Send(ctx, e.Message())
	}
	send := r.sends.TrySendMany
	if e.Timeout != 0 {
		send = func(messages [][]byte) (int, error) { return r.sends.SendMany(ctx, messages) }
	}
	n, err := send(e.Messages())
	e.Result = int64(n)
	return err
}

// fill sends what was reserved, or gives it up, or skips the entry.
func (r *mappedRing) fill(e *Entry) error {
	if r.reserved == nil {
		return e.skip()
	}
	size := copy(r.reserved, makeMessage(e.Argument, uint32(len(r.reserved))))
	r.reserved = nil
	e.begin()
	if e.Op == OpAbort {
		return r.sends.Abort()
	}
	return r.sends.Commit(size)
}

func (r *mappedRing) recv(e *Entry) error {
	ctx, cancel := within(e.Timeout)
	defer cancel()
	switch e.Op {
	case OpAdvance:
		return r.advance(e)
	case OpReadBytes:
		return r.read(e, func(b []byte) (int, error) {
			if e.Timeout == 0 {
				return r.takes.(*shmd.PipeEnd).TryReadBytes(b)
			}
			return r.takes.(*shmd.PipeEnd).ReadBytes(ctx, b)
		})
	}
	e.begin()
	if e.Op == OpRecv {
		recv := r.takes.TryRecv
		if e.Timeout != 0 {
			recv = func() ([]byte, error) { return r.takes.Recv(ctx) }
		}
		m, err := recv()
		if err == nil && !e.Receive(m) {
			err = errBroken
		}
		r.peeked = nil
		return err
	}
	if e.Timeout == 0 {
		return status.Unsupported // there is no try
	}
	receive := r.takes.RecvMany
	if e.Op == OpPeek {
		receive = r.takes.PeekMany
	}
	r.peeked = nil
	messages, err := receive(ctx, int(e.Desired))
	if err == nil {
		err = e.ReceiveMany(messages)
	}
	if err == nil && e.Op == OpPeek {
		r.peeked = append(r.peeked, e.Numbers[:e.Result]...)
	}
	return err
}

// advance receives the first of what was shown last, or skips the entry.
func (r *mappedRing) advance(e *Entry) error {
	n := min(len(r.peeked), int(e.Desired))
	if n == 0 {
		return e.skip()
	}
	copy(e.Numbers[:], r.peeked[:n])
	e.Desired, r.peeked = int64(n), r.peeked[n:]
	e.begin()
	err := r.takes.Advance(n)
	if err == nil {
		e.Result = int64(n)
	}
	return err
}

// retire gives a role up, or skips the entry: the end of a pipe is both.
func (r *mappedRing) retire(e *Entry) error {
	end, isEnd := r.sends.(*shmd.PipeEnd)
	switch {
	case isEnd && uint32(end.Which())+EndA != e.N, e.N == RoleProducer && r.sends == nil,
		e.N == RoleConsumer && r.takes == nil:
		return e.skip()
	}
	e.begin()
	switch {
	case isEnd:
		r.sends, r.takes, r.flow = nil, nil, flow{}
		return end.Close()
	case e.N == RoleProducer:
		producer := r.sends
		r.sends = nil
		return producer.Close()
	}
	consumer := r.takes
	r.takes = nil
	return consumer.Close()
}
