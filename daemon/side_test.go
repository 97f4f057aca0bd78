package daemon

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// content is size bytes that tell where they are.
func content(size int, seed byte) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ seed
	}
	return b
}

// longQueue opens a raw queue with slots of 64 bytes, and returns its handle, the
// object, and the client as its words name it.
func (c *rawClient) longQueue(s *Server, name string, options map[string]any) (uint64, *object, shm.Actor) {
	c.t.Helper()
	all := map[string]any{"content": "raw", "slot_size": 64, "message_max": 2 << 20, "maxsize": 4}
	for option, value := range options {
		all[option] = value
	}
	var a wire.Attachment
	if err := c.call(&a, wire.MethodOpenOrCreate, name, wire.KindQueue, all); err != nil {
		c.t.Fatal(err)
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	return a.Handle, s.registry.names[name], shm.ClientActor(a.Owner)
}

// used is what is charged: the user's objects and bytes, and the budget.
func (s *Server) used(t *testing.T) (objects, bytes uint64) {
	t.Helper()
	s.quota.mu.Lock()
	defer s.quota.mu.Unlock()
	u := s.quota.users[uint32(os.Getuid())]
	if u == nil {
		u = new(usage)
	}
	if total := s.quota.total[resBytes]; total != u[resBytes] {
		t.Errorf("the budget has given %d bytes, the user has %d", total, u[resBytes])
	}
	return u[resObjects], u[resBytes]
}

// Long messages over the socket: in and out whole, with as many side segments as
// messages were there at once, and everything is given back.
func TestLongMessages(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := greeted(t, s, 1)
	h, o, _ := c.longQueue(s, "q", nil)
	_, empty := s.used(t)
	for round := range 20 {
		for i, size := range []int{65, 900 << 10} {
			message := content(size, byte(round+i))
			wantCode(t, "put", c.call(nil, wire.MethodPut, h, message, 0), status.OK)
			var got []byte
			if round%2 == 0 {
				wantCode(t, "take", c.call(&got, wire.MethodTake, h, 0), status.OK)
			} else {
				var l wire.Lease
				wantCode(t, "lease", c.call(&l, wire.MethodLease, h, 0), status.OK)
				wantCode(t, "decode", wire.Decode(l.Message, &got), status.OK)
				wantCode(t, "ack", c.call(nil, wire.MethodAck, h, l.Lease), status.OK)
			}
			if !bytes.Equal(got, message) {
				t.Errorf("%d bytes came back as %d others", size, len(got))
			}
		}
	}
	if n := len(o.sides.ofSlots()); n != 1 {
		t.Errorf("%d side segments for one message at a time", n)
	}
	if objects, bytes := s.used(t); objects != 2 || bytes != empty+1<<20 {
		t.Errorf("%d objects, %d bytes are charged, %d without side segments", objects, bytes, empty)
	}
	wantCode(t, "put", c.call(nil, wire.MethodPut, h, content(1000, 1), 0), status.OK)
	wantCode(t, "destroy", c.call(nil, wire.MethodDestroy, "q"), status.OK)
	wantCode(t, "take", c.call(nil, wire.MethodTake, h, 0), status.Removed)
	wantCode(t, "side", c.call(nil, wire.MethodSide, h, 0, 1, 100), status.Removed)
	wantCode(t, "close", c.call(nil, wire.MethodClose, h), status.OK)
	if objects, bytes := s.used(t); objects != 0 || bytes != 0 {
		t.Errorf("%d objects, %d bytes are charged after destroy", objects, bytes)
	}
}

// A client that maps the queue gets side segments for what it has reserved, and
// for what slots name, and nothing else.
func TestSideMethods(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h, o, actor := a.longQueue(s, "q", nil)
	g, _, other := b.longQueue(s, "q", nil)
	reserve := func(who shm.Actor) shm.Reservation {
		t.Helper()
		r, err := o.segment.Queue().Reserve(context.Background(), nil, who, 0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	mine, theirs := reserve(actor), reserve(other)
	var read wire.Attachment
	if err := a.call(&read, wire.MethodOpen, "q", map[string]any{"access": "r"}); err != nil {
		t.Fatal(err)
	}
	short := a.open("short", wire.KindQueue, map[string]any{"slot_size": 64})
	for _, test := range []struct {
		what   string
		method string
		params []any
		want   status.Code
	}{
		{"another's reservation", wire.MethodSide, []any{h, theirs.Slot, theirs.Ticket, 100}, status.NotOwner},
		{"no reservation", wire.MethodSide, []any{h, mine.Slot, mine.Ticket + 9, 100}, status.NotOwner},
		{"no slot", wire.MethodSide, []any{h, 1 << 31, mine.Ticket, 100}, status.NotOwner},
		{"a short message", wire.MethodSide, []any{h, mine.Slot, mine.Ticket, 64}, status.Invalid},
		{"too long a message", wire.MethodSide, []any{h, mine.Slot, mine.Ticket, 2<<20 + 1}, status.TooLarge},
		{"far too long", wire.MethodSide, []any{h, mine.Slot, mine.Ticket, uint64(1) << 40}, status.TooLarge},
		{"read-only", wire.MethodSide, []any{read.Handle, mine.Slot, mine.Ticket, 100}, status.Permission},
		{"read-only, mapping", wire.MethodMapSide, []any{read.Handle, 1}, status.Permission},
		{"a number that was not given", wire.MethodMapSide, []any{h, 1}, status.Corrupt},
		{"the slot itself", wire.MethodMapSide, []any{h, 0}, status.Corrupt},
		{"a queue without", wire.MethodMapSide, []any{short, 1}, status.Corrupt},
		{"a queue without, making", wire.MethodSide, []any{short, 0, 1, 65}, status.TooLarge},
		{"too few parameters", wire.MethodSide, []any{h, mine.Slot, mine.Ticket}, status.BadParams},
	} {
		wantCode(t, test.what, a.call(nil, test.method, test.params...), test.want)
	}
	if made := len(o.sides.ofSlots()); len(a.files) != 0 || made != 0 {
		t.Errorf("%d descriptors came, %d side segments were made", len(a.files), made)
	}
	var first, again, larger wire.SideResult
	wantCode(t, "first", a.call(&first, wire.MethodSide, h, mine.Slot, mine.Ticket, 65), status.OK)
	wantCode(t, "again", a.call(&again, wire.MethodSide, h, mine.Slot, mine.Ticket, 4096), status.OK)
	if first != again || first != (wire.SideResult{Side: 1, Size: 4096, Fds: 1}) {
		t.Errorf("%+v, then %+v", first, again)
	}
	var mapped wire.MapResult
	wantCode(t, "map_side by another", b.call(&mapped, wire.MethodMapSide, g, 1), status.OK)
	if mapped != (wire.MapResult{Size: 4096, Fds: 1}) || len(a.files) != 2 || len(b.files) != 1 {
		t.Errorf("%+v, %d and %d descriptors", mapped, len(a.files), len(b.files))
	}
	wantCode(t, "larger", a.call(&larger, wire.MethodSide, h, mine.Slot, mine.Ticket, 2<<20), status.OK)
	if larger != (wire.SideResult{Side: 2, Size: 2 << 20, Fds: 1}) {
		t.Errorf("%+v", larger)
	}
	wantCode(t, "map_side of what was replaced", b.call(nil, wire.MethodMapSide, g, 1), status.Corrupt)
	// What is written through the descriptor is the message.
	file := os.NewFile(uintptr(a.files[2]), "side")
	a.files = a.files[:2]
	defer file.Close()
	memory, err := shm.MapSide(file, larger.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := memory.Unmap(); err != nil {
		t.Error(err)
	}
	// A reservation that a death ends leaves the slot, and its side for the next one.
	wantCode(t, "bye", a.call(nil, wire.MethodBye), status.OK)
	next := reserve(other)
	var theirSide wire.SideResult
	wantCode(t, "side of the next", b.call(&theirSide, wire.MethodSide, g, next.Slot, next.Ticket, 2<<20), status.OK)
	if next.Slot != mine.Slot || theirSide.Side != larger.Side {
		t.Errorf("slot %d has %+v", next.Slot, theirSide)
	}
	if err := o.segment.Queue().Abort(context.Background(), nil, other, next, 0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "put", b.call(nil, wire.MethodPut, g, content(100, 1), 0), status.OK)
	wantCode(t, "take", b.call(nil, wire.MethodTake, g, 0), status.OK)
	next = reserve(other)
	wantCode(t, "side of a slot that names one", b.call(nil, wire.MethodSide, g, next.Slot, next.Ticket, 100),
		status.Invalid)
}

// Side segments exhaust a quota; then short messages go on, and long ones as soon
// as the slots of others are free.
func TestSideQuota(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   status.Code
	}{
		{"bytes", Config{QuotaBytes: 3 << 20}, status.Quota},
		{"objects", Config{QuotaObjects: 3}, status.Quota},
		{"budget", Config{BudgetBytes: 3 << 20, QuotaBytes: 1 << 40}, status.NoSpace},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Socket = filepath.Join(t.TempDir(), "s")
			s := startAt(t, c.config)
			client := greeted(t, s, 1)
			h, o, actor := client.longQueue(s, "q", nil)
			long := content(900<<10, 1)
			for range 2 {
				wantCode(t, "put", client.call(nil, wire.MethodPut, h, long, 0), status.OK)
			}
			for range 3 {
				wantCode(t, "one too many", client.call(nil, wire.MethodPut, h, long, 0), c.want)
				wantCode(t, "a short one", client.call(nil, wire.MethodPut, h, []byte("short"), 0), status.OK)
				wantCode(t, "a short one", client.call(nil, wire.MethodPut, h, []byte("short"), 0), status.OK)
				wantCode(t, "full", client.call(nil, wire.MethodPut, h, []byte("short"), 0), status.WouldBlock)
				for _, want := range []string{string(long), string(long), "short", "short"} {
					var got []byte
					wantCode(t, "take", client.call(&got, wire.MethodTake, h, 0), status.OK)
					if string(got) != want {
						t.Errorf("took %d bytes", len(got))
					}
				}
				// Those with side segments come last from the free stack now.
				o.turnStack(t, actor)
				for range 2 {
					wantCode(t, "put", client.call(nil, wire.MethodPut, h, long, 0), status.OK)
				}
			}
			wantCode(t, "destroy", client.call(nil, wire.MethodDestroy, "q"), status.OK)
			wantCode(t, "close", client.call(nil, wire.MethodClose, h), status.OK)
			if objects, bytes := s.used(t); objects != 0 || bytes != 0 {
				t.Errorf("%d objects, %d bytes are charged after destroy", objects, bytes)
			}
		})
	}
}

// Long messages among short ones, one at a time: they come to lie in every slot, and take
// one side segment along. What is far smaller gets one of its own.
func TestSideFollowsMessages(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := greeted(t, s, 1)
	h, o, _ := c.longQueue(s, "q", map[string]any{"maxsize": 8})
	put := func(message []byte) {
		t.Helper()
		wantCode(t, "put", c.call(nil, wire.MethodPut, h, message, 0), status.OK)
	}
	take := func(want []byte) {
		t.Helper()
		var got []byte
		wantCode(t, "take", c.call(&got, wire.MethodTake, h, 0), status.OK)
		if !bytes.Equal(got, want) {
			t.Fatalf("took %d bytes, want %d", len(got), len(want))
		}
	}
	slots := make(map[uint32]bool)
	for round := range 40 {
		long := content(900<<10, byte(round))
		for range round % 7 {
			put([]byte("before"))
		}
		put(long)
		for range round % 7 {
			take([]byte("before"))
		}
		put([]byte("behind"))
		take(long)
		if round%2 == 0 {
			take([]byte("behind"))
		}
		for slot := range o.sides.ofSlots() {
			slots[slot] = true
		}
		if round%2 == 1 {
			take([]byte("behind"))
		}
	}
	has := o.sides.ofSlots()
	o.sides.mu.Lock()
	made := o.sides.last
	o.sides.mu.Unlock()
	if len(has) != 1 || made != 1 || len(slots) < 4 {
		t.Errorf("slots have %v of %d side segments; %d slots have had one", has, made, len(slots))
	}
	put([]byte("short"))
	put(content(100, 1)) // in another slot, or in the one of the long ones
	put(content(100, 2))
	put(content(900<<10, 3))
	take([]byte("short"))
	take(content(100, 1))
	take(content(100, 2))
	take(content(900<<10, 3))
	if _, used := s.used(t); used > 2<<20+1<<16 {
		t.Errorf("%d bytes are charged", used)
	}
}

// What no message lies in goes when its owner, or the daemon, lacks memory for anything:
// also what a client still has mapped.
func TestIdleSidesGiveWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"bytes", Config{QuotaBytes: 5 << 20}},
		{"objects", Config{QuotaObjects: 5}},
		{"budget", Config{BudgetBytes: 5 << 20, QuotaBytes: 1 << 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Socket = filepath.Join(t.TempDir(), "s")
			s := startAt(t, c.config)
			client := greeted(t, s, 1)
			h, o, actor := client.longQueue(s, "idle", nil)
			g, _, _ := client.longQueue(s, "busy", nil)
			q := o.segment.Queue()
			r, err := q.Reserve(context.Background(), nil, actor, 0)
			if err != nil {
				t.Fatal(err)
			}
			var a wire.SideResult
			wantCode(t, "side", client.call(&a, wire.MethodSide, h, r.Slot, r.Ticket, 2<<20), status.OK)
			file := os.NewFile(uintptr(client.files[0]), "side")
			client.files = nil
			defer file.Close()
			memory, err := shm.MapSide(file, a.Size)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = memory.Unmap() }()
			if err := q.Abort(context.Background(), nil, actor, r, 0); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "put", client.call(nil, wire.MethodPut, h, content(900<<10, 1), 0), status.OK)
			var got []byte
			wantCode(t, "take", client.call(&got, wire.MethodTake, h, 0), status.OK)
			if blocks(t, file) == 0 {
				t.Error("the side segment has no memory")
			}
			if len(o.sides.ofSlots()) != 1 {
				t.Fatalf("slots have %v", o.sides.ofSlots())
			}
			for i := range 2 {
				wantCode(t, "put", client.call(nil, wire.MethodPut, g, content(900<<10, byte(i)), 0), status.OK)
			}
			client.open("segment", wire.KindArray, map[string]any{"code": "B", "shape": []int{2 << 20}})
			if has := o.sides.ofSlots(); len(has) != 0 || blocks(t, file) != 0 {
				t.Errorf("slots have %v, and %d blocks of memory", has, blocks(t, file))
			}
			if named := q.Named(r.Slot); named != 0 {
				t.Errorf("the slot names side segment %d", named)
			}
		})
	}
}

// blocks is how much memory a file has, in blocks of 512 bytes.
func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks
}

// ofSlots are the numbers of what slots have.
func (t *sideTable) ofSlots() map[uint32]uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	numbers := make(map[uint32]uint32)
	for slot, s := range t.slots {
		if t.numbers[s.number] == s {
			numbers[slot] = s.number
		}
	}
	return numbers
}

// turnStack leaves the free slots that have side segments at the bottom of the stack.
func (o *object) turnStack(t *testing.T, a shm.Actor) {
	t.Helper()
	q, has := o.segment.Queue(), o.sides.ofSlots()
	var with, without []shm.Reservation
	for range o.geometry.Length {
		r, err := q.Reserve(context.Background(), nil, a, 0)
		if err != nil {
			t.Fatal(err)
		}
		if has[r.Slot] != 0 {
			with = append(with, r)
		} else {
			without = append(without, r)
		}
	}
	for _, r := range append(with, without...) {
		if err := q.Abort(context.Background(), nil, a, r, 0); err != nil {
			t.Fatal(err)
		}
	}
}
