package linear

import (
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

// subject is an object whose histories are checked.
type subject struct {
	name    string
	kind    string
	options wire.CreateOptions
	model   porcupine.Model
	// latched: an end is recovered under a latch, maybe after the close that caused it.
	latched bool
	// split reports whether an operation has two parts; nil = none has.
	split func(e *history.Entry) bool
	// phrase is a few operations that belong together.
	phrase func(w *writer)
	// lease is how long leases last, in ns; 0 = they do not end by time.
	lease int64
}

var subjects = []subject{
	lockSubject("mutex", wire.CreateOptions{}, mutexMachine{}),
	lockSubject("recursive mutex", wire.CreateOptions{Recursive: new(true)}, mutexMachine{recursive: true}),
	lockSubject("strict mutex", wire.CreateOptions{Strict: new(true)}, mutexMachine{strict: true}),
	lockSubject("unlock_any mutex", wire.CreateOptions{UnlockAny: new(true)}, mutexMachine{unlockAny: true}),
	semaphoreSubject("semaphore", semaphoreMachine{initial: 2, maximum: 4}, 1),
	semaphoreSubject("undo semaphore", semaphoreMachine{initial: 3, maximum: 5, undo: true}, 3),
	queueSubject("queue", queueMachine{size: 4}, 64, 64),
	queueSubject("queue with dead letters", queueMachine{size: 6, deliveriesMax: 2}, 64, 64),
	timedSubject(),
	queueSubject("queue of long messages", queueMachine{size: slotsMax, long: true}, 16, 700),
	{"value", wire.KindValue, wire.CreateOptions{Code: new("q"), Lock: wire.LockNone},
		modelOf[int64](valueMachine{}), false, nil, valuePhrase, 0},
	{"stream", wire.KindStream, wire.CreateOptions{Capacity: new(uint32(ringBytes))},
		modelOf[streamState](streamMachine{}), false, nil, streamPhrase, 0},
	pipeSubject("pipe", pipeMachine{}, ringMost-8),
	pipeSubject("pipe of long messages", pipeMachine{long: true}, 3*ringBytes),
	{"pipe of bytes", wire.KindPipe, wire.CreateOptions{Capacity: new(uint32(ringBytes)), Bytes: new(true)},
		modelOf[bytesState](bytesMachine{}), false, bytesMachine{}.split, bytesPhrase, 0},
	eventSubject("event", wire.CreateOptions{}, eventMachine{}),
	eventSubject("auto-reset event", wire.CreateOptions{AutoReset: new(true)}, eventMachine{auto: true}),
	{"rwlock", wire.KindRWLock, wire.CreateOptions{}, modelOf[rwlockState](rwlockMachine{}), false, splitRWLock,
		rwlockPhrase, 0},
	{"condition", wire.KindCondition, wire.CreateOptions{}, modelOf[conditionState](conditionMachine{}), false,
		splitCondition, conditionPhrase, 0},
	{"barrier", wire.KindBarrier, wire.CreateOptions{Parties: new(uint32(partiesAll))},
		modelOf[barrierState](barrierMachine{partiesAll}), false, splitBarrier, barrierPhrase, 0},
}

func pipeSubject(name string, m pipeMachine, messageMax uint32) subject {
	return subject{name, wire.KindPipe, wire.CreateOptions{Capacity: new(uint32(ringBytes))},
		modelOf[pipeState](m), false,
		nil, func(w *writer) { pipePhrase(w, messageMax) }, 0}
}

func eventSubject(name string, o wire.CreateOptions, m eventMachine) subject {
	return subject{name, wire.KindEvent, o, modelOf[eventState](m), false, m.split, eventPhrase, 0}
}

func lockSubject(name string, o wire.CreateOptions, m mutexMachine) subject {
	return subject{name, wire.KindMutex, o, modelOf[mutexState](m), false, nil,
		func(w *writer) { lockPhrase(w, m.recursive) }, 0}
}

func semaphoreSubject(name string, m semaphoreMachine, most uint32) subject {
	o := wire.CreateOptions{Initial: &m.initial, Maximum: &m.maximum, Undo: &m.undo}
	return subject{name, wire.KindSemaphore, o, modelOf[semaphoreState](m), m.undo, nil,
		func(w *writer) { permitPhrase(w, most) }, 0}
}

func queueSubject(name string, m queueMachine, slotSize, messageMax uint32) subject {
	o := wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(m.size)), SlotSize: &slotSize,
		MessageMax: &messageMax}
	if m.deliveriesMax != 0 {
		o.DeliveriesMax = new(uint32(m.deliveriesMax))
	}
	return subject{name, wire.KindQueue, o, modelOf[queueState](m), true, nil,
		func(w *writer) { messagePhrase(w, messageMax, m) }, 0}
}

// leaseTime is the time of leases that end by it.
const leaseTime = time.Millisecond

func timedSubject() subject {
	m := queueMachine{size: 6}
	s := queueSubject("queue with lease times", m, 64, 64)
	s.options.LeaseNS, s.lease = new(uint64(leaseTime)), int64(leaseTime)
	s.phrase = func(w *writer) { timedPhrase(w, m) }
	return s
}

// timedPhrase has leases for longer than their time, or makes that longer, or shorter.
func timedPhrase(w *writer, m queueMachine) {
	if w.One(2) {
		messagePhrase(w, 64, m)
		return
	}
	w.Add(history.Entry{Op: history.OpLease, Timeout: w.Timeout()})
	switch w.IntN(3) {
	case 0:
		w.Pause(2 * leaseTime)
	case 1:
		time := int64(leaseTime) + w.Int64N(int64(leaseTime))
		w.Add(history.Entry{Op: history.OpExtend, Argument: time})
		w.Pause(leaseTime)
	case 2:
		w.Do(history.OpForget)
	}
	w.Add(history.Entry{Op: history.OpAck, N: w.Uint32N(2)})
}

// writer writes a client's script.
type writer struct {
	history.Script
	numbers *int64 // the next message's, of all writers
	end     uint32 // of the pipe that the client uses; 0 = none yet
}

// lockPhrase locks and unlocks, and does what one should not.
func lockPhrase(w *writer, recursive bool) {
	timeout := w.Timeout()
	if w.One(4) {
		timeout = -1 // nothing else is held, and whoever has it lets it go
	}
	w.Add(history.Entry{Op: history.OpLock, Timeout: timeout})
	again := w.One(6) || recursive && w.One(2)
	if again {
		w.Add(history.Entry{Op: history.OpLock, Timeout: w.Timeout()})
	}
	if w.One(2) {
		w.Do(history.OpMark)
	}
	w.Do(history.OpUnlock)
	if again || w.One(12) {
		w.Do(history.OpUnlock)
	}
	w.reopen(30)
}

// reopen closes the object now and then, with whatever is held.
func (w *writer) reopen(chances int) {
	if w.One(chances) {
		w.Do(history.OpClose)
		w.Do(history.OpOpen)
	}
}

func permitPhrase(w *writer, most uint32) {
	n := 1 + w.Uint32N(most)
	w.Add(history.Entry{Op: history.OpAcquire, N: n, Timeout: w.Timeout()})
	if w.One(4) {
		w.Do(history.OpPermits)
	}
	if w.One(8) {
		w.Add(history.Entry{Op: history.OpPost, N: 1})
	}
	if !w.One(6) {
		w.Add(history.Entry{Op: history.OpRelease, N: n})
	}
	w.reopen(20)
}

func messagePhrase(w *writer, messageMax uint32, m queueMachine) {
	get := func(op history.Op) history.Entry {
		e := history.Entry{Op: op, Timeout: w.Timeout()}
		if m.long {
			e.Timeout = 0
		}
		return e
	}
	message := func(op history.Op) history.Entry {
		*w.numbers++
		return history.Entry{Op: op, Argument: *w.numbers, N: 8 + w.Uint32N(messageMax-7), Timeout: w.Timeout()}
	}
	if w.One(6) {
		w.Add(history.Entry{Op: history.OpJoin, Timeout: w.Timeout()})
	}
	for range 1 + w.IntN(2) {
		switch w.IntN(6) {
		case 4:
			e := message(history.OpPutMany)
			e.Desired = min(2+w.Int64N(history.BatchMax-1), int64(m.size))
			*w.numbers += e.Desired - 1
			w.Add(e)
		case 5:
			e := get([]history.Op{history.OpTakeMany, history.OpLeaseMany}[w.IntN(2)])
			e.Desired = 1 + w.Int64N(history.BatchMax)
			w.Add(e)
		case 0, 1:
			w.Add(message(history.OpPut))
		case 2:
			w.Add(get(history.OpTake))
		case 3:
			w.reserve(message(history.OpReserve))
		}
	}
	for range w.IntN(3) {
		w.Add(get(history.OpLease))
	}
	for range w.IntN(3) {
		end := history.Entry{Op: history.OpAck, N: w.Uint32N(4)}
		if w.One(3) {
			end.Op = history.OpNack
		}
		if w.One(3) {
			end.Op += history.OpAckMany - history.OpAck // or of several
			end.Desired = 1 + w.Int64N(history.BatchMax)
		}
		w.Add(end)
	}
	if !m.long && w.One(4) {
		w.Do(history.OpCounts)
	}
	if m.deliveriesMax != 0 && w.One(3) {
		w.Do([]history.Op{history.OpTakeDead, history.OpRedeliver}[w.IntN(2)])
	}
	w.reopen(20)
}

// reserve makes a message in place, or does not.
func (w *writer) reserve(e history.Entry) {
	e.Timeout = max(e.Timeout, 1000) // there is no try in every language
	w.Add(e)
	if w.One(4) {
		w.Do(history.OpAbort)
		return
	}
	e.Op = history.OpCommit
	w.Add(e)
}

func eventPhrase(w *writer) {
	for range 1 + w.IntN(2) {
		w.Do([]history.Op{history.OpSignal, history.OpReset, history.OpPulse, history.OpSignal}[w.IntN(4)])
	}
	w.Add(history.Entry{Op: history.OpWait, Timeout: w.Timeout()})
	if w.One(4) {
		w.Do(history.OpIsSet)
	}
}

func rwlockPhrase(w *writer) {
	take, give := history.OpReadLock, history.OpReadUnlock
	if w.One(3) {
		take, give = history.OpLock, history.OpUnlock
	}
	timeout := w.Timeout()
	if w.One(4) {
		timeout = -1
	}
	w.Add(history.Entry{Op: take, Timeout: timeout})
	again := w.One(6)
	if again {
		w.Add(history.Entry{Op: history.OpReadLock, Timeout: w.Timeout()}) // a deadlock for who writes
	}
	upgrade := w.One(12)
	if upgrade {
		w.Add(history.Entry{Op: history.OpLock, Timeout: w.Timeout()}) // for who holds anything
	}
	if w.One(2) {
		w.Do(history.OpMark)
	}
	w.Do(give)
	if again {
		w.Do(history.OpReadUnlock)
	}
	if upgrade {
		w.Do(history.OpUnlock)
	}
	w.reopen(30)
}

func conditionPhrase(w *writer) {
	w.Add(history.Entry{Op: history.OpLock, Timeout: -1})
	for range 1 + w.IntN(2) {
		if w.One(2) {
			w.Add(history.Entry{Op: history.OpNotify, N: w.Uint32N(3)})
		} else {
			w.Add(history.Entry{Op: history.OpWaitCondition, Timeout: w.Timeout()})
		}
	}
	if w.One(2) {
		w.Do(history.OpMark)
	}
	w.Do(history.OpUnlock)
	if w.One(8) { // not held
		w.Add(history.Entry{Op: history.OpWaitCondition, Timeout: w.Timeout()})
		w.Do(history.OpNotify)
	}
}

func barrierPhrase(w *writer) {
	w.Add(history.Entry{Op: history.OpArrive, Timeout: w.Timeout()})
	if w.One(3) {
		w.Do(history.OpReset)
	}
	if w.One(10) {
		w.Do(history.OpBreak)
	}
	if w.One(4) {
		w.Do(history.OpState)
	}
	w.reopen(30)
}

func valuePhrase(w *writer) {
	small := func() int64 { return w.Int64N(3) }
	e := history.Entry{Argument: small(), Desired: small()}
	e.Op = []history.Op{history.OpLoad, history.OpStore, history.OpAdd, history.OpExchange,
		history.OpCompareExchange}[w.IntN(5)]
	w.Add(e)
}
