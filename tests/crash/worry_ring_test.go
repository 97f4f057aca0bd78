package crash

import (
	"context"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// ringWorrier has what a client has claimed of a ring; the rest is nil.
type ringWorrier struct {
	sender   ringSender
	receiver ringReceiver
	flow     *shmd.PipeEnd // of bytes
	longest  int
}

// ringSender and ringReceiver are what streams and pipes have in common.
type ringSender interface {
	Send(ctx context.Context, message []byte) error
	SendMany(ctx context.Context, messages [][]byte) (int, error)
	Reserve(ctx context.Context, size int) ([]byte, error)
	Commit(n int) error
	Abort() error
	Close() error
}

type ringReceiver interface {
	Recv(ctx context.Context) ([]byte, error)
	RecvMany(ctx context.Context, most int) ([][]byte, error)
	PeekMany(ctx context.Context, most int) ([][]byte, error)
	Advance(n int) error
	Close() error
}

// retireTurns is in how many of its turns a role is given up once: so is one that the
// scribbler has taken away, which the client would believe it has.
const retireTurns = 13

// retire gives up a role, or an end in both directions.
func (w *ringWorrier) retire(role interface{ Close() error }) error {
	w.sender, w.receiver, w.flow = nil, nil, nil
	return role.Close()
}

func streamDeeds(s *shmd.Stream, role string) []deed {
	w := &ringWorrier{longest: worryRing / 4}
	if role == wire.RoleProducer {
		return w.sends(deed{"claim", func(ctx context.Context, _ int) error {
			p, err := s.Producer(ctx)
			if err == nil {
				w.sender = p
			}
			return err
		}})
	}
	return w.receives(deed{"claim", func(ctx context.Context, _ int) error {
		c, err := s.Consumer(ctx)
		if err == nil {
			w.receiver = c
		}
		return err
	}})
}

func pipeDeeds(p *shmd.Pipe, kind, role string) []deed {
	w := &ringWorrier{longest: 2 * worryRing}
	which := map[string]shmd.End{wire.EndA: shmd.EndA, wire.EndB: shmd.EndB}[role]
	claim := deed{"claim", func(ctx context.Context, _ int) error {
		e, err := p.End(ctx, which)
		if err == nil {
			w.sender, w.receiver, w.flow = e, e, e
		}
		return err
	}}
	if kind == kindBytes {
		return w.flows(claim)
	}
	return append(w.sends(claim), w.receives()...)
}

func (w *ringWorrier) sends(first ...deed) []deed {
	with := func(name string, do func(ctx context.Context, turn int) error) deed {
		return deed{name, func(ctx context.Context, turn int) error {
			if w.sender == nil {
				return status.NotOwner
			}
			return do(ctx, turn)
		}}
	}
	return append(first,
		with("send", func(ctx context.Context, turn int) error {
			return w.sender.Send(ctx, worryMessage(turn, w.longest))
		}),
		with("send_many", func(ctx context.Context, turn int) error {
			_, err := w.sender.SendMany(ctx, worryMessages(turn, w.longest))
			return err
		}),
		with("reserve", func(ctx context.Context, turn int) error {
			message := worryMessage(turn, worryRing/4)
			place, err := w.sender.Reserve(ctx, len(message))
			if err != nil {
				return err
			}
			copy(place, message)
			if turn%3 == 0 {
				return w.sender.Abort()
			}
			return w.sender.Commit(len(message))
		}),
		with("commit of nothing", func(context.Context, int) error { return w.sender.Commit(0) }),
		with("retire", func(_ context.Context, turn int) error {
			if turn%retireTurns != 0 {
				return nil
			}
			return w.retire(w.sender)
		}),
	)
}

func (w *ringWorrier) receives(first ...deed) []deed {
	with := func(name string, do func(ctx context.Context, turn int) error) deed {
		return deed{name, func(ctx context.Context, turn int) error {
			if w.receiver == nil {
				return status.NotOwner
			}
			return do(ctx, turn)
		}}
	}
	return append(first,
		with("recv", func(ctx context.Context, _ int) error {
			m, err := w.receiver.Recv(ctx)
			look(m)
			return err
		}),
		with("recv_many", func(ctx context.Context, turn int) error {
			messages, err := w.receiver.RecvMany(ctx, 1+turn%worryMany)
			look(messages...)
			return err
		}),
		with("peek_many", func(ctx context.Context, turn int) error {
			messages, err := w.receiver.PeekMany(ctx, 1+turn%worryMany)
			look(messages...)
			if err != nil {
				return err
			}
			return w.receiver.Advance(turn % (worryMany + 1)) // it may be too many
		}),
		with("retire", func(_ context.Context, turn int) error {
			if turn%retireTurns != 0 {
				return nil
			}
			return w.retire(w.receiver)
		}),
	)
}

func (w *ringWorrier) flows(claim deed) []deed {
	with := func(name string, do func(ctx context.Context, turn int) error) deed {
		return deed{name, func(ctx context.Context, turn int) error {
			if w.flow == nil {
				return status.NotOwner
			}
			return do(ctx, turn)
		}}
	}
	return []deed{claim,
		with("write", func(ctx context.Context, turn int) error {
			_, err := w.flow.WriteBytes(ctx, worryMessage(turn, w.longest))
			return err
		}),
		with("read", func(ctx context.Context, turn int) error {
			_, err := w.flow.ReadBytes(ctx, worryMessage(turn, w.longest))
			return err
		}),
		with("retire", func(_ context.Context, turn int) error {
			if turn%retireTurns != 0 {
				return nil
			}
			return w.retire(w.flow)
		}),
	}
}

// ringDeeds are those of a client over the socket.
func (r *remote) ringDeeds(kind, role string) []deed {
	const timeout = int64(tryTime)
	of := func(method string, params ...func(turn int) any) deed {
		return deed{method, func(_ context.Context, turn int) error {
			all := make([]any, len(params), len(params)+1)
			for i, p := range params {
				all[i] = p(turn)
			}
			return r.call(method, nil, append(all, timeout)...)
		}}
	}
	longest := 2 * worryRing
	if kind == wire.KindStream {
		longest = worryRing / 4
	}
	message := func(turn int) any { return worryMessage(turn, longest) }
	messages := func(turn int) any { return worryMessages(turn, longest) }
	most := func(turn int) any { return 1 + turn%worryMany }
	deeds := []deed{{wire.MethodClaim, func(context.Context, int) error { return r.call(wire.MethodClaim, nil, role) }}}
	if kind == kindBytes {
		deeds = append(deeds, of(wire.MethodWriteBytes, message), of(wire.MethodReadBytes, most))
	} else {
		if role != wire.RoleConsumer {
			deeds = append(deeds, of(wire.MethodSend, message), of(wire.MethodSendMany, messages))
		}
		if role != wire.RoleProducer {
			deeds = append(deeds, of(wire.MethodRecv), of(wire.MethodRecvMany, most))
		}
	}
	return append(deeds, deed{wire.MethodRetire, func(_ context.Context, turn int) error {
		if turn%retireTurns != 0 {
			return nil
		}
		return r.call(wire.MethodRetire, nil, role)
	}})
}
