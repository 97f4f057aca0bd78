package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

var emptyOptions = &wire.CreateOptions{}

// rawClient speaks the protocol by hand.
type rawClient struct {
	t       *testing.T
	conn    *wire.Conn
	scanner wire.Scanner
	in      []byte
	files   []int // descriptors that came; closed with the test
	id      uint32
}

func newRawClient(t *testing.T, s *Server) *rawClient {
	t.Helper()
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.Socket()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.NewConn(socket)
	if err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, conn: conn}
	t.Cleanup(func() {
		conn.Close()
		for _, fd := range c.files {
			_ = unix.Close(fd)
		}
	})
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// send writes a request without waiting for its answer, and returns its id.
func (c *rawClient) send(method string, params ...any) uint32 {
	c.t.Helper()
	c.id++
	b := wire.AppendRequestHeader(nil, c.id, method, len(params))
	for _, p := range params {
		var err error
		if b, err = wire.AppendEncoded(b, p); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
	return c.id
}

// receive reads the next answer, whatever it answers.
func (c *rawClient) receive() (wire.Response, error) {
	for {
		n, err := c.scanner.Next(c.in)
		if err != nil {
			return wire.Response{}, err
		}
		if n > 0 {
			frame := c.in[:n]
			c.in = c.in[n:]
			return wire.ParseResponse(frame)
		}
		b := make([]byte, 4096)
		var files []int
		n, files, _, err = c.conn.Read(b)
		c.files = append(c.files, files...)
		if err != nil {
			return wire.Response{}, err
		}
		c.in = append(c.in, b[:n]...)
	}
}

// call sends a request, wants its answer to come next, and decodes it.
func (c *rawClient) call(result any, method string, params ...any) error {
	c.t.Helper()
	id := c.send(method, params...)
	r, err := c.receive()
	switch {
	case err != nil:
		c.t.Fatalf("%s: %v", method, err)
	case r.ID != id:
		c.t.Fatalf("%s: an answer to %d, want one to %d", method, r.ID, id)
	case r.Err != nil:
		return r.Err
	case result != nil:
		if err := wire.Decode(r.Result, result); err != nil {
			c.t.Fatalf("%s: %v", method, err)
		}
	}
	return nil
}

func (c *rawClient) hello(uuid byte) error {
	return c.call(nil, wire.MethodHello, 1, 1, append(make([]byte, 15), uuid), "raw")
}

// wantCode fails the test unless err carries the code.
func wantCode(t *testing.T, what string, err error, want status.Code) {
	t.Helper()
	if got := status.Of(err); got != want {
		t.Errorf("%s: %s (%v), want %s", what, got.Name(), err, want.Name())
	}
}

func TestHello(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := newRawClient(t, s)
	wantCode(t, "ping before hello", c.call(nil, wire.MethodPing), status.Identity)
	wantCode(t, "a version of the future", c.call(nil, wire.MethodHello, 2, 9, make([]byte, 16), ""), status.Version)
	wantCode(t, "a short uuid", c.call(nil, wire.MethodHello, 1, 1, make([]byte, 15), "raw"), status.Invalid)
	long := strings.Repeat("x", softwareMax+1)
	wantCode(t, "a long text", c.call(nil, wire.MethodHello, 1, 1, make([]byte, 16), long), status.Invalid)
	wantCode(t, "hello", c.hello(1), status.OK)
	wantCode(t, "hello again", c.hello(1), status.OK)
	wantCode(t, "hello as another", c.hello(2), status.Identity)
	wantCode(t, "ping", c.call(nil, wire.MethodPing), status.OK)
	var clients []wire.ClientInfo
	if err := c.call(&clients, wire.MethodClients); err != nil || len(clients) != 1 {
		t.Errorf("clients: %+v, %v", clients, err)
	}
	wantCode(t, "bye", c.call(nil, wire.MethodBye), status.OK)
	if _, err := c.receive(); err == nil {
		t.Error("the connection goes on after bye")
	}
}

// A connection that says nothing is told why it ends.
func TestHelloTimeout(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s"), HelloTimeout: time.Millisecond})
	r, err := newRawClient(t, s).receive()
	if err != nil || r.Err == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	wantCode(t, "silence", r.Err, status.Identity)
}

// An object lives as long as its lifetime says, and its memory no longer.
func TestLifetimes(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	watcher := newRawClient(t, s)
	if err := watcher.hello(1); err != nil {
		t.Fatal(err)
	}
	objects := func() uint64 {
		t.Helper()
		var result wire.Status
		if err := watcher.call(&result, wire.MethodStatus); err != nil {
			t.Fatal(err)
		}
		if (result.Objects == 0) != (result.Bytes == 0) {
			t.Errorf("%d objects of %d bytes", result.Objects, result.Bytes)
		}
		return result.Objects
	}
	for _, test := range []struct {
		name, lifetime string
		left           uint64 // objects after the creator's end
	}{
		{"persistent", lifetimePersistent, 1}, {"refcounted", lifetimeRefcounted, 0}, {"owned", lifetimeOwned, 0},
		{"", lifetimePersistent, 1}, {"", lifetimeRefcounted, 0}, {"", lifetimeOwned, 0},
	} {
		c := newRawClient(t, s)
		if err := c.hello(2); err != nil {
			t.Fatal(err)
		}
		var a wire.Attachment
		options := map[string]any{"lifetime": test.lifetime}
		if err := c.call(&a, wire.MethodCreate, test.name, wire.KindMutex, options); err != nil {
			t.Fatal(err)
		}
		if got := objects(); got != 1 {
			t.Errorf("%s: %d objects while its creator lives", test.lifetime, got)
		}
		if err := c.call(nil, wire.MethodBye); err != nil {
			t.Fatal(err)
		}
		if _, err := c.receive(); err == nil {
			t.Fatal("the connection goes on after bye")
		}
		// The connection ends before the creator's seat is swept.
		settle := func(done func() bool) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for !done() {
				if ctx.Err() != nil {
					t.Fatalf("%q %s: %d objects left, want %d", test.name, test.lifetime, objects(), test.left)
				}
			}
		}
		settle(func() bool {
			var result wire.Status
			return watcher.call(&result, wire.MethodStatus) == nil && result.Clients == 1
		})
		if got := objects(); got != test.left {
			t.Errorf("%q %s: %d objects left, want %d", test.name, test.lifetime, got, test.left)
		}
		if test.left > 0 {
			wantCode(t, "unlink", watcher.call(nil, wire.MethodUnlink, a.ID), status.OK)
			if got := objects(); got != 0 {
				t.Errorf("%q %s: %d objects left after unlink", test.name, test.lifetime, got)
			}
		}
	}
}

// unlink takes the name only: handles go on, and a new object of that name is
// another one.
func TestUnlink(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := newRawClient(t, s)
	if err := c.hello(1); err != nil {
		t.Fatal(err)
	}
	var first, second wire.Attachment
	options := map[string]any{"code": "i", "init": 1}
	err := errors.Join(
		c.call(&first, wire.MethodCreate, "v", wire.KindValue, options),
		c.call(nil, wire.MethodUnlink, "v"),
		c.call(&second, wire.MethodCreate, "v", wire.KindValue, options),
		c.call(nil, wire.MethodSet, first.Handle, 0, 2))
	if err != nil {
		t.Fatal(err)
	}
	if first.ID == second.ID {
		t.Error("both have one id")
	}
	var value int
	if err := c.call(&value, wire.MethodGet, second.Handle); value != 1 || err != nil {
		t.Errorf("the new object holds %d, %v", value, err)
	}
	if err := c.call(&value, wire.MethodGet, first.Handle); value != 2 || err != nil {
		t.Errorf("the old object holds %d, %v", value, err)
	}
	wantCode(t, "close", c.call(nil, wire.MethodClose, first.Handle), status.OK)
	wantCode(t, "open of an id that is gone", c.call(nil, wire.MethodOpen, first.ID), status.NotFound)
	wantCode(t, "get of a closed handle", c.call(nil, wire.MethodGet, first.Handle), status.BadHandle)
}

// A waiting call is answered once: by its grant, or by its cancellation.
func TestCancel(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := newRawClient(t, s)
	if err := c.hello(1); err != nil {
		t.Fatal(err)
	}
	var a wire.Attachment
	if err := c.call(&a, wire.MethodCreate, "m", wire.KindMutex, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "lock", c.call(nil, wire.MethodLock, a.Handle, -1, 1), status.OK)
	wantCode(t, "try", c.call(nil, wire.MethodLock, a.Handle, 0, 2), status.WouldBlock)
	cancelled := c.send(wire.MethodLock, a.Handle, -1, 2)
	granted := c.send(wire.MethodLock, a.Handle, -1, 3)
	wantCode(t, "ping overtakes", c.call(nil, wire.MethodPing), status.OK)
	if err := c.conn.Write(wire.AppendCancel(nil, cancelled)); err != nil {
		t.Fatal(err)
	}
	r, err := c.receive()
	if err != nil || r.ID != cancelled {
		t.Fatalf("answer %+v, %v; want one to %d", r, err, cancelled)
	}
	wantCode(t, "the cancelled call", r.Err, status.Cancelled)
	unlock := c.send(wire.MethodUnlock, a.Handle, 1)
	answers := map[uint32]*status.Error{}
	for range 2 {
		r, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		answers[r.ID] = r.Err
	}
	for _, id := range []uint32{unlock, granted} {
		if e, answered := answers[id]; !answered || e != nil {
			t.Errorf("request %d: answered %v, %v", id, answered, e)
		}
	}
	// A handle that is closed ends what waits on it.
	waiting := c.send(wire.MethodLock, a.Handle, -1, 4)
	closing := c.send(wire.MethodClose, a.Handle)
	for range 2 {
		r, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		switch r.ID {
		case closing:
			wantCode(t, "close", errOrNil(r.Err), status.OK)
		case waiting:
			wantCode(t, "the call on a closed handle", r.Err, status.Cancelled)
		}
	}
}

// What a client holds over the socket is not handed to one that still waits when
// the daemon shuts down: the holder lives, and knows nothing of it yet.
func TestShutdownGrantsNothing(t *testing.T) {
	for range 20 {
		s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
		var clients [4]*rawClient
		var handles [4]uint64
		for i := range clients {
			clients[i] = newRawClient(t, s)
			var a wire.Attachment
			err := errors.Join(clients[i].hello(byte(i)),
				clients[i].call(&a, wire.MethodOpenOrCreate, "m", wire.KindMutex, map[string]any{}))
			if err != nil {
				t.Fatal(err)
			}
			handles[i] = a.Handle
		}
		if err := clients[0].call(nil, wire.MethodLock, handles[0]); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(clients); i++ {
			clients[i].send(wire.MethodLock, handles[i])
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(clients); i++ {
			// It may end before it has read the request at all.
			if r, err := clients[i].receive(); err == nil {
				wantCode(t, "a waiter at shutdown", errOrNil(r.Err), status.Lost)
			}
		}
	}
}

// At shutdown every wait ends as lost, one that takes a mutex again too.
func TestShutdownEndsWaits(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	owner := greeted(t, s, 1)
	m, c := owner.conditionFor(nil)
	e := owner.open("e", wire.KindEvent, nil)
	b := owner.open("b", wire.KindBarrier, map[string]any{"parties": 2})
	l := owner.open("l", wire.KindRWLock, nil)
	owner.locks(wire.MethodLock, false, l)
	waits := make(map[uint32]string)
	for token := range 2 {
		owner.locks(wire.MethodLock, false, m, -1, token)
		waits[owner.send(wire.MethodWaitCondition, c, -1, token)] = wire.MethodWaitCondition
		s.awaitWaiters(t, "c", uint64(token)+1)
	}
	other := greeted(t, s, 2)
	_, oc := other.conditionFor(nil)
	other.locks(wire.MethodLock, false, oc)
	wantCode(t, "notify", other.call(nil, wire.MethodNotify, oc), status.OK)
	s.awaitWaiters(t, "m", 1)
	waits[owner.send(wire.MethodWait, e)] = wire.MethodWait
	waits[owner.arrives(s, b, 1)] = wire.MethodArrive
	waits[owner.send(wire.MethodReadLock, l, -1, 7)] = wire.MethodReadLock
	s.awaitWaiters(t, "l", 1)
	s.awaitWaiters(t, "e", 1)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range waits {
		r, err := owner.receive()
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, waits[r.ID], errOrNil(r.Err), status.Lost)
		delete(waits, r.ID)
	}
}

// A client that says bye is told so when everything that it held is given back.
func TestByeGivesBack(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	watcher := newRawClient(t, s)
	var a wire.Attachment
	err := errors.Join(watcher.hello(1), watcher.call(&a, wire.MethodCreate, "a", wire.KindArray,
		map[string]any{"code": "i", "length": 1}))
	if err != nil {
		t.Fatal(err)
	}
	var before, after uint64
	if err := watcher.call(&before, wire.MethodVersion, a.Handle); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		c := newRawClient(t, s)
		var b wire.Attachment
		err := errors.Join(c.hello(2), c.call(&b, wire.MethodOpen, "a"), c.call(nil, wire.MethodBye))
		if err != nil {
			t.Fatal(err)
		}
		var stat wire.Stat
		if err := watcher.call(&stat, wire.MethodStat, "a"); err != nil || len(stat.Seats) != 1 {
			t.Fatalf("after bye: seats %+v, %v", stat.Seats, err)
		}
	}
	if err := watcher.call(&after, wire.MethodVersion, a.Handle); err != nil || after != before {
		t.Errorf("looking in moved the version from %d to %d, %v", before, after, err)
	}
}

// uid is whom the daemon charges.
func (c *rawClient) uid() uint32 { return uint32(os.Getuid()) }

func errOrNil(e *status.Error) error {
	if e == nil {
		return nil
	}
	return e
}
