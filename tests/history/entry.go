package history

import (
	"fmt"

	"github.com/shmd/shmd/status"
)

// Op is what a client is told to do. The numbers are those of c/history.h.
type Op uint16

// For each what it is given and what comes of it, besides a status: Timeout for all
// that may wait.
const (
	OpPause Op = 1 // Argument ns, giving the processor to others
	OpOpen  Op = 2
	OpClose Op = 3
	OpFork  Op = 4 // a child keeps the socket, of c the mappings too

	OpLock   Op = 10 // -> OWNER_DIED: Result deaths, Extra pid
	OpUnlock Op = 11
	OpMark   Op = 12

	OpAcquire Op = 20 // N permits
	OpRelease Op = 21 // N
	OpPost    Op = 22 // N
	OpPermits Op = 23 // -> Result available, Extra held

	OpPut       Op = 30 // Argument the message's number, N its bytes
	OpTake      Op = 31 // -> Result number
	OpLease     Op = 32 // -> Result number, Extra deliveries
	OpAck       Op = 33 // N which of the leases, from the oldest; Result number and Extra deliveries are known before
	OpNack      Op = 34 // likewise
	OpReserve   Op = 35 // N bytes; over the socket UNSUPPORTED, as the next two
	OpCommit    Op = 36 // Argument the number of the message that is made in the oldest reservation
	OpAbort     Op = 37 // the oldest reservation
	OpTakeDead  Op = 38 // as OpLease
	OpRedeliver Op = 39 // -> Result how many
	OpCounts    Op = 40 // -> Result see Counts, Extra free

	// Batches: Desired messages in one call, at most BatchMax -> Result how many.
	OpPutMany   Op = 41 // Argument the first one's number, the others' follow; N the bytes of each
	OpTakeMany  Op = 42 // -> Numbers
	OpLeaseMany Op = 43 // -> Numbers, Extra the deliveries of each in a byte
	OpAckMany   Op = 44 // the oldest leases; Numbers and Extra are known before
	OpNackMany  Op = 45 // likewise

	OpExtend Op = 46 // as OpAck; Argument ns
	OpForget Op = 47 // as OpAck: nobody ends it any more
	OpJoin   Op = 48

	// N is the element.
	OpLoad            Op = 50 // -> Result
	OpStore           Op = 51 // Argument
	OpAdd             Op = 52 // Argument -> Result before
	OpExchange        Op = 53 // Argument -> Result before
	OpCompareExchange Op = 54 // Argument expected, Desired -> Result before, Extra swapped
	OpWrite           Op = 55 // all elements become Argument
	OpRead            Op = 56 // -> Result the first, Extra dirty; BROKEN if they are not all equal

	OpSignal Op = 60 // an event
	OpReset  Op = 61 // an event; a barrier -> OWNER_DIED if it cleared a death
	OpPulse  Op = 62
	OpIsSet  Op = 63 // -> Result
	OpWait   Op = 64 // for an event

	OpWaitCondition Op = 70 // -> as OpLock
	OpNotify        Op = 71 // N, 0 = all

	OpArrive Op = 80 // -> Result index
	OpBreak  Op = 81 // a barrier, by abort
	OpState  Op = 82 // -> Result see State, Extra generation

	// OpLock, OpUnlock and OpMark of a rwlock are the writer's.
	OpReadLock   Op = 90 // -> as OpLock
	OpReadUnlock Op = 91

	// Streams and pipes; N is the role, see RoleProducer.
	OpClaim    Op = 100
	OpRetire   Op = 101
	OpSend     Op = 102 // Argument the message's number, N its bytes; of a pipe by the end that the client has
	OpRecv     Op = 103 // -> Result number
	OpSendMany Op = 104 // as OpPutMany
	OpRecvMany Op = 105 // as OpTakeMany

	// In place; OpReserve, OpCommit and OpAbort too. Over the socket UNSUPPORTED.
	OpPeek    Op = 106 // Desired messages at most -> Numbers, Result how many
	OpAdvance Op = 107 // Desired of those that were peeked at, at most; Numbers are known before

	// Of a pipe of bytes, each of which follows from its position and its end. Argument is
	// the position of the first one, which is known before: the client has counted.
	OpWriteBytes Op = 108 // N bytes -> Result how many
	OpReadBytes  Op = 109 // N bytes at most -> Result how many
)

// Roles of a stream, and of a pipe the ends.
const (
	RoleProducer uint32 = 1
	RoleConsumer uint32 = 2
	EndA         uint32 = 1
	EndB         uint32 = 2
)

// BatchMax bounds the messages of one operation.
const BatchMax = 4

var opNames = map[Op]string{
	OpPause: "pause", OpOpen: "open", OpClose: "close", OpFork: "fork",
	OpLock: "lock", OpUnlock: "unlock", OpMark: "mark_consistent",
	OpAcquire: "acquire", OpRelease: "release", OpPost: "post", OpPermits: "permits",
	OpPut: "put", OpTake: "take", OpLease: "lease", OpAck: "ack", OpNack: "nack",
	OpReserve: "reserve", OpCommit: "commit", OpAbort: "abort",
	OpTakeDead: "take_dead", OpRedeliver: "redeliver", OpCounts: "counts",
	OpLoad: "load", OpStore: "store", OpAdd: "add", OpExchange: "exchange", OpCompareExchange: "compare_exchange",
	OpWrite: "write", OpRead: "read",
	OpSignal: "signal", OpReset: "reset", OpPulse: "pulse", OpIsSet: "is_set", OpWait: "wait",
	OpWaitCondition: "wait_condition", OpNotify: "notify",
	OpArrive: "arrive", OpBreak: "break", OpState: "state",
	OpReadLock: "read_lock", OpReadUnlock: "read_unlock",
	OpPutMany: "put_many", OpTakeMany: "take_many", OpLeaseMany: "lease_many", OpAckMany: "ack_many",
	OpNackMany: "nack_many", OpExtend: "extend", OpForget: "forget", OpJoin: "join",
	OpClaim: "claim", OpRetire: "retire", OpSend: "send", OpRecv: "recv", OpSendMany: "send_many",
	OpRecvMany: "recv_many", OpPeek: "peek", OpAdvance: "advance", OpWriteBytes: "write_bytes",
	OpReadBytes: "read_bytes",
}

// String is the name of the operation, as in PROTOCOL.md where it has one.
func (o Op) String() string {
	if name := opNames[o]; name != "" {
		return name
	}
	return fmt.Sprintf("op %d", uint16(o))
}

// Takes reports whether the operation, if it succeeds, leaves something in the hands
// of the client.
func (o Op) Takes() bool {
	switch o {
	case OpLock, OpReadLock, OpAcquire, OpLease, OpReserve, OpTakeDead, OpLeaseMany, OpClaim:
		return true
	}
	return false
}

// Statuses of an entry besides those of package status.
const (
	// Skipped: there was nothing to do it with, such as a lease to acknowledge.
	Skipped int32 = -1
	// Broken: what came cannot be, such as a message that nobody made.
	Broken int32 = -2
)

// Entry is one operation: what to do, and what came of it. The layout is that of
// struct entry in c/history.h. Call is stored after all that is to be done and known
// before, Return after all that came of it; so an entry that has no Return is in
// flight, or was when its client died.
type Entry struct {
	Call     int64 // CLOCK_MONOTONIC in ns; 0 = not begun
	Return   int64 // 0 = not returned
	Op       Op
	Object   uint16 // its number in the client, see Client.Object
	N        uint32
	Timeout  int64 // ns; -1 = for ever, 0 = try
	Argument int64
	Desired  int64
	Result   int64
	Status   int32 // a status.Code, Skipped or Broken
	Extra    uint32
	Numbers  [BatchMax]int64 // of the messages of a batch
}

// Batch are the numbers of the messages that a batch did or, if its outcome is unknown,
// may have done: the first so many.
func (e *Entry) Batch() []int64 {
	n := e.Result
	if e.Unknown() {
		n = e.Desired
	}
	if n < 0 || n > BatchMax || e.Return != 0 && !e.OK() {
		return nil
	}
	numbers := e.Numbers
	if e.Op == OpPutMany || e.Op == OpSendMany {
		for i := range numbers {
			numbers[i] = e.Argument + int64(i)
		}
	}
	return numbers[:n]
}

// aboutLeases reports whether an operation says before which leases it is about.
func (o Op) aboutLeases() bool {
	switch o {
	case OpAck, OpNack, OpExtend, OpForget, OpAckMany, OpNackMany:
		return true
	}
	return false
}

// Deliveries is the count of the message i of OpLeaseMany, or of the lease i of OpAckMany.
func (e *Entry) Deliveries(i int) uint32 { return e.Extra >> (8 * i) & 0xff }

// Code is the status of an entry that returned.
func (e *Entry) Code() status.Code { return status.Code(e.Status) }

// OK reports whether the operation succeeded, with a notice or without.
func (e *Entry) OK() bool { return e.Return != 0 && (e.Status == 0 || e.Code() == status.OwnerDied) }

// Unknown reports whether it began and never returned.
func (e *Entry) Unknown() bool { return e.Call != 0 && e.Return == 0 }

// NotDone reports whether there was nothing to do it with, or no way in the client's
// flavour.
func (e *Entry) NotDone() bool { return e.Status == Skipped || e.Code() == status.Unsupported }

// String describes it for people.
func (e *Entry) String() string {
	text := e.Op.String()
	switch e.Op {
	case OpAcquire, OpRelease, OpPost, OpNotify:
		text += fmt.Sprintf("(%d)", e.N)
	case OpAckMany, OpNackMany:
		text += fmt.Sprintf("(%v)", e.Numbers[:min(max(e.Desired, 0), BatchMax)])
	case OpPutMany, OpTakeMany, OpLeaseMany, OpSendMany, OpRecvMany, OpPeek, OpAdvance:
		text += fmt.Sprintf("(%d: %v)", e.Desired, e.Batch())
	case OpExtend:
		text += fmt.Sprintf("(%d us)", e.Argument/1000)
	case OpWriteBytes, OpReadBytes:
		text += fmt.Sprintf("(%d from %d)", e.N, e.Argument)
	case OpClaim, OpRetire:
		text += fmt.Sprintf("(%d)", e.N)
	case OpPut, OpCommit, OpWrite, OpSend:
		text += fmt.Sprintf("(%d)", e.Argument)
	case OpStore, OpAdd, OpExchange:
		text += fmt.Sprintf("([%d], %d)", e.N, e.Argument)
	case OpCompareExchange:
		text += fmt.Sprintf("([%d], %d, %d)", e.N, e.Argument, e.Desired)
	}
	if e.Timeout > 0 {
		text += fmt.Sprintf(" within %d us", e.Timeout/1000)
	} else if e.Timeout == 0 {
		text += " at once"
	}
	return text + " -> " + e.outcome()
}

func (e *Entry) outcome() string {
	switch {
	case e.Call == 0:
		return "not begun"
	case e.Return == 0:
		return "unknown"
	case e.Status == Skipped:
		return "skipped"
	case e.Status == Broken:
		return fmt.Sprintf("BROKEN %d %d", e.Result, e.Extra)
	case e.Status != 0 && !e.OK():
		return e.Code().Name()
	}
	return fmt.Sprintf("%s %d %d", e.Code().Name(), e.Result, e.Extra)
}

// Counts unpacks the result of OpCounts.
func (e *Entry) Counts() (ready, leased, writing, dead int) {
	word := uint64(e.Result)
	return int(word & 0xffff), int(word >> 16 & 0xffff), int(word >> 32 & 0xffff), int(word >> 48)
}

func packCounts(ready, leased, writing, dead uint32) int64 {
	return int64(uint64(ready) | uint64(leased)<<16 | uint64(writing)<<32 | uint64(dead)<<48)
}

// State unpacks the result of OpState: how many have arrived, whether it is broken,
// and why, as the bits of shmd.h.
func (e *Entry) State() (waiting int, broken bool, reasons uint32) {
	word := uint64(e.Result)
	return int(word & 0xffff), word>>32 != 0, uint32(word >> 16 & 0xffff)
}

func packState(waiting uint32, broken bool, reasons uint32) int64 {
	return int64(uint64(waiting) | uint64(reasons)<<16 | uint64(truth(broken))<<32)
}
