package wire

import "github.com/shmd/shmd/status"

// What synchronisers() creates.
var (
	vectorGo = Info{ID: 8, Name: "jobs/go", Kind: KindEvent, SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000,
		Lifetime: LifetimePersistent, CreatedNS: 1700000000000000007, SegmentSize: 4096}
	vectorNext = Info{ID: 9, Name: "jobs/next", Kind: KindEvent, Flags: []string{FlagAutoReset}, SeatsMax: 64,
		Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000008,
		SegmentSize: 4096, Initial: 1}
	vectorReady = Info{ID: 10, Name: "jobs/ready", Kind: KindCondition, Lock: LockForeign, LockID: 2, SeatsMax: 64,
		Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000009,
		SegmentSize: 4096}
	vectorMeet = Info{ID: 11, Name: "jobs/meet", Kind: KindBarrier, Length: 1, SeatsMax: 64, Mode: 0o600, UID: 1000,
		GID: 1000, Lifetime: LifetimePersistent, CreatedNS: 1700000000000000010, SegmentSize: 4096, Parties: 1}
	vectorTable = Info{ID: 12, Name: "jobs/table", Kind: KindRWLock, SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000,
		Lifetime: LifetimePersistent, CreatedNS: 1700000000000000011, SegmentSize: 8192}
)

// Handles of client 1, behind those of sides().
const (
	gate      = long + 1 + iota
	next      // the auto-reset event
	readyLock // opened along with
	ready
	meet
	meetParty
	table
)

// made is what create answers client 1.
func made(info Info, handle uint64) Attachment {
	return Attachment{Info: info, Handle: handle, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097,
		SeatsOffset: 512}
}

// synchronisers has events, a condition, a barrier and an rwlock.
func (r *recorder) synchronisers() {
	r.events()
	r.condition()
	r.barrier()
	r.rwlock()
	r.waitAny()
	r.rings()
}

// item is one of wait_any.
func item(parts ...any) []any { return parts }

func (r *recorder) waitAny() {
	r.call("wait_any that looks", MethodWaitAny, "the event is not set",
		fails(status.WouldBlock, ""), []any{item(gate, UntilSet)}, 0)
	r.call("wait_any that ends", MethodWaitAny, "", fails(status.TimedOut, ""), []any{item(gate, UntilSet)}, 1000000)
	r.call("wait_any", MethodWaitAny, "the second can be had",
		1, []any{item(gate, UntilSet), item(todo, UntilSlot), item(table, UntilReadable)})
	r.call("wait_any of nothing", MethodWaitAny, "", fails(status.Invalid, "0 items; it must be 1 to 64"), []any{})
	r.call("wait_any of an event's message", MethodWaitAny, "", fails(status.KindMismatch,
		`it is an event: there is no until "message" of it`).On("jobs/go"), []any{item(gate, UntilMessage)})
	r.call("wait_any without a version", MethodWaitAny, "", fails(status.BadParams,
		`an item until "changed" has 2 elements, a handle, until, and for changed a version`),
		[]any{item(gate, UntilChanged)})
}

func (r *recorder) events() {
	r.call("create of an event", MethodCreate, "manual reset, not set", made(vectorGo, gate), "jobs/go", KindEvent,
		CreateOptions{})
	r.call("is_set", MethodIsSet, "", false, gate)
	r.call("wait for what is not set", MethodWait, "timeout 0", fails(status.WouldBlock, "").On("jobs/go"), gate, 0)
	r.call("signal", MethodSignal, "", nil, gate)
	r.call("is_set after signal", MethodIsSet, "", true, gate)
	r.call("wait", MethodWait, "timeout left out", nil, gate)
	r.call("stat of an event that is set", MethodStat, "", Stat{Info: vectorGo, State: StateLive, Linked: true,
		Handles: 1, Seats: []Seat{{Seat: 1, PID: 4242, UID: 1000, Client: 1}}, Set: true}, "jobs/go")
	r.call("reset", MethodReset, "", nil, gate)
	r.call("pulse", MethodPulse, "nobody waits", nil, gate)
	r.call("wait that ends", MethodWait, "", fails(status.TimedOut, "").On("jobs/go"), gate, 1000000)
	r.call("signal of a queue", MethodSignal, "", isNo("a queue of 3 messages of at most 64 bytes in slots of 64, "+
		"dead after 2 deliveries (0 = never)", "event").On("jobs/todo"), todo)
	r.call("reset of a mutex", MethodReset, "", isNo("a mutex", "event or barrier").On("jobs/lock"), 4)
	r.call("is_set of a value", MethodIsSet, "", isNo("a value of 'i'", "event").On("jobs/count"), 1)
	r.call("create of an event with auto reset", MethodCreate, "set at first", made(vectorNext, next), "jobs/next",
		KindEvent, CreateOptions{AutoReset: new(true), Set: new(true)})
	r.call("wait resets", MethodWait, "", nil, next)
	r.call("wait for the next", MethodWait, "", fails(status.WouldBlock, "").On("jobs/next"), next, 0)
	r.call("pulse with auto reset", MethodPulse, "", fails(status.Unsupported,
		"pulse of an event with auto reset: set it, or create it without").On("jobs/next"), next)
}

// isNo is the error of a handle on an object of another kind.
func isNo(what, kind string) *status.Error {
	return fails(status.KindMismatch, "it is "+what+", no "+kind)
}

func (r *recorder) condition() {
	notOwner := fails(status.NotOwner, "").On("jobs/ready")
	r.call("create of a condition without a lock", MethodCreate, "", fails(status.Invalid,
		`the option lock is missing: "@" and the name of the mutex that the condition is bound to, or its id`).
		On("jobs/ready"), "jobs/ready", KindCondition, CreateOptions{})
	attached := made(vectorReady, ready)
	attached.LockHandle, attached.LockOwner = new(uint64(readyLock)), new(uint32(4097))
	r.call("create of a condition", MethodCreate, "bound to the mutex", attached, "jobs/ready", KindCondition,
		CreateOptions{Lock: "@jobs/lock"})
	r.call("wait_condition without the mutex", MethodWaitCondition, "", notOwner, ready, -1, 9)
	r.call("notify without the mutex", MethodNotify, "", notOwner, ready)
	r.call("lock through the condition", MethodLock, "token 9", nil, ready, -1, 9)
	r.call("wait_condition with timeout 0", MethodWaitCondition, "nothing is released",
		fails(status.WouldBlock, "").On("jobs/ready"), ready, 0, 9)
	r.call("wait_condition", MethodWaitCondition, "it ends with the mutex held",
		fails(status.TimedOut, "").On("jobs/ready"), ready, 1000000, 9)
	r.call("notify", MethodNotify, "one", nil, ready, 1, 9)
	r.call("notify of all", MethodNotify, "n = 0", nil, ready, 0, 9)
	r.call("notify of less than none", MethodNotify, "",
		fails(status.Invalid, "n is -1; it must be 1 to 2147483647, or 0 for all").On("jobs/ready"), ready, -1, 9)
	r.call("unlock through the condition", MethodUnlock, "", nil, ready, 9)
	r.call("notify of a mutex", MethodNotify, "", isNo("a mutex", "condition").On("jobs/lock"), 4)
}

func (r *recorder) barrier() {
	state := Barrier{Parties: 1}
	r.call("create of a barrier", MethodCreate, "of one party", made(vectorMeet, meet), "jobs/meet", KindBarrier,
		CreateOptions{Parties: new(uint32(1))})
	r.call("barrier", MethodBarrier, "nobody has arrived", state, meet)
	r.call("barrier of an event", MethodBarrier, "", isNo("an event", "barrier").On("jobs/go"), gate)
	r.call("arrive", MethodArrive, "the last opens the barrier", Arrival{}, meet)
	r.call("arrive with an action", MethodArrive, "the last is the leader", Arrival{Leader: true}, meet, -1, true)
	state.Acting, state.Generation = true, 1
	r.call("barrier with a leader", MethodBarrier, "", state, meet)
	r.call("complete", MethodComplete, "the action is done", nil, meet)
	r.call("complete by nobody's leader", MethodComplete, "", fails(status.NotOwner,
		"this client leads no generation of the barrier").On("jobs/meet"), meet)
	r.call("arrive for an action that fails", MethodArrive, "", Arrival{Leader: true}, meet, -1, true)
	r.call("complete of what failed", MethodComplete, "it breaks the barrier", nil, meet, false)
	state = Barrier{Parties: 1, Broken: true, Reasons: []string{ReasonAction}, Generation: 2}
	r.call("barrier that is broken", MethodBarrier, "", state, meet)
	r.call("arrive at a broken barrier", MethodArrive, "",
		fails(status.Broken, "by action; reset it").On("jobs/meet"), meet)
	r.call("reset of a barrier", MethodReset, "no death was cleared", nil, meet)
	r.call("abort", MethodAbort, "", nil, meet)
	state = Barrier{Parties: 1, Broken: true, Reasons: []string{ReasonAbort}, Generation: 3}
	r.call("barrier that was aborted", MethodBarrier, "", state, meet)
	r.call("reset of a barrier again", MethodReset, "", nil, meet)
	r.call("abort of an event", MethodAbort, "", isNo("an event", "barrier").On("jobs/go"), gate)
	party := made(vectorMeet, meetParty)
	party.Created = false
	r.call("open as a party", MethodOpen, "", party, "jobs/meet", OpenOptions{Party: new(true)})
	r.call("open of an event as a party", MethodOpen, "", fails(status.Invalid,
		"party is no option of an event").On("jobs/go"), "jobs/go", OpenOptions{Party: new(true)})
}

func (r *recorder) rwlock() {
	would := fails(status.WouldBlock, "").On("jobs/table")
	r.call("create of an rwlock", MethodCreate, "", made(vectorTable, table), "jobs/table", KindRWLock,
		CreateOptions{})
	r.call("read_lock", MethodReadLock, "token 1", nil, table, -1, 1)
	r.call("read_lock again", MethodReadLock, "the same token", nil, table, -1, 1)
	r.call("lock by a reader", MethodLock, "", fails(status.Deadlock, "").On("jobs/table"), table, -1, 1)
	r.call("lock beside a reader", MethodLock, "token 2", would, table, 0, 2)
	r.call("holdings of a reader", MethodHoldings, "permits, and two reads", List[Holding]{
		{ID: 4, Name: "jobs/slots", Kind: KindSemaphore, Holds: HoldsPermits, Count: 4},
		{ID: 12, Name: "jobs/table", Kind: KindRWLock, Holds: HoldsRead, Count: 2}})
	r.call("read_unlock", MethodReadUnlock, "", nil, table, 1)
	r.call("read_unlock again", MethodReadUnlock, "", nil, table, 1)
	r.call("read_unlock of what is not held", MethodReadUnlock, "", fails(status.NotOwner, "").On("jobs/table"),
		table, 1)
	r.call("lock of a writer", MethodLock, "token 2", nil, table, -1, 2)
	r.call("read_lock beside a writer", MethodReadLock, "", would, table, 0, 1)
	r.call("mark_consistent of an rwlock", MethodMarkConsistent, "nothing is wrong", nil, table, 2)
	r.call("unlock of a writer", MethodUnlock, "", nil, table, 2)
	r.call("read_lock of a mutex", MethodReadLock, "", isNo("a mutex", "rwlock").On("jobs/lock"), 4)
}
