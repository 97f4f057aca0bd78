package daemon

import (
	"encoding/binary"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// greeted is a client that has said hello.
func greeted(t *testing.T, s *Server, uuid byte) *rawClient {
	t.Helper()
	c := newRawClient(t, s)
	if err := c.hello(uuid); err != nil {
		t.Fatal(err)
	}
	return c
}

// open opens or creates an object and returns its handle.
func (c *rawClient) open(name, kind string, options map[string]any) uint64 {
	c.t.Helper()
	if options == nil {
		options = map[string]any{}
	}
	var a wire.Attachment
	if err := c.call(&a, wire.MethodOpenOrCreate, name, kind, options); err != nil {
		c.t.Fatal(err)
	}
	return a.Handle
}

// answer reads the answer to a request that waits.
func (c *rawClient) answer(id uint32) wire.Response {
	c.t.Helper()
	r, err := c.receive()
	if err != nil || r.ID != id {
		c.t.Fatalf("answer %+v, %v; want one to %d", r, err, id)
	}
	return r
}

func TestPlainSemaphore(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"initial": 1, "maximum": 2}
	h, g := a.open("s", wire.KindSemaphore, options), b.open("s", wire.KindSemaphore, options)
	wantCode(t, "acquire", a.call(nil, wire.MethodAcquire, h), status.OK)
	wantCode(t, "try", b.call(nil, wire.MethodAcquire, g, 1, 0), status.WouldBlock)
	wantCode(t, "a short wait", b.call(nil, wire.MethodAcquire, g, 1, 1000), status.TimedOut)
	waiting := b.send(wire.MethodAcquire, g)
	wantCode(t, "release by another", a.call(nil, wire.MethodRelease, h), status.OK)
	wantCode(t, "the waiter", errOrNil(b.answer(waiting).Err), status.OK)
	wantCode(t, "post", a.call(nil, wire.MethodPost, h, 2), status.OK)
	wantCode(t, "one too many", a.call(nil, wire.MethodRelease, h), status.Overflow)
	wantCode(t, "two at once", a.call(nil, wire.MethodAcquire, h, 2), status.Unsupported)
	for _, n := range []int{0, -1, 3} {
		wantCode(t, "n", a.call(nil, wire.MethodAcquire, h, n), status.Invalid)
	}
	var p wire.Permits
	if err := a.call(&p, wire.MethodPermits, h); err != nil || p.Available != 2 || p.Maximum != 2 {
		t.Errorf("permits %+v, %v", p, err)
	}
	// What a client that goes had taken is gone.
	wantCode(t, "acquire", b.call(nil, wire.MethodAcquire, g), status.OK)
	wantCode(t, "bye", b.call(nil, wire.MethodBye), status.OK)
	if err := a.call(&p, wire.MethodPermits, h); err != nil || p.Available != 1 {
		t.Errorf("after the end of a holder: %+v, %v", p, err)
	}
	wantCode(t, "other options", a.call(nil, wire.MethodOpenOrCreate, "s", wire.KindSemaphore,
		map[string]any{"maximum": 3}), status.OptionMismatch)
}

func TestUndoSemaphore(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"initial": 3, "undo": true}
	h, g := a.open("s", wire.KindSemaphore, options), b.open("s", wire.KindSemaphore, options)
	wantCode(t, "acquire two", b.call(nil, wire.MethodAcquire, g, 2), status.OK)
	wantCode(t, "release of what another holds", a.call(nil, wire.MethodRelease, h), status.NotOwner)
	wantCode(t, "release of more than held", b.call(nil, wire.MethodRelease, g, 3), status.NotOwner)
	var held []wire.Holding
	if err := b.call(&held, wire.MethodHoldings); err != nil || len(held) != 1 ||
		held[0].Holds != wire.HoldsPermits || held[0].Count != 2 || held[0].Name != "s" {
		t.Errorf("holdings %+v, %v", held, err)
	}
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "s"); err != nil || stat.Seats[0].Holds != 0 || stat.Seats[1].Holds != 2 {
		t.Errorf("stat says %+v, %v", stat.Seats, err)
	}
	waiting := a.send(wire.MethodAcquire, h, 3)
	b.conn.Close() // no bye
	wantCode(t, "who waits for what the dead held", errOrNil(a.answer(waiting).Err), status.OK)
	var p wire.Permits
	if err := a.call(&p, wire.MethodPermits, h); err != nil || p.Available != 0 || p.Held != 3 || p.Total != 3 {
		t.Errorf("permits %+v, %v", p, err)
	}
}

func TestQueue(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"maxsize": 2, "deliveries_max": 2}
	h, g := a.open("q", wire.KindQueue, options), b.open("q", wire.KindQueue, options)
	put := func(v any) {
		t.Helper()
		wantCode(t, "put", a.call(nil, wire.MethodPut, h, v), status.OK)
	}
	lease := func(c *rawClient, handle uint64, deliveries uint32) wire.Lease {
		t.Helper()
		var l wire.Lease
		if err := c.call(&l, wire.MethodLease, handle, 0); err != nil || l.Deliveries != deliveries {
			t.Fatalf("lease %+v, %v; want delivery %d", l, err, deliveries)
		}
		return l
	}
	wantCode(t, "empty", b.call(nil, wire.MethodTake, g, 0), status.WouldBlock)
	waiting := b.send(wire.MethodTake, g)
	put(map[string]any{"job": 1})
	if r := b.answer(waiting); r.Err != nil || !slices.Equal(r.Result, []byte("\x81\xa3job\x01")) {
		t.Errorf("taken: %q, %v", r.Result, r.Err)
	}
	put("first")
	put("second")
	wantCode(t, "full", a.call(nil, wire.MethodPut, h, 3, 0), status.WouldBlock)
	waiting = a.send(wire.MethodPut, h, "third")
	l := lease(b, g, 1)
	wantCode(t, "another's lease", a.call(nil, wire.MethodPing), status.OK)
	wantCode(t, "ack", b.call(nil, wire.MethodAck, g, []any{l.Lease.Slot, l.Lease.Seq}), status.OK)
	wantCode(t, "the put that waited", errOrNil(a.answer(waiting).Err), status.OK)

	// A lease comes back when its client goes, first; the second time it is dead.
	second := lease(b, g, 1)
	wantCode(t, "ack by another", a.call(nil, wire.MethodAck, h, []any{second.Lease.Slot, second.Lease.Seq}),
		status.NotOwner)
	var held []wire.Holding
	if err := b.call(&held, wire.MethodHoldings); err != nil || len(held) != 1 || held[0].Holds != wire.HoldsLease ||
		*held[0].Lease != second.Lease {
		t.Errorf("holdings %+v, %v", held, err)
	}
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "q"); err != nil || stat.Seats[0].Holds != 0 || stat.Seats[1].Holds != 1 {
		t.Errorf("stat says %+v, %v", stat.Seats, err)
	}
	wantCode(t, "bye", b.call(nil, wire.MethodBye), status.OK)
	again := lease(a, h, 2)
	if again.Lease.Seq != second.Lease.Seq || string(again.Message) != "\xa6second" {
		t.Errorf("redelivered %+v, was %+v", again, second)
	}
	wantCode(t, "nack", a.call(nil, wire.MethodNack, h, []any{again.Lease.Slot, again.Lease.Seq}), status.OK)
	var n wire.Counts
	if err := a.call(&n, wire.MethodCounts, h); err != nil || n.Dead != 1 || n.Ready != 1 || n.MaxSize != 2 {
		t.Errorf("counts %+v, %v", n, err)
	}
	var dead wire.Lease
	if err := a.call(&dead, wire.MethodTakeDead, h); err != nil || string(dead.Message) != "\xa6second" {
		t.Errorf("dead letter %+v, %v", dead, err)
	}
	wantCode(t, "nack", a.call(nil, wire.MethodNack, h, []any{dead.Lease.Slot, dead.Lease.Seq}), status.OK)
	var redelivered int
	if err := a.call(&redelivered, wire.MethodRedeliver, h); redelivered != 1 || err != nil {
		t.Errorf("redelivered %d, %v", redelivered, err)
	}
	wantCode(t, "shutdown", a.call(nil, wire.MethodShutdown, h), status.OK)
	wantCode(t, "put after shutdown", a.call(nil, wire.MethodPut, h, 1), status.Ended)
	for _, want := range []string{"second", "third"} {
		var got string
		if err := a.call(&got, wire.MethodTake, h); got != want || err != nil {
			t.Errorf("drained %q, %v; want %q", got, err, want)
		}
	}
	wantCode(t, "drained", a.call(nil, wire.MethodTake, h), status.Ended)
}

func TestQueueBadInput(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := greeted(t, s, 1)
	raw := c.open("raw", wire.KindQueue, map[string]any{"content": "raw", "slot_size": 64})
	packed := c.open("packed", wire.KindQueue, map[string]any{"slot_size": 64})
	wantCode(t, "str into raw", c.call(nil, wire.MethodPut, raw, "text"), status.BadType)
	wantCode(t, "nothing", c.call(nil, wire.MethodPut, raw, []byte{}), status.OK)
	wantCode(t, "as much as fits", c.call(nil, wire.MethodPut, raw, make([]byte, 64)), status.OK)
	err := c.call(nil, wire.MethodPut, raw, make([]byte, 65))
	wantCode(t, "too much", err, status.TooLarge)
	for _, part := range []string{"65", "64"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
	deep := any(nil)
	for range wire.ContentDepthMax + 1 {
		deep = []any{deep}
	}
	wantCode(t, "too deep", c.call(nil, wire.MethodPut, packed, deep), status.BadType)
	wantCode(t, "no lease", c.call(nil, wire.MethodAck, packed, []any{0, 0}), status.NotOwner)
	wantCode(t, "a slot that is none", c.call(nil, wire.MethodAck, packed, []any{1 << 31, 0}), status.NotOwner)
	wantCode(t, "no name of a lease", c.call(nil, wire.MethodAck, packed, 7), status.BadParams)
	wantCode(t, "half a name", c.call(nil, wire.MethodAck, packed, []any{7}), status.BadParams)
	wantCode(t, "lock", c.call(nil, wire.MethodLock, packed), status.Unsupported)
	wantCode(t, "get", c.call(nil, wire.MethodGet, packed), status.KindMismatch)
	wantCode(t, "acquire", c.call(nil, wire.MethodAcquire, packed), status.KindMismatch)
	for what, options := range map[string]map[string]any{
		"maxsize 0": {"maxsize": 0}, "maxsize 65537": {"maxsize": 65537}, "tiny slots": {"slot_size": 7},
		"huge slots": {"slot_size": 1<<20 + 1}, "a huge message": {"message_max": 1<<30 + 1},
		"too many deliveries": {"deliveries_max": 255}, "content": {"content": "json"}, "code": {"code": "i"},
		"undo": {"undo": true},
	} {
		wantCode(t, what, c.call(nil, wire.MethodCreate, "bad", wire.KindQueue, options), status.Invalid)
	}
	for what, options := range map[string]map[string]any{
		"initial above maximum": {"initial": 2, "maximum": 1}, "maximum 0": {"maximum": 0},
		"maximum 2^31": {"maximum": uint32(1 << 31)}, "maxsize": {"maxsize": 1},
	} {
		wantCode(t, what, c.call(nil, wire.MethodCreate, "bad", wire.KindSemaphore, options), status.Invalid)
	}
	wantCode(t, "a negative initial", c.call(nil, wire.MethodCreate, "bad", wire.KindSemaphore,
		map[string]any{"initial": -1}), status.BadParams)
}

// A try that cannot look, because another client has the latch, is set aside until it
// can; the connection goes on meanwhile, and the answer is about the queue.
func TestTryBesideALatchHolder(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h := a.open("q", wire.KindQueue, map[string]any{})
	b.open("q", wire.KindQueue, map[string]any{})
	wantCode(t, "put", a.call(nil, wire.MethodPut, h, "message"), status.OK)
	o, err := s.registry.pin(ref{name: "q"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	s.registry.mu.Lock()
	holder := o.seats.taken[2].word
	s.registry.mu.Unlock()
	field, _ := reflect.TypeOf(shm.QueueLines{}).FieldByName("TakeLatch")
	latch := o.segment.Bytes()[0x100+field.Offset:]
	binary.LittleEndian.PutUint32(latch, holder)
	take := a.send(wire.MethodTake, h, 0)
	wantCode(t, "ping meanwhile", a.call(nil, wire.MethodPing), status.OK)
	binary.LittleEndian.PutUint32(latch, 0)
	if r := a.answer(take); r.Err != nil || string(r.Result) != "\xa7message" {
		t.Errorf("the try: %q, %v", r.Result, r.Err)
	}
}
