package daemon

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// awaitWaiters returns once as many threads sleep in an object.
func (s *Server) awaitWaiters(t *testing.T, name string, n uint64) {
	t.Helper()
	o, err := s.registry.pin(ref{name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	await(t, fmt.Sprintf("%d sleepers in %s", n, name), func() bool { return s.stat(o).Waiters == n })
}

// await polls until it is so.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func (s *Server) clientCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// mute lets nothing be sent to the client of a handle on an object any more, as if it
// were gone and nobody had noticed.
func (s *Server) mute(t *testing.T, uuid byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		if session.client.uuid[15] == uuid {
			session.writeMu.Lock()
			session.mute = errors.New("nobody reads this")
			session.writeMu.Unlock()
			return
		}
	}
	t.Fatalf("no client %d", uuid)
}

// awaitCalls returns once as many calls wait in the daemon.
func (s *Server) awaitCalls(t *testing.T, n int64) {
	t.Helper()
	await(t, fmt.Sprintf("%d calls that wait", n), func() bool { return s.quota.used(resWaiting) == uint64(n) })
}

// awaitCallers returns once no call keeps a seat: only handles do.
func (s *Server) awaitCallers(t *testing.T, name string, seat uint16) {
	t.Helper()
	o, err := s.registry.pin(ref{name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	await(t, "end of all calls", func() bool {
		s.registry.mu.Lock()
		defer s.registry.mu.Unlock()
		return uint64(o.seats.taken[seat].refs) == o.seats.taken[seat].handles
	})
}

func (c *rawClient) isSet(handle uint64, want bool) {
	c.t.Helper()
	var set bool
	if err := c.call(&set, wire.MethodIsSet, handle); err != nil || set != want {
		c.t.Errorf("is_set says %v, %v; want %v", set, err, want)
	}
}

func TestManualEvent(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h, g := a.open("e", wire.KindEvent, nil), b.open("e", wire.KindEvent, nil)
	a.isSet(h, false)
	wantCode(t, "a try", b.call(nil, wire.MethodWait, g, 0), status.WouldBlock)
	wantCode(t, "a short wait", b.call(nil, wire.MethodWait, g, 1000), status.TimedOut)
	// Set and reset at once, or a pulse, releases everybody who waits.
	for _, methods := range [][]string{{wire.MethodSignal, wire.MethodReset}, {wire.MethodPulse}} {
		first, second := b.send(wire.MethodWait, g), b.send(wire.MethodWait, g, int64(1)<<60)
		s.awaitWaiters(t, "e", 2)
		for _, method := range methods {
			wantCode(t, method, a.call(nil, method, h), status.OK)
		}
		for range 2 {
			if r, err := b.receive(); err != nil || r.Err != nil || r.ID != first && r.ID != second {
				t.Errorf("a waiter: %+v, %v", r, err)
			}
		}
		a.isSet(h, false)
		wantCode(t, "who comes later", b.call(nil, wire.MethodWait, g, 0), status.WouldBlock)
	}
	wantCode(t, "signal", a.call(nil, wire.MethodSignal, h), status.OK)
	wantCode(t, "signal again", a.call(nil, wire.MethodSignal, h), status.OK)
	b.isSet(g, true)
	wantCode(t, "a wait for what is set", b.call(nil, wire.MethodWait, g), status.OK)
	wantCode(t, "another", b.call(nil, wire.MethodWait, g, 0), status.OK)

	wantCode(t, "other options", b.call(nil, wire.MethodOpenOrCreate, "e", wire.KindEvent,
		map[string]any{"auto_reset": true}), status.OptionMismatch)
	var info wire.Attachment
	if err := b.call(&info, wire.MethodOpen, "e", map[string]any{"access": "r"}); err != nil {
		t.Fatal(err)
	}
	b.isSet(info.Handle, true)
	for _, method := range []string{wire.MethodSignal, wire.MethodReset, wire.MethodPulse, wire.MethodWait} {
		wantCode(t, method+" read-only", b.call(nil, method, info.Handle), status.Permission)
	}
}

// Requests of one connection start in their order: a pulse ends the wait before it,
// although that may not sleep yet.
func TestPulseAfterWaitBegan(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	h := a.open("e", wire.KindEvent, nil)
	for round := range 300 {
		wait, pulse := a.send(wire.MethodWait, h, int64(time.Minute)), a.send(wire.MethodPulse, h)
		for range 2 {
			if r, err := a.receive(); err != nil || r.Err != nil || r.ID != wait && r.ID != pulse {
				t.Fatalf("round %d: %+v, %v", round, r, err)
			}
		}
	}
}

func TestEventWithAutoReset(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"auto_reset": true, "set": true}
	h, g := a.open("e", wire.KindEvent, options), b.open("e", wire.KindEvent, options)
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "e"); err != nil || !stat.Set || stat.Initial != 1 ||
		len(stat.Flags) != 1 || stat.Flags[0] != wire.FlagAutoReset {
		t.Errorf("stat says %+v, %v", stat, err)
	}
	wantCode(t, "set at first", b.call(nil, wire.MethodWait, g), status.OK)
	wantCode(t, "which is over", b.call(nil, wire.MethodWait, g, 0), status.WouldBlock)
	first, second := b.send(wire.MethodWait, g), b.send(wire.MethodWait, g)
	s.awaitWaiters(t, "e", 2)
	wantCode(t, "signal", a.call(nil, wire.MethodSignal, h), status.OK)
	r, err := b.receive()
	if err != nil || r.Err != nil || r.ID != first && r.ID != second {
		t.Fatalf("a waiter: %+v, %v", r, err)
	}
	s.awaitCalls(t, 1) // one wait ended
	a.isSet(h, false)
	wantCode(t, "signal", a.call(nil, wire.MethodSignal, h), status.OK)
	if r, err := b.receive(); err != nil || r.Err != nil {
		t.Fatalf("the other: %+v, %v", r, err)
	}
	wantCode(t, "signal", a.call(nil, wire.MethodSignal, h), status.OK)
	wantCode(t, "signal of what is set", a.call(nil, wire.MethodSignal, h), status.OK)
	wantCode(t, "reset", a.call(nil, wire.MethodReset, h), status.OK)
	a.isSet(h, false)
	wantCode(t, "pulse", a.call(nil, wire.MethodPulse, h), status.Unsupported)
}

// What was taken for a wait that nobody hears of is set again.
func TestUnheardWaitIsSetAgain(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"auto_reset": true}
	h, g := a.open("e", wire.KindEvent, options), b.open("e", wire.KindEvent, options)
	b.send(wire.MethodWait, g)
	s.awaitWaiters(t, "e", 1)
	s.mute(t, 2)
	wantCode(t, "signal", a.call(nil, wire.MethodSignal, h), status.OK)
	s.awaitCalls(t, 0)
	a.isSet(h, true)
	// And a wait that ends with its connection takes nothing.
	c := greeted(t, s, 3)
	f := c.open("e", wire.KindEvent, options)
	wantCode(t, "wait", a.call(nil, wire.MethodWait, h, 0), status.OK)
	c.send(wire.MethodWait, f)
	s.awaitWaiters(t, "e", 1)
	c.conn.Close()
	s.awaitCalls(t, 0)
	wantCode(t, "signal", a.call(nil, wire.MethodSignal, h), status.OK)
	a.isSet(h, true)
}

func TestEventThatIsDestroyed(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	for i, auto := range []bool{false, true} {
		a, b := greeted(t, s, byte(2*i+1)), greeted(t, s, byte(2*i+2))
		options := map[string]any{"auto_reset": auto}
		h, g := a.open("e", wire.KindEvent, options), b.open("e", wire.KindEvent, options)
		waiting := b.send(wire.MethodWait, g)
		s.awaitWaiters(t, "e", 1)
		wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "e"), status.OK)
		wantCode(t, "the waiter", errOrNil(b.answer(waiting).Err), status.Removed)
		for _, method := range []string{wire.MethodSignal, wire.MethodReset, wire.MethodIsSet, wire.MethodWait} {
			wantCode(t, method, a.call(nil, method, h), status.Removed)
		}
	}
}
