package soak

import (
	"time"

	"github.com/shmd/shmd/tests/history"
)

// writer writes the script of one client in one round.
type writer struct {
	history.Script
	stage  *stage
	client *history.Client
}

// script opens everything, works, and gives everything back.
func (s *stage) script(c *history.Client) []history.Entry {
	w := writer{history.Script{Rand: s.random}, s, c}
	for w.Object = range objects {
		w.Do(history.OpOpen) // skipped if it is open already
	}
	for range phrases {
		w.Object = s.focus[w.IntN(len(s.focus))]
		switch w.Object {
		case mutex, recursive, guard:
			w.lock()
		case data, foreign:
			w.array()
		case sums, sum:
			w.add()
		case permits, undoPermits:
			w.permits()
		case jobs, letters:
			w.messages()
		case timed:
			w.timedMessages()
		case event, autoEvent:
			w.event()
		case condition:
			w.condition()
		case barrier:
			w.barrier()
		case rwlock:
			w.rwlock()
		case stream:
			w.stream()
		case pipe, flow:
			w.pipe()
		}
	}
	if w.One(16) {
		w.Do(history.OpFork)
	}
	return w.Entries
}

// timeout is for ever half of the time. Nothing is held then that others wait for
// without end.
func (w *writer) timeout() int64 {
	if w.One(2) {
		return -1
	}
	return w.Timeout()
}

// work lets time pass with what is held: long enough, now and then, to be killed.
func (w *writer) work() {
	if w.One(4) {
		w.Pause(time.Millisecond)
	}
}

func (w *writer) lock() {
	w.Add(history.Entry{Op: history.OpLock, Timeout: w.timeout()})
	again := w.Object == recursive && w.One(2)
	if again {
		w.Add(history.Entry{Op: history.OpLock, Timeout: w.Timeout()})
	}
	w.work()
	if w.One(3) {
		w.Do(history.OpMark)
	}
	if w.Object == recursive && w.One(16) {
		w.Do(history.OpClose) // with the lock
		w.Do(history.OpOpen)
		return
	}
	w.Do(history.OpUnlock)
	if again {
		w.Do(history.OpUnlock)
	}
}

// array writes or reads all elements as one. Who marks the contents consistent has
// just written them all.
func (w *writer) array() {
	w.stage.serial++
	write := history.Entry{Op: history.OpWrite, Argument: w.stage.serial, Timeout: w.timeout()}
	switch w.IntN(3) {
	case 0:
		w.Add(history.Entry{Op: history.OpRead, Timeout: w.timeout()})
	case 1:
		w.Add(write)
	case 2:
		w.Add(history.Entry{Op: history.OpLock, Timeout: -1})
		write.Timeout = -1
		w.Add(write)
		w.work()
		w.Do(history.OpMark)
		w.Do(history.OpUnlock)
	}
}

func (w *writer) add() {
	e := history.Entry{Op: history.OpAdd, Argument: 1}
	if w.Object == sums {
		e.N = w.Uint32N(elements)
	}
	w.Add(e)
}

func (w *writer) permits() {
	n := uint32(1)
	if w.Object == undoPermits {
		n += w.Uint32N(undoMost)
	}
	w.Add(history.Entry{Op: history.OpAcquire, N: n, Timeout: w.timeout()})
	w.work()
	if w.Object == undoPermits && w.One(16) {
		w.Do(history.OpClose) // with the permits
		w.Do(history.OpOpen)
		return
	}
	// Without undo it makes a permit if none was acquired; the lull takes it away.
	w.Add(history.Entry{Op: history.OpRelease, N: n})
}

// message is what puts the client's next message.
func (w *writer) message(op history.Op, timeout int64) history.Entry {
	w.stage.serial++
	size := 8 + w.Uint32N(slotSize-8)
	if w.One(8) {
		size = 8 + w.Uint32N(messageMax-8)
	}
	number := int64(w.client.ID)<<producerShift | w.stage.serial
	return history.Entry{Op: op, N: size, Argument: number, Timeout: timeout}
}

func (w *writer) messages() {
	if w.Object != letters && w.One(12) {
		w.Add(history.Entry{Op: history.OpJoin, Timeout: w.timeout()})
	}
	switch w.IntN(8) {
	case 6:
		w.Add(w.batch(history.OpPutMany))
	case 7:
		w.receiveMany()
	case 0, 1:
		w.Add(w.message(history.OpPut, w.timeout()))
	case 2:
		e := w.message(history.OpReserve, max(w.Timeout(), 1000)) // there is no try in every language
		w.Add(e)
		w.work()
		if e.Op = history.OpCommit; w.One(4) {
			e.Op = history.OpAbort
		}
		w.Add(e)
	case 3:
		w.Add(history.Entry{Op: history.OpTake, Timeout: w.timeout()})
	default:
		w.lease()
	}
	if w.Object == letters && w.One(4) {
		if w.One(2) {
			w.Do(history.OpRedeliver)
			return
		}
		w.Do(history.OpTakeDead)
		w.end()
	}
}

// timedMessages has a message for too long, now and then, or asks for more time, or never
// ends its lease.
func (w *writer) timedMessages() {
	if w.One(2) {
		w.messages()
		return
	}
	w.Add(history.Entry{Op: history.OpLease, Timeout: w.timeout()})
	switch w.IntN(5) {
	case 0:
		w.Pause(2 * leaseTime)
	case 1:
		for range 1 + w.IntN(2) {
			time := int64(time.Millisecond) + w.Int64N(int64(2*leaseTime))
			w.Add(history.Entry{Op: history.OpExtend, Argument: time})
			w.Pause(leaseTime)
		}
	case 2:
		w.Do(history.OpForget)
		return
	case 3: // most often the same message once more
		w.Pause(2 * leaseTime)
		w.Add(history.Entry{Op: history.OpLease, Timeout: w.Timeout()})
		w.end()
	}
	w.end()
}

// batch is what puts or sends the client's next messages.
func (w *writer) batch(op history.Op) history.Entry {
	e := w.message(op, w.timeout())
	e.Desired = 2 + w.Int64N(history.BatchMax-1)
	w.stage.serial += e.Desired - 1
	return e
}

// receiveMany takes or leases several messages, and ends the leases.
func (w *writer) receiveMany() {
	e := history.Entry{Op: history.OpTakeMany, Desired: 2 + w.Int64N(history.BatchMax-1), Timeout: w.timeout()}
	if w.One(3) {
		w.Add(e)
		return
	}
	e.Op = history.OpLeaseMany
	w.Add(e)
	w.work()
	end := history.Entry{Op: history.OpAckMany, Desired: 1 + w.Int64N(history.BatchMax)}
	if w.One(3) {
		end.Op = history.OpNackMany
	}
	w.Add(end)
	end.Op, end.Desired = history.OpAckMany, history.BatchMax
	w.Add(end)
}

// inPlace reserves room in a ring and sends what it makes there, or gives it up.
func (w *writer) inPlace(timeout int64) {
	e := w.message(history.OpReserve, timeout)
	e.N = 8 + w.Uint32N(ringMax-8)
	w.Add(e)
	w.work()
	if e.Op = history.OpCommit; w.One(4) {
		e.Op = history.OpAbort
	}
	w.Add(e)
}

// look looks at what comes next in a ring, and receives some of it, or nothing.
func (w *writer) look(timeout int64) {
	w.Add(history.Entry{Op: history.OpPeek, Desired: 1 + w.Int64N(history.BatchMax), Timeout: timeout})
	w.work()
	if w.One(4) {
		return
	}
	w.Add(history.Entry{Op: history.OpAdvance, Desired: 1 + w.Int64N(history.BatchMax)})
}

// stream sends or receives, in a role that ends before anything else is done.
func (w *writer) stream() {
	role := 1 + w.Uint32N(2)
	w.Add(history.Entry{Op: history.OpClaim, N: role})
	for range w.IntN(8) {
		switch {
		case role == history.RoleConsumer && w.One(4):
			w.look(w.timeout())
		case role == history.RoleProducer && w.One(4):
			w.inPlace(w.timeout())
		case role == history.RoleConsumer && w.One(4):
			w.Add(history.Entry{Op: history.OpRecvMany, Desired: history.BatchMax, Timeout: w.timeout()})
		case role == history.RoleConsumer:
			w.Add(history.Entry{Op: history.OpRecv, Timeout: w.timeout()})
		default:
			e := w.message(history.OpSend, w.timeout())
			if w.One(4) {
				e = w.batch(history.OpSendMany)
			}
			e.N = 8 + w.Uint32N(ringMax-8)
			w.Add(e)
		}
		w.work()
	}
	if w.One(4) {
		w.Do(history.OpClose) // with the role
		w.Do(history.OpOpen)
		return
	}
	w.Add(history.Entry{Op: history.OpRetire, N: role})
}

// pipe uses an end for as long as it does nothing else, and leaves it for ever. Only on
// the way from a to b does one wait without end: both ways, each could wait for the other.
func (w *writer) pipe() {
	end := 1 + w.Uint32N(2)
	w.Add(history.Entry{Op: history.OpClaim, N: end})
	for range 2 + w.IntN(10) {
		sends, many := w.One(2), w.One(4)
		timeout := w.Timeout()
		if sends == (end == history.EndA) {
			timeout = w.timeout()
		}
		switch {
		case w.Object == flow:
			e := history.Entry{Op: history.OpReadBytes, N: 1 + w.Uint32N(2*ringSize), Timeout: timeout}
			if sends {
				e.Op = history.OpWriteBytes
			}
			w.Add(e)
		case sends && w.One(4):
			w.inPlace(timeout)
		case !sends && w.One(4):
			w.look(timeout)
		case sends && many:
			e := w.batch(history.OpSendMany)
			e.N, e.Timeout = 8+w.Uint32N(ringMax-8), timeout
			w.Add(e)
		case sends:
			e := w.message(history.OpSend, timeout)
			if e.N = 8 + w.Uint32N(ringMax-8); w.One(4) {
				e.N = w.Uint32N(3 * ringSize) // in pieces
			}
			w.Add(e)
		case many:
			w.Add(history.Entry{Op: history.OpRecvMany, Desired: history.BatchMax, Timeout: timeout})
		default:
			w.Add(history.Entry{Op: history.OpRecv, Timeout: timeout})
		}
		w.work()
	}
	if w.One(4) {
		w.Do(history.OpClose) // with the end
		w.Do(history.OpOpen)
		return
	}
	w.Add(history.Entry{Op: history.OpRetire, N: end})
}

// lease leases one or two messages and ends the leases.
func (w *writer) lease() {
	w.Add(history.Entry{Op: history.OpLease, Timeout: w.timeout()})
	if w.One(2) {
		w.Add(history.Entry{Op: history.OpLease, Timeout: w.Timeout()})
	}
	w.work()
	if w.One(24) {
		w.Do(history.OpClose) // with the leases
		w.Do(history.OpOpen)
		return
	}
	w.end()
	w.end()
}

func (w *writer) end() {
	e := history.Entry{Op: history.OpAck, N: w.Uint32N(2)}
	if w.One(3) {
		e.Op = history.OpNack
	}
	w.Add(e)
}

func (w *writer) event() {
	for range 1 + w.IntN(2) {
		op := []history.Op{history.OpSignal, history.OpSignal, history.OpReset, history.OpPulse}[w.IntN(4)]
		w.Do(op)
	}
	w.Add(history.Entry{Op: history.OpWait, Timeout: w.timeout()})
}

// condition waits and notifies, with the mutex.
func (w *writer) condition() {
	w.Add(history.Entry{Op: history.OpLock, Timeout: -1})
	for range 1 + w.IntN(2) {
		if w.One(3) {
			w.Add(history.Entry{Op: history.OpWaitCondition, Timeout: w.timeout()})
		} else {
			w.Add(history.Entry{Op: history.OpNotify, N: w.Uint32N(2)})
		}
	}
	if w.One(3) {
		w.Do(history.OpMark)
	}
	w.Do(history.OpUnlock)
}

func (w *writer) barrier() {
	w.Add(history.Entry{Op: history.OpArrive, Timeout: w.timeout()})
	if w.One(3) {
		w.Do(history.OpReset)
	}
	if w.One(12) {
		w.Do(history.OpBreak)
	}
}

func (w *writer) rwlock() {
	take, give := history.OpReadLock, history.OpReadUnlock
	if w.One(3) {
		take, give = history.OpLock, history.OpUnlock
	}
	w.Add(history.Entry{Op: take, Timeout: w.timeout()})
	again := w.One(6)
	if again {
		w.Add(history.Entry{Op: history.OpReadLock, Timeout: w.Timeout()}) // a deadlock for who writes
	}
	w.work()
	if w.One(3) {
		w.Do(history.OpMark)
	}
	if w.One(16) {
		w.Do(history.OpClose) // with the lock
		w.Do(history.OpOpen)
		return
	}
	w.Do(give)
	if again {
		w.Do(history.OpReadUnlock)
	}
}
