package linear

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// TestExpiriesRefuse shows the model of a queue whose leases end after 30 what it must
// refuse.
func TestExpiriesRefuse(t *testing.T) {
	model := modelOf[queueState](queueMachine{size: 6})
	later := func(s step) step {
		s.after = 40
		return s
	}
	about := func(op history.Op, actor int, number int64, deliveries uint32) step {
		return ok(actor, op, result(number), extra(deliveries))
	}
	lease := func(actor int, number int64, deliveries uint32) step {
		return about(history.OpLease, actor, number, deliveries)
	}
	ack := func(actor int, number int64, deliveries uint32) step {
		return about(history.OpAck, actor, number, deliveries)
	}
	late := func(s step) step {
		s.entry.Status = int32(status.NotOwner)
		return s
	}
	extended := about(history.OpExtend, 1, 1, 1)
	extended.entry.Argument = 100
	nothing := refusal(2, history.OpTake, status.WouldBlock)
	// acks are of both messages; so many are done before one is refused.
	acks := func(done int64) step {
		s := batch(1, history.OpAckMany, 1, 2)
		s.entry.Desired, s.entry.Result, s.entry.Extra = 2, done, 1|1<<8
		return late(s)
	}
	leased := []step{put(9, 1), lease(1, 1, 1)}
	in := func(more ...step) []step { return append(leased[:2:2], more...) }
	for _, s := range []story{
		{"a lease that ends too early", model, in(later(lease(2, 1, 2))), in(lease(2, 1, 2)), nil},
		{"a lease that does not end", model, in(later(take(2, 1)), nothing), in(later(nothing)), nil},
		{"a lease that does not end for who counts", model, in(later(ok(3, history.OpCounts, result(1), extra(5)))),
			in(later(ok(3, history.OpCounts, result(1<<16), extra(5)))), nil},
		{"an ack that counts too late", model, in(later(lease(2, 1, 2)), late(ack(1, 1, 1)), ack(2, 1, 2)),
			in(later(lease(2, 1, 2)), ack(1, 1, 1), ack(2, 1, 2)), nil},
		{"an ack that is refused in time", model, in(later(late(ack(1, 1, 1)))), in(late(ack(1, 1, 1))), nil},
		{"an ack that counts twice", model, in(later(lease(1, 1, 2)), ack(1, 1, 2), ack(1, 1, 1)),
			in(later(lease(2, 1, 2)), ack(2, 1, 2), ack(1, 1, 1)), nil},
		// What it leased again is not known: that ended before the call did.
		{"an ack once more of a lease that nobody knows", model,
			in(later(inFlight(lease(1, 0, 0))), ack(1, 1, 2), ack(1, 1, 1)),
			in(later(inFlight(lease(1, 0, 0))), ack(1, 1, 1), ack(1, 1, 2)), nil},
		{"an extension that is none", model, in(extended, later(nothing)), in(extended, later(take(2, 1))), nil},
		{"an extension that may be one", model, in(inFlight(extended), later(nothing)),
			in(inFlight(extended), later(lease(2, 1, 1))), nil},
		{"an extension of what is over", model, in(later(take(2, 1)), late(extended)),
			in(later(take(2, 1)), extended), nil},
		// The lease is of a client whose end has begun: it came back with that, in time for 2.
		{"a death that begins before the call", model,
			[]step{put(9, 1), put(9, 2), ends(1), along(lease(1, 1, 1)), lease(2, 1, 2), ack(2, 1, 2),
				later(lease(2, 2, 1))},
			[]step{put(9, 1), put(9, 2), ends(1), along(lease(1, 1, 1)), lease(2, 1, 2), ack(2, 1, 2),
				later(lease(2, 1, 3))}, nil},
		{"behind the front", model, in(put(9, 2), later(take(2, 1)), take(2, 2)),
			in(put(9, 2), later(take(2, 2)), take(2, 1)), nil},
		{"a delivery that is not counted", model, in(later(lease(2, 1, 2))), in(later(lease(2, 1, 1))), nil},
		{"acks behind one that is refused", model,
			in(put(9, 2), lease(1, 2, 1), later(take(2, 1)), take(2, 2), acks(0)),
			in(put(9, 2), lease(1, 2, 1), later(take(2, 1)), take(2, 2), acks(1)), nil},
		{"an ack once more, before one that is refused", model,
			in(put(9, 2), later(lease(1, 1, 2)), lease(1, 2, 1), ack(1, 1, 2), later(take(2, 2)), acks(1)),
			in(put(9, 2), later(lease(1, 1, 2)), lease(1, 2, 1), later(take(2, 1)), take(2, 2), acks(1)), nil},
	} {
		t.Run(s.name, func(t *testing.T) {
			if ops := operations(expiries(timesOf(s.good, nil), 30)); !porcupine.CheckOperations(model, ops) {
				t.Errorf("a good history is refused; see %s", report(t, "good", model, ops))
			}
			if porcupine.CheckOperations(model, operations(expiries(timesOf(s.broken, nil), 30))) {
				t.Error("a broken history is accepted")
			}
		})
	}
}

func joinStories() []story {
	model := modelOf[queueState](queueMachine{size: 4})
	long := modelOf[queueState](queueMachine{size: 4, long: true})
	none := refusal(3, history.OpLease, status.WouldBlock)
	joined := ok(3, history.OpJoin)
	waits := refusal(3, history.OpJoin, status.WouldBlock)
	lease := ok(2, history.OpLease, result(1), extra(1))
	in := func(name string, good, broken []step) story { return story{"join: " + name, model, good, broken, nil} }
	return []story{
		in("beside what is ready", []step{put(1, 1), take(2, 1), joined}, []step{put(1, 1), joined}),
		in("beside what is leased", []step{put(1, 1), lease, ok(2, history.OpAck, result(1)), joined},
			[]step{put(1, 1), lease, joined}),
		in("in between", []step{put(1, 1), take(2, 1), along(joined), along(put(1, 2))},
			[]step{put(1, 1), along(put(1, 2)), joined, take(2, 1)}),
		in("refused for nothing", []step{put(1, 1), waits}, []step{put(1, 1), take(2, 1), waits}),
		in("beside what came back", []step{put(1, 1), lease, ends(2), waits},
			[]step{put(1, 1), lease, ends(2), joined}),
		// It is leased, and then gone, while who looks for one finds none.
		{"join: beside a long one that is taken", long,
			[]step{put(1, 1), take(2, 1), along(none), along(waits)},
			[]step{put(1, 1), take(2, 1), along(none), put(1, 2), joined}, nil},
	}
}
