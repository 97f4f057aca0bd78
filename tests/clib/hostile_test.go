package clib

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/tests/harness"
)

// answer is what the false daemon says to one request: bytes, descriptors, and
// whether it then closes the connection.
type answer struct {
	bytes []byte
	fds   []int
	end   bool
}

type members = map[string]any

func packed(t *testing.T, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// falseDaemon answers as a daemon would, but for what spoil does to an answer.
type falseDaemon struct {
	t        *testing.T
	listener *net.UnixListener
	probe    *harness.Process
	segment  *os.File
	side     *os.File // of a queue
	mutex    *os.File // of a condition
	hello    members
	object   members
	stat     members // of a condition's mutex
}

// newFalseDaemon has an array, which the probe opens.
func newFalseDaemon(t *testing.T) *falseDaemon {
	t.Helper()
	g, err := shm.NewGeometry(shm.KindArray, ctypes.CodeInt, []uint64{3, 700}, 0, shm.SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	_, file := newSegment(t, g)
	d := listen(t, "array")
	d.segment = file
	d.object = members{"id": 5, "name": "hostile", "kind": "array", "code": "i", "shape": []int{3, 700}, "length": 2100,
		"item_size": 4, "flags": []string{}, "lock": "own", "lock_id": 0, "seats_max": shm.SeatsDefault, "access": "rw",
		"segment_size": g.SegmentSize, "handle": 1, "created": false, "seat": 1, "owner": shm.OwnerWord(1, 1),
		"data_offset": g.DataOffset, "data_size": g.DataSize, "seats_offset": g.SeatsOffset}
	return d
}

func newSegment(t *testing.T, g shm.Geometry) (*shm.Segment, *os.File) {
	t.Helper()
	s, file, err := shm.CreateSegment(g, shm.SegmentOptions{Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Publish()
	t.Cleanup(func() { _ = s.Unmap(); _ = file.Close() })
	return s, file
}

// listen starts a daemon without an object, and the probe for objects of a kind.
func listen(t *testing.T, kind string) *falseDaemon {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	d := &falseDaemon{t: t, listener: listener}
	d.probe = harness.StartCmd(t, harness.Command(program(t, "hostile", sanitized(t)...), path, kind))
	d.hello = members{"version": 1, "abi_version": shm.ABIVersion, "abi_compat": shm.ABICompat,
		"abi_fingerprint": shm.ABIFingerprint}
	return d
}

// honest is the right answer.
func (d *falseDaemon) honest(id any, method string, params any) answer {
	var result any
	var fds []int
	switch method {
	case "hello":
		result = d.hello
	case "open":
		result = d.object
		if options := params.([]any)[1].(map[string]any); options["map"] != true {
			d.t.Errorf("it opens with %v, and does not ask for the descriptor", options)
		}
	case "map":
		result = members{"size": d.object["segment_size"], "fds": 1}
		fds = []int{int(d.segment.Fd())}
		if d.mutex != nil && fmt.Sprint(params) == fmt.Sprint([]any{mutexHandle}) {
			fds = []int{int(d.mutex.Fd())} // as large
		}
	case "ticket":
		result = members{"id": 5, "ticket": make([]byte, 16)}
	case "stat":
		result = d.stat
	case "side":
		result = members{"side": sideNumber + 1, "size": sideSize, "fds": 1}
		fds = []int{int(d.side.Fd())}
	case "map_side":
		result = members{"size": sideSize, "fds": 1}
		fds = []int{int(d.side.Fd())}
	}
	return answer{bytes: packed(d.t, []any{1, id, nil, result}), fds: fds, end: method == "bye"}
}

// serve plays one connection and returns what the probe says of it.
func (d *falseDaemon) serve(spoil func(id any, method string, a *answer)) string {
	d.t.Helper()
	d.probe.Send("again")
	d.connection(spoil)
	return d.probe.Line()
}

// connection plays a connection to its end.
func (d *falseDaemon) connection(spoil func(id any, method string, a *answer)) {
	d.t.Helper()
	connection, err := d.listener.AcceptUnix()
	if err != nil {
		d.t.Fatal(err)
	}
	defer connection.Close()
	decoder := msgpack.NewDecoder(connection)
	for {
		var request []any
		if err := decoder.Decode(&request); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
				d.t.Error(err)
			}
			return
		}
		method := request[2].(string)
		a := d.honest(request[1], method, request[3])
		spoil(request[1], method, &a)
		var rights []byte
		if len(a.fds) > 0 {
			rights = unix.UnixRights(a.fds...)
		}
		if len(a.bytes) > 0 {
			// It may have hung up already, which is its right.
			_, _, err = connection.WriteMsgUnix(a.bytes, rights, nil)
		}
		if a.end || err != nil {
			if err := connection.CloseWrite(); err != nil && !errors.Is(err, unix.ENOTCONN) {
				d.t.Error(err)
			}
		}
	}
}

func (d *falseDaemon) with(changes members) members {
	changed := maps.Clone(d.object)
	maps.Copy(changed, changes)
	return changed
}

// A daemon that errs, or is none, costs an error: never memory, never a
// descriptor, never a crash.
func TestFalseDaemon(t *testing.T) {
	d := newFalseDaemon(t)
	falseAnswers(t, d)
	garbledAnswers(t, func() *falseDaemon { return d }, "hello", "open", "open", "map", "ticket")
	d.probe.MustEnd()
}

// A daemon that ends instead of hearing the goodbye has a successor, which hears it.
func TestCloseTellsTheNextDaemon(t *testing.T) {
	d := newFalseDaemon(t)
	d.hello["resumable"] = true
	if err := d.listener.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	var said []string
	d.probe.Send("again")
	for daemon := range 2 {
		d.connection(func(_ any, method string, a *answer) {
			said = append(said, method)
			if daemon == 0 && method == "bye" {
				a.bytes = nil
			}
		})
	}
	if line := d.probe.Line(); line != "OK" {
		t.Errorf("the client: %s", line)
	}
	if want := []string{"hello", "open", "map", "ticket", "close", "bye", "hello", "bye"}; !slices.Equal(said, want) {
		t.Errorf("it says %v, want %v", said, want)
	}
	d.probe.MustEnd()
}

const tenDescriptors = "ten descriptors"

func falseAnswers(t *testing.T, d *falseDaemon) {
	other, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Truncate(int64(d.object["segment_size"].(uint64))); err != nil {
		t.Fatal(err)
	}
	open := func(changes members) func(any, string, *answer) {
		return func(id any, method string, a *answer) {
			if method == "open" {
				a.bytes = packed(t, []any{1, id, nil, d.with(changes)})
			}
		}
	}
	at := func(where string, what func(id any, a *answer)) func(any, string, *answer) {
		return func(id any, method string, a *answer) {
			if method == where {
				what(id, a)
			}
		}
	}
	// hello answers with another layout than the library's.
	hello := func(version, compat uint32, fingerprint uint64) func(any, string, *answer) {
		return at("hello", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, members{"version": 1, "abi_version": version, "abi_compat": compat,
				"abi_fingerprint": fingerprint}})
		})
	}
	// along answers open with a descriptor, after which nobody need ask for it.
	along := func(file *os.File, changes members) func(any, string, *answer) {
		return func(id any, method string, a *answer) {
			switch method {
			case "open":
				open(changes)(id, method, a)
				a.fds = []int{int(file.Fd())}
			case "map":
				t.Error("it asks for what it has")
			}
		}
	}
	raw := func(where string, b ...byte) func(any, string, *answer) {
		return at(where, func(_ any, a *answer) { a.bytes, a.fds, a.end = b, nil, true })
	}
	for _, c := range []struct {
		name, want string
		spoil      func(id any, method string, a *answer)
	}{
		{"honest", "OK", func(any, string, *answer) {}},
		{"no hello result", "VERSION", at("hello", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, nil})
		})},
		{"closed at once", "LOST", raw("hello")},
		{"a reason, then closed", "QUOTA", at("hello", func(_ any, a *answer) {
			a.bytes, a.end = packed(t, []any{1, 0, []any{35, "QUOTA", "too many connections"}, nil}), true
		})},
		{"not msgpack", "LOST", raw("open", 0xc1)},
		{"half a message", "LOST", raw("open", 0x94, 1, 2)},
		{"an array of 4 billion", "LOST", raw("open", 0x94, 1, 2, 0xc0, 0xdd, 0xff, 0xff, 0xff, 0xff)},
		{"a map of 4 billion", "LOST", raw("open", 0x94, 1, 2, 0xc0, 0xdf, 0xff, 0xff, 0xff, 0xff)},
		{"a string of 4 GB", "LOST", raw("open", 0x94, 1, 2, 0xc0, 0xdb, 0xff, 0xff, 0xff, 0xff)},
		{"an ext of 4 GB", "LOST", raw("open", 0x94, 1, 2, 0xc0, 0xc9, 0xff, 0xff, 0xff, 0xff, 1)},
		{"deep", "LOST", raw("open", append(bytes.Repeat([]byte{0x91}, 100000), 0xc0)...)},
		{"an error that is none", "BAD_FRAME", at("open", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, "no", nil})
		})},
		{"an error of code 0", "BAD_FRAME", at("open", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, []any{0, "OK", "fine"}, nil})
		})},
		{"an error of a newer daemon", "UNKNOWN", at("open", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, []any{9999, "NEW", strings.Repeat("long ", 1000)}, nil})
		})},
		{"noise before the answer", "OK", at("open", func(id any, a *answer) {
			noise := append(packed(t, []any{2, "news", []any{}}), packed(t, []any{1, 77777, nil, 1})...)
			a.bytes = append(noise, a.bytes...)
		})},
		{"another kind", "VERSION", open(members{"kind": "mutex", "flags": []string{}})},
		{"no such kind", "BAD_FRAME", open(members{"kind": "queue"})},
		{"no such code", "BAD_FRAME", open(members{"code": "z"})},
		{"item size", "BAD_FRAME", open(members{"item_size": 8})},
		{"length", "BAD_FRAME", open(members{"length": 2101})},
		{"length that overflows", "BAD_FRAME", open(members{"length": uint64(1) << 62, "shape": []uint64{1 << 62}})},
		{"shape", "BAD_FRAME", open(members{"shape": []int{3, 701}})},
		{"shape of 9", "BAD_FRAME", open(members{"shape": []int{3, 700, 1, 1, 1, 1, 1, 1, 1}})},
		{"shape that wraps", "BAD_FRAME", open(members{"shape": []uint64{1 << 32, 1 << 32, 2100}})},
		{"data size", "BAD_FRAME", open(members{"data_size": 8404})},
		{"data behind the end", "VERSION", open(members{"data_offset": 8192})},
		{"data in the header", "VERSION", open(members{"data_offset": 0})},
		{"data misaligned", "VERSION", open(members{"data_offset": 4097})},
		{"seats elsewhere", "VERSION", open(members{"seats_offset": 4096})},
		{"more seats", "VERSION", open(members{"seats_max": 4000})},
		{"too many seats", "BAD_FRAME", open(members{"seats_max": 70000})},
		{"our seat behind the last", "BAD_FRAME", open(members{"owner": 1<<12 | 65})},
		{"no seat", "BAD_FRAME", open(members{"owner": 1 << 12})},
		{"an owner with flags", "BAD_FRAME", open(members{"owner": uint32(1<<31 | 1<<12 | 1)})},
		{"an unknown flag", "BAD_FRAME", open(members{"flags": []string{"fair"}})},
		{"flags that exclude each other", "BAD_FRAME", open(members{"flags": []string{"strict", "unlock_any"}})},
		{"a foreign lock without a handle", "BAD_FRAME", open(members{"lock": "foreign", "lock_id": 3})},
		{"another size", "VERSION", open(members{"segment_size": 4096})},
		{"map of another size", "CORRUPT", at("map", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, members{"size": 4096, "fds": 1}})
		})},
		{"no descriptor", "LOST", at("map", func(_ any, a *answer) { a.fds = nil })},
		{"two descriptors", "LOST", at("map", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, members{"size": d.object["segment_size"], "fds": 2}})
			a.fds = append(a.fds, a.fds...)
		})},
		{tenDescriptors, "LOST", at("map", func(_ any, a *answer) {
			for len(a.fds) < 10 {
				a.fds = append(a.fds, a.fds[0])
			}
		})},
		{"a descriptor too much", "OK", at("map", func(_ any, a *answer) { a.fds = append(a.fds, a.fds...) })},
		{"descriptors nobody asked for", "LOST", func(_ any, _ string, a *answer) {
			a.fds = []int{int(other.Fd()), int(other.Fd())}
		}},
		{"a file, not sealed", "CORRUPT", at("map", func(_ any, a *answer) { a.fds = []int{int(other.Fd())} })},
		{"a descriptor that comes along", "OK", along(d.segment, members{"fds": 1})},
		{"a file that comes along, not sealed", "CORRUPT", along(other, members{"fds": 1})},
		{"a descriptor of another kind", "VERSION", along(d.segment, members{"fds": 1, "kind": "mutex",
			"flags": []string{}})},
		{"a descriptor that does not come along", "LOST", open(members{"fds": 1})},
		{"a short ticket", "BAD_FRAME", at("ticket", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, members{"id": 5, "ticket": make([]byte, 15)}})
		})},
		{"a ticket in text", "BAD_FRAME", at("ticket", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, members{"id": 5, "ticket": strings.Repeat("x", 16)}})
		})},
		{"no ticket", "BAD_FRAME", at("ticket", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, nil})
		})},
		{"no layout", "VERSION", at("hello", func(id any, a *answer) {
			a.bytes = packed(t, []any{1, id, nil, members{"version": 1}})
		})},
		{"the layout of another build", "VERSION", hello(shm.ABIVersion, shm.ABICompat, shm.ABIFingerprint+1)},
		{"an older layout", "VERSION", hello(shm.ABIVersion-1, shm.ABICompat-1, 1)},
		{"a later layout", "VERSION", hello(shm.ABIVersion+1, shm.ABIVersion+1, 1)},
		{"a later layout that it can use", "OK", hello(shm.ABIVersion+1, shm.ABIVersion, 1)},
		{"a foreign lock without an id", "BAD_FRAME", open(members{"lock": "foreign"})},
	} {
		got := d.serve(c.spoil)
		if c.name == tenDescriptors && harness.Emulator() != "" {
			continue // qemu does not tell that some did not fit
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever bytes of the answers are changed, nothing but what the probe prints
// may change.
func garbledAnswers(t *testing.T, next func() *falseDaemon, methods ...string) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		victim := methods[random.IntN(len(methods))]
		got := next().serve(func(_ any, method string, a *answer) {
			if method != victim {
				return
			}
			for range 1 + random.IntN(3) {
				a.bytes[random.IntN(len(a.bytes))] = byte(random.Uint32())
			}
			if random.IntN(4) == 0 {
				a.bytes = a.bytes[:random.IntN(len(a.bytes)+1)]
			}
			a.end = true // or both might wait for more
		})
		if got == "" || strings.Contains(got, "leaked") {
			t.Fatalf("seed %d: %s", seed, got)
		}
	}
}
