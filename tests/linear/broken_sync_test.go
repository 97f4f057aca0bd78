package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

func signal(actor int) step { return ok(actor, history.OpSignal) }
func wait(actor int) step   { return ok(actor, history.OpWait) }

func eventStories() []story {
	manual, auto := eventMachine{}, eventMachine{auto: true}
	in := func(m eventMachine, name string, good, broken []step) story {
		return story{"event: " + name, modelOf[eventState](m), good, broken, m.split}
	}
	tooEarly := refusal(3, history.OpWait, status.WouldBlock)
	return []story{
		in(manual, "ended by nothing",
			[]step{signal(1), wait(2), wait(3)},
			[]step{signal(1), ok(1, history.OpReset), wait(2)}),
		in(manual, "ended by what was reset before",
			[]step{wait(2), along(signal(1)), along(ok(1, history.OpReset)), tooEarly},
			[]step{signal(1), ok(1, history.OpReset), wait(2), along(ok(1, history.OpReset))}),
		in(manual, "ended by an earlier pulse",
			[]step{wait(2), along(ok(1, history.OpPulse))},
			[]step{ok(1, history.OpPulse), wait(2)}),
		in(manual, "not ended by what is set",
			[]step{tooEarly, signal(1), wait(2)},
			[]step{signal(1), tooEarly}),
		in(manual, "set by a pulse",
			[]step{signal(1), ok(1, history.OpPulse), ok(2, history.OpIsSet)},
			[]step{signal(1), ok(1, history.OpPulse), ok(2, history.OpIsSet, result(1))}),
		in(auto, "two ended by one set",
			[]step{signal(1), signal(1), wait(2), refusal(3, history.OpWait, status.WouldBlock)},
			[]step{signal(1), signal(1), wait(2), wait(3)}),
		in(auto, "a set that went with the dead",
			[]step{signal(1), inFlight(wait(2)), ends(2), tooEarly},
			[]step{signal(1), ends(2), tooEarly}),
	}
}

func read(actor int) step   { return ok(actor, history.OpReadLock) }
func unread(actor int) step { return ok(actor, history.OpReadUnlock) }

func rwlockStories() []story {
	in := func(name string, good, broken []step) story {
		return story{"rwlock: " + name, modelOf[rwlockState](rwlockMachine{}), good, broken, splitRWLock}
	}
	noRead := refusal(3, history.OpReadLock, status.WouldBlock)
	readDied := step{actor: 2, entry: entry(history.OpReadLock, status.OwnerDied, result(1))}
	return []story{
		in("a reader beside the writer",
			[]step{read(1), read(2), unread(1), unread(2), lock(3)},
			[]step{lock(3), read(1), unread(1), unlock(3)}),
		in("a writer beside a reader",
			[]step{read(1), unread(1), lock(2)},
			[]step{read(1), lock(2), unread(1)}),
		in("two writers",
			[]step{lock(1), unlock(1), lock(2)},
			[]step{lock(1), lock(2)}),
		in("kept out by nobody",
			[]step{lock(1), noRead, unlock(1), read(3)},
			[]step{lock(1), unlock(1), noRead}),
		in("kept out by a reader",
			[]step{read(1), refusal(2, history.OpLock, status.TimedOut), along(noRead)},
			[]step{read(1), refusal(2, history.OpLock, status.TimedOut), noRead}),
		in("each kept out by the other",
			[]step{refusal(1, history.OpLock, status.TimedOut), along(noRead)},
			[]step{refusal(1, history.OpLock, status.TimedOut), noRead}),
		in("a dead writer's notice",
			[]step{lock(1), ends(1), readDied, unread(2), died(2, 1), ok(2, history.OpMark), unlock(2), read(3)},
			[]step{lock(1), ends(1), read(2)}),
		in("a dead reader's notice",
			[]step{read(1), ends(1), lock(2)},
			[]step{read(1), ends(1), died(2, 1)}),
		in("a dead reader that is inside still",
			[]step{read(1), refusal(2, history.OpLock, status.WouldBlock), ends(1), lock(2)},
			[]step{read(1), ends(1), refusal(2, history.OpLock, status.WouldBlock)}),
		in("a read unlocked twice",
			[]step{read(1), read(1), unread(1), unread(1), refusal(1, history.OpReadUnlock, status.NotOwner)},
			[]step{read(1), unread(1), unread(1)}),
		in("a read while it writes",
			[]step{lock(1), refusal(1, history.OpReadLock, status.Deadlock)},
			[]step{lock(1), read(1)}),
	}
}

func conditionStories() []story {
	in := func(name string, good, broken []step) story {
		return story{"condition: " + name, modelOf[conditionState](conditionMachine{}), good, broken, splitCondition}
	}
	waitFor := func(actor int) step { return ok(actor, history.OpWaitCondition) }
	bereft := step{actor: 1, entry: entry(history.OpWaitCondition, status.OwnerDied, result(1))}
	notify := func(actor int) step { return ok(actor, history.OpNotify) }
	return []story{
		in("the mutex is not released",
			[]step{lock(1), waitFor(1), along(lock(2)), along(notify(2)), along(unlock(2)), unlock(1)},
			[]step{lock(1), waitFor(1), along(refusal(2, history.OpLock, status.WouldBlock)), lock(2), unlock(1)}),
		in("the mutex is not taken again",
			[]step{lock(1), waitFor(1), refusal(2, history.OpLock, status.WouldBlock), unlock(1)},
			[]step{lock(1), waitFor(1), lock(2)}),
		in("not taken again after the time",
			[]step{lock(1), refusal(1, history.OpWaitCondition, status.TimedOut), unlock(1)},
			[]step{lock(1), refusal(1, history.OpWaitCondition, status.TimedOut), lock(2)}),
		in("a wait without the mutex",
			[]step{refusal(1, history.OpWaitCondition, status.NotOwner), refusal(1, history.OpNotify, status.NotOwner)},
			[]step{waitFor(1)}),
		in("a notify without the mutex",
			[]step{lock(1), notify(1), unlock(1)},
			[]step{lock(1), unlock(1), notify(1)}),
		in("a death that is not told",
			[]step{lock(1), bereft,
				along(lock(2)), along(ends(2))},
			[]step{lock(1), waitFor(1), along(lock(2)), along(notify(2)), ends(2), unlock(1)}),
	}
}

func barrierStories() []story {
	m := barrierMachine{parties: 2}
	in := func(name string, good, broken []step) story {
		return story{"barrier: " + name, modelOf[barrierState](m), good, broken, splitBarrier}
	}
	arrive := func(actor int, index int64) step { return ok(actor, history.OpArrive, result(index)) }
	fail := func(actor int, code status.Code) step { return refusal(actor, history.OpArrive, code) }
	reset := ok(1, history.OpReset)
	return []story{
		in("through alone",
			[]step{arrive(1, 0), along(arrive(2, 1)), arrive(2, 0), along(arrive(1, 1))},
			[]step{arrive(1, 0), arrive(2, 1)}),
		in("the same index",
			[]step{arrive(1, 1), along(arrive(2, 0))},
			[]step{arrive(1, 0), along(arrive(2, 0))}),
		in("broken by nobody",
			[]step{ok(3, history.OpBreak), fail(1, status.Broken), reset, arrive(1, 0), along(arrive(2, 1))},
			[]step{fail(1, status.Broken)}),
		in("through what is broken",
			[]step{fail(1, status.TimedOut), fail(2, status.Broken)},
			[]step{fail(1, status.TimedOut), arrive(2, 0), along(arrive(3, 1))}),
		in("a death that breaks nothing",
			[]step{arrive(1, 0), along(arrive(2, 1)), ends(2), fail(1, status.PeerDied)},
			[]step{arrive(1, 0), along(arrive(2, 1)), ends(2), arrive(1, 0), along(arrive(3, 1))}),
		in("the death of an observer",
			[]step{ends(3), arrive(1, 0), along(arrive(2, 1))},
			[]step{ends(3), fail(1, status.PeerDied)}),
		in("a death that reset does not tell",
			[]step{arrive(1, 0), along(arrive(2, 1)), ends(2),
				refusal(1, history.OpReset, status.OwnerDied)},
			[]step{arrive(1, 0), along(arrive(2, 1)), ends(2), reset}),
		in("let through after a reset",
			[]step{fail(1, status.Broken), along(ok(2, history.OpReset))},
			[]step{arrive(1, 0), along(ok(3, history.OpReset)), arrive(2, 1)}),
		in("a wrong state",
			[]step{reset, ok(1, history.OpState, extra(1))},
			[]step{reset, ok(1, history.OpState)}),
	}
}
