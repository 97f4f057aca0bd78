package protocol

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// m is a map of options.
type m = map[string]any

// list is the parameters of a request.
type list = []any

// badRequest is a well-formed message that a daemon refuses: with this code, and
// a text that says what, on which object, and what to do.
type badRequest struct {
	method string
	params list
	code   status.Code
	texts  string // separated by "|"
}

// Handles of the session that the tables use, in the order of opening.
const (
	hValue = 1 + iota
	hArray
	hMutex
	hNone
	hReadOnly
	hBig
	hGone
	hClosed
	hPlain // a semaphore without permits
	hUndo  // two permits of three
	hPlainRead
	hQueue // one message of 16 bytes
	hRaw   // one of 8
	hQueueRead
	hLong // one message of 100 bytes in a slot of 8
)

// prepare opens what the tables use.
func prepare(t *testing.T, socket string) *peer {
	p := dial(t, socket).greet()
	for want, params := range []list{
		hValue: {wire.MethodCreate, "t/value", "value", m{"code": "i", "init": 5}},
		hArray: {wire.MethodCreate, "t/array", "array", m{"code": "d", "shape": []int{2, 2}}},
		hMutex: {wire.MethodCreate, "t/mutex", "mutex", m{}},
		hNone:  {wire.MethodCreate, "t/none", "array", m{"code": "h", "length": 3, "lock": "none"}},

		hReadOnly: {wire.MethodOpen, "t/array", m{"access": "r"}},
		hBig:      {wire.MethodCreate, "t/big", "array", m{"code": "d", "length": 1 << 17}},
		hGone:     {wire.MethodCreate, "t/gone", "value", m{"code": "i"}},
		hClosed:   {wire.MethodOpen, "t/value"},

		hPlain:     {wire.MethodCreate, "t/plain", "semaphore", m{"initial": 0, "maximum": 3}},
		hUndo:      {wire.MethodCreate, "t/undo", "semaphore", m{"initial": 2, "maximum": 3, "undo": true}},
		hPlainRead: {wire.MethodOpen, "t/plain", m{"access": "r"}},
		hQueue:     {wire.MethodCreate, "t/queue", "queue", m{"maxsize": 1, "slot_size": 16}},
		hRaw: {wire.MethodCreate, "t/raw", "queue",
			m{"content": "raw", "maxsize": 1, "slot_size": 8, "deliveries_max": 2}},
		hQueueRead: {wire.MethodOpen, "t/queue", m{"access": "r"}},
		hLong:      {wire.MethodCreate, "t/long", "queue", m{"maxsize": 1, "slot_size": 8, "message_max": 100}},
	} {
		if params == nil {
			continue
		}
		if got := p.attach(params[0].(string), params[1:]...); got != uint64(want) {
			t.Fatalf("%v has handle %d, want %d", params, got, want)
		}
	}
	p.must(wire.MethodCreate, "t/any", "mutex", m{"unlock_any": true})
	p.must(wire.MethodDestroy, "t/gone")
	p.must(wire.MethodClose, hClosed)
	p.must(wire.MethodLock, hMutex, -1, 7)
	return p
}

var badCalls = []badRequest{
	{"frobnicate", nil, status.UnknownMethod, `no method "frobnicate"`},
	{"", nil, status.UnknownMethod, `no method ""`},
	{strings.Repeat("x", 10000), nil, status.UnknownMethod, "no method"},
	{"\xff\xfe", nil, status.UnknownMethod, `no method "\xff\xfe"`},
	{"PING", nil, status.UnknownMethod, `"PING"`},
	{"hello", list{1, 1, make([]byte, 15), ""}, status.Invalid, "the uuid has 15 bytes, it must have 16"},
	{"hello", list{1, 1, "0123456789abcdef", ""}, status.BadParams, "uuid: want bin, got str"},
	{"hello", list{1, 1, make([]byte, 16), strings.Repeat("x", 65)}, status.Invalid, "65 bytes, at most 64"},
	{"hello", list{1, 1, []byte("another client's"), ""}, status.Identity, "another client already"},
	{"hello", list{2, 1 << 31, make([]byte, 16), ""}, status.Version, "versions 2 to|this daemon 1 to 1|update"},
	{"clients", list{-1}, status.BadParams, "after: want integer of at least 0"},

	{"open", list{""}, status.BadName, "open|it is empty"},
	{"open", list{"/a"}, status.BadName, `open "/a"|empty`},
	{"open", list{"a//b"}, status.BadName, "empty"},
	{"open", list{"a/"}, status.BadName, "empty"},
	{"open", list{"."}, status.BadName, `a part is "."`},
	{"open", list{"a/../b"}, status.BadName, `a part is ".."`},
	{"open", list{"a b"}, status.BadName, "byte 1 is|use letters"},
	{"open", list{"a\x00"}, status.BadName, "byte 1 is"},
	{"open", list{"ä"}, status.BadName, "byte 0 is"},
	{"open", list{strings.Repeat("x", 256)}, status.BadName, "256 bytes, the limit is 255"},
	{"open", list{strings.Repeat("x", 255)}, status.NotFound, "create it first"},
	{"open", list{"\xff\xfe"}, status.BadParams, "ref: the str is not UTF-8"},
	{"open", list{nil}, status.BadParams, "ref: want name or object id, got nil"},
	{"open", list{-1}, status.BadParams, "ref: want name or object id"},
	{"open", list{uint64(math.MaxUint64)}, status.NotFound, "#18446744073709551615"},
	{"open", list{"t/value", 5}, status.BadParams, "options: want map, got integer"},
	{"open", list{"t/value", m{"colour": 1}}, status.Invalid, `unknown option "colour"`},
	{"open", list{"t/value", m{"access": "w"}}, status.Invalid, `access is "w"|"rw" or "r"`},
	{"open", list{"t/value", m{"kind": "mutex"}}, status.KindMismatch, `"t/value"|a value of 'i'|not a mutex`},
	{"open", list{"t/value", m{"code": "d"}}, status.TypeMismatch, `"t/value"|you ask for 'd'`},
	{"open", list{"t/value", m{"code": "z"}}, status.BadType, `"z"`},
	{"open", list{"t/array", m{"shape": []int{4}}}, status.ShapeMismatch, `"t/array"|[2 2]|[4]`},
	{"open", list{"t/array", m{"length": 5}}, status.ShapeMismatch, "you ask for 5 elements"},
	{"open_or_create", list{"", "mutex", m{}}, status.BadName, "anonymous"},
	{"open_or_create", list{"t/value", "mutex", m{}}, status.KindMismatch, "you ask for a mutex"},
	{"open_or_create", list{"t/value", "value", m{"code": "I"}}, status.TypeMismatch, "you ask for 'I'"},
	{"open_or_create", list{"t/array", "array", m{"code": "d", "length": 4}}, status.ShapeMismatch, "[2 2]|[4]"},
	{"open_or_create", list{"t/value", "value", m{"code": "i", "lock": "none"}}, status.OptionMismatch, `lock "own"`},
	{"open_or_create", list{"t/mutex", "mutex", m{"strict": true}}, status.OptionMismatch, "strict"},

	{"map", list{0}, status.BadHandle, "no open handle 0|create and open return them"},
	{"map", list{uint64(math.MaxUint64)}, status.BadHandle, "no open handle 18446744073709551615"},
	{"map", list{hClosed}, status.BadHandle, "no open handle"},
	{"map", list{hGone}, status.Removed, `"t/gone"|close the handle`},
	{"close", list{hClosed}, status.BadHandle, "no open handle"},
	{"close", list{"x"}, status.BadParams, "handle: want integer, got str"},
	{"unlink", list{"t/none/such"}, status.NotFound, `"t/none/such"`},
	{"destroy", list{99999}, status.NotFound, `"#99999"`},
	{"chmod", list{"t/value", 0o1666}, status.Invalid, "mode is 01666|0666"},
	{"chmod", list{"t/value", -1}, status.BadParams, "mode: want integer of at least 0"},
	{"chown", list{"t/value", 1 << 32, -1}, status.Invalid, "uid is 4294967296|0 to 4294967294"},
	{"chown", list{"t/value", -1, "wheel"}, status.BadParams, "gid: want integer, got str"},
	{"ticket", list{"t/none/such"}, status.NotFound, `"t/none/such"`},
	{"ticket", list{"t/value", 0}, status.Invalid, `"t/value"|timeout_ns is 0|1 to 3600000000000`},
	{"ticket", list{"t/value", "1s"}, status.BadParams, "timeout_ns: want integer, got str"},
	{"open", list{"t/value", m{"ticket": make([]byte, 16)}}, status.NotFound, `"t/value"|no such ticket`},
	{"open", list{"t/value", m{"ticket": make([]byte, 17)}}, status.Invalid, `"t/value"|has 17 bytes|must have 16`},
	{"list", list{"a//"}, status.BadName, "empty"},
	{"list", list{1}, status.BadParams, "prefix: want str, got integer"},
	{"stat", list{m{}}, status.BadParams, "ref: want name or object id, got map"},

	{"get", list{hMutex}, status.KindMismatch, `"t/mutex"|a mutex has no data`},
	{"get", list{hGone}, status.Removed, `"t/gone"`},
	{"get", list{hValue, 1}, status.BadIndex, `"t/value"|index 1`},
	{"get", list{hArray, -1}, status.BadIndex, `"t/array"|index -1|4 elements`},
	{"get", list{hArray, 4}, status.BadIndex, "index 4|4 elements"},
	{"get", list{hArray, int64(math.MaxInt64)}, status.BadIndex, "index 9223372036854775807"},
	{"get", list{hArray, uint64(1 << 63)}, status.BadParams, "index: want integer of at most"},
	{"get", list{hArray, 0.0}, status.BadParams, "index: want integer, got float"},
	{"set", list{hValue, 0, math.NaN()}, status.BadType, `"t/value"|NaN|'i' (int)|from -2147483648 to 2147483647`},
	{"set", list{hValue, 0, 1.0}, status.BadType, "float64 1"},
	{"set", list{hValue, 0, nil}, status.BadType, "nil"},
	{"set", list{hValue, 0, list{1}}, status.BadType, "'i' (int)"},
	{"set", list{hArray, 0, "1"}, status.BadType, "'d' (double)"},
	{"set", list{hArray, 4, 1.5}, status.BadIndex, "index 4"},
	{"set", list{hReadOnly, 0, 1.5}, status.Permission, `"t/array"|open it with "rw"`},
	{"add", list{hValue, 0, math.MaxInt32}, status.OutOfRange,
		"leaves the range of 'i' (int): -2147483648 to 2147483647"},
	{"add", list{hNone, 0, 1}, status.Unsupported, `"t/none"|'h' has 2 bytes|4 and 8`},
	{"exchange", list{hNone, 0, 1}, status.Unsupported, "'h' has 2 bytes"},
	{"exchange", list{hReadOnly, 0, 1}, status.Permission, `open it with "rw"`},
	{"compare_exchange", list{hNone, 0, 0, 1}, status.Unsupported, "'h' has 2 bytes"},
	{"compare_exchange", list{hValue, 0, 0, 1 << 31}, status.OutOfRange, "-2147483648 to 2147483647"},
	{"read", list{hArray, 5}, status.BadIndex, `"t/array"|start 5`},
	{"read", list{hArray, -1}, status.BadIndex, "start -1"},
	{"read", list{hArray, 1, 4}, status.BadIndex, "start 1, count 4|4 elements"},
	{"read", list{hArray, 0, -2}, status.BadIndex, "count -2"},
	{"read", list{hArray, 1, int64(math.MaxInt64)}, status.BadIndex, "count 9223372036854775807"},
	{"read", list{hArray, 0, 1, -2}, status.Invalid, "timeout_ns is -2: -1 waits for ever"},
	{"read", list{hBig}, status.TooLarge, "ask for less"},
	{"write", list{hArray, 3, []float64{1, 2}}, status.BadIndex, `"t/array"|2 elements|at most 1 fit`},
	{"write", list{hArray, 5, []float64{}}, status.BadIndex, "5"},
	{"write", list{hArray, -1, []float64{1}}, status.BadIndex, "index -1"},
	{"write", list{hArray, 0, 1.5}, status.BadType, `"t/array"`},
	{"write", list{hArray, 0, list{1.5, "x"}}, status.BadType, "'d' (double)"},
	{"write", list{hReadOnly, 0, []float64{1}}, status.Permission, `open it with "rw"`},
	{"write", list{hNone, 0, []int{1, 2, 40000}}, status.OutOfRange, "40000|-32768 to 32767"},
	{"begin_write", list{hArray}, status.NotOwner, `"t/array"`},
	{"begin_write", list{hNone}, status.Unsupported, `"t/none"`},
	{"end_write", list{hNone}, status.Unsupported, `"t/none"`},
	{"version", list{hMutex}, status.KindMismatch, "no data"},
	{"wait_change", list{hValue, -1}, status.BadParams, "version: want integer of at least 0"},
	{"wait_change", list{hValue, 0, -2}, status.Invalid, "timeout_ns is -2"},
	{"wait_change", list{hValue, 0, 0}, status.WouldBlock, `"t/value"`},

	{"lock", list{hMutex, 0, 8}, status.WouldBlock, `"t/mutex"`},
	{"lock", list{hMutex, 1000, 8}, status.TimedOut, `"t/mutex"`},
	{"lock", list{hMutex, -1, 7}, status.Deadlock, `"t/mutex"`},
	{"lock", list{hMutex, -3}, status.Invalid, "timeout_ns is -3"},
	{"lock", list{hMutex, "1s"}, status.BadParams, "timeout_ns: want integer, got str"},
	{"lock", list{hMutex, 0, int64(1) << 32}, status.BadParams, "token: want integer of at most 4294967295"},
	{"lock", list{hNone}, status.Unsupported, `"t/none"|without a lock`},
	{"lock", list{hReadOnly}, status.Permission, `open it with "rw"`},
	{"lock", list{hGone}, status.Removed, `"t/gone"`},
	{"unlock", list{hMutex, 8}, status.NotOwner, `"t/mutex"`},
	{"unlock", list{hValue}, status.NotOwner, `"t/value"`},
	{"mark_consistent", list{hMutex}, status.NotOwner, `"t/mutex"`},
}

// creating is a create of "t/new".
func creating(kind string, options any, code status.Code, texts string) badRequest {
	return badRequest{wire.MethodCreate, list{"t/new", kind, options}, code, `create "t/new"|` + texts}
}

var badCreates = []badRequest{
	{"create", list{"t/value", "value", m{"code": "i"}}, status.Exists, `"t/value"|open it`},
	{"create", list{"a//b", "mutex", m{}}, status.BadName, `create "a//b"`},
	{"create", list{"t/new", "mutex", list{}}, status.BadParams, "options: want map, got array"},
	{"create", list{"t/new", 1, m{}}, status.BadParams, "kind: want str"},
	creating("stack", m{}, status.Invalid,
		`kind is "stack"|value, array, mutex, semaphore, queue, event, condition, barrier, rwlock, stream or pipe`),
	{"create", list{"t/new", "value", m{"length": -1}}, status.BadParams, "length: want integer of at least 0"},
	{"create", list{"t/new", "value", m{"colour": 1}}, status.Invalid, `unknown option "colour"`},
	{"create", list{"t/new", "mutex", m{"recursive": 1}}, status.BadParams, "recursive: want boolean"},
	creating("value", m{}, status.Invalid, "code is missing"),
	creating("value", m{"code": "z"}, status.BadType, `"z"`),
	creating("value", m{"code": ""}, status.BadType, ""),
	creating("value", m{"code": "i", "length": 1}, status.Invalid, "length is no option of a value"),
	creating("array", m{"code": "i"}, status.Invalid, "1 to 8 dimensions, not 0"),
	creating("array", m{"code": "i", "shape": []int{}}, status.Invalid, "1 to 8 dimensions, not 0"),
	creating("array", m{"code": "i", "shape": make([]int, 9)}, status.Invalid, "1 to 8 dimensions"),
	creating("array", m{"code": "i", "length": 1, "shape": []int{1}}, status.Invalid, "length or shape, not both"),
	creating("array", m{"code": "i", "length": 0}, status.Invalid, "at least 1"),
	creating("array", m{"code": "i", "shape": []int{3, 0}}, status.Invalid, "dimension 1 is 0"),
	creating("array", m{"code": "b", "length": uint64(1 << 63)}, status.NoSpace, "more elements than any machine"),
	creating("array", m{"code": "b", "length": uint64(math.MaxUint64)}, status.NoSpace, "more elements"),
	creating("array", m{"code": "b", "shape": []uint64{1 << 32, 1 << 32}}, status.NoSpace, "more elements"),
	creating("array", m{"code": "d", "length": uint64(1 << 46)}, status.NoSpace, "8 bytes"),
	creating("array", m{"code": "d", "length": uint64(1 << 42)}, status.Quota, "destroy some"),
	creating("array", m{"code": "i", "length": 2, "init": []int{1, 2, 3}}, status.Invalid, "init|at most 2 fit"),
	creating("array", m{"code": "i", "length": 2, "init": []any{1, "x"}}, status.BadType, "'i' (int)"),
	creating("array", m{"code": "i", "length": 2, "init": []any{1, 1 << 31}}, status.OutOfRange, "to 2147483647"),
	creating("array", m{"code": "i", "length": 2, "init": 1}, status.BadType, ""),
	creating("value", m{"code": "i", "init": math.NaN()}, status.BadType, "NaN"),
	creating("value", m{"code": "i", "mode": 0o777}, status.Invalid, "mode is 0777"),
	creating("value", m{"code": "i", "lifetime": "eternal"}, status.Invalid, "persistent, refcounted or owned"),
	creating("value", m{"code": "i", "seats_max": 0}, status.Invalid, "seats_max is 0; it must be 1 to 4094"),
	creating("value", m{"code": "i", "seats_max": 4095}, status.Invalid, "1 to 4094"),
	creating("value", m{"code": "i", "recursive": true}, status.Invalid, "recursive is no option of a value"),
	creating("value", m{"code": "i", "lock": "maybe"}, status.Invalid, `lock is "maybe"`),
	{"create", list{"t/new", "value", m{"code": "i", "lock": 1.5}}, status.BadParams, "lock"},
	{"create", list{"t/new", "value", m{"code": "i", "lock": "@t/missing"}}, status.NotFound, `"t/missing"`},
	{"create", list{"t/new", "value", m{"code": "i", "lock": "@t/value"}}, status.KindMismatch, `"t/value"|is a mutex`},
	{"create", list{"t/new", "value", m{"code": "i", "lock": "@t/any"}}, status.OptionMismatch, "unlock_any"},
	creating("mutex", m{"code": "i"}, status.Invalid, "code is no option of a mutex"),
	creating("mutex", m{"unlock_any": true, "strict": true}, status.Invalid, "unlock_any excludes"),
	creating("mutex", m{"unlock_any": true, "recursive": true}, status.Invalid, "unlock_any excludes"),
}

// Well-formed nonsense is refused with its reason, and nothing else happens: the
// connection goes on, others are served, no object is made.
func TestBadRequests(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	p := prepare(t, d.Socket)
	for _, bad := range slices.Concat(badCalls, badCreates, badLatchedCalls, badLatchedCreates) {
		p.refuses(bad.code, bad.texts, bad.method, bad.params...)
		alive(t, witness, bad)
	}
	p.refuses(status.NotFound, "", wire.MethodStat, "t/new")
	if got := show(p.must(wire.MethodRead, hArray)); !strings.Contains(got, `"values":[0,0,0,0],"version":0`) {
		t.Errorf("the array has changed: %s", got)
	}
	latchedUnchanged(t, p)
	if got := show(p.must(wire.MethodGet, hValue)); got != "5" {
		t.Errorf("the value has changed: %s", got)
	}
}

// Each method refuses too many parameters, and a map for its first.
func TestWrongParameters(t *testing.T) {
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket).greet()
	for _, method := range wire.Methods() {
		p.refuses(status.BadParams, method+": |want|got 9", method, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		least := map[string]int{wire.MethodHello: 4, wire.MethodCreate: 3, wire.MethodOpenOrCreate: 3,
			wire.MethodChmod: 2, wire.MethodChown: 3, wire.MethodSet: 3, wire.MethodAdd: 3, wire.MethodExchange: 3,
			wire.MethodCompareExchange: 4, wire.MethodWrite: 3, wire.MethodWaitChange: 2,
			wire.MethodPut: 2, wire.MethodAck: 2, wire.MethodNack: 2, wire.MethodSide: 4, wire.MethodMapSide: 2}[method]
		wrong := make(list, max(least, 1))
		wrong[0] = m{}
		p.refuses(status.BadParams, method+": |want|got", method, wrong...)
		if least > 0 {
			p.refuses(status.BadParams, method+fmt.Sprintf(": |want %d|got %d", least, least-1), method, wrong[1:]...)
		}
	}
}

// The error of a value out of range names the range, for each code.
func TestRangesAreNamed(t *testing.T) {
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket).greet()
	for _, c := range ctypes.All() {
		beyond := list{}
		least, most := c.Range()
		if low, high, ok := c.IntRange(); ok {
			if low > math.MinInt64 {
				beyond = append(beyond, low-1)
			}
			if high < math.MaxUint64 {
				beyond = append(beyond, high+1)
			}
		}
		switch c {
		case ctypes.CodeWChar:
			beyond = append(beyond, 0xd800)
		case ctypes.CodeFloat:
			beyond = append(beyond, 1e39, -1e39)
		case ctypes.CodeHalf:
			beyond = append(beyond, 65520, -65520.0)
		case ctypes.CodeDouble:
			continue // what msgpack has fits
		}
		name := fmt.Sprintf("r%d", c)
		h := p.attach(wire.MethodCreate, name, "value", m{"code": c.String()})
		texts := strings.Join([]string{name, least + " to " + most, c.CName()}, "|")
		for _, value := range beyond {
			p.refuses(status.OutOfRange, texts, wire.MethodSet, h, 0, value)
			p.refuses(status.OutOfRange, least+" to "+most, wire.MethodCreate, "x", "value",
				m{"code": c.String(), "init": value})
		}
		if len(beyond) == 0 {
			t.Errorf("'%s': nothing tried", c)
		}
	}
}
