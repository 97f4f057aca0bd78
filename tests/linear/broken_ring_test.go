package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// batch is one of several messages of which so many were done.
func batch(actor int, op history.Op, of ...int64) step {
	return ok(actor, op, arg(of[0]), desired(history.BatchMax), result(int64(len(of))), n(8),
		func(e *history.Entry) { copy(e.Numbers[:], of) })
}

func batchStories() []story {
	model := modelOf[queueState](queueMachine{size: 4})
	in := func(name string, good, broken []step) story { return story{"batch: " + name, model, good, broken, nil} }
	putMany := func(of ...int64) step { return batch(1, history.OpPutMany, of...) }
	takeMany := func(of ...int64) step { return batch(2, history.OpTakeMany, of...) }
	leaseMany := batch(2, history.OpLeaseMany, 1, 2)
	leaseMany.entry.Extra = 1 | 1<<8
	empty := refusal(3, history.OpTake, status.WouldBlock)
	return []story{
		in("out of order", []step{putMany(1, 2), takeMany(1, 2)}, []step{putMany(1, 2), takeMany(2, 1)}),
		in("another's in between",
			[]step{putMany(1, 2), along(put(2, 9)), takeMany(1, 2, 9)},
			[]step{putMany(1, 2), along(put(2, 9)), takeMany(1, 9, 2)}),
		in("more than fit", []step{putMany(1, 2), putMany(3, 4)}, []step{putMany(1, 2), putMany(3, 4, 5)}),
		in("the rest without the first",
			[]step{inFlight(putMany(1, 2, 3)), ends(1), takeMany(1, 2), empty},
			[]step{inFlight(putMany(1, 2, 3)), ends(1), takeMany(2, 3), empty}),
		in("leases that do not come back",
			[]step{putMany(1, 2), leaseMany, ends(2), take(3, 1), take(3, 2)},
			[]step{putMany(1, 2), leaseMany, ends(2), take(3, 1), empty}),
		in("done, and there again",
			[]step{putMany(1, 2), leaseMany, batch(2, history.OpNackMany, 1, 2), take(3, 1)},
			[]step{putMany(1, 2), leaseMany, batch(2, history.OpAckMany, 1, 2), take(3, 1)}),
	}
}

func claimed(actor int, role uint32) step { return ok(actor, history.OpClaim, n(role)) }
func retired(actor int, role uint32) step { return ok(actor, history.OpRetire, n(role)) }
func sent(actor int, number int64) step   { return ok(actor, history.OpSend, arg(number), n(8)) }
func got(actor int, number int64) step    { return ok(actor, history.OpRecv, result(number)) }

func streamStories() []story {
	model := modelOf[streamState](streamMachine{})
	const producer, consumer = history.RoleProducer, history.RoleConsumer
	in := func(name string, good, broken []step) story {
		start := []step{claimed(1, producer), claimed(2, consumer)}
		return story{"stream: " + name, model, append(start[:2:2], good...), append(start[:2:2], broken...), nil}
	}
	nothing := refusal(2, history.OpRecv, status.WouldBlock)
	ended, peerDied := refusal(2, history.OpRecv, status.Ended), refusal(2, history.OpRecv, status.PeerDied)
	big := func(number int64) step { return ok(1, history.OpSend, arg(number), n(992)) }
	full := refusal(1, history.OpSend, status.WouldBlock, arg(9), n(992))
	return []story{
		in("out of order", []step{sent(1, 1), sent(1, 2), got(2, 1), got(2, 2)},
			[]step{sent(1, 1), sent(1, 2), got(2, 2), got(2, 1)}),
		in("a gap in a batch", []step{batch(1, history.OpSendMany, 1, 2, 3), batch(2, history.OpRecvMany, 1, 2)},
			[]step{batch(1, history.OpSendMany, 1, 2, 3), batch(2, history.OpRecvMany, 1, 3)}),
		in("received twice", []step{sent(1, 1), got(2, 1), nothing}, []step{sent(1, 1), got(2, 1), got(2, 1)}),
		in("lost", []step{sent(1, 1), inFlight(got(2, 1)), ends(2), claimed(3, consumer),
			refusal(3, history.OpRecv, status.WouldBlock)},
			[]step{sent(1, 1), ends(2), claimed(3, consumer), refusal(3, history.OpRecv, status.WouldBlock)}),
		in("made up", []step{inFlight(sent(1, 1)), ends(1), got(2, 1), peerDied}, []step{ends(1), got(2, 1), peerDied}),
		in("two producers", []step{refusal(3, history.OpClaim, status.Taken, n(producer)), retired(1, producer),
			claimed(3, producer)}, []step{claimed(3, producer)}),
		in("taken by nobody", []step{refusal(3, history.OpClaim, status.Taken, n(producer))},
			[]step{refusal(1, history.OpClaim, status.Taken, n(producer))}),
		in("a death that is told as an end", []step{sent(1, 1), ends(1), got(2, 1), peerDied, nothing},
			[]step{sent(1, 1), ends(1), got(2, 1), ended, nothing}),
		in("an end told twice", []step{sent(1, 1), retired(1, producer), got(2, 1), ended, nothing},
			[]step{sent(1, 1), retired(1, producer), got(2, 1), ended, ended}),
		in("an end told early", []step{sent(1, 1), retired(1, producer), got(2, 1), ended},
			[]step{sent(1, 1), retired(1, producer), ended, got(2, 1)}),
		in("an end that is not told",
			[]step{sent(1, 1), retired(1, producer), claimed(3, producer), sent(3, 2), got(2, 1), ended, got(2, 2)},
			[]step{sent(1, 1), retired(1, producer), claimed(3, producer), sent(3, 2), got(2, 1), got(2, 2)}),
		in("full for nothing", []step{big(1), big(2), full}, []step{big(1), got(2, 1), full}),
		in("more than fit", []step{big(1), big(2), big(3), big(4)}, []step{big(1), big(2), big(3), big(4), big(5)}),
	}
}

func pipeStories() []story {
	model := modelOf[pipeState](pipeMachine{})
	in := func(name string, good, broken []step) story {
		start := []step{claimed(1, history.EndA), claimed(2, history.EndB)}
		return story{"pipe: " + name, model, append(start[:2:2], good...), append(start[:2:2], broken...), nil}
	}
	ended, peerDied := refusal(2, history.OpRecv, status.Ended), refusal(2, history.OpRecv, status.PeerDied)
	refused := refusal(2, history.OpSend, status.PeerDied, arg(5), n(8))
	notSent, nothing := refusal(2, history.OpSend, status.Ended, n(8)), refusal(2, history.OpRecv, status.WouldBlock)
	return []story{
		in("out of order", []step{sent(1, 1), sent(2, 2), sent(1, 3), got(2, 1), got(2, 3), got(1, 2)},
			[]step{sent(1, 1), sent(2, 2), sent(1, 3), got(2, 3), got(2, 1), got(1, 2)}),
		in("received by who sent it", []step{sent(1, 1), got(2, 1)}, []step{sent(1, 1), got(1, 1)}),
		in("ended before the last message", []step{sent(1, 1), retired(1, history.EndA), got(2, 1), ended, ended},
			[]step{sent(1, 1), retired(1, history.EndA), ended, ended}),
		in("a death that is told as an end", []step{sent(1, 1), ends(1), got(2, 1), peerDied, peerDied},
			[]step{sent(1, 1), ends(1), got(2, 1), peerDied, ended}),
		in("sent to who is gone", []step{ends(1), refused}, []step{ends(1), sent(2, 5)}),
		in("refused by who lives", []step{ends(1), refused}, []step{refused, ends(1)}),
		in("ended for who sends, and never for who receives",
			[]step{retired(1, history.EndA), along(notSent), along(nothing), ended},
			[]step{retired(1, history.EndA), along(notSent), nothing, ended}),
		in("claimed again",
			[]step{retired(1, history.EndA), refusal(3, history.OpClaim, status.Ended, n(history.EndA))},
			[]step{retired(1, history.EndA), claimed(3, history.EndA)}),
	}
}
