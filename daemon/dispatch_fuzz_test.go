package daemon

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// fuzzer is a daemon and a client of it, a new one for each input.
type fuzzer struct {
	t       *testing.T
	server  *Server
	conn    *wire.Conn
	scanner wire.Scanner
	in      []byte
	uuid    uint64
}

func startFuzzer(f *testing.F) *fuzzer {
	f.Helper()
	s, err := Start(context.Background(), Config{Socket: filepath.Join(f.TempDir(), "s"), BudgetBytes: 64 << 20,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			f.Error(err)
		}
	})
	return &fuzzer{server: s}
}

// with runs f with a client that has one handle at an object of each kind, from 1 on, which
// go with it, and then does away with whatever f has made.
func (z *fuzzer) with(t *testing.T, f func()) {
	watchdog := time.AfterFunc(time.Minute, func() {
		debug.SetTraceback("all")
		panic("the daemon does not answer")
	})
	defer watchdog.Stop()
	z.t = t
	z.dial()
	defer func() {
		z.conn.Close()
		z.clear()
	}()
	z.must(wire.MethodCreate, "m", wire.KindMutex, map[string]any{"recursive": true, "lifetime": "refcounted"})
	for _, o := range []struct {
		kind    string
		options map[string]any
	}{{wire.KindValue, map[string]any{"code": "q"}}, {wire.KindArray, map[string]any{"code": "i", "length": 4}},
		{wire.KindSemaphore, map[string]any{"undo": true}}, {wire.KindQueue, map[string]any{"maxsize": 4,
			"message_max": 4096}}, {wire.KindEvent, map[string]any{}},
		{wire.KindCondition, map[string]any{"lock": "@m"}},
		{wire.KindBarrier, map[string]any{"parties": 2}}, {wire.KindRWLock, map[string]any{}},
		{wire.KindStream, map[string]any{}}, {wire.KindPipe, map[string]any{}}} {
		o.options["lifetime"] = "refcounted"
		z.must(wire.MethodCreate, o.kind, o.kind, o.options)
	}
	f()
}

func (z *fuzzer) dial() {
	z.t.Helper()
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: z.server.Socket()})
	if err != nil {
		z.t.Fatal(err)
	}
	if z.conn, err = wire.NewConn(socket); err != nil {
		z.t.Fatal(err)
	}
	z.scanner, z.in = wire.Scanner{}, nil
	z.uuid++
	z.must(wire.MethodHello, 1, 1, binary.LittleEndian.AppendUint64(make([]byte, 8), z.uuid), "fuzz")
}

// clear waits for the end of all clients, and removes what they have left.
func (z *fuzzer) clear() {
	for {
		// The memory that a client was given is mapped in this process, by the daemon.
		z.server.mu.Lock()
		clients := slices.Collect(maps.Values(z.server.clients))
		z.server.mu.Unlock()
		for _, c := range clients {
			if c.isZombie() {
				z.server.recoverClient(c, endUnmapped)
			}
		}
		z.server.registry.mu.Lock()
		var left []*object
		for _, o := range z.server.registry.ids {
			if o.linked && o.lifetime == lifetimePersistent {
				left = append(left, o)
			}
		}
		var freed []*object
		for _, o := range slices.Collect(maps.Values(z.server.registry.ids)) {
			o.refs++
			z.server.registry.revoke(o)
			freed = append(freed, z.server.registry.unref(o)...)
		}
		for _, o := range left {
			freed = append(freed, z.server.registry.unlink(o)...)
		}
		objects := len(z.server.registry.ids)
		z.server.registry.mu.Unlock()
		z.server.registry.dispose(freed)
		if objects == 0 && z.server.clientCount() == 0 {
			return
		}
		runtime.Gosched()
	}
}

func (z *fuzzer) must(method string, params ...any) {
	z.t.Helper()
	b := wire.AppendRequestHeader(nil, 1, method, len(params))
	for _, p := range params {
		var err error
		if b, err = wire.AppendEncoded(b, p); err != nil {
			z.t.Fatal(err)
		}
	}
	if err := z.conn.Write(b); err != nil {
		z.t.Fatal(err)
	}
	if r, err := z.receive(); err != nil || r.Err != nil {
		z.t.Fatalf("%s: %v, %v", method, r.Err, err)
	}
}

// receive reads the next answer; io.EOF = the daemon has ended the connection.
func (z *fuzzer) receive() (wire.Response, error) {
	for {
		n, err := z.scanner.Next(z.in)
		if err != nil {
			return wire.Response{}, err
		}
		if n > 0 {
			frame := z.in[:n]
			z.in = z.in[n:]
			return wire.ParseResponse(frame)
		}
		b := make([]byte, 64<<10)
		n, files, _, err := z.conn.Read(b)
		for _, fd := range files {
			_ = unix.Close(fd)
		}
		if errors.Is(err, unix.ECONNRESET) {
			err = io.EOF
		}
		if err != nil {
			return wire.Response{}, err
		}
		z.in = append(z.in, b[:n]...)
	}
}

// answers reads the answers to the pending requests, at most one for each, until there are
// no more: none is missing, and none says that the daemon was surprised. The connection may
// end instead.
func (z *fuzzer) answers(pending map[uint32]bool) {
	for len(pending) > 0 {
		r, err := z.receive()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			z.t.Fatalf("the daemon's answer: %v", err)
		case status.Of(errOrNil(r.Err)) == status.Internal:
			z.t.Fatalf("request %d: %v", r.ID, r.Err)
		case !pending[r.ID] && r.ID != 0:
			z.t.Fatalf("an answer to %d, which was not asked, or twice: %v", r.ID, r.Err)
		}
		delete(pending, r.ID)
	}
}

// FuzzCalls: whatever the parameters of whatever methods are, and in which order they come,
// each call is answered once, and the daemon serves the next.
func FuzzCalls(f *testing.F) {
	methods := wire.Methods()
	index := func(method string) byte { return byte(slices.Index(methods, method)) }
	for i := 0; i < len(methods); i += 3 {
		var calls []byte
		for _, method := range []int{i, (i + 1) % len(methods), (i + 2) % len(methods)} {
			for handle := range byte(11) {
				calls = append(calls, byte(method), 1, handle+1)
			}
		}
		f.Add(calls)
	}
	f.Add([]byte{index(wire.MethodLock), 2, 1, 0, index(wire.MethodUnlock), 1, 1})
	f.Add([]byte{index(wire.MethodPut), 2, 5, 7, index(wire.MethodLease), 1, 5, index(wire.MethodRepair), 1, 0xa5, 'q',
		'u', 'e', 'u', 'e', index(wire.MethodCounts), 1, 5})
	f.Add([]byte{index(wire.MethodCreate), 3, 0xa1, 'x', 0xa5, 'v', 'a', 'l', 'u', 'e', 0x81, 0xa4, 'c', 'o', 'd', 'e',
		0xa1, 'i', index(wire.MethodMap), 1, 12})
	f.Add([]byte{index(wire.MethodWaitAny), 2, 0x92, 0x92, 5, 0xa4, 't', 'a', 'k', 'e', 0x91, 6, 0})
	f.Add([]byte{index(wire.MethodClaim), 2, 10, 0xa8, 'p', 'r', 'o', 'd', 'u', 'c', 'e', 'r',
		index(wire.MethodSend), 2, 10, 0xc4, 2, 1, 2})
	z := startFuzzer(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		z.with(t, func() {
			var frames []byte
			pending := map[uint32]bool{}
			id := uint32(1)
			for len(data) >= 2 && len(pending) < 40 {
				method, count := methods[int(data[0])%len(methods)], int(data[1])%6
				data = data[2:]
				id++
				frames = wire.AppendRequestHeader(frames, id, method, count)
				for range count {
					n, err := wire.Scan(data)
					if n == 0 || err != nil {
						frames = wire.AppendNil(frames)
						continue
					}
					frames = append(frames, data[:n]...)
					data = data[n:]
				}
				pending[id] = true
			}
			for waits := range pending {
				frames = wire.AppendCancel(frames, waits)
			}
			id++
			frames = wire.AppendRequestHeader(frames, id, wire.MethodPing, 0)
			pending[id] = true
			if z.conn.Write(frames) == nil {
				z.answers(pending)
			}
		})
	})
}

// FuzzFrames: whatever the bytes on a connection are, the daemon answers with whole messages,
// or ends the connection, and serves the next.
func FuzzFrames(f *testing.F) {
	f.Add(wire.AppendRequestHeader(nil, 5, wire.MethodPing, 0))
	f.Add(wire.AppendCancel(nil, 5))
	f.Add([]byte{0x94, 0, 1, 0xa3, 'g', 'e', 't', 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0x91}, wire.DepthMax+1))
	f.Add([]byte{0xc1})
	z := startFuzzer(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		z.with(t, func() {
			if z.conn.Write(data) != nil || z.conn.Socket().CloseWrite() != nil {
				return
			}
			for {
				r, err := z.receive()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil || status.Of(errOrNil(r.Err)) == status.Internal {
					t.Fatalf("%+v, %v", r, err)
				}
			}
		})
	})
}
