package wire

import (
	"fmt"

	"github.com/shmd/shmd/status"
)

// What latched() creates.
var (
	vectorSlots = Info{ID: 4, Name: "jobs/slots", Kind: KindSemaphore, Length: 4, Flags: []string{FlagUndo},
		SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent,
		CreatedNS: 1700000000000000003, SegmentSize: 4096, Initial: 2, Maximum: 4}
	vectorTodo = Info{ID: 5, Name: "jobs/todo", Kind: KindQueue, Length: 3, ItemSize: 64, SeatsMax: 64, Mode: 0o600,
		UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000004, SegmentSize: 8192,
		Content: ContentMsgpack, MaxSize: 3, SlotSize: 64, MessageMax: 64, DeliveriesMax: 2}
	vectorBytes = Info{ID: 6, Name: "jobs/bytes", Kind: KindQueue, Length: 1, ItemSize: 16, SeatsMax: 64,
		Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000005,
		SegmentSize: 8192, Content: ContentRaw, MaxSize: 1, SlotSize: 16, MessageMax: 9}
)

// vectorLong is what sides() creates.
var vectorLong = Info{ID: 7, Name: "jobs/long", Kind: KindQueue, Length: 2, ItemSize: 16, SeatsMax: 64,
	Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000006,
	SegmentSize: 8192, Content: ContentRaw, MaxSize: 2, SlotSize: 16, MessageMax: 5000}

// Handles of client 1.
const (
	slots = 7 + iota
	todo
	rawBytes
	long
)

// latched has semaphores and queues. At its end three permits of four are free,
// and one message is ready.
func (r *recorder) latched() {
	r.permits()
	r.messages()
	r.letters()
	r.call("holdings", MethodHoldings, "one permit", List[Holding]{{ID: 4, Name: "jobs/slots",
		Kind: KindSemaphore, Holds: HoldsPermits, Count: 1}})
	r.call("holdings with a parameter", MethodHoldings, "", fails(status.BadParams, "want 0 parameters, got 1"), 1)
}

func (r *recorder) permits() {
	r.call("create of a semaphore", MethodCreate, "two permits at first, four at most, with undo", Attachment{
		Info: vectorSlots, Handle: slots, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097,
		SeatsOffset: 512}, "jobs/slots", KindSemaphore,
		CreateOptions{Initial: new(uint32(2)), Maximum: new(uint32(4)), Undo: new(true)})
	r.call("acquire", MethodAcquire, "n and timeout left out", nil, slots)
	r.call("acquire of more than there are", MethodAcquire, "timeout 0",
		fails(status.WouldBlock, "").On("jobs/slots"), slots, 2, 0)
	r.call("acquire of more than there may be", MethodAcquire, "",
		fails(status.Invalid, "n is 5; it must be 1 to the maximum, 4").On("jobs/slots"), slots, 5)
	r.call("post", MethodPost, "two new permits", nil, slots, 2)
	r.call("post of too many", MethodPost, "nothing changed",
		fails(status.Overflow, "1 more permits than the 4 there are; the maximum is 4").On("jobs/slots"), slots, 1)
	r.call("permits", MethodPermits, "", Permits{Available: 3, Total: 4, Held: 1, Maximum: 4}, slots)
	r.call("permits of a mutex", MethodPermits, "",
		fails(status.KindMismatch, "it is a mutex, no semaphore").On("jobs/lock"), 4)
	r.call("acquire of many", MethodAcquire, "all or none, for at most a second", nil, slots, 3, 1000000000)
	r.call("release", MethodRelease, "three of four", nil, slots, 3)
	r.call("release of what is not held", MethodRelease, "both numbers are named",
		fails(status.NotOwner, "2 permits to release, and this client holds 1").On("jobs/slots"), slots, 2)
}

func (r *recorder) messages() {
	job := map[string]any{"job": []any{1, -1, 0.5, nil, true, []byte{0xff}}}
	r.call("create of a queue", MethodCreate, "three messages of at most 64 bytes, delivered twice at most",
		Attachment{Info: vectorTodo, Handle: todo, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097,
			DataOffset: 4096, DataSize: 192, SeatsOffset: 512}, "jobs/todo", KindQueue, CreateOptions{
			MaxSize: new(uint32(3)), SlotSize: new(uint32(64)), DeliveriesMax: new(uint32(2))})
	r.call("create of a raw queue", MethodCreate, "one message of at most 9 bytes", Attachment{Info: vectorBytes,
		Handle: rawBytes, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097, DataOffset: 4096, DataSize: 16,
		SeatsOffset: 512}, "jobs/bytes", KindQueue, CreateOptions{Content: new(ContentRaw), MaxSize: new(uint32(1)),
		SlotSize: new(uint32(16)), MessageMax: new(uint32(9))})
	r.call("take of nothing", MethodTake, "timeout 0", fails(status.WouldBlock, "").On("jobs/todo"), todo, 0)
	r.call("take that ends", MethodTake, "", fails(status.TimedOut, "").On("jobs/todo"), todo, 1000000)
	r.call("put", MethodPut, "a map; timeout left out", nil, todo, job)
	r.call("put of bytes", MethodPut, "a bin, for at most a second", nil, rawBytes, []byte("\x00 nine \xc1\xff"),
		1000000000)
	r.call("put that is full", MethodPut, "a bin of no bytes",
		fails(status.WouldBlock, "").On("jobs/bytes"), rawBytes, []byte{}, 0)
	r.call("put of a long message", MethodPut, "both sizes are named", fails(status.TooLarge,
		"the message has 10 bytes; this queue takes up to 9 (message_max)").On("jobs/bytes"),
		rawBytes, make([]byte, 10))
	r.call("put of a str as bytes", MethodPut, "",
		fails(status.BadType, "the queue is raw: a message is a bin").On("jobs/bytes"), rawBytes, "text")
	r.call("put of deep nesting", MethodPut, "13 levels", fails(status.BadType,
		"the message is no msgpack value, or nests deeper than 12").On("jobs/todo"), todo, nested(13))
	r.call("put of nesting", MethodPut, "12 levels", nil, todo, nested(12))
	r.call("put of nil", MethodPut, "the third message, and the queue is full", nil, todo, nil)
	r.call("take", MethodTake, "the same bytes", job, todo)
	r.call("take of bytes", MethodTake, "", []byte("\x00 nine \xc1\xff"), rawBytes, 0)
	r.call("take of the next", MethodTake, "", nested(12), todo)
}

// nested is arrays in arrays.
func nested(depth int) any {
	var v any = "x"
	for range depth {
		v = []any{v}
	}
	return v
}

// leased is a lease on the only message.
func leased(seq uint64, deliveries uint32) Lease {
	return Lease{Lease: LeaseID{2, seq, deliveries}, Message: []byte{0xc0}, Deliveries: deliveries}
}

// notLeased is the error of ack and nack of what is not, or no more, leased.
func notLeased(seq uint64) *status.Error {
	return fails(status.NotOwner, fmt.Sprintf("message %d in slot 2 is not leased by this client (any more)", seq)).
		On("jobs/todo")
}

func (r *recorder) letters() {
	r.call("lease", MethodLease, "the nil", leased(3, 1), todo)
	r.call("lease of nothing", MethodLease, "", fails(status.WouldBlock, "").On("jobs/todo"), todo, 0)
	r.call("counts", MethodCounts, "", Counts{Leased: 1, Free: 2, MaxSize: 3}, todo)
	r.call("counts of a semaphore", MethodCounts, "",
		fails(status.KindMismatch, "it is a semaphore, no queue").On("jobs/slots"), slots)
	r.call("nack of another delivery", MethodNack, "", notLeased(3), todo, LeaseID{2, 3, 2})
	r.call("nack", MethodNack, "back to the front", nil, todo, LeaseID{2, 3, 1})
	r.call("nack again", MethodNack, "", notLeased(3), todo, LeaseID{Slot: 2, Seq: 3})
	r.call("take_dead of nothing", MethodTakeDead, "", fails(status.WouldBlock, "").On("jobs/todo"), todo)
	r.call("lease again", MethodLease, "the second delivery, which is the last", leased(3, 2), todo)
	r.call("nack of the last delivery", MethodNack, "it becomes a dead letter", nil, todo, LeaseID{Slot: 2, Seq: 3})
	r.call("counts with a dead letter", MethodCounts, "", Counts{Dead: 1, Free: 2, MaxSize: 3}, todo)
	r.call("redeliver", MethodRedeliver, "one dead letter", 1, todo)
	r.call("redeliver of a value", MethodRedeliver, "",
		fails(status.KindMismatch, "it is a value of 'i', no queue").On("jobs/count"), 1)
	r.call("lease of a redelivered", MethodLease, "", leased(3, 1), todo)
	r.call("nack of it", MethodNack, "", nil, todo, LeaseID{Slot: 2, Seq: 3})
	r.call("lease for the last time", MethodLease, "", leased(3, 2), todo)
	r.call("nack for the last time", MethodNack, "", nil, todo, LeaseID{Slot: 2, Seq: 3})
	r.call("take_dead", MethodTakeDead, "no delivery is counted", leased(3, 2), todo)
	r.call("ack", MethodAck, "the message is done", nil, todo, LeaseID{Slot: 2, Seq: 3})
	r.call("ack repeated", MethodAck, "", nil, todo, LeaseID{Slot: 2, Seq: 3})
	r.call("ack of another", MethodAck, "", notLeased(2), todo, LeaseID{Slot: 2, Seq: 2})
	r.call("ack of no lease", MethodAck, "", fails(status.BadParams, "lease: want array, got integer"), todo, 7)
	r.call("put of true", MethodPut, "for who comes next", nil, todo, true)
}

// vectorBatch is what batches() creates.
var vectorBatch = Info{ID: 16, Name: "jobs/batch", Kind: KindQueue, Length: 4, ItemSize: 16, SeatsMax: 64,
	Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000015,
	SegmentSize: 8192, Content: ContentMsgpack, MaxSize: 4, SlotSize: 16, MessageMax: 16, LeaseNS: 30000000000}

// batches has a queue whose leases last 30 s.
func (r *recorder) batches() {
	failure := func(code status.Code, detail string) *status.Error { return fails(code, detail).On("jobs/batch") }
	attached := made(vectorBatch, batch)
	attached.DataOffset, attached.DataSize = 4096, 64
	r.call("create of a queue with lease times", MethodCreate, "30 s", attached, "jobs/batch", KindQueue,
		CreateOptions{MaxSize: new(uint32(4)), SlotSize: new(uint32(16)), LeaseNS: new(uint64(30000000000))})
	r.call("create with short lease times", MethodCreate, "", fails(status.Invalid,
		"lease_ns is 999999; it must be 1000000 (1 ms) to 4611686018427387904").On("jobs/short"), "jobs/short",
		KindQueue,
		CreateOptions{LeaseNS: new(uint64(999999))})
	r.call("join of nothing", MethodJoin, "", nil, batch)
	r.call("put_many", MethodPutMany, "there is room for three", 3, batch, []any{1, "two", nil})
	r.call("put_many that does not fit", MethodPutMany, "there is room for one", 1, batch, []any{4, 5}, 0)
	r.call("put_many that is full", MethodPutMany, "", failure(status.WouldBlock, ""), batch, []any{5}, 0)
	r.call("put_many of too many", MethodPutMany, "both numbers are named", failure(status.Invalid,
		"5 messages at once; this queue takes 1 to 4 (maxsize)"), batch, []any{1, 2, 3, 4, 5})
	r.call("put_many of no array", MethodPutMany, "", fails(status.BadParams, "messages: want array, got integer"),
		batch, 7)
	r.call("take_many", MethodTakeMany, "up to two", []any{1, "two"}, batch, 2)
	r.call("take_many of none", MethodTakeMany, "", failure(status.Invalid,
		"at most 0 messages; it must be at least 1"),
		batch, 0)
	r.call("lease_many", MethodLeaseMany, "what is there", List[Lease]{
		{Lease: LeaseID{2, 3, 1}, Message: []byte{0xc0}, Deliveries: 1},
		{Lease: LeaseID{3, 4, 1}, Message: []byte{4}, Deliveries: 1}}, batch, 9, 0)
	r.call("lease_many of nothing", MethodLeaseMany, "", failure(status.WouldBlock, ""), batch, 9, 0)
	r.call("take_many of nothing", MethodTakeMany, "", failure(status.TimedOut, ""), batch, 9, 1000000)
	r.call("join that ends", MethodJoin, "messages are leased", failure(status.TimedOut, ""), batch, 1000000)
	r.call("extend", MethodExtend, "a minute from now", nil, batch, LeaseID{2, 3, 1}, 60000000000)
	r.call("extend of no lease", MethodExtend, "", failure(status.NotOwner,
		"message 2 in slot 2 is not leased by this client (any more)"), batch, LeaseID{2, 2, 1}, 60000000000)
	r.call("extend where leases do not end", MethodExtend, "", fails(status.Unsupported,
		"the queue has no lease time (lease_ns): its leases do not end").On("jobs/todo"), todo, LeaseID{2, 2, 1},
		60000000000)
	r.call("nack_many", MethodNackMany, "the second is no lease: one is done", 1, batch,
		[]any{LeaseID{3, 4, 1}, LeaseID{0, 1, 1}})
	r.call("nack_many of nothing", MethodNackMany, "", failure(status.Invalid,
		"no leases to end; it must be at least 1"),
		batch, []any{})
	r.call("ack_many", MethodAckMany, "both names are possible; the second is no lease any more", 1, batch,
		[]any{LeaseID{Slot: 2, Seq: 3}, LeaseID{Slot: 3, Seq: 4}})
	r.call("take_many of the rest", MethodTakeMany, "", []any{4}, batch, 9)
	r.call("join", MethodJoin, "for at most a second", nil, batch, 1000000000)
	r.call("join of a mutex", MethodJoin, "", isNo("a mutex", "queue").On("jobs/lock"), 4)
	r.call("ack_many of a mutex", MethodAckMany, "", isNo("a mutex", "queue").On("jobs/lock"), 4, []any{LeaseID{2, 3,
		1}})
}

// holder is client 2 with the permits and the message; latchedDeath is its death.
func (r *recorder) holder() {
	open := Attachment{Info: vectorSlots, Handle: 2, Access: AccessReadWrite, Seat: 2, Owner: 4098, SeatsOffset: 512}
	r.call("open of the semaphore by the second client", MethodOpen, "", open, "jobs/slots")
	r.call("acquire by the second client", MethodAcquire, "three of three", nil, 2, 3)
	open = Attachment{Info: vectorTodo, Handle: 3, Access: AccessReadWrite, Seat: 2, Owner: 4098, DataOffset: 4096,
		DataSize: 192, SeatsOffset: 512}
	r.call("open of the queue by the second client", MethodOpen, "", open, "jobs/todo")
	r.call("lease by the second client", MethodLease, "", Lease{Lease: LeaseID{0, 4, 1}, Message: []byte{0xc3},
		Deliveries: 1}, 3)
	r.call("holdings of the second client", MethodHoldings, "the lock, permits, and a lease", List[Holding]{
		{ID: 2, Name: "jobs/lock", Kind: KindMutex, Holds: HoldsLock, Count: 1},
		{ID: 4, Name: "jobs/slots", Kind: KindSemaphore, Holds: HoldsPermits, Count: 3},
		{ID: 5, Name: "jobs/todo", Kind: KindQueue, Holds: HoldsLease, Count: 1, Lease: &LeaseID{0, 4, 1}}})
}

func (r *recorder) latchedDeath() {
	r.call("acquire after a death", MethodAcquire, "waits for it; what the dead client held came back", nil, slots, 3)
	r.call("lease after a death", MethodLease, "waits for it; the message is delivered again", Lease{Lease: LeaseID{0,
		4, 2},
		Message: []byte{0xc3}, Deliveries: 2}, todo)
	r.call("ack after a death", MethodAck, "", nil, todo, LeaseID{0, 4, 2})
	r.call("shutdown", MethodShutdown, "no more puts", nil, todo)
	r.call("shutdown of a mutex", MethodShutdown, "",
		fails(status.KindMismatch, "it is a mutex, no queue").On("jobs/lock"), 4)
	r.call("put after shutdown", MethodPut, "", fails(status.Ended, "").On("jobs/todo"), todo, 1)
	r.call("take after shutdown", MethodTake, "the queue is empty", fails(status.Ended, "").On("jobs/todo"), todo)
	r.call("lease after shutdown", MethodLease, "", fails(status.Ended, "").On("jobs/todo"), todo)
	r.call("counts after shutdown", MethodCounts, "", Counts{Free: 3, MaxSize: 3, Shutdown: true}, todo)
}

// sides has messages longer than a slot. A result of side needs a reservation, which
// is made in memory.
func (r *recorder) sides() {
	r.call("create of a queue with long messages", MethodCreate, "of at most 5000 bytes, in slots of 16", Attachment{
		Info: vectorLong, Handle: long, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097,
		DataOffset: 4096, DataSize: 32, SeatsOffset: 512}, "jobs/long", KindQueue, CreateOptions{
		Content: new(ContentRaw), MaxSize: new(uint32(2)), SlotSize: new(uint32(16)), MessageMax: new(uint32(5000))})
	message := []byte("longer than the slot is")
	r.call("put of more than a slot", MethodPut, "it makes side segment 1, of one page", nil, long, message)
	r.call("map_side", MethodMapSide, "the frame carries one descriptor", MapResult{Size: 4096, Fds: 1}, long, 1)
	r.call("map_side of an unknown number", MethodMapSide, "",
		fails(status.Corrupt, "the queue has no side segment 2 (any more)").On("jobs/long"), long, 2)
	r.call("take of more than a slot", MethodTake, "", message, long, 0)
	r.call("side of what is not reserved", MethodSide, "slot 0, ticket 9, 100 bytes", fails(status.NotOwner,
		"reservation 9 of slot 0 is not this client's (any more)").On("jobs/long"), long, 0, 9, 100)
	r.call("side of a short message", MethodSide, "", fails(status.Invalid,
		"a message of 16 bytes lies in its slot, which has 16").On("jobs/long"), long, 0, 9, 16)
}
