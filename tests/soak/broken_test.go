package soak

import (
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

// books writes a round by hand: each entry begins after the one before has ended.
type books struct {
	now     int64
	careers map[int]*career
}

func newBooks() *books { return &books{careers: make(map[int]*career)} }

func (b *books) of(client int) *career {
	if b.careers[client] == nil {
		b.careers[client] = &career{client: client}
	}
	return b.careers[client]
}

// did books what a client did.
func (b *books) did(client int, op history.Op, fields ...func(*history.Entry)) *books {
	b.now += 10
	e := history.Entry{Op: op, Call: b.now, Return: b.now + 5, N: 1}
	for _, set := range fields {
		set(&e)
	}
	c := b.of(client)
	c.entries = append(c.entries, e)
	return b
}

// died books that it was killed and is recovered.
func (b *books) died(client int) *books {
	b.now += 10
	b.of(client).death = &history.Death{Client: client, Killed: b.now, Settled: b.now + 5}
	return b
}

func (b *books) round() (r round) {
	for _, c := range b.careers {
		r = append(r, *c)
	}
	return r
}

func inFlight(e *history.Entry)                { e.Return = 0 }
func n(n uint32) func(*history.Entry)          { return func(e *history.Entry) { e.N = n } }
func arg(v int64) func(*history.Entry)         { return func(e *history.Entry) { e.Argument = v } }
func result(v int64) func(*history.Entry)      { return func(e *history.Entry) { e.Result = v } }
func code(c status.Code) func(*history.Entry)  { return func(e *history.Entry) { e.Status = int32(c) } }
func deliveries(n uint32) func(*history.Entry) { return func(e *history.Entry) { e.Extra = n } }
func asked(n int64) func(*history.Entry)       { return func(e *history.Entry) { e.Desired = n } }
func consumer(e *history.Entry)                { e.N = history.RoleConsumer }
func numbers(of ...int64) func(*history.Entry) {
	return func(e *history.Entry) { copy(e.Numbers[:], of) }
}
func told(deaths int64) func(e *history.Entry) {
	return func(e *history.Entry) { e.Status, e.Result = int32(status.OwnerDied), deaths }
}

// proof is books that an auditor must find in order, and books that it must not.
type proof struct {
	name      string
	good, bad func() audit
	in, not   *books
}

func (p *proof) run(t *testing.T) {
	t.Run(p.name, func(t *testing.T) {
		if complaints := p.good().check(p.in.round()); len(complaints) != 0 {
			t.Errorf("books in order: %q", complaints)
		}
		if complaints := p.bad().check(p.not.round()); len(complaints) == 0 {
			t.Error("books that are not in order, and no complaint")
		}
	})
}

// TestAuditorsComplain shows each auditor books that are in order, and books that
// differ in little and are not.
func TestAuditorsComplain(t *testing.T) {
	const (
		lock, unlock, mark = history.OpLock, history.OpUnlock, history.OpMark
		acquire, release   = history.OpAcquire, history.OpRelease
		put, take, lease   = history.OpPut, history.OpTake, history.OpLease
		ack, nack          = history.OpAck, history.OpNack
		add                = history.OpAdd
		read, unread       = history.OpReadLock, history.OpReadUnlock
		wait               = history.OpWaitCondition
	)
	const claim, retire, recv = history.OpClaim, history.OpRetire, history.OpRecv
	streams := func() audit { return &streamAudit{name: "stream"} }
	pipes := func() audit { return &pipeAudit{name: "pipe"} }
	// producer is client 1 that has sent messages.
	producer := func(sent ...int64) *books {
		b := newBooks().did(1, claim)
		for _, number := range sent {
			b.did(1, history.OpSend, arg(number))
		}
		return b
	}
	locks := func() audit { return newLockAudit(0) }
	events := func() audit { return &eventAudit{name: "event", look: func() bool { return false }} }
	barriers := func() audit { return &barrierAudit{name: "barrier", parties: 2} }
	plain := func(left uint32) func() audit {
		return func() audit {
			return &permitAudit{name: "plain", base: 2,
				look: func() wire.Permits { return wire.Permits{Available: left} }}
		}
	}
	undo := func(left uint32) func() audit {
		return func() audit {
			return &permitAudit{name: "undo", base: 2, undo: true,
				look: func() wire.Permits { return wire.Permits{Available: left, Total: 2} }}
		}
	}
	sums := func(now int64) func() audit {
		return func() audit {
			return &sumAudit{name: "sum", base: []int64{0}, look: func(int) int64 { return now }}
		}
	}
	queue := func(left uint32) func() audit {
		return func() audit {
			return &queueAudit{name: "queue", messages: make(map[int64]*message), takeover: func(int64) {},
				look: func() wire.Counts { return wire.Counts{Ready: left} }}
		}
	}
	for _, p := range []proof{
		{"two holders", locks, locks,
			newBooks().did(1, lock).did(1, unlock).did(2, lock).did(2, unlock),
			newBooks().did(1, lock).did(2, lock).did(1, unlock).did(2, unlock)},
		{"held before the holder was killed", locks, locks,
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).did(2, unlock),
			newBooks().did(1, lock).did(2, lock, told(1)).died(1).did(2, unlock)},
		{"a death that was not told", locks, locks,
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).did(2, unlock).did(3, lock, told(1)).did(3, unlock),
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).did(2, unlock).did(3, lock).did(3, unlock)},
		{"a death that was none", locks, locks,
			newBooks().did(1, lock, inFlight).died(1).did(2, lock, told(1)).did(2, unlock),
			newBooks().did(1, lock).did(1, unlock).died(1).did(2, lock, told(1)).did(2, unlock)},
		{"a death that is over", locks, locks,
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).did(2, mark).did(2, unlock).did(3, lock).
				did(3, unlock),
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).did(2, mark).did(2, unlock).did(3, lock, told(1)).
				did(3, unlock)},
		{"deaths that were not counted", locks, locks,
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).died(2).did(3, lock, told(2)).did(3, unlock),
			newBooks().did(1, lock).died(1).did(2, lock, told(1)).died(2).did(3, lock, told(1)).did(3, unlock)},
		{"an unlock of another's", locks, locks,
			newBooks().did(1, lock).did(2, unlock, code(status.NotOwner)).did(1, unlock),
			newBooks().did(1, lock).did(2, unlock).did(1, unlock)},
		{"a lock that is kept", locks, locks,
			newBooks().did(1, lock).did(1, unlock),
			newBooks().did(1, lock)},
		{"a reader beside the writer", locks, locks,
			newBooks().did(1, read).did(2, read).did(1, unread).did(2, unread).did(3, lock).did(3, unlock),
			newBooks().did(3, lock).did(1, read).did(1, unread).did(3, unlock)},
		{"a writer beside a reader", locks, locks,
			newBooks().did(1, read).did(1, unread).did(2, lock).did(2, unlock),
			newBooks().did(1, read).did(2, lock).did(2, unlock).did(1, unread)},
		{"a dead writer that readers are not told of", locks, locks,
			newBooks().did(1, lock).died(1).did(2, read, told(1)).did(3, read, told(1)).did(2, unread).did(3, unread),
			newBooks().did(1, lock).died(1).did(2, read, told(1)).did(3, read).did(2, unread).did(3, unread)},
		{"a dead reader", locks, locks,
			newBooks().did(1, read).died(1).did(2, lock).did(2, unlock),
			newBooks().did(1, read).died(1).did(2, lock, told(1)).did(2, unlock)},
		{"a wait that does not release the mutex", locks, locks,
			newBooks().did(1, lock).did(1, wait).did(1, unlock).did(2, lock).did(2, unlock),
			newBooks().did(1, lock).did(1, wait).did(2, lock).did(2, unlock).did(1, unlock)},
		{"a wait without the mutex", locks, locks,
			newBooks().did(1, wait, code(status.NotOwner)),
			newBooks().did(1, wait)},
		{"two waits for one set", events, events,
			newBooks().did(1, history.OpSignal).did(2, history.OpWait),
			newBooks().did(1, history.OpSignal).did(2, history.OpWait).did(3, history.OpWait)},
		{"a party that never heard", barriers, barriers,
			newBooks().did(1, history.OpArrive, result(0)).did(2, history.OpArrive, inFlight).died(2),
			newBooks().did(1, history.OpArrive, result(0)).did(2, history.OpArrive, code(status.Broken))},
		{"a permit too many", plain(1), plain(1),
			newBooks().did(1, acquire).did(1, release).did(2, acquire),
			newBooks().did(1, acquire).did(1, release)},
		{"a permit too few", plain(1), plain(0),
			newBooks().did(1, acquire, inFlight).died(1),
			newBooks().did(1, acquire).died(1)},
		{"more held than there are", undo(2), undo(2),
			newBooks().did(1, acquire).did(2, acquire).did(1, release).did(2, release),
			newBooks().did(1, acquire, n(2)).did(2, acquire).did(1, release, n(2)).did(2, release)},
		{"a dead one's permit that is not back", undo(2), undo(1),
			newBooks().did(1, acquire).died(1),
			newBooks().did(1, acquire).died(1)},
		{"a release of what is not held", undo(2), undo(2),
			newBooks().did(1, release, code(status.NotOwner)),
			newBooks().did(1, release)},
		{"a lost addition", sums(2), sums(1),
			newBooks().did(1, add, n(0), arg(1), result(0)).did(2, add, n(0), arg(1), result(1)),
			newBooks().did(1, add, n(0), arg(1), result(0)).did(2, add, n(0), arg(1), result(1))},
		{"the same sum twice", sums(2), sums(2),
			newBooks().did(1, add, n(0), arg(1), result(0)).did(2, add, n(0), arg(1), result(1)),
			newBooks().did(1, add, n(0), arg(1), result(0)).did(2, add, n(0), arg(1), result(0))},
		{"a lost message", queue(1), queue(0),
			newBooks().did(1, put, arg(1)),
			newBooks().did(1, put, arg(1))},
		{"a message that is there still", queue(0), queue(1),
			newBooks().did(1, put, arg(1)).did(2, take, result(1)),
			newBooks().did(1, put, arg(1)).did(2, take, result(1))},
		{"a message taken twice", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(2, take, result(1)),
			newBooks().did(1, put, arg(1)).did(2, take, result(1)).did(3, take, result(1))},
		{"a message that nobody put", queue(0), queue(0),
			newBooks().did(1, put, arg(1), inFlight).died(1).did(2, take, result(1)),
			newBooks().died(1).did(2, take, result(1))},
		{"a message of two", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1), deliveries(1)).did(2, nack, result(1)).
				did(3, lease, result(1), deliveries(2)).did(3, ack, result(1)),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1), deliveries(1)).
				did(3, lease, result(1), deliveries(2)).did(2, nack, result(1)).did(3, ack, result(1))},
		{"a message that comes back after its acknowledgement", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1), deliveries(1)).
				did(2, ack, result(1), inFlight).died(2).did(3, lease, result(1), deliveries(2)).did(3, ack, result(1)),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1), deliveries(1)).did(2, ack, result(1)).died(2).
				did(3, lease, result(1), deliveries(2)).did(3, ack, result(1))},
		{"an ack of nothing", queue(1), queue(1),
			newBooks().did(1, put, arg(1)).did(2, ack, inFlight).died(2),
			newBooks().did(1, put, arg(1)).did(2, ack, result(1), inFlight).died(2)},
		{"a delivery that was not counted", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1), deliveries(1)).died(2).
				did(3, lease, result(1), deliveries(2)).did(3, ack, result(1)),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1), deliveries(1)).died(2).
				did(3, lease, result(1), deliveries(1)).did(3, ack, result(1))},
		{"messages out of order", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(1, put, arg(2)).did(2, lease, result(1), deliveries(1)).
				did(2, lease, result(2), deliveries(1)).did(2, ack, result(1)).did(2, ack, result(2)),
			newBooks().did(1, put, arg(1)).did(1, put, arg(2)).did(2, lease, result(2), deliveries(1)).
				did(2, lease, result(1), deliveries(1)).did(2, ack, result(1)).did(2, ack, result(2))},
		{"a message of a batch that is lost", queue(1), queue(0),
			newBooks().did(1, history.OpPutMany, arg(1), asked(3), result(2)).did(2, take, result(1)),
			newBooks().did(1, history.OpPutMany, arg(1), asked(3), result(2)).did(2, take, result(1))},
		{"a batch taken twice", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(1, put, arg(2)).
				did(2, history.OpTakeMany, asked(4), result(2), numbers(1, 2)),
			newBooks().did(1, put, arg(1)).did(1, put, arg(2)).
				did(2, history.OpTakeMany, asked(4), result(2), numbers(1, 1))},
		{"a batch that comes back after its acknowledgement", queue(0), queue(0),
			newBooks().did(1, put, arg(1)).did(2, history.OpLeaseMany, asked(4), result(1), numbers(1), deliveries(1)).
				did(2, history.OpNackMany, asked(1), result(1), numbers(1)).did(3, take, result(1)),
			newBooks().did(1, put, arg(1)).did(2, history.OpLeaseMany, asked(4), result(1), numbers(1), deliveries(1)).
				did(2, history.OpAckMany, asked(1), result(1), numbers(1)).did(3, take, result(1))},
		{"two producers", streams, streams,
			producer().did(1, retire).did(2, claim).did(2, retire).did(3, claim, consumer).
				did(3, recv, code(status.Ended)),
			producer().did(2, claim).did(1, retire).did(2, retire).did(3, claim, consumer).
				did(3, recv, code(status.Ended))},
		{"a gap in a stream", streams, streams,
			producer(1, 2).did(1, retire).did(3, claim, consumer).did(3, recv, result(1)).did(3, recv, result(2)).
				did(3, recv, code(status.Ended)),
			producer(1, 2).did(1, retire).did(3, claim, consumer).did(3, recv, result(2)).
				did(3, recv, code(status.Ended))},
		{"a message of a stream twice", streams, streams,
			producer(1).did(1, retire).did(3, claim, consumer).did(3, recv, inFlight).died(3).
				did(4, claim, consumer).did(4, recv, code(status.Ended)),
			producer(1).did(1, retire).did(3, claim, consumer).did(3, recv, result(1)).did(3, retire, consumer).
				did(4, claim, consumer).did(4, recv, result(1)).did(4, recv, code(status.Ended))},
		{"a stream out of order", streams, streams,
			producer().did(1, history.OpSendMany, asked(3), arg(1), result(2)).did(1, retire).did(3, claim, consumer).
				did(3, history.OpRecvMany, asked(4), result(2), numbers(1, 2)).did(3, recv, code(status.Ended)),
			producer().did(1, history.OpSendMany, asked(3), arg(1), result(2)).did(1, retire).did(3, claim, consumer).
				did(3, history.OpRecvMany, asked(4), result(2), numbers(2, 1)).did(3, recv, code(status.Ended))},
		{"an end that is not told", streams, streams,
			producer(1).died(1).did(2, claim).did(2, history.OpSend, arg(2)).did(2, retire).did(3, claim, consumer).
				did(3, recv, result(1)).did(3, recv, code(status.PeerDied)).did(3, recv, result(2)).
				did(3, recv, code(status.Ended)),
			producer(1).died(1).did(2, claim).did(2, history.OpSend, arg(2)).did(2, retire).did(3, claim, consumer).
				did(3, recv, result(1)).did(3, recv, result(2)).did(3, recv, code(status.Ended))},
		{"an end that is told twice", streams, streams,
			producer(1).did(1, retire).did(3, claim, consumer).did(3, recv, result(1)).did(3, recv, code(status.Ended)),
			producer(1).did(1, retire).did(3, claim, consumer).did(3, recv, result(1)).did(3, recv, code(status.Ended)).
				did(3, recv, code(status.Ended))},
		{"a death that is told as an orderly end", streams, streams,
			producer(1).died(1).did(3, claim, consumer).did(3, recv, result(1)).did(3, recv, code(status.PeerDied)),
			producer(1).died(1).did(3, claim, consumer).did(3, recv, result(1)).did(3, recv, code(status.Ended))},
		{"a gap in a pipe", pipes, pipes,
			producer(1, 2).did(2, claim, consumer).did(2, recv, result(1)).did(2, recv, result(2)).did(1, retire),
			producer(1, 2).did(2, claim, consumer).did(2, recv, result(2)).did(1, retire)},
		{"an end of a pipe before the last message", pipes, pipes,
			producer(1).did(1, retire).did(2, claim, consumer).did(2, recv, result(1)).did(2, recv, code(status.Ended)).
				did(2, recv, code(status.Ended)),
			producer(1).did(1, retire).did(2, claim, consumer).did(2, recv, code(status.Ended))},
		{"a pipe whose other end lives", pipes, pipes,
			producer().did(2, claim, consumer).died(2).did(1, history.OpSend, code(status.PeerDied)),
			producer().did(2, claim, consumer).did(1, history.OpSend, code(status.PeerDied)).did(2, retire, consumer)},
		{"an end that two had", pipes, pipes,
			producer().did(1, retire).did(2, claim, code(status.Ended)),
			producer().did(1, retire).did(2, claim).did(2, retire)},
		{"an end that cannot be", newStatusAudit, newStatusAudit,
			newBooks().did(1, put, code(status.WouldBlock)),
			newBooks().did(1, put, code(status.Corrupt))},
	} {
		p.run(t)
	}
}

func newStatusAudit() audit { return &statusAudit{[]string{"object"}} }

func newLockAudit(object uint16) audit {
	return &lockAudit{name: "lock", objects: []uint16{object}, marks: []uint16{object}, takeover: func(int64) {}}
}

// TestNotifiedIsKnown: who locked the mutex after a wait with it began has notified the
// waiter, and who had it before has not.
func TestNotifiedIsKnown(t *testing.T) {
	entry := func(op history.Op, call int64) history.Entry {
		return history.Entry{Op: op, Call: call, Return: call + 1}
	}
	wait := entry(history.OpWaitCondition, 10)
	for name, c := range map[string]struct {
		entries []history.Entry
		want    bool
	}{
		"nobody":     {nil, false},
		"after it":   {[]history.Entry{entry(history.OpLock, 20), entry(history.OpNotify, 30)}, true},
		"before it":  {[]history.Entry{entry(history.OpLock, 5), entry(history.OpNotify, 30)}, false},
		"after both": {[]history.Entry{entry(history.OpWaitCondition, 20), entry(history.OpNotify, 30)}, true},
	} {
		if got := notifiedAll(c.entries, &wait); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
