package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// parties are n clients with the barrier "b" open, and their handles.
func parties(t *testing.T, s *Server, n int) (clients []*rawClient, handles []uint64) {
	t.Helper()
	for i := range n {
		c := greeted(t, s, byte(i+1))
		clients = append(clients, c)
		handles = append(handles, c.open("b", wire.KindBarrier, map[string]any{"parties": n}))
	}
	return clients, handles
}

// arrives sends an arrival and returns its id once it counts, as one of so many.
func (c *rawClient) arrives(s *Server, handle uint64, waiting uint32, params ...any) uint32 {
	c.t.Helper()
	id := c.send(wire.MethodArrive, append([]any{handle}, params...)...)
	s.awaitBarrier(c.t, fmt.Sprintf("%d waiting", waiting), func(b wire.Stat) bool { return b.Waiting == waiting })
	return id
}

func (s *Server) awaitBarrier(t *testing.T, what string, ok func(wire.Stat) bool) {
	t.Helper()
	o, err := s.registry.pin(ref{name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	await(t, what, func() bool { return ok(s.stat(o)) })
}

// arrived reads the answer to an arrival.
func (c *rawClient) arrived(id uint32) (wire.Arrival, error) {
	c.t.Helper()
	r := c.answer(id)
	if r.Err != nil {
		return wire.Arrival{}, r.Err
	}
	var a wire.Arrival
	if err := wire.Decode(r.Result, &a); err != nil {
		c.t.Fatal(err)
	}
	return a, nil
}

// wantBarrier compares the state, but for the generation and the last death.
func (c *rawClient) wantBarrier(handle uint64, reasons ...string) wire.Barrier {
	c.t.Helper()
	var b wire.Barrier
	if err := c.call(&b, wire.MethodBarrier, handle); err != nil || b.Broken != (len(reasons) > 0) ||
		!slices.Equal(b.Reasons, reasons) {
		c.t.Errorf("the barrier is %+v, %v; want it broken by %v", b, err, reasons)
	}
	return b
}

// resets makes the barrier whole again; a notice is due if a death broke it.
func (c *rawClient) resets(handle uint64, died bool) {
	c.t.Helper()
	var n *wire.Notice
	if err := c.call(&n, wire.MethodReset, handle); err != nil || (n != nil) != died {
		c.t.Errorf("reset: %+v, %v; want a notice: %v", n, err, died)
	}
	c.wantBarrier(handle)
}

func TestBarrier(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	clients, handles := parties(t, s, 3)
	for generation := range uint64(12) {
		var ids []uint32
		for i, c := range clients[:2] {
			ids = append(ids, c.arrives(s, handles[i], uint32(i)+1))
		}
		// A try that is the last to arrive is not in vain, and leads.
		wantCode(t, "a try", clients[2].call(nil, wire.MethodArrive, handles[2], 0, true), status.OK)
		if b := clients[2].wantBarrier(handles[2]); !b.Acting || b.Waiting != 0 || b.Generation != generation {
			t.Errorf("the barrier is %+v", b)
		}
		wantCode(t, "a try at a full one", clients[2].call(nil, wire.MethodArrive, handles[2], 0), status.WouldBlock)
		other := clients[0].send(wire.MethodComplete, handles[0])
		wantCode(t, "complete by another", errOrNil(clients[0].answer(other).Err), status.NotOwner)
		wantCode(t, "complete", clients[2].call(nil, wire.MethodComplete, handles[2]), status.OK)
		for i, c := range clients[:2] {
			if a, err := c.arrived(ids[i]); err != nil || a.Index != uint32(i) || a.Leader {
				t.Errorf("generation %d: arrival %d: %+v, %v", generation, i, a, err)
			}
		}
	}
	wantCode(t, "complete of what is over", clients[0].call(nil, wire.MethodComplete, handles[0]), status.NotOwner)
	// Who is too much waits for the next.
	first := clients[0].arrives(s, handles[0], 1)
	second := clients[1].arrives(s, handles[1], 2, -1, true)
	var lead wire.Arrival
	err := clients[2].call(&lead, wire.MethodArrive, handles[2], -1, true)
	if err != nil || !lead.Leader || lead.Index != 2 {
		t.Fatalf("the last: %+v, %v", lead, err)
	}
	late := clients[2].send(wire.MethodArrive, handles[2])
	s.awaitCalls(t, 3)
	wantCode(t, "the others wait", clients[0].call(nil, wire.MethodPing), status.OK)
	complete := clients[2].send(wire.MethodComplete, handles[2])
	wantCode(t, "complete", errOrNil(clients[2].answer(complete).Err), status.OK)
	for i, id := range []uint32{first, second} {
		if a, err := clients[i].arrived(id); err != nil || a.Leader {
			t.Errorf("%+v, %v", a, err)
		}
	}
	s.awaitBarrier(t, "one waiting", func(b wire.Stat) bool { return b.Waiting == 1 })
	wantCode(t, "abort", clients[0].call(nil, wire.MethodAbort, handles[0]), status.OK)
	_, err = clients[2].arrived(late)
	wantCode(t, "who waits when it is aborted", err, status.Broken)
	clients[0].resets(handles[0], false)
	wantCode(t, "another number of parties", clients[0].call(nil, wire.MethodOpenOrCreate, "b", wire.KindBarrier,
		map[string]any{"parties": 4}), status.OptionMismatch)
}

// How a barrier breaks, what each is told, and that it is whole after reset.
func TestBarrierBreaks(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	clients, handles := parties(t, s, 3)
	a, b := clients[0], clients[1]
	h, g := handles[0], handles[1]
	for _, test := range []struct {
		name    string
		how     func() error // a breaks it
		told    status.Code
		reasons string
	}{
		{"timeout", func() error {
			_, err := a.arrived(a.send(wire.MethodArrive, h, int64(1e6)))
			return err
		}, status.TimedOut, wire.ReasonTimeout},
		{"cancel", func() error {
			id := a.arrives(s, h, 2)
			if err := a.conn.Write(wire.AppendCancel(nil, id)); err != nil {
				t.Fatal(err)
			}
			_, err := a.arrived(id)
			return err
		}, status.Cancelled, wire.ReasonAbort},
		{"close", func() error {
			second := a.open("b", wire.KindBarrier, map[string]any{"parties": 3})
			id, end := a.arrives(s, second, 2), a.send(wire.MethodClose, second)
			var told error
			for range 2 {
				r, err := a.receive()
				if err != nil || r.ID != id && r.ID != end {
					t.Fatalf("%+v, %v", r, err)
				}
				if r.ID == id {
					told = errOrNil(r.Err)
				}
			}
			return told
		}, status.Cancelled, wire.ReasonAbort},
		{"abort", func() error { return a.call(nil, wire.MethodAbort, h) }, status.OK, wire.ReasonAbort},
	} {
		waiting := b.arrives(s, g, 1)
		wantCode(t, test.name, test.how(), test.told)
		_, err := b.arrived(waiting)
		wantCode(t, test.name+": who waits", err, status.Broken)
		if err != nil && !strings.Contains(err.Error(), test.reasons) {
			t.Errorf("%v does not say %q", err, test.reasons)
		}
		b.wantBarrier(g, test.reasons)
		wantCode(t, "who comes later", b.call(nil, wire.MethodArrive, g), status.Broken)
		b.resets(g, false)
	}

	// An action that fails; and one that is too late.
	first, second := a.arrives(s, h, 1), b.arrives(s, g, 2)
	lead := func() {
		t.Helper()
		var l wire.Arrival
		if err := clients[2].call(&l, wire.MethodArrive, handles[2], -1, true); err != nil || !l.Leader {
			t.Fatalf("the last: %+v, %v", l, err)
		}
	}
	lead()
	wantCode(t, "an action that fails", clients[2].call(nil, wire.MethodComplete, handles[2], false), status.OK)
	for i, id := range []uint32{first, second} {
		_, err := clients[i].arrived(id)
		wantCode(t, "who waits for an action that fails", err, status.Broken)
	}
	a.wantBarrier(h, wire.ReasonAction)
	a.resets(h, false)
	for _, reset := range []bool{false, true} {
		first, second = a.arrives(s, h, 1), b.arrives(s, g, 2)
		lead()
		wantCode(t, "abort", b.call(nil, wire.MethodPing), status.OK)
		breaker := greeted(t, s, 9)
		f := breaker.open("b", wire.KindBarrier, map[string]any{"parties": 3})
		wantCode(t, "abort", breaker.call(nil, wire.MethodAbort, f), status.OK)
		if reset {
			breaker.resets(f, false)
		}
		wantCode(t, "complete, too late", clients[2].call(nil, wire.MethodComplete, handles[2]), status.Broken)
		for i, id := range []uint32{first, second} {
			_, err := clients[i].arrived(id)
			wantCode(t, "who waits", err, status.Broken)
		}
		breaker.resets(f, false)
		wantCode(t, "bye", breaker.call(nil, wire.MethodBye), status.OK)
	}
}

// The end of a party's connection is its death, wherever it was: the others are told
// who died. An observer's is not, nor is bye, nor the close of a handle.
func TestPartyDies(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	options := map[string]any{"parties": 2}
	h := a.open("b", wire.KindBarrier, options)
	party := func(c *rawClient) uint64 {
		t.Helper()
		var open wire.Attachment
		if err := c.call(&open, wire.MethodOpen, "b", map[string]any{"party": true}); err != nil {
			t.Fatal(err)
		}
		return open.Handle
	}
	for i, test := range []struct {
		name string
		end  func(c *rawClient) // opens the barrier, and ends
		want status.Code        // what a is told, which waits before or comes after; OK: it still waits
	}{
		{"an observer dies", func(c *rawClient) { c.open("b", wire.KindBarrier, options); c.conn.Close() }, status.OK},
		{"a declared party dies", func(c *rawClient) { party(c); c.conn.Close() }, status.PeerDied},
		{"a declared party says bye", func(c *rawClient) { party(c); c.send(wire.MethodBye) }, status.OK},
		{"a declared party closes its handle, and dies", func(c *rawClient) {
			wantCode(t, "close", c.call(nil, wire.MethodClose, party(c)), status.OK)
			c.conn.Close()
		}, status.OK},
		{"who leads dies", func(c *rawClient) {
			wantCode(t, "lead", c.call(nil, wire.MethodArrive, party(c), -1, true), status.OK)
			c.conn.Close()
		}, status.PeerDied},
		{"who leads says bye", func(c *rawClient) {
			wantCode(t, "lead", c.call(nil, wire.MethodArrive, party(c), -1, true), status.OK)
			c.send(wire.MethodBye)
		}, status.Broken},
		{"who leads closes its handle", func(c *rawClient) {
			g := party(c)
			wantCode(t, "lead", c.call(nil, wire.MethodArrive, g, -1, true), status.OK)
			wantCode(t, "close", c.call(nil, wire.MethodClose, g), status.OK)
		}, status.Broken},
	} {
		waiting := a.arrives(s, h, 1)
		c := greeted(t, s, byte(10+i))
		test.end(c)
		if test.want == status.OK {
			if test.name != "a declared party closes its handle, and dies" {
				await(t, "end of the other", func() bool { return s.clientCount() == 1 })
			}
			if b := a.wantBarrier(h); b.Waiting != 1 {
				t.Errorf("%s: the barrier is %+v", test.name, b)
			}
			wantCode(t, "abort", a.call(nil, wire.MethodPing), status.OK)
			cancel := wire.AppendCancel(nil, waiting)
			if err := a.conn.Write(cancel); err != nil {
				t.Fatal(err)
			}
			_, err := a.arrived(waiting)
			wantCode(t, "cancel", err, status.Cancelled)
			a.resets(h, false)
			continue
		}
		_, err := a.arrived(waiting)
		wantCode(t, test.name, err, test.want)
		if test.want == status.PeerDied {
			seat := uint32(i + 2) // none is given out again yet
			dead := fmt.Sprintf("pid %d of uid %d, in seat %d", os.Getpid(), os.Getuid(), seat)
			if !strings.Contains(err.Error(), dead) {
				t.Errorf("%s: %v does not name %s", test.name, err, dead)
			}
			b := a.wantBarrier(h, wire.ReasonDeath)
			if b.LastDeath == nil || b.LastDeath.Seat != seat || b.LastDeath.PID != int32(os.Getpid()) {
				t.Errorf("%s: the last death is %+v", test.name, b.LastDeath)
			}
		} else {
			a.wantBarrier(h, wire.ReasonAbort)
		}
		a.resets(h, test.want == status.PeerDied)
		c.conn.Close()
		await(t, "end of the other", func() bool { return s.clientCount() == 1 })
	}
}

// A party that has closed its handle leaves in peace, however long its sweep takes: if
// it dies meanwhile, that is not the death of a party.
func TestPartyThatLeftDies(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	clients, handles := parties(t, s, 2)
	waiting := clients[0].arrives(s, handles[0], 1)
	if err := clients[1].call(nil, wire.MethodOpen, "b", map[string]any{"party": true}); err != nil {
		t.Fatal(err)
	}
	o, err := s.registry.pin(ref{name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	s.registry.mu.Lock()
	left := o.seats.taken[2]
	s.registry.mu.Unlock()
	sweeps, _ := s.registry.closed(left.client.session.takeHandles())
	if len(sweeps) != 1 || sweeps[0] != left {
		t.Fatalf("%d seats to sweep", len(sweeps))
	}
	clients[1].conn.Close()
	await(t, "death of who left", left.client.hasCrashed)
	s.sweep(left)
	if b := clients[0].wantBarrier(handles[0]); b.Waiting != 1 {
		t.Errorf("the barrier is %+v", b)
	}
	wantCode(t, "the last", clients[0].call(nil, wire.MethodPing), status.OK)
	c := greeted(t, s, 7)
	g := c.open("b", wire.KindBarrier, map[string]any{"parties": 2})
	wantCode(t, "the last", c.call(nil, wire.MethodArrive, g), status.OK)
	if _, err := clients[0].arrived(waiting); err != nil {
		t.Error(err)
	}
}

// Who waits in the daemon when its connection ends breaks the barrier by its death
// alone: the others hear of that, and not of a call that was cancelled.
func TestWaitingPartyDies(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	clients, handles := parties(t, s, 3)
	waiting := clients[0].arrives(s, handles[0], 1)
	clients[1].arrives(s, handles[1], 2)
	clients[1].conn.Close()
	_, err := clients[0].arrived(waiting)
	wantCode(t, "who waits", err, status.PeerDied)
	clients[0].wantBarrier(handles[0], wire.ReasonDeath)
	await(t, "end of the party", func() bool { return s.clientCount() == 2 })
	clients[0].wantBarrier(handles[0], wire.ReasonDeath)
	clients[0].resets(handles[0], true)
	// With bye it leaves in peace, but its call was cancelled.
	waiting = clients[0].arrives(s, handles[0], 1)
	clients[2].arrives(s, handles[2], 2)
	clients[2].send(wire.MethodBye)
	_, err = clients[0].arrived(waiting)
	wantCode(t, "who waits", err, status.Broken)
	clients[0].wantBarrier(handles[0], wire.ReasonAbort)
}

func TestBarrierThatIsDestroyed(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	clients, handles := parties(t, s, 3)
	waiting := clients[0].arrives(s, handles[0], 1)
	wantCode(t, "destroy", clients[1].call(nil, wire.MethodDestroy, "b"), status.OK)
	_, err := clients[0].arrived(waiting)
	wantCode(t, "who waits", err, status.Removed)
	for _, method := range []string{wire.MethodArrive, wire.MethodComplete, wire.MethodAbort, wire.MethodReset,
		wire.MethodBarrier} {
		wantCode(t, method, clients[0].call(nil, method, handles[0]), status.Removed)
	}
}
