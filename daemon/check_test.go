package daemon

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// damage is one object that somebody scribbled over.
type damage struct {
	name, kind string
	options    map[string]any
	before     func(c *rawClient, h uint64) // while it is whole
	offset     int64
	value      any
	word       string                             // that a check names
	refused    func(c *rawClient, h uint64) error // CORRUPT while it is damaged; nil = no call says so
	works      func(t *testing.T, c *rawClient, h uint64)
}

// stranger names a seat that nobody has.
var stranger = shm.OwnerWord(60, 5)

func damages() []damage {
	try := func(method string, params ...any) func(*testing.T, *rawClient, uint64) {
		return func(t *testing.T, c *rawClient, h uint64) {
			t.Helper()
			wantCode(t, method, c.call(nil, method, append([]any{h}, params...)...), status.OK)
		}
	}
	puts := func(c *rawClient, h uint64) {
		for i := range 3 {
			wantCode(c.t, "put", c.call(nil, wire.MethodPut, h, i), status.OK)
		}
	}
	refuses := func(method string, params ...any) func(*rawClient, uint64) error {
		return func(c *rawClient, h uint64) error { return c.call(nil, method, append([]any{h}, params...)...) }
	}
	claims := func(roles ...string) func(*testing.T, *rawClient, uint64) {
		return func(t *testing.T, c *rawClient, h uint64) {
			t.Helper()
			for _, role := range roles {
				wantCode(t, "claim "+role, c.call(nil, wire.MethodClaim, h, role), status.OK)
			}
		}
	}
	return []damage{
		{name: "value", kind: wire.KindValue, options: map[string]any{"code": "q", "init": 5}, offset: 0x140,
			value: uint64(9), word: "sequence.word", works: func(t *testing.T, c *rawClient, h uint64) {
				var r wire.ReadResult
				if err := c.call(&r, wire.MethodRead, h, 0, -1, 0); err != nil || !r.Dirty {
					t.Errorf("read: %+v, %v", r, err)
				}
			}},
		{name: "mutex", kind: wire.KindMutex, offset: 0x100, value: stranger, word: "lock.word",
			works: func(t *testing.T, c *rawClient, h uint64) {
				var n *wire.Notice
				if err := c.call(&n, wire.MethodLock, h, 0); err != nil || n == nil {
					t.Errorf("lock: %+v, %v", n, err)
				}
			}},
		{name: "semaphore", kind: wire.KindSemaphore, options: map[string]any{"initial": 1, "maximum": 3},
			offset: 0x100, value: ^uint32(1), word: "semaphore", works: try(wire.MethodAcquire, 1, 0)},
		{name: "undo", kind: wire.KindSemaphore, options: map[string]any{"initial": 1, "maximum": 3, "undo": true},
			offset: 0x148, value: uint32(9), word: "total", refused: refuses(wire.MethodAcquire, 1, 0),
			works: try(wire.MethodAcquire, 1, 0)},
		{name: "event", kind: wire.KindEvent, offset: 0x100, value: uint32(3), word: "event",
			works: func(t *testing.T, c *rawClient, h uint64) {
				wantCode(t, "wait", c.call(nil, wire.MethodWait, h, 0), status.WouldBlock)
				wantCode(t, "signal", c.call(nil, wire.MethodSignal, h), status.OK)
				wantCode(t, "wait", c.call(nil, wire.MethodWait, h, 0), status.OK)
			}},
		{name: "condition", kind: wire.KindCondition, options: map[string]any{"lock": "@m"}, offset: 0xc0,
			value: uint32(2), word: "state", works: try(wire.MethodLock, 0)},
		{name: "barrier", kind: wire.KindBarrier, options: map[string]any{"parties": 1}, offset: 0x100,
			value: uint64(3), word: "barrier", refused: refuses(wire.MethodArrive, 0),
			works: try(wire.MethodArrive, 0)},
		{name: "rwlock", kind: wire.KindRWLock, offset: 0x100, value: uint32(1<<29 | 60), word: "rwlock",
			works: try(wire.MethodReadLock, 0)},
		{name: "stream", kind: wire.KindStream, offset: 0x140, value: uint64(7 << 6), word: "head.word",
			refused: func(c *rawClient, h uint64) error { return c.call(nil, wire.MethodClaim, h, wire.RoleConsumer) },
			works:   claims(wire.RoleProducer, wire.RoleConsumer)},
		{name: "pipe", kind: wire.KindPipe, offset: 0x100, value: uint64(64 << 3), word: "ring 0: record at byte 0",
			before:  func(c *rawClient, h uint64) { claims(wire.EndB)(c.t, c, h) },
			refused: func(c *rawClient, h uint64) error { return c.call(nil, wire.MethodRecv, h, 0) },
			works:   claims(wire.EndA, wire.EndB)},
		{name: "queue", kind: wire.KindQueue, options: map[string]any{"maxsize": 8}, before: puts, offset: 0x150,
			value: uint64(1000), word: "ready_head", refused: refuses(wire.MethodTake, 0),
			works: try(wire.MethodTake, 0)},
		{name: "latched", kind: wire.KindQueue, options: map[string]any{"maxsize": 8}, before: puts, offset: 0x140,
			value: stranger, word: "take_latch", works: try(wire.MethodTake, 0)},
	}
}

// What somebody scribbled into an object is named by a check, which changes nothing, and
// put right by a repair, which says what it cost; then the object works again.
func TestCheckAndRepair(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	operator := greeted(t, s, 1)
	operator.open("m", wire.KindMutex, nil)
	uuid := byte(1)
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			uuid++
			c := greeted(t, s, uuid)
			h := c.open(d.name, d.kind, d.options)
			if d.before != nil {
				d.before(c, h)
			}
			var check wire.Check
			if err := operator.call(&check, wire.MethodCheck, d.name); err != nil || len(check.Findings) != 0 ||
				check.Unjudged != "" || check.Kind != d.kind {
				t.Fatalf("before: %+v, %v", check, err)
			}
			newScribbler(t, s, d.name).write(d.offset, d.value)
			if d.refused != nil {
				wantCode(t, "damaged", d.refused(c, h), status.Corrupt)
			}
			for range 2 {
				err := operator.call(&check, wire.MethodCheck, d.name)
				if err != nil || check.Unjudged != "" || !slices.ContainsFunc(check.Findings,
					func(f wire.Finding) bool { return f.Word == d.word && f.Says != "" && f.Remedy != "" }) {
					t.Fatalf("want %s: %+v, %v", d.word, check, err)
				}
			}
			var repair wire.Repair
			err := operator.call(&repair, wire.MethodRepair, d.name)
			if err != nil || len(repair.Left) != 0 || len(repair.Findings) != len(check.Findings) {
				t.Fatalf("repair: %+v, %v", repair, err)
			}
			if err := operator.call(&check, wire.MethodCheck, d.name); err != nil || len(check.Findings) != 0 {
				t.Errorf("after: %+v, %v", check, err)
			}
			d.works(t, c, h)
			if err := operator.call(&repair, wire.MethodRepair, d.name); err != nil || len(repair.Findings) != 0 ||
				len(repair.Costs) != 0 {
				t.Errorf("again: %+v, %v", repair, err)
			}
		})
	}
}

// Recovery that finds words which cannot be right makes a queue CORRUPT for everybody, and
// says so in stat, until it is repaired: messages that can be right are there then.
func TestRepairOfCondemned(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"maxsize": 8}
	h := a.open("q", wire.KindQueue, options)
	b.open("q", wire.KindQueue, options)
	for i := range 3 {
		wantCode(t, "put", a.call(nil, wire.MethodPut, h, i), status.OK)
	}
	o, err := s.registry.pin(ref{name: "q"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	scribbler := newScribbler(t, s, "q")
	scribbler.write(int64(o.geometry.DescOffset)+32, ^uint64(0))
	wantCode(t, "bye", b.call(nil, wire.MethodBye), status.OK)
	var stat wire.Stat
	await(t, "the recovery", func() bool {
		return a.call(&stat, wire.MethodStat, "q") == nil && stat.State == wire.StateCorrupt
	})
	wantCode(t, "take", a.call(nil, wire.MethodTake, h, 0), status.Corrupt)
	var repair wire.Repair
	if err := a.call(&repair, wire.MethodRepair, "q"); err != nil || len(repair.Costs) != 1 || len(repair.Left) != 0 {
		t.Fatalf("repair: %+v, %v", repair, err)
	}
	for _, want := range []int{0, 2} {
		var got int
		if err := a.call(&got, wire.MethodTake, h, 0); err != nil || got != want {
			t.Errorf("take: %d, %v; want %d", got, err, want)
		}
	}
	wantCode(t, "take", a.call(nil, wire.MethodTake, h, 0), status.WouldBlock)
	wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "q"), status.OK)
	wantCode(t, "check of what was destroyed", a.call(nil, wire.MethodCheck, o.id), status.Removed)
}
