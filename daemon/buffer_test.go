package daemon

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// What unread answers and unfinished requests hold is charged to their user, and
// given back; connections within their free part cost nothing.
func TestBuffersAreCharged(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s"), RoomTimeout: time.Millisecond})
	buffered := func() uint64 { return s.quota.used(resBuffers) }
	await := func(what string, done func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for !done() {
			if ctx.Err() != nil {
				t.Fatalf("%s: %d bytes are charged", what, buffered())
			}
		}
	}
	c := newRawClient(t, s)
	if err := c.hello(1); err != nil {
		t.Fatal(err)
	}
	if got := buffered(); got != 0 {
		t.Errorf("a quiet connection costs %d bytes", got)
	}
	// The longest request there may be, without its end.
	long := wire.AppendRequestHeader(nil, 9, wire.MethodPing, 1)
	long = wire.AppendBin(long, make([]byte, wire.MessageMax-64))
	if err := c.conn.Write(long[:len(long)-1]); err != nil {
		t.Fatal(err)
	}
	await("an unfinished request", func() bool { return buffered() > wire.MessageMax/2 })
	if err := c.conn.Write(long[len(long)-1:]); err != nil {
		t.Fatal(err)
	}
	r, err := c.receive()
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "ping with a parameter", r.Err, status.BadParams)
	await("the request is done", func() bool { return buffered() == 0 })

	// Who may not have more is told so, and the rest of the daemon goes on.
	if err := s.quota.charge(c.uid(), amount{resBuffers, s.quota.pool[resBuffers]}); err != nil {
		t.Fatal(err)
	}
	if err := c.conn.Write(long[:len(long)-1]); err == nil {
		r, err = c.receive()
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, "a long request beyond the limit", r.Err, status.Busy)
	}
	s.quota.release(c.uid(), amount{resBuffers, s.quota.pool[resBuffers]})
	await("the connection is gone", func() bool { return buffered() == 0 })
}

// Who finds no room for a long message waits, unread from, until there is; then everything
// is answered.
func TestWaitForRoom(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s"), RoomTimeout: time.Minute})
	all := amount{resBuffers, s.quota.pool[resBuffers]}
	c, other := greeted(t, s, 1), greeted(t, s, 2)
	array := map[string]any{"code": "c", "length": 500 << 10}
	h, g := other.open("a", wire.KindArray, array), c.open("a", wire.KindArray, array)
	for _, test := range []struct {
		what   string
		method string
		params []any
		want   status.Code
	}{
		{"a long request", wire.MethodPing, []any{make([]byte, wire.MessageMax-64)}, status.BadParams},
		{"a long answer", wire.MethodRead, []any{g, 0, 500 << 10}, status.OK},
	} {
		await(t, "nothing is under way", func() bool { return s.quota.used(resBuffers) == 0 })
		if err := s.quota.charge(c.uid(), all); err != nil {
			t.Fatal(err)
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			id := c.send(test.method, test.params...)
			r, err := c.receive()
			if err != nil || r.ID != id {
				t.Errorf("%s: answer to %d, %v", test.what, r.ID, err)
				return
			}
			wantCode(t, test.what, errOrNil(r.Err), test.want)
		}()
		wantCode(t, "another client", other.call(nil, wire.MethodGet, h), status.OK)
		if test.method == wire.MethodRead {
			await(t, "an answer that waits", func() bool { return s.unpaid.Load() == 1 })
		} else {
			await(t, "a connection that waits", func() bool { return sleepsIn("payOrWait") })
		}
		s.quota.release(c.uid(), all)
		<-answered
	}
}

// sleepsIn reports whether a goroutine is in a function.
func sleepsIn(function string) bool {
	stacks := make([]byte, 1<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), function)
}
