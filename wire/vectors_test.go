package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
)

var update = flag.Bool("update", false, "rewrite the golden vectors")

// exchange is one entry of vectors/session.json.
type exchange struct {
	Name     string `json:"name"`
	Request  string `json:"request"`
	Response string `json:"response"` // "" for a notification
	Note     string `json:"note"`
}

// badMessage is one entry of vectors/bad.json.
type badMessage struct {
	Name   string `json:"name"`
	Hex    string `json:"hex"`
	Status string `json:"status"`
}

// broken is a message that a daemon must refuse.
type broken struct {
	name  string
	bytes []byte
	code  status.Code
}

var badRequests = []broken{
	{"no msgpack", []byte{0xc1}, status.BadFrame},
	{"no msgpack inside", []byte{0x94, 0, 1, 0xa4, 'p', 'i', 'n', 'g', 0x91, 0xc1}, status.BadFrame},
	{"not an array", []byte{0x07}, status.BadFrame},
	{"a map", []byte{0x80}, status.BadFrame},
	{"empty array", []byte{0x90}, status.BadFrame},
	{"request of 3", []byte{0x93, 0, 1, 0xa1, 'x'}, status.BadFrame},
	{"request of 5", []byte{0x95, 0, 1, 0xa1, 'x', 0x90, 0xc0}, status.BadFrame},
	{"notification of 4", []byte{0x94, 2, 0xa1, 'x', 0x90, 0xc0}, status.BadFrame},
	{"response to the daemon", []byte{0x94, 1, 1, 0xc0, 0xc0}, status.BadFrame},
	{"type 3", []byte{0x94, 3, 1, 0xa1, 'x', 0x90}, status.BadFrame},
	{"type -1", []byte{0x94, 0xff, 1, 0xa1, 'x', 0x90}, status.BadFrame},
	{"type is a float", []byte{0x94, 0xca, 0, 0, 0, 0, 1, 0xa1, 'x', 0x90}, status.BadFrame},
	{"id is negative", []byte{0x94, 0, 0xff, 0xa1, 'x', 0x90}, status.BadFrame},
	{"id has 33 bits", []byte{0x94, 0, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 0xa1, 'x', 0x90}, status.BadFrame},
	{"id is a str", []byte{0x94, 0, 0xa1, '1', 0xa1, 'x', 0x90}, status.BadFrame},
	{"method is a bin", []byte{0x94, 0, 1, 0xc4, 1, 'x', 0x90}, status.BadFrame},
	{"method is nil", []byte{0x94, 0, 1, 0xc0, 0x90}, status.BadFrame},
	{"params are nil", []byte{0x94, 0, 1, 0xa4, 'p', 'i', 'n', 'g', 0xc0}, status.BadFrame},
	{"params are a map", []byte{0x94, 0, 1, 0xa4, 'p', 'i', 'n', 'g', 0x80}, status.BadFrame},
	{"17 levels", append([]byte{0x94, 0, 1, 0xa1, 'x'}, append(bytes.Repeat([]byte{0x91}, 16), 0xc0)...),
		status.BadFrame},
	{"array of 2^32-1", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	{"map of 2^32-1", []byte{0x94, 0, 1, 0xa1, 'x', 0x91, 0xdf, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	{"str of 1 MiB", []byte{0x94, 0, 1, 0xdb, 0, 0x10, 0, 0}, status.TooLarge},
	{"bin of 2^32-1", []byte{0x94, 0, 1, 0xa1, 'x', 0x91, 0xc6, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
	{"many that do not fit together",
		[]byte{0x94, 0, 1, 0xa1, 'x', 0x92, 0xc6, 0, 0x0f, 0xff, 0xf5}, status.TooLarge},
}

// parseWhole does what a daemon does with arriving bytes.
func parseWhole(b []byte) (Request, error) {
	n, err := Scan(b)
	if err != nil {
		return Request{}, err
	}
	return ParseRequest(b[:n])
}

func TestVectorsOfBadMessages(t *testing.T) {
	var list []badMessage
	for _, bad := range badRequests {
		if _, err := parseWhole(bad.bytes); status.Of(err) != bad.code {
			t.Errorf("%s: %v, want %s", bad.name, err, bad.code.Name())
		}
		list = append(list, badMessage{bad.name, hex.EncodeToString(bad.bytes), bad.code.Name()})
	}
	golden(t, "bad.json", list)
}

func TestVectorsOfSession(t *testing.T) {
	list := session(t)
	seen := map[string]bool{}
	for _, e := range list {
		request, err1 := hex.DecodeString(e.Request)
		response, err2 := hex.DecodeString(e.Response)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		r, err := parseWhole(request)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		seen[r.Method] = true
		if r.Notification {
			if e.Response != "" {
				t.Errorf("%s: a notification has no response", e.Name)
			}
			continue
		}
		if a, err := ParseResponse(response); err != nil || a.ID != r.ID {
			t.Errorf("%s: %+v, %v", e.Name, a, err)
		}
	}
	for _, method := range append(Methods(), NotifyCancel) {
		if !seen[method] {
			t.Errorf("no vector for %s", method)
		}
	}
	golden(t, "session.json", list)
}

// golden compares v with a file of vectors/, or writes it there.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("vectors", name)
	if *update {
		if err := os.MkdirAll("vectors", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the encoders write: if the change is meant, go test ./wire -update", path)
	}
}

// recorder writes a session down.
type recorder struct {
	t    *testing.T
	id   uint32
	list []exchange
}

// call records a request with the parameters and what appends its result; nil
// is the result nil, a *status.Error the failure.
func (r *recorder) call(name, method, note string, result any, params ...any) {
	r.t.Helper()
	r.id++
	request := AppendRequestHeader(nil, r.id, method, len(params))
	for _, p := range params {
		request = r.encoded(request, p)
	}
	var response []byte
	if failure, ok := result.(*status.Error); ok {
		response = AppendError(nil, r.id, failure)
	} else {
		response = r.encoded(AppendResultHeader(nil, r.id), result)
	}
	r.list = append(r.list, exchange{name, hex.EncodeToString(request), hex.EncodeToString(response), note})
}

func (r *recorder) encoded(b []byte, v any) []byte {
	r.t.Helper()
	b, err := AppendEncoded(b, v)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// session is one exchange per method at least, by a client that works alone.
func session(t *testing.T) []exchange {
	r := &recorder{t: t}
	uuid := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	r.call("hello", MethodHello, "version 1 to 1, a uuid as bin 16", HelloResult{
		Version: 1, Server: "shmd 1.0", Epoch: 1, Client: 7, UID: 1000, PID: 4242, MessageMax: MessageMax,
		SeatsDefault: 64, ABIVersion: 1, ABIFingerprint: 0x0123456789abcdef}, 1, 1, uuid, "example 1.0")
	r.call("ping", MethodPing, "", nil)

	value := Info{ID: 1, Name: "jobs/count", Kind: KindValue, Code: "i", Length: 1, ItemSize: 4, Lock: LockOwn,
		SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000, Lifetime: LifetimePersistent,
		CreatedNS: 1700000000000000000, SegmentSize: 8192}
	attached := Attachment{Info: value, Handle: 1, Created: true, Access: AccessReadWrite, Seat: 1, Owner: 1,
		DataOffset: 4096, DataSize: 4, SeatsOffset: 512}
	options := CreateOptions{Code: new("i"), Init: AppendInt(nil, -5)}
	r.call("create", MethodCreate, "a value of code i", attached, "jobs/count", KindValue, options)
	r.call("create that exists", MethodCreate, "a failure",
		status.New(status.Exists, "create", "open it, or choose another name").On("jobs/count"),
		"jobs/count", KindValue, options)
	again := attached
	again.Handle, again.Created = 2, false
	r.call("open by name", MethodOpen, "options left out", again, "jobs/count")
	again.Handle, again.Access = 3, AccessRead
	r.call("open by id", MethodOpen, "read-only, and the code is checked", again, 1,
		OpenOptions{Access: new(AccessRead), Code: new("i")})
	mutex := Attachment{Info: Info{ID: 2, Name: "jobs/lock", Kind: KindMutex, Flags: []string{FlagRecursive},
		SeatsMax: 64, Mode: 0o660, UID: 1000, GID: 1000, Lifetime: LifetimePersistent,
		CreatedNS: 1700000000000000001, SegmentSize: 8192}, Handle: 4, Created: true, Access: AccessReadWrite,
		Seat: 1, Owner: 1, SeatsOffset: 512}
	r.call("open_or_create of a mutex", MethodOpenOrCreate, "mode 0660", mutex, "jobs/lock", KindMutex,
		CreateOptions{Recursive: new(true), Mode: new(uint32(0o660))})
	array := Attachment{Info: Info{ID: 3, Name: "jobs/grid", Kind: KindArray, Code: "d", Shape: []uint64{2, 3},
		Length: 6, ItemSize: 8, Lock: LockForeign, LockID: 2, SeatsMax: 64, Mode: 0o600, UID: 1000, GID: 1000,
		Lifetime: LifetimePersistent, CreatedNS: 1700000000000000002, SegmentSize: 8192}, Handle: 5, Created: true,
		Access: AccessReadWrite, Seat: 1, Owner: 1, DataOffset: 4096, DataSize: 48, SeatsOffset: 512,
		LockHandle: new(uint64(6)), LockOwner: new(uint32(1))}
	r.call("create of an array", MethodCreate, "two dimensions, locked by the mutex", array, "jobs/grid", KindArray,
		CreateOptions{Code: new("d"), Shape: []uint64{2, 3}, Lock: "@jobs/lock",
			Init: r.encoded(nil, []float64{1, 2.5})})
	r.call("map", MethodMap, "one descriptor comes along", MapResult{Size: 8192, Fds: 1}, 5)

	r.call("get", MethodGet, "index left out", -5, 1)
	r.call("get of a float", MethodGet, "", 2.5, 5, 1)
	r.call("get out of range", MethodGet, "a failure",
		status.New(status.BadIndex, "get", "index 6, the length is 6").On("jobs/grid"), 5, 6)
	r.call("set", MethodSet, "", nil, 1, 0, 300)
	r.call("add", MethodAdd, "the value before", 300, 1, 0, -1)
	r.call("exchange", MethodExchange, "the value before", 299, 1, 0, 70000)
	r.call("compare_exchange", MethodCompareExchange, "swapped", []any{true, 70000}, 1, 0, 70000, 1)
	r.call("compare_exchange that fails", MethodCompareExchange, "not swapped", []any{false, 1}, 1, 0, 0, 2)
	r.call("read", MethodRead, "all of it",
		ReadResult{Values: r.encoded(nil, []float64{1, 2.5, 0, 0, 0, 0}), Version: 2}, 5)
	r.call("write", MethodWrite, "two elements from index 4, for at most a second", nil,
		5, 4, []float64{-1, 0.5}, 1000000000, 9)
	r.call("version", MethodVersion, "", 4, 5)
	r.call("wait_change", MethodWaitChange, "from version 2 on; it has changed already", 4, 5, 2, -1)
	r.call("wait_change that ends", MethodWaitChange, "a failure",
		status.New(status.TimedOut, "wait_change", "version 4 for 1ms").On("jobs/grid"), 5, 4, 1000000)

	r.call("lock", MethodLock, "timeout -1, token 9", nil, 4, -1, 9)
	r.call("begin_write", MethodBeginWrite, "", nil, 5, 9)
	r.call("end_write", MethodEndWrite, "", nil, 5, 9)
	r.call("unlock", MethodUnlock, "", nil, 4, 9)
	r.call("lock after a death", MethodLock, "a notice: held, and an owner died",
		Notice{Seat: 2, PID: 4300, UID: 1000, DiedNS: 1700000001000000000, Deaths: 1}, 4)
	r.call("mark_consistent", MethodMarkConsistent, "", nil, 4)
	r.list = append(r.list, exchange{"cancel", hex.EncodeToString(AppendCancel(nil, 70000)), "",
		"a notification; the id is unknown and ignored"})

	r.call("stat", MethodStat, "by id; the lock is held", Stat{Info: mutex.Info, State: StateLive, Linked: true,
		Handles: 1, Seats: []Seat{{Seat: 1, PID: 4242, UID: 1000, Client: 7}},
		Held: &Held{Seat: 1, PID: 4242, UID: 1000, Depth: 1}, Deaths: 1,
		LastDeath: &Notice{Seat: 2, PID: 4300, UID: 1000, DiedNS: 1700000001000000000, Deaths: 1}}, 2)
	r.call("unlock again", MethodUnlock, "token left out", nil, 4)
	r.call("list", MethodList, "prefix", ListResult{Objects: []Info{value, array.Info, mutex.Info}}, "jobs/")
	r.call("status", MethodStatus, "", Status{Server: "shmd 1.0", Epoch: 1, PID: 100, UptimeNS: 60000000000,
		Objects: 3, Bytes: 24576, Clients: 1, BudgetBytes: 1 << 30, Deaths: 1, Recoveries: 1, LastRecoveryNS: 250000})
	r.call("clients", MethodClients, "", List[ClientInfo]{{Client: 7, PID: 4242, UID: 1000, GID: 1000,
		Software: "example 1.0", Objects: 3, Mapped: 1}})
	r.call("chmod", MethodChmod, "0640", nil, "jobs/count", 0o640)
	r.call("close", MethodClose, "", nil, 3)
	r.call("unlink", MethodUnlink, "", nil, "jobs/count")
	r.call("destroy", MethodDestroy, "by id", nil, 3)
	r.call("unknown method", "frobnicate", "a failure; the connection goes on",
		status.New(status.UnknownMethod, "frobnicate", "see the methods of protocol version 1"))
	r.call("bye", MethodBye, "", nil)
	return r.list
}
