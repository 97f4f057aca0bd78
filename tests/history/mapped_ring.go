package history

import (
	"context"
	"io"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// mappedRing is a stream, or a pipe of which the client has one end at most.
type mappedRing struct {
	object io.Closer
	claim  func(role uint32) (sends ringSender, receives ringReceiver, err error)
	sends  ringSender   // nil = the client does not have the role
	takes  ringReceiver // likewise
}

// ringSender is the producer of a stream, or the end of a pipe.
type ringSender interface {
	Send(ctx context.Context, message []byte) error
	TrySend(message []byte) error
	SendMany(ctx context.Context, messages [][]byte) (int, error)
	TrySendMany(messages [][]byte) (int, error)
	Close() error
}

// ringReceiver is the consumer of a stream, or the end of a pipe.
type ringReceiver interface {
	Recv(ctx context.Context) ([]byte, error)
	TryRecv() ([]byte, error)
	RecvMany(ctx context.Context, most int) ([][]byte, error)
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
	switch {
	case e.Op == OpClaim:
		e.begin()
		sends, takes, err := r.claim(e.N)
		if sends != nil {
			r.sends = sends
		}
		if takes != nil {
			r.takes = takes
		}
		return err
	case e.Op == OpRetire:
		return r.retire(e)
	case r.sends == nil && (e.Op == OpSend || e.Op == OpSendMany),
		r.takes == nil && (e.Op == OpRecv || e.Op == OpRecvMany):
		return e.skip()
	}
	e.begin()
	ctx, cancel := within(e.Timeout)
	defer cancel()
	switch e.Op {
	case OpSend:
		if e.Timeout == 0 {
			return r.sends.TrySend(e.Message())
		}
		return r.sends.Send(ctx, e.Message())
	case OpSendMany:
		send := r.sends.TrySendMany
		if e.Timeout != 0 {
			send = func(messages [][]byte) (int, error) { return r.sends.SendMany(ctx, messages) }
		}
		n, err := send(e.Messages())
		e.Result = int64(n)
		return err
	case OpRecv:
		var m []byte
		var err error
		if e.Timeout == 0 {
			m, err = r.takes.TryRecv()
		} else {
			m, err = r.takes.Recv(ctx)
		}
		if err == nil && !e.Receive(m) {
			err = errBroken
		}
		return err
	case OpRecvMany:
		if e.Timeout == 0 {
			return status.Unsupported // there is no try
		}
		messages, err := r.takes.RecvMany(ctx, int(e.Desired))
		if err != nil {
			return err
		}
		return e.ReceiveMany(messages)
	}
	return status.Unsupported
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
		r.sends, r.takes = nil, nil
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
