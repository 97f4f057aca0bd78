package main

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shmd/shmd/tests/rivals/adapter"
)

// requestTimeout is a watchdog only.
const requestTimeout = time.Minute

// gate lets a handler of messages in while this process is told to work.
type gate struct {
	isOpen atomic.Bool
	mu     sync.Mutex
	opened sync.Cond
}

func newGate() *gate {
	g := new(gate)
	g.opened.L = &g.mu
	return g
}

func (g *gate) pass() {
	if g.isOpen.Load() {
		return
	}
	g.mu.Lock()
	for !g.isOpen.Load() {
		g.opened.Wait()
	}
	g.mu.Unlock()
}

func (g *gate) open() {
	g.mu.Lock()
	g.isOpen.Store(true)
	g.opened.Broadcast()
	g.mu.Unlock()
}

func (g *gate) close() { g.isOpen.Store(false) }

// subscribe gives messages to handle, however many wait.
func (l *link) subscribe(subject, group string, handle nats.MsgHandler) error {
	subscription, err := l.QueueSubscribe(subject, group, handle)
	if err != nil {
		return err
	}
	if err := subscription.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	return l.Flush()
}

// --- round trips ------------------------------------------------------------

func openPing(l *link) (adapter.Session, error) {
	there, message, checker := l.subject("there"), l.NewMessage(), l.NewChecker()
	return adapter.Turns(l.Row, func(i uint64) error {
		answer, err := l.Request(there, l.Message(message, i), requestTimeout)
		if err != nil {
			return err
		}
		return checker.Check(answer.Data, i)
	}, l.close), nil
}

// pong answers requests.
type pong struct {
	*link
	gate *gate
	left uint64
	done chan error
}

func openPong(l *link) (adapter.Session, error) {
	p := &pong{link: l, gate: newGate(), done: make(chan error, 1)}
	message, checker := l.NewMessage(), l.NewChecker()
	i := uint64(0)
	return p, l.subscribe(l.subject("there"), "", func(request *nats.Msg) {
		p.gate.pass()
		err := checker.Check(request.Data, i)
		if err == nil {
			err = request.Respond(l.Message(message, i))
		}
		i++
		if p.left--; p.left == 0 || err != nil {
			p.gate.close()
			p.done <- err
		}
	})
}

func (p *pong) Run(count uint64) error {
	p.left = count
	p.gate.open()
	return <-p.done
}

func (p *pong) Close() error { return p.close() }

// --- one way ----------------------------------------------------------------

// put is a producer. The client itself sends several messages in one system call.
type put struct {
	*link
	message []byte
}

func openPut(l *link) (adapter.Session, error) {
	if l.Batch > 1 {
		return nil, adapter.Unsupported("core NATS has no call for several messages: its client batches all by itself")
	}
	return &put{l, l.NewMessage()}, nil
}

func (p *put) Run(count uint64) error {
	subject := p.subject("queue")
	for i := p.Done; i < p.Done+count; i++ {
		if err := p.Publish(subject, p.Message(p.message, p.Number(i))); err != nil {
			return err
		}
	}
	if err := p.Publish(p.subject("end"), nil); err != nil {
		return err
	}
	return p.Flush()
}

func (p *put) Close() error { return p.close() }

// take is a consumer in a group, which does not know how many messages it will get: it gets
// all that there are for it before the ends that the producers publish to everybody.
type take struct {
	*link
	gate  *gate
	taken atomic.Uint64
	want  uint64 // of the group, over all `go`s
	done  chan error
}

func openTake(l *link) (adapter.Session, error) {
	if l.Batch > 1 {
		return nil, adapter.Unsupported("core NATS has no call for several messages: its client batches all by itself")
	}
	t := &take{link: l, gate: newGate(), done: make(chan error, 1)}
	checker := l.NewChecker()
	if err := l.subscribe(l.subject("queue"), "takers", func(message *nats.Msg) {
		t.gate.pass()
		if err := checker.Check(message.Data, l.Expected(t.taken.Add(1)-1)); err != nil {
			adapter.Fail(err)
		}
	}); err != nil {
		return nil, err
	}
	ends := 0
	return t, l.subscribe(l.subject("end"), "", func(*nats.Msg) {
		if ends++; ends%l.Producers != 0 {
			return
		}
		// Behind the messages that have come, but are not handled.
		if err := l.Barrier(func() { t.done <- nil }); err != nil {
			t.done <- err
		}
	})
}

func (t *take) Run(count uint64) error {
	t.want += count * uint64(t.Consumers)
	t.gate.open()
	err := <-t.done
	t.gate.close()
	if taken := t.taken.Load(); err == nil && (taken > t.want || t.Consumers == 1 && taken < t.want) {
		err = fmt.Errorf("%d messages have come of %d", taken, t.want)
	}
	return err
}

func (t *take) Close() error { return t.close() }

// --- idle, memory -----------------------------------------------------------

// sleeper waits for what nobody sends.
type sleeper struct {
	*link
	*nats.Subscription
}

func openSleeper(l *link) (adapter.Session, error) {
	subscription, err := l.SubscribeSync(l.subject("queue"))
	return sleeper{l, subscription}, err
}

func (s sleeper) Run(uint64) error {
	if err := adapter.Say("waiting"); err != nil {
		return err
	}
	for {
		if _, err := s.NextMsg(time.Hour); err != nil {
			return err
		}
	}
}

func (s sleeper) Close() error { return s.close() }

// openMaker makes queues: a queue is a subscription.
func openMaker(l *link) (adapter.Session, error) {
	return adapter.Turns(l.Row, func(i uint64) error {
		return l.subscribe(l.subject("queue"+strconv.FormatUint(i, 10)), "takers", func(*nats.Msg) {})
	}, l.close), nil
}
