package linear

import (
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// entry is a short way to write what was done and what came of it.
func entry(op history.Op, code status.Code, fields ...func(*history.Entry)) history.Entry {
	e := history.Entry{Op: op, Status: int32(code), Timeout: 1}
	for _, set := range fields {
		set(&e)
	}
	return e
}

func n(n uint32) func(*history.Entry)      { return func(e *history.Entry) { e.N = n } }
func arg(v int64) func(*history.Entry)     { return func(e *history.Entry) { e.Argument = v } }
func result(v int64) func(*history.Entry)  { return func(e *history.Entry) { e.Result = v } }
func extra(v uint32) func(*history.Entry)  { return func(e *history.Entry) { e.Extra = v } }
func desired(v int64) func(*history.Entry) { return func(e *history.Entry) { e.Desired = v } }
func ok(actor int, op history.Op, fields ...func(*history.Entry)) step {
	return step{actor: actor, entry: entry(op, status.OK, fields...)}
}

// step is an action of a made history: each begins after the one before has ended,
// unless it says that they run together.
type step struct {
	actor   int
	entry   history.Entry
	end     bool  // what the actor has comes back
	unknown bool  // it never returned
	along   bool  // it began when the one before did
	after   int64 // it began so much later than the next one would
}

func refusal(actor int, op history.Op, code status.Code, fields ...func(*history.Entry)) step {
	return step{actor: actor, entry: entry(op, code, fields...)}
}

func ends(actor int) step { return step{actor: actor, end: true} }

func inFlight(s step) step {
	s.unknown = true
	return s
}

func along(s step) step {
	s.along = true
	return s
}

// made gives the steps their times, and their parts to those that have two.
func made(steps []step, split func(*history.Entry) bool) []porcupine.Operation {
	return operations(timesOf(steps, split))
}

func timesOf(steps []step, split func(*history.Entry) bool) (actions []*action) {
	now := int64(0)
	for _, s := range steps {
		if !s.along {
			now += 10 + s.after
		}
		a := &action{Entry: s.entry, actor: s.actor, end: s.end}
		a.Call = now
		if !s.unknown {
			a.Return = now + 5
		}
		actions = append(actions, inParts(a, split)...)
	}
	return actions
}

// story is a history that a model must accept, and one that differs in little and
// that it must refuse.
type story struct {
	name         string
	model        porcupine.Model
	good, broken []step
	split        func(*history.Entry) bool
}

// TestModelsRefuse shows each model what it must refuse.
func TestModelsRefuse(t *testing.T) {
	for _, stories := range [][]story{mutexStories(), semaphoreStories(), queueStories(), valueStories(),
		eventStories(), rwlockStories(), conditionStories(), barrierStories(), batchStories(), streamStories(),
		pipeStories(), inPlaceStories(), bytesStories(), joinStories()} {
		for _, s := range stories {
			t.Run(s.name, func(t *testing.T) {
				if ops := made(s.good, s.split); !porcupine.CheckOperations(s.model, ops) {
					t.Errorf("a good history is refused; see %s", report(t, "good", s.model, ops))
				}
				if porcupine.CheckOperations(s.model, made(s.broken, s.split)) {
					t.Error("a broken history is accepted")
				}
			})
		}
	}
}

// TestReport describes a failed search.
func TestReport(t *testing.T) {
	s := mutexStories()[0]
	dir := report(t, "an example", s.model, made(s.broken, s.split))
	t.Cleanup(func() { removeReport(t, dir) })
}

func lock(actor int) step   { return ok(actor, history.OpLock) }
func unlock(actor int) step { return ok(actor, history.OpUnlock) }

func died(actor int, deaths int64) step {
	return step{actor: actor, entry: entry(history.OpLock, status.OwnerDied, result(deaths))}
}

func mutexStories() []story {
	plain, strict := modelOf[mutexState](mutexMachine{}), modelOf[mutexState](mutexMachine{strict: true})
	recursive := modelOf[mutexState](mutexMachine{recursive: true})
	loose := modelOf[mutexState](mutexMachine{unlockAny: true})
	return []story{
		{"mutex: two holders", plain,
			[]step{lock(1), unlock(1), lock(2), unlock(2)},
			[]step{lock(1), lock(2), unlock(1), unlock(2)}, nil},
		{"mutex: a try fails for nothing", plain,
			[]step{lock(1), refusal(2, history.OpLock, status.WouldBlock), unlock(1)},
			[]step{lock(1), unlock(1), refusal(2, history.OpLock, status.WouldBlock)}, nil},
		{"mutex: a death without a notice", plain,
			[]step{lock(1), ends(1), died(2, 1), ok(2, history.OpMark), unlock(2), lock(3)},
			[]step{lock(1), ends(1), lock(2)}, nil},
		{"mutex: a notice without a death", plain,
			[]step{lock(1), ends(1), died(2, 1)},
			[]step{lock(1), unlock(1), ends(1), died(2, 1)}, nil},
		{"mutex: a notice after the mark", plain,
			[]step{lock(1), ends(1), died(2, 1), unlock(2), died(3, 1)},
			[]step{lock(1), ends(1), died(2, 1), ok(2, history.OpMark), unlock(2), died(3, 1)}, nil},
		{"mutex: one death counted twice", plain,
			[]step{lock(1), ends(1), died(2, 1)},
			[]step{lock(1), ends(1), died(2, 2)}, nil},
		{"mutex: held before the recovery", plain,
			[]step{lock(1), ends(1), died(2, 1)},
			[]step{lock(1), died(2, 1), ends(1)}, nil},
		{"mutex: what was in flight, after the recovery", plain,
			[]step{inFlight(lock(1)), ends(1), died(2, 1), unlock(2)},
			[]step{inFlight(lock(1)), ends(1), lock(2), unlock(2), died(3, 1)}, nil},
		{"mutex: unlocked by another", plain,
			[]step{lock(1), refusal(2, history.OpUnlock, status.NotOwner), unlock(1)},
			[]step{lock(1), unlock(2)}, nil},
		{"mutex: locked twice", recursive,
			[]step{lock(1), lock(1), unlock(1), unlock(1), lock(2)},
			[]step{lock(1), lock(1), unlock(1), lock(2)}, nil},
		{"mutex: a dead depth", recursive,
			[]step{lock(1), lock(1), ends(1), died(2, 1), unlock(2), died(3, 1)},
			[]step{lock(1), lock(1), ends(1), refusal(3, history.OpLock, status.WouldBlock)}, nil},
		{"strict mutex: unlocked unrepaired", strict,
			[]step{lock(1), ends(1), died(2, 1), unlock(2), refusal(3, history.OpLock, status.NotRecoverable)},
			[]step{lock(1), ends(1), died(2, 1), unlock(2), died(3, 1)}, nil},
		{"unlock_any mutex: unlocked when free", loose,
			[]step{lock(1), unlock(2), lock(3)},
			[]step{lock(1), unlock(2), unlock(1)}, nil},
	}
}

func acquire(actor int, count uint32) step { return ok(actor, history.OpAcquire, n(count)) }
func release(actor int, count uint32) step { return ok(actor, history.OpRelease, n(count)) }

func semaphoreStories() []story {
	plain := modelOf[semaphoreState](semaphoreMachine{initial: 2, maximum: 3})
	undo := modelOf[semaphoreState](semaphoreMachine{initial: 2, maximum: 3, undo: true})
	full := refusal(3, history.OpAcquire, status.WouldBlock, n(1))
	return []story{
		{"semaphore: too many", plain,
			[]step{acquire(1, 1), acquire(2, 1), full},
			[]step{acquire(1, 1), acquire(2, 1), acquire(3, 1)}, nil},
		{"semaphore: a try fails for nothing", plain,
			[]step{acquire(1, 1), acquire(2, 1), release(1, 1), acquire(3, 1)},
			[]step{acquire(1, 1), acquire(2, 1), release(1, 1), full}, nil},
		{"semaphore: the dead give nothing back", plain,
			[]step{acquire(1, 1), acquire(2, 1), ends(1), full},
			[]step{acquire(1, 1), acquire(2, 1), ends(1), acquire(3, 1)}, nil},
		{"semaphore: more than the maximum", plain,
			[]step{release(1, 1), refusal(1, history.OpRelease, status.Overflow, n(1))},
			[]step{release(1, 1), release(1, 1)}, nil},
		{"undo semaphore: too many", undo,
			[]step{acquire(1, 2), full, release(1, 1), acquire(3, 1)},
			[]step{acquire(1, 2), acquire(3, 1)}, nil},
		{"undo semaphore: not given back", undo,
			[]step{acquire(1, 2), ends(1), acquire(2, 2)},
			[]step{acquire(1, 2), ends(1), refusal(2, history.OpAcquire, status.WouldBlock, n(2))}, nil},
		{"undo semaphore: given back before it was", undo,
			[]step{acquire(1, 2), full, ends(1), acquire(2, 2)},
			[]step{acquire(1, 2), acquire(2, 1), ends(1)}, nil},
		{"undo semaphore: given back twice", undo,
			[]step{acquire(1, 1), ends(1), acquire(2, 2), full},
			[]step{acquire(1, 1), ends(1), acquire(2, 2), acquire(3, 1)}, nil},
		{"undo semaphore: released, and given back", undo,
			[]step{acquire(1, 1), inFlight(release(1, 1)), ends(1), acquire(2, 2), full},
			[]step{acquire(1, 1), inFlight(release(1, 1)), ends(1), acquire(2, 2), acquire(3, 1)}, nil},
		{"undo semaphore: another's", undo,
			[]step{acquire(1, 1), refusal(2, history.OpRelease, status.NotOwner, n(1))},
			[]step{acquire(1, 1), release(2, 1)}, nil},
		{"undo semaphore: a wrong look", undo,
			[]step{acquire(1, 1), ok(1, history.OpPermits, result(1), extra(1))},
			[]step{acquire(1, 1), ok(1, history.OpPermits, result(2), extra(1))}, nil},
	}
}

func put(actor int, number int64) step  { return ok(actor, history.OpPut, arg(number)) }
func take(actor int, number int64) step { return ok(actor, history.OpTake, result(number)) }
func ack(actor int, number int64) step  { return ok(actor, history.OpAck, result(number)) }
func nack(actor int, number int64) step { return ok(actor, history.OpNack, result(number)) }

func lease(actor int, number int64, deliveries uint32) step {
	return ok(actor, history.OpLease, result(number), extra(deliveries))
}

func queueStories() []story {
	two := modelOf[queueState](queueMachine{size: 2, deliveriesMax: 2})
	empty := refusal(3, history.OpTake, status.WouldBlock)
	full := refusal(3, history.OpPut, status.WouldBlock, arg(9))
	return []story{
		{"queue: out of order", two,
			[]step{put(1, 1), put(1, 2), take(2, 1), take(2, 2)},
			[]step{put(1, 1), put(1, 2), take(2, 2), take(2, 1)}, nil},
		{"queue: taken twice", two,
			[]step{put(1, 1), take(2, 1), empty},
			[]step{put(1, 1), take(2, 1), take(3, 1)}, nil},
		{"queue: lost", two,
			[]step{put(1, 1), inFlight(ok(2, history.OpTake)), ends(2), empty},
			[]step{put(1, 1), ends(2), empty}, nil},
		{"queue: made up", two,
			[]step{inFlight(put(1, 1)), ends(1), take(2, 1)},
			[]step{ends(1), take(2, 1)}, nil},
		{"queue: put after its producer's recovery", two,
			[]step{inFlight(put(1, 1)), ends(1), empty},
			[]step{inFlight(put(1, 1)), ends(1), empty, take(2, 1)}, nil},
		{"queue: more than fit", two,
			[]step{put(1, 1), put(1, 2), full},
			[]step{put(1, 1), put(1, 2), put(1, 3)}, nil},
		{"queue: full for nothing", two,
			[]step{put(1, 1), put(1, 2), take(2, 1), put(3, 9)},
			[]step{put(1, 1), put(1, 2), take(2, 1), full}, nil},
		{"queue: a lease that is not given back", two,
			[]step{put(1, 1), lease(2, 1, 1), empty, ends(2), take(3, 1)},
			[]step{put(1, 1), lease(2, 1, 1), ends(2), empty}, nil},
		{"queue: given back before the death", two,
			[]step{put(1, 1), lease(2, 1, 1), ends(2), lease(3, 1, 2)},
			[]step{put(1, 1), lease(2, 1, 1), lease(3, 1, 2), ends(2)}, nil},
		{"queue: a delivery that was not counted", two,
			[]step{put(1, 1), lease(2, 1, 1), ends(2), lease(3, 1, 2)},
			[]step{put(1, 1), lease(2, 1, 1), ends(2), lease(3, 1, 1)}, nil},
		{"queue: delivered after its acknowledgement", two,
			[]step{put(1, 1), lease(2, 1, 1), inFlight(ack(2, 1)), ends(2), lease(3, 1, 2)},
			[]step{put(1, 1), lease(2, 1, 1), ack(2, 1), ends(2), lease(3, 1, 2)}, nil},
		{"queue: comes back behind others", two,
			[]step{put(1, 1), put(1, 2), lease(2, 1, 1), nack(2, 1), take(3, 1), take(3, 2)},
			[]step{put(1, 1), put(1, 2), lease(2, 1, 1), nack(2, 1), take(3, 2), take(3, 1)}, nil},
		{"queue: not dead after enough deliveries", two,
			[]step{put(1, 1), lease(2, 1, 1), nack(2, 1), lease(2, 1, 2), ends(2), empty,
				ok(3, history.OpTakeDead, result(1), extra(2))},
			[]step{put(1, 1), lease(2, 1, 1), nack(2, 1), lease(2, 1, 2), ends(2), lease(3, 1, 3)}, nil},
		{"queue: a reservation that is not given back", two,
			[]step{ok(1, history.OpReserve), ok(1, history.OpReserve), full, ends(1), put(2, 1)},
			[]step{ok(1, history.OpReserve), ok(1, history.OpReserve), ends(1), full}, nil},
		{"queue: a wrong count", two,
			[]step{put(1, 1), ok(2, history.OpCounts, result(1), extra(1))},
			[]step{put(1, 1), ok(2, history.OpCounts, result(1), extra(2))}, nil},
	}
}

func valueStories() []story {
	model := modelOf[int64](valueMachine{})
	store := func(actor int, v int64) step { return ok(actor, history.OpStore, arg(v)) }
	load := func(actor int, v int64) step { return ok(actor, history.OpLoad, result(v)) }
	add := func(actor int, delta, before int64) step {
		return ok(actor, history.OpAdd, arg(delta), result(before))
	}
	swap := func(actor int, expected, to, before int64, swapped uint32) step {
		return ok(actor, history.OpCompareExchange, arg(expected), desired(to), result(before), extra(swapped))
	}
	return []story{
		{"value: an old one", model,
			[]step{store(1, 1), along(load(2, 0)), load(2, 1)},
			[]step{store(1, 1), load(2, 0)}, nil},
		{"value: back and forth", model,
			[]step{store(1, 1), along(load(2, 1)), load(3, 1)},
			[]step{store(1, 1), along(load(2, 1)), along(store(3, 2)), load(2, 2), load(3, 1)}, nil},
		{"value: a lost sum", model,
			[]step{add(1, 1, 0), along(add(2, 1, 1)), load(3, 2)},
			[]step{add(1, 1, 0), along(add(2, 1, 0)), load(3, 1)}, nil},
		{"value: swapped against its will", model,
			[]step{store(1, 1), swap(2, 0, 5, 1, 0), load(2, 1)},
			[]step{store(1, 1), swap(2, 0, 5, 1, 1), load(2, 5)}, nil},
		{"value: what was in flight, undone", model,
			[]step{inFlight(store(1, 7)), load(2, 0), ends(1), load(2, 0)},
			[]step{inFlight(store(1, 7)), load(2, 7), ends(1), load(2, 0)}, nil},
	}
}
