package wire

import (
	"encoding/hex"
	"testing"

	"github.com/shmd/shmd/status"
)

// recorder writes a session down.
type recorder struct {
	t      *testing.T
	client int
	id     uint32
	list   []exchange
}

// varying are the keys, by method, that differ from machine to machine.
var varying = map[string][]string{
	MethodHello:        {"server", "epoch", "uid", "pid", "abi_version", "abi_compat", "abi_fingerprint", "resumable"},
	MethodStatus:       {"server", "epoch", "pid", "uptime_ns", "budget_bytes"},
	MethodClients:      {"pid", "uid", "gid"},
	MethodQuota:        {"uid", "max"},
	MethodCreate:       {"uid", "gid", "created_ns"},
	MethodOpen:         {"uid", "gid", "created_ns"},
	MethodOpenOrCreate: {"uid", "gid", "created_ns"},
	MethodTicket:       {"ticket"},
	MethodList:         {"uid", "gid", "created_ns"},
	MethodStat:         {"uid", "gid", "created_ns", "pid", "died_ns"},
}

// call records a request with the parameters and its result; nil is the result
// nil, a *status.Error the failure.
func (r *recorder) call(name, method, note string, result any, params ...any) {
	r.t.Helper()
	r.id++
	request := AppendRequestHeader(nil, r.id, method, len(params))
	for _, p := range params {
		request = r.encoded(request, p)
	}
	e := exchange{Name: name, Client: r.client, Request: hex.EncodeToString(request), Note: note}
	if failure, ok := result.(*status.Error); ok {
		named := *failure
		if named.Op == "" {
			named.Op = method
		}
		e.Response = hex.EncodeToString(AppendError(nil, r.id, &named))
	} else {
		e.Response = hex.EncodeToString(r.encoded(AppendResultHeader(nil, r.id), result))
		e.Vary = varying[method]
	}
	if _, notice := result.(Notice); notice {
		e.Vary = []string{"pid", "uid", "died_ns"}
	}
	r.list = append(r.list, e)
}

func (r *recorder) encoded(b []byte, v any) []byte {
	r.t.Helper()
	b, err := AppendEncoded(b, v)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// fails is an error without an object.
func fails(code status.Code, detail string) *status.Error { return status.New(code, "", "%s", detail) }

// session has a result and an error of each method. Its parts follow each other
// in one daemon.
func session(t *testing.T) []exchange {
	r := &recorder{t: t, client: 1}
	r.greeting()
	r.objects()
	r.elements()
	r.locks()
	r.latched()
	r.death()
	r.synchronisers()
	r.batches()
	r.farewell()
	return r.list
}

func (r *recorder) greeting() {
	uuid := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	r.call("hello of another version", MethodHello, "no common version; the connection goes on", fails(status.Version,
		"the client speaks versions 2 to 9, this daemon 1 to 1: update the older one"), 2, 9, uuid, "example 1.0")
	r.call("hello", MethodHello, "version 1 to 1, a uuid as bin 16", HelloResult{
		Version: 1, Server: "shmd 0.1", Epoch: 1, Client: 1, UID: 1000, PID: 4242, MessageMax: MessageMax,
		SeatsDefault: 64, ABIVersion: 0, ABIFingerprint: 0x0123456789abcdef}, 1, 1, uuid, "example 1.0")
	r.call("ping", MethodPing, "", nil)
	r.call("ping with a parameter", MethodPing, "", fails(status.BadParams, "want 0 parameters, got 1"), 1)
	r.call("unknown method", "frobnicate", "the connection goes on",
		status.New(status.UnknownMethod, "call", `this daemon (shmd 0.1) has no method "frobnicate"`))
}

// What objects() creates.
var (
	vectorCount = Info{ID: 1, Name: "jobs/count", Kind: KindValue, Code: "i", Length: 1, ItemSize: 4, Lock: LockOwn,
		SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent,
		CreatedNS: 1700000000000000000, SegmentSize: 4096}
	vectorLock = Info{ID: 2, Name: "jobs/lock", Kind: KindMutex, Flags: []string{FlagRecursive},
		SeatsMax: 2, Mode: 0o660, UID: 1000, GID: 1000, Lifetime: LifetimePersistent,
		CreatedNS: 1700000000000000001, SegmentSize: 4096}
	vectorGrid = Info{ID: 3, Name: "jobs/grid", Kind: KindArray, Code: "d", Shape: []uint64{2, 3},
		Length: 6, ItemSize: 8, Lock: LockForeign, LockID: 2, SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000,
		Lifetime: LifetimePersistent, CreatedNS: 1700000000000000002, SegmentSize: 8192}
)

func (r *recorder) objects() {
	count := Attachment{Info: vectorCount, Handle: 1, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097,
		DataOffset: 448, DataSize: 4, SeatsOffset: 512}
	options := CreateOptions{Code: new("i"), Init: AppendInt(nil, -5)}
	r.call("create", MethodCreate, "a value of code i", count, "jobs/count", KindValue, options)
	r.call("create that exists", MethodCreate, "",
		fails(status.Exists, "open it, use open_or_create, or choose another name").On("jobs/count"),
		"jobs/count", KindValue, options)
	again := count
	again.Handle, again.Created = 2, false
	r.call("open by name", MethodOpen, "options left out", again, "jobs/count")
	again.Handle, again.Access, again.Fds = 3, AccessRead, 1
	r.call("open by id", MethodOpen, "read-only, the code is checked, and one descriptor comes along", again, 1,
		OpenOptions{Access: new(AccessRead), Code: new("i"), Map: new(true)})
	r.call("open of another type", MethodOpen, "", fails(status.TypeMismatch,
		"it is a value of 'i', you ask for 'd'").On("jobs/count"), "jobs/count", OpenOptions{Code: new("d")})
	r.call("open_or_create of a mutex", MethodOpenOrCreate, "mode 0660, two seats", Attachment{Info: vectorLock,
		Handle: 4, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097, SeatsOffset: 512}, "jobs/lock",
		KindMutex, CreateOptions{Recursive: new(true), Mode: new(uint32(0o660)), SeatsMax: new(uint32(2))})
	r.call("open_or_create of another kind", MethodOpenOrCreate, "", fails(status.KindMismatch,
		"it is a value of 'i', you ask for a mutex").On("jobs/count"), "jobs/count", KindMutex, CreateOptions{})
	r.call("create of an array", MethodCreate, "two dimensions, locked by the mutex; one descriptor comes along",
		Attachment{Info: vectorGrid,
			Handle: 6, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 4097, DataOffset: 4096, DataSize: 48,
			SeatsOffset: 512, LockHandle: new(uint64(5)), LockOwner: new(uint32(4097)), Fds: 1}, "jobs/grid", KindArray,
		CreateOptions{Code: new("d"), Shape: []uint64{2, 3}, Lock: "@jobs/lock", Map: new(true),
			Init: r.encoded(nil, []float64{1, 2.5})})
	ticket := []byte{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	r.call("map", MethodMap, "one descriptor comes along", MapResult{Size: 8192, Fds: 1}, 6)
	r.call("map of no handle", MethodMap, "no descriptor comes", fails(status.BadHandle,
		"this connection has no open handle 99: create and open return them, close ends them"), 99)
	r.call("list", MethodList, "by prefix", ListResult{Objects: []Info{vectorCount, vectorGrid, vectorLock}}, "jobs/")
	r.call("list of a malformed prefix", MethodList, "",
		fails(status.BadName, "a part between '/' is empty").On("jobs//"), "jobs//")
	r.call("stat", MethodStat, "by id", Stat{Info: vectorLock, State: StateLive, Linked: true, Handles: 2,
		Seats: []Seat{{Seat: 1, PID: 4242, UID: 1000, Client: 1}}}, 2)
	r.call("stat of nothing", MethodStat, "",
		fails(status.NotFound, "create it first; list shows what there is").On("jobs/none"), "jobs/none")
	r.call("check", MethodCheck, "all is in order", Check{ID: 2, Name: "jobs/lock", Kind: KindMutex}, "jobs/lock")
	r.call("check of nothing", MethodCheck, "",
		fails(status.NotFound, "create it first; list shows what there is").On("jobs/none"), "jobs/none")
	r.call("repair", MethodRepair, "nothing was wrong",
		Repair{Check: Check{ID: 2, Name: "jobs/lock", Kind: KindMutex}}, 2)
	r.call("repair of nothing", MethodRepair, "",
		fails(status.NotFound, "create it first; list shows what there is").On("jobs/none"), "jobs/none")
	r.call("chmod", MethodChmod, "0640", nil, "jobs/count", 0o640)
	r.call("chmod to execute", MethodChmod, "", fails(status.Invalid,
		"mode is 0777; it may have the bits 0666 (read and write for user, group, others)").On("jobs/count"),
		"jobs/count", 0o777)
	r.call("chown", MethodChown, "owner and group stay", nil, "jobs/count", -1, -1)
	r.call("chown to nobody that is", MethodChown, "", fails(status.Invalid,
		"uid is -2; it must be 0 to 4294967294, or -1 to leave it").On("jobs/count"), "jobs/count", -2, -1)
	r.call("ticket", MethodTicket, "for ten seconds; 16 random bytes", TicketResult{ID: 1, Ticket: ticket},
		"jobs/count", 10_000_000_000)
	r.call("ticket for too long", MethodTicket, "", fails(status.Invalid, "timeout_ns is 3600000000001; it must be "+
		"1 to 3600000000000, an hour").On("jobs/count"), "jobs/count", 3600_000_000_001)
	r.call("open with a ticket that is none", MethodOpen, "", fails(status.NotFound,
		"there is no such ticket for it: it was used, or its time is over").On("jobs/count"), 1,
		OpenOptions{Ticket: ticket})
	r.call("status", MethodStatus, "", Status{Server: "shmd 0.1", Epoch: 1, PID: 100, UptimeNS: 60000000000,
		Objects: 3, Bytes: 16384, Clients: 1, BudgetBytes: 1 << 30})
	r.call("status with a parameter", MethodStatus, "", fails(status.BadParams, "want 0 parameters, got 1"), true)
	r.call("clients", MethodClients, "", List[ClientInfo]{{Client: 1, PID: 4242, UID: 1000, GID: 1000,
		Software: "example 1.0", Objects: 3, Mapped: 2}})
	r.call("quota", MethodQuota, "of the user whom the daemon runs as", quotaOf(3, 16384))
	r.call("quota from a str", MethodQuota, "", fails(status.BadParams, "from: want integer, got str"), "x")
	r.call("clients after a str", MethodClients, "", fails(status.BadParams, "after: want integer, got str"), "x")
}

// quotaOf is the answer when one user has objects of so many bytes.
func quotaOf(objects, bytes uint64) QuotaResult {
	uses := List[QuotaUse]{{"objects", objects, 65536}, {"bytes", bytes, 1 << 30},
		{"descriptors", objects + 2, 1 << 17}, {"connections", 1, 16384}, {"zombies", 0, 16384}, {"detached", 0, 16384},
		{"handles", 6, 1 << 18}, {"seats", 3, 1 << 18}, {"tokens", 0, 1 << 18}, {"waiting", 0, 16384},
		{"buffer_bytes", 0, 1 << 28}, {"tickets", 1, 1 << 18}}
	return QuotaResult{Users: List[QuotaUser]{{UID: 1000, Uses: uses}}, Pools: uses}
}

func (r *recorder) elements() {
	const range32 = "-2147483648 to 2147483647"
	r.call("get", MethodGet, "index left out", -5, 1)
	r.call("get of a float", MethodGet, "", 2.5, 6, 1)
	r.call("get out of range", MethodGet, "",
		fails(status.BadIndex, "index 6; the object has 6 elements").On("jobs/grid"), 6, 6)
	r.call("set", MethodSet, "", nil, 1, 0, 300)
	r.call("set out of range", MethodSet, "the error names the range", fails(status.OutOfRange,
		"value 2147483648 is out of range for 'i' (int): "+range32).On("jobs/count"), 1, 0, 1<<31)
	r.call("add", MethodAdd, "the value before", 300, 1, 0, -1)
	r.call("add out of range", MethodAdd, "the element is unchanged", fails(status.OutOfRange,
		"299 + 2147483647 leaves the range of 'i' (int): "+range32).On("jobs/count"), 1, 0, 1<<31-1)
	r.call("exchange", MethodExchange, "the value before", 299, 1, 0, 70000)
	r.call("exchange on a read-only handle", MethodExchange, "", fails(status.Permission,
		`this handle was opened with access "r": open it with "rw"`).On("jobs/count"), 3, 0, 1)
	r.call("compare_exchange", MethodCompareExchange, "swapped", []any{true, 70000}, 1, 0, 70000, 1)
	r.call("compare_exchange that fails", MethodCompareExchange, "not swapped", []any{false, 1}, 1, 0, 0, 2)
	r.call("compare_exchange of a str", MethodCompareExchange, "", fails(status.BadType,
		`string "x" cannot be stored in 'i' (int), which takes an integer from `+range32).On("jobs/count"),
		1, 0, "x", 2)
	r.call("read", MethodRead, "all of it",
		ReadResult{Values: r.encoded(nil, []float64{1, 2.5, 0, 0, 0, 0})}, 6)
	r.call("read beyond the end", MethodRead, "", fails(status.BadIndex,
		"start 5, count 2; the object has 6 elements, and count -1 means to the end").On("jobs/grid"), 6, 5, 2)
	r.call("write", MethodWrite, "two elements from index 4, for at most a second", nil,
		6, 4, []float64{-1, 0.5}, 1000000000, 9)
	r.call("write beyond the end", MethodWrite, "nothing is written",
		fails(status.BadIndex, "2 elements of 'd' (double) are too many: at most 1 fit").On("jobs/grid"),
		6, 5, []float64{1, 2})
	r.call("version", MethodVersion, "", 1, 6)
	r.call("version of a mutex", MethodVersion, "",
		fails(status.KindMismatch, "a mutex has no data").On("jobs/lock"), 4)
	r.call("wait_change", MethodWaitChange, "from version 0 on; it has changed already", 1, 6, 0, -1)
	r.call("wait_change that ends", MethodWaitChange, "", fails(status.TimedOut, "").On("jobs/grid"), 6, 1, 1000000)
}

func (r *recorder) locks() {
	notOwner := fails(status.NotOwner, "")
	r.call("lock", MethodLock, "timeout -1, token 9", nil, 4, -1, 9)
	r.call("lock that is held", MethodLock, "timeout 0, token 8",
		fails(status.WouldBlock, "").On("jobs/lock"), 4, 0, 8)
	r.call("begin_write", MethodBeginWrite, "", nil, 6, 9)
	r.call("begin_write by another", MethodBeginWrite, "token 8", notOwner.On("jobs/grid"), 6, 8)
	r.call("end_write", MethodEndWrite, "", nil, 6, 9)
	r.call("end_write without begin", MethodEndWrite, "",
		fails(status.Invalid, "end_write without begin_write").On("jobs/grid"), 6, 9)
	r.call("unlock by another", MethodUnlock, "token left out", notOwner.On("jobs/lock"), 4)
	r.call("unlock", MethodUnlock, "", nil, 4, 9)
	r.call("mark_consistent of what is not held", MethodMarkConsistent, "", notOwner.On("jobs/lock"), 4)
}

// death is that of client 2, which holds the mutex.
func (r *recorder) death() {
	r.client, r.id = 2, 0
	uuid := []byte{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}
	r.call("hello of a second client", MethodHello, "", HelloResult{
		Version: 1, Server: "shmd 0.1", Epoch: 1, Client: 2, UID: 1000, PID: 4300, MessageMax: MessageMax,
		SeatsDefault: 64, ABIVersion: 0, ABIFingerprint: 0x0123456789abcdef}, 1, 1, uuid, "")
	r.call("open by the second client", MethodOpen, "its seat is 2", Attachment{Info: vectorLock, Handle: 1,
		Access: AccessReadWrite, Seat: 2, Owner: 4098, SeatsOffset: 512}, "jobs/lock")
	r.call("lock by the second client", MethodLock, "", nil, 1)
	r.holder()
	r.list = append(r.list, exchange{Name: "the second client is gone", Client: 2,
		Note: "it closes its connection; it never called map, so that is its death"})
	r.client, r.id = 1, 1000
	notice := Notice{Seat: 2, PID: 4300, UID: 1000, DiedNS: 1700000001000000000, Deaths: 1}
	r.call("lock after a death", MethodLock, "waits for it; a notice: held, and an owner died", notice, 4)
	r.call("stat of what is held", MethodStat, "the lock is the mutex", Stat{Info: vectorGrid, State: StateLive,
		Linked: true, Handles: 1, Version: 2, Seats: []Seat{{Seat: 1, PID: 4242, UID: 1000, Client: 1, Mapped: true}},
		Held: &Held{Seat: 1, PID: 4242, UID: 1000, Depth: 1}, Inconsistent: true, Deaths: 1, LastDeath: &notice},
		"jobs/grid")
	r.call("mark_consistent", MethodMarkConsistent, "", nil, 4)
	r.call("unlock again", MethodUnlock, "", nil, 4)
	r.latchedDeath()
	r.sides()
}

func (r *recorder) farewell() {
	missing := fails(status.NotFound, "create it first; list shows what there is")
	r.list = append(r.list, exchange{Name: "cancel", Client: r.client,
		Request: hex.EncodeToString(AppendCancel(nil, 70000)), Note: "a notification; the id is unknown and ignored"})
	r.call("close", MethodClose, "", nil, 3)
	r.call("close again", MethodClose, "", fails(status.BadHandle,
		"this connection has no open handle 3: create and open return them, close ends them"), 3)
	r.call("unlink", MethodUnlink, "", nil, "jobs/count")
	r.call("unlink again", MethodUnlink, "", missing.On("jobs/count"), "jobs/count")
	r.call("destroy", MethodDestroy, "by id", nil, 3)
	r.call("destroy of nothing", MethodDestroy, "", missing.On("#99"), 99)
	r.call("get of what was destroyed", MethodGet, "", fails(status.Removed, "close the handle").On("jobs/grid"), 6)
	r.call("bye with a parameter", MethodBye, "", fails(status.BadParams, "want 0 parameters, got 1"), 0)
	r.call("bye", MethodBye, "then the daemon closes the connection", nil)
}
