package soak

import (
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

// TestTimeAuditorsComplain is TestAuditorsComplain for leases that end by time, 30 in these
// books, and for joins.
func TestTimeAuditorsComplain(t *testing.T) {
	const (
		put, lease, ack   = history.OpPut, history.OpLease, history.OpAck
		extend, take      = history.OpExtend, history.OpTake
		forget, join      = history.OpForget, history.OpJoin
		leaseMany, ackAll = history.OpLeaseMany, history.OpAckMany
	)
	timed := func(left uint32) func() audit {
		return func() audit {
			return &queueAudit{name: "timed", time: 30, messages: make(map[int64]*message), takeover: func(int64) {},
				look: func() wire.Counts { return wire.Counts{Ready: left} }}
		}
	}
	joins := func() audit { return &joinAudit{name: "joins", stays: make(map[int64]*stay)} }
	// leased is message 1, put and leased by client 1 in its first delivery, and so much later.
	leased := func(later int64) *books {
		b := newBooks().did(9, put, arg(1)).did(1, lease, result(1), deliveries(1))
		b.now += later
		return b
	}
	// second is message 1 in its second delivery, acknowledged.
	second := func() *books {
		return newBooks().did(9, put, arg(1)).did(2, lease, result(1), deliveries(2)).
			did(2, ack, result(1), deliveries(2))
	}
	notOwner := code(status.NotOwner)
	for _, p := range []proof{
		{"a lease that ends too early", timed(0), timed(0),
			leased(20).did(2, lease, result(1), deliveries(2)).did(1, ack, result(1), deliveries(1), notOwner).
				did(2, ack, result(1), deliveries(2)),
			leased(10).did(2, lease, result(1), deliveries(2)).did(1, ack, result(1), deliveries(1), notOwner).
				did(2, ack, result(1), deliveries(2))},
		{"an ack that is refused with time left", timed(0), timed(1),
			leased(10).did(1, ack, result(1), deliveries(1)),
			leased(10).did(1, ack, result(1), deliveries(1), notOwner)},
		{"two acks that count", timed(0), timed(0),
			leased(20).did(2, lease, result(1), deliveries(2)).did(2, ack, result(1), deliveries(2)).
				did(1, ack, result(1), deliveries(1), notOwner),
			leased(20).did(2, lease, result(1), deliveries(2)).did(2, ack, result(1), deliveries(2)).
				did(1, ack, result(1), deliveries(1))},
		{"an extension that does nothing", timed(0), timed(0),
			leased(0).did(1, extend, result(1), deliveries(1), arg(30)).did(1, forget, result(1), deliveries(1)).
				did(2, put, arg(2)).did(2, take, result(2)).did(2, lease, result(1), deliveries(2)).
				did(2, ack, result(1), deliveries(2)),
			leased(0).did(1, extend, result(1), deliveries(1), arg(60)).did(1, forget, result(1), deliveries(1)).
				did(2, put, arg(2)).did(2, take, result(2)).did(2, lease, result(1), deliveries(2)).
				did(2, ack, result(1), deliveries(2))},
		{"a lease that was over before its call returned", timed(0), timed(0),
			second().did(1, lease, result(1), deliveries(1), slow).did(1, forget, result(1), deliveries(1)),
			second().did(1, lease, result(1), deliveries(1), long).did(1, forget, result(1), deliveries(1))},
		{"a lease that nobody ends and that does not end", timed(1), timed(0),
			leased(0).did(1, forget, result(1), deliveries(1)),
			leased(0).did(1, forget, result(1), deliveries(1))},
		{"an ack of many that goes on after one that is over", timed(1), timed(1),
			newBooks().did(9, put, arg(1)).did(9, put, arg(2)).
				did(1, leaseMany, asked(2), result(2), numbers(1, 2), deliveries(0x101)).did(2, put, arg(3)).
				did(2, take, result(3)).did(2, put, arg(4)).did(2, take, result(4)).
				did(1, ackAll, asked(2), result(1), numbers(1, 2), deliveries(0x101), notOwner),
			newBooks().did(9, put, arg(1)).did(9, put, arg(2)).
				did(1, leaseMany, asked(2), result(2), numbers(1, 2), deliveries(0x101)).did(2, put, arg(3)).
				did(2, take, result(3)).did(2, put, arg(4)).did(2, take, result(4)).
				did(1, ackAll, asked(2), result(2), numbers(1, 2), deliveries(0x101), notOwner)},
		{"a join beside a message", joins, joins,
			newBooks().did(1, put, arg(1)).did(2, take, result(1)).did(3, join),
			newBooks().did(1, put, arg(1)).did(3, join).did(2, take, result(1))},
		{"a join beside one message and the next", joins, joins,
			newBooks().did(1, put, arg(1)).did(2, take, result(1), inFlight).died(2).did(1, put, arg(2)).
				did(3, join, long).did(2, take, result(2)),
			newBooks().did(1, put, arg(1)).did(1, put, arg(2)).did(2, take, result(1)).did(3, join, long).
				did(2, take, result(2))},
		{"a join beside a lease", joins, joins,
			newBooks().did(1, put, arg(1)).did(2, lease, result(1)).did(2, ack, result(1)).did(3, join),
			newBooks().did(1, put, arg(1)).did(2, lease, result(1)).did(3, join).did(2, ack, result(1))},
	} {
		p.run(t)
	}
}

// long makes an entry begin before the one before it.
func long(e *history.Entry) { e.Call -= 15 }

// slow makes it begin before all that were, and take longer than a lease.
func slow(e *history.Entry) { e.Call -= 35 }

// TestFlowAuditorsComplain is TestAuditorsComplain for bytes, and for what is sent and
// received in place.
func TestFlowAuditorsComplain(t *testing.T) {
	const (
		claim, retire = history.OpClaim, history.OpRetire
		write, read   = history.OpWriteBytes, history.OpReadBytes
		commit, send  = history.OpCommit, history.OpSend
		peek, advance = history.OpPeek, history.OpAdvance
		recv          = history.OpRecv
	)
	flows := func() audit { return &flowAudit{name: "flow"} }
	streams := func() audit { return &streamAudit{name: "stream"} }
	pipes := func() audit { return &pipeAudit{name: "pipe"} }
	// ends are both ends of a pipe, of clients 1 and 2; one of which has written 100 bytes.
	ends := func() *books {
		return newBooks().did(1, claim).did(2, claim, consumer).did(1, write, n(200), result(100))
	}
	ended, died := code(status.Ended), code(status.PeerDied)
	one := func(number int64) []func(*history.Entry) {
		return []func(*history.Entry){asked(1), result(1), numbers(number)}
	}
	for _, p := range []proof{
		{"bytes that nobody wrote", flows, flows,
			ends().did(2, read, result(60)).did(2, read, arg(60), result(40)),
			ends().did(2, read, result(60)).did(2, read, arg(60), result(41))},
		{"bytes before they are written", flows, flows,
			ends().did(1, write, n(50), arg(100), result(50)).did(2, read, result(150)),
			ends().did(2, read, result(150)).did(1, write, n(50), arg(100), result(50))},
		{"bytes that are lost", flows, flows,
			ends().did(1, retire).did(2, read, result(100)).did(2, read, arg(100), ended),
			ends().did(1, retire).did(2, read, result(99)).did(2, read, arg(99), ended)},
		{"bytes of a write that was killed", flows, flows,
			ends().did(1, write, n(50), arg(100), inFlight).died(1).did(2, read, result(150)).
				did(2, read, arg(150), died),
			ends().did(1, write, n(50), arg(100), inFlight).died(1).did(2, read, result(151)).
				did(2, read, arg(151), died)},
		{"a death of an end that is told as an orderly one", flows, flows,
			ends().died(1).did(2, read, result(100)).did(2, read, arg(100), died),
			ends().died(1).did(2, read, result(100)).did(2, read, arg(100), ended)},
		{"bytes behind the end", flows, flows,
			ends().did(1, write, n(50), arg(100), inFlight).died(1).did(2, read, result(120)).
				did(2, read, arg(120), died).did(2, read, arg(120), died),
			ends().did(1, write, n(50), arg(100), inFlight).died(1).did(2, read, result(120)).
				did(2, read, arg(120), died).did(2, read, arg(120), result(1))},
		{"an end of bytes that lives", flows, flows,
			ends().died(2).did(1, write, died),
			ends().did(1, write, died)},
		{"a message made in place that is lost", streams, streams,
			newBooks().did(1, claim).did(1, commit, arg(1)).did(1, send, arg(2)).did(3, claim, consumer).
				did(3, recv, result(1)).did(3, recv, result(2)).did(1, retire).did(3, recv, ended),
			newBooks().did(1, claim).did(1, commit, arg(1)).did(1, send, arg(2)).did(3, claim, consumer).
				did(3, recv, result(2)).did(1, retire).did(3, recv, ended)},
		{"a message that was shown and is another then", streams, streams,
			newBooks().did(1, claim).did(1, send, arg(1), inFlight).died(1).did(2, claim).did(2, send, arg(2)).
				did(3, claim, consumer).did(3, recv, died).did(3, peek, one(2)...).did(3, recv, result(2)).
				did(2, retire).did(3, recv, ended),
			newBooks().did(1, claim).did(1, send, arg(1), inFlight).died(1).did(2, claim).did(2, send, arg(2)).
				did(3, claim, consumer).did(3, peek, one(1)...).did(3, recv, died).did(3, recv, result(2)).
				did(2, retire).did(3, recv, ended)},
		{"an advance over what comes later", pipes, pipes,
			newBooks().did(1, claim).did(1, commit, arg(1)).did(1, commit, arg(2)).did(2, claim, consumer).
				did(2, peek, asked(2), result(2), numbers(1, 2)).did(2, advance, one(1)...).did(2, peek, one(2)...).
				did(2, advance, one(2)...),
			newBooks().did(1, claim).did(1, commit, arg(1)).did(1, commit, arg(2)).did(2, claim, consumer).
				did(2, peek, asked(2), result(2), numbers(1, 2)).did(2, advance, one(2)...).did(2, recv, result(1))},
	} {
		p.run(t)
	}
}
