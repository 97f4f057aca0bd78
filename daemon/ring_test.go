package daemon

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// claims claims a role.
func (c *rawClient) claims(handle uint64, role string) {
	c.t.Helper()
	var got string
	if err := c.call(&got, wire.MethodClaim, handle, role); err != nil || got != role {
		c.t.Fatalf("claim of %s: %q, %v", role, got, err)
	}
}

// receives wants a message.
func (c *rawClient) receives(want string, handle uint64, params ...any) {
	c.t.Helper()
	var got []byte
	params = append([]any{handle}, params...)
	if err := c.call(&got, wire.MethodRecv, params...); err != nil || string(got) != want {
		c.t.Errorf("recv: %.40q of %d bytes, %v; want %.40q", got, len(got), err, want)
	}
}

// ringOptions are of the smallest ring.
func ringOptions(more map[string]any) map[string]any {
	options := map[string]any{"capacity": 4096}
	for key, value := range more {
		options[key] = value
	}
	return options
}

func TestStreamRoles(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h, g := a.open("f", wire.KindStream, nil), b.open("f", wire.KindStream, nil)
	wantCode(t, "send without a role", a.call(nil, wire.MethodSend, h, []byte("x")), status.NotOwner)
	a.claims(h, wire.RoleProducer)
	a.claims(h, wire.RoleProducer)
	wantCode(t, "claim of a role that is taken", b.call(nil, wire.MethodClaim, g, wire.RoleProducer), status.Taken)
	wantCode(t, "an end of a stream", a.call(nil, wire.MethodClaim, h, wire.EndA), status.Invalid)
	wantCode(t, "send by the other", b.call(nil, wire.MethodSend, g, []byte("x")), status.NotOwner)
	wantCode(t, "recv by the producer", a.call(nil, wire.MethodRecv, h, 0), status.NotOwner)
	b.claims(g, wire.RoleConsumer)
	for _, text := range []string{"one", "", "three"} {
		wantCode(t, "send", a.call(nil, wire.MethodSend, h, []byte(text)), status.OK)
	}
	wantCode(t, "send from an end", a.call(nil, wire.MethodSend, h, []byte("x"), 0, wire.EndA), status.Invalid)
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "f"); err != nil || len(stat.Rings) != 1 || stat.Rings[0].UsedBytes == 0 ||
		stat.Rings[0].Producer == nil || stat.Rings[0].Producer.Seat != 1 || stat.Rings[0].Consumer == nil ||
		stat.Rings[0].Consumer.Seat != 2 || stat.Rings[0].Ended != "" || stat.Seats[0].Holds != 1 {
		t.Errorf("stat says %+v, %v", stat, err)
	}
	var held []wire.Holding
	if err := b.call(&held, wire.MethodHoldings); err != nil || len(held) != 1 || held[0].Holds != wire.HoldsConsumer {
		t.Errorf("holdings %+v, %v", held, err)
	}
	for _, text := range []string{"one", "", "three"} {
		b.receives(text, g)
	}
	// A consumer that waits, for a message and for the end.
	waiting := b.send(wire.MethodRecv, g)
	s.awaitWaiters(t, "f", 1)
	wantCode(t, "another that waits", b.call(nil, wire.MethodRecv, g), status.Invalid)
	wantCode(t, "another that tries", b.call(nil, wire.MethodRecvMany, g, 2, 0), status.Invalid)
	wantCode(t, "send", a.call(nil, wire.MethodSend, h, []byte("late")), status.OK)
	if r := b.answer(waiting); r.Err != nil || !bytes.HasSuffix(r.Result, []byte("late")) {
		t.Errorf("the wait: %+v", r)
	}
	waiting = b.send(wire.MethodRecv, g)
	s.awaitWaiters(t, "f", 1)
	wantCode(t, "retire", a.call(nil, wire.MethodRetire, h, wire.RoleProducer), status.OK)
	wantCode(t, "the end", errOrNil(b.answer(waiting).Err), status.Ended)
	wantCode(t, "retire again", a.call(nil, wire.MethodRetire, h, wire.RoleProducer), status.NotOwner)
	wantCode(t, "send without the role", a.call(nil, wire.MethodSend, h, []byte("x")), status.NotOwner)
	// The next producer is the other client, which so has both roles; it retires from the
	// one in which it waits.
	b.claims(g, wire.RoleProducer)
	wantCode(t, "send to oneself", b.call(nil, wire.MethodSend, g, []byte("self")), status.OK)
	b.receives("self", g)
	waiting = b.send(wire.MethodRecv, g)
	s.awaitWaiters(t, "f", 1)
	retiring := b.send(wire.MethodRetire, g, wire.RoleConsumer)
	want := map[uint32]status.Code{waiting: status.Cancelled, retiring: status.OK}
	for range want { // in any order
		r, err := b.receive()
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, "retire from a wait", errOrNil(r.Err), want[r.ID])
	}
	a.claims(h, wire.RoleConsumer)
	// Closing the last handle retires.
	s.awaitCallers(t, "f", 2)
	wantCode(t, "close", b.call(nil, wire.MethodClose, g), status.OK)
	wantCode(t, "the end of a closed handle", a.call(nil, wire.MethodRecv, h), status.Ended)
	var open wire.Attachment
	if err := b.call(&open, wire.MethodOpen, "f", map[string]any{"role": "producer"}); err != nil ||
		open.Role != wire.RoleProducer {
		t.Errorf("open in a role: %+v, %v", open, err)
	}
	wantCode(t, "open in a role that is taken", b.call(nil, wire.MethodOpen, "f", map[string]any{"role": "consumer"}),
		status.Taken)
	wantCode(t, "open in no role", b.call(nil, wire.MethodOpen, "f", map[string]any{"role": ""}), status.Invalid)
	wantCode(t, "open to read in a role", b.call(nil, wire.MethodOpen, "f", map[string]any{"role": "producer",
		"access": "r"}), status.Invalid)
	if err := b.call(&open, wire.MethodOpen, "f", map[string]any{"access": "r"}); err != nil {
		t.Fatal(err)
	}
	for _, call := range ringCalls {
		wantCode(t, call.method+" read-only", b.call(nil, call.method, append([]any{open.Handle}, call.params...)...),
			status.Permission)
	}
	wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "f"), status.OK)
	for _, call := range ringCalls {
		wantCode(t, call.method+" of what was destroyed", a.call(nil, call.method, append([]any{h}, call.params...)...),
			status.Removed)
	}
}

// ringCalls are calls of all methods of streams and pipes, without the handle.
var ringCalls = []struct {
	method string
	params []any
}{
	{wire.MethodClaim, []any{wire.RoleProducer}}, {wire.MethodRetire, []any{wire.RoleProducer}},
	{wire.MethodSend, []any{[]byte("x")}}, {wire.MethodSendMany, []any{[]any{[]byte("x")}}},
	{wire.MethodRecv, []any{0}}, {wire.MethodRecvMany, []any{1, 0}},
	{wire.MethodWriteBytes, []any{[]byte("x"), 0}}, {wire.MethodReadBytes, []any{1, 0}},
}

// A producer that dies is told of once, with its name, after what it sent; who waits is
// woken. Its successor goes on.
func TestStreamOfTheDead(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	h := a.open("f", wire.KindStream, nil)
	a.claims(h, wire.RoleConsumer)
	for i, bye := range []bool{false, true} {
		b := greeted(t, s, byte(2+i))
		g := b.open("f", wire.KindStream, nil)
		b.claims(g, wire.RoleProducer)
		wantCode(t, "send", b.call(nil, wire.MethodSend, g, []byte("left")), status.OK)
		want := status.PeerDied
		if bye {
			b.send(wire.MethodBye)
			want = status.Ended
		} else {
			b.conn.Close()
		}
		a.receives("left", h)
		err := a.call(nil, wire.MethodRecv, h)
		wantCode(t, "after the end", err, want)
		if !bye && !strings.Contains(err.Error(), "pid ") {
			t.Errorf("%v names nobody", err)
		}
		wantCode(t, "after the news", a.call(nil, wire.MethodRecv, h, 1000), status.TimedOut)
	}
	b := greeted(t, s, 9)
	g := b.open("f", wire.KindStream, nil)
	b.claims(g, wire.RoleProducer)
	wantCode(t, "send", b.call(nil, wire.MethodSend, g, []byte("one")), status.OK)
	a.receives("one", h)
	waiting := a.send(wire.MethodRecv, h)
	s.awaitWaiters(t, "f", 1)
	b.conn.Close()
	wantCode(t, "who waits", errOrNil(a.answer(waiting).Err), status.PeerDied)
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "f"); err != nil || stat.Deaths != 2 || stat.LastDeath == nil ||
		stat.Rings[0].Ended != wire.EndedDied || stat.Rings[0].Producer != nil {
		t.Errorf("stat says %+v, %v", stat, err)
	}
}

// A producer that waits for room goes on when a consumer comes, or gives up.
func TestFullStream(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h, g := a.open("f", wire.KindStream, ringOptions(nil)), b.open("f", wire.KindStream, ringOptions(nil))
	wantCode(t, "another capacity", b.call(nil, wire.MethodOpenOrCreate, "f", wire.KindStream,
		map[string]any{"capacity": 8192}), status.OptionMismatch)
	a.claims(h, wire.RoleProducer)
	long := bytes.Repeat([]byte("x"), 2040)
	wantCode(t, "too long", a.call(nil, wire.MethodSend, h, append(long, 'x')), status.TooLarge)
	for range 2 {
		wantCode(t, "send", a.call(nil, wire.MethodSend, h, long), status.OK)
	}
	wantCode(t, "a try", a.call(nil, wire.MethodSend, h, long, 0), status.WouldBlock)
	wantCode(t, "a short wait", a.call(nil, wire.MethodSend, h, long, 1000), status.TimedOut)
	wantCode(t, "a look", a.call(nil, wire.MethodWaitAny, []any{[]any{h, wire.UntilWritable}}, 0), status.WouldBlock)
	waiting := a.send(wire.MethodSend, h, long)
	s.awaitWaiters(t, "f", 1)
	if err := a.conn.Write(wire.AppendCancel(nil, waiting)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "cancelled", errOrNil(a.answer(waiting).Err), status.Cancelled)
	waiting = a.send(wire.MethodSendMany, h, []any{[]byte("last"), []byte("of all")})
	s.awaitWaiters(t, "f", 1)
	b.claims(g, wire.RoleConsumer)
	b.receives(string(long), g)
	var n int
	if r := a.answer(waiting); r.Err != nil || wire.Decode(r.Result, &n) != nil || n != 2 {
		t.Errorf("send_many: %+v, %d", r, n)
	}
	b.receives(string(long), g)
	var got [][]byte
	if err := b.call(&got, wire.MethodRecvMany, g, 10); err != nil || len(got) != 2 || string(got[1]) != "of all" {
		t.Errorf("recv_many: %q, %v", got, err)
	}
	var index int
	wantCode(t, "wait_any", a.call(&index, wire.MethodWaitAny, []any{[]any{h, wire.UntilWritable}}), status.OK)
	anyOf := b.send(wire.MethodWaitAny, []any{[]any{g, wire.UntilReadable}})
	s.awaitWaiters(t, "f", 1)
	wantCode(t, "send", a.call(nil, wire.MethodSend, h, []byte("x")), status.OK)
	wantCode(t, "wait_any for a message", errOrNil(b.answer(anyOf).Err), status.OK)
	b.receives("x", g)
	// Of a batch, what was sent counts; a first one that is too long is the error.
	wantCode(t, "a batch of a long one", a.call(nil, wire.MethodSendMany, h, []any{append(long, 'x'), []byte("y")}),
		status.TooLarge)
	many := make([]any, 300)
	for i := range many {
		many[i] = []byte(strconv.Itoa(i))
	}
	if err := a.call(&n, wire.MethodSendMany, h, many); err != nil || n < 200 || n >= 300 {
		t.Errorf("a batch that does not fit: %d, %v", n, err)
	}
	if err := b.call(&got, wire.MethodRecvMany, g, 1000); err != nil || len(got) != n || string(got[n-1]) !=
		strconv.Itoa(n-1) {
		t.Errorf("received %d of %d, %v", len(got), n, err)
	}
}
