package daemon

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// conditionFor opens a mutex and a condition bound to it, and returns both handles.
func (c *rawClient) conditionFor(options map[string]any) (mutex, condition uint64) {
	c.t.Helper()
	return c.open("m", wire.KindMutex, options), c.open("c", wire.KindCondition, map[string]any{"lock": "@m"})
}

func TestCondition(t *testing.T) {
	for name, options := range map[string]map[string]any{
		"plain": nil, "recursive": {"recursive": true}, "unlock_any": {"unlock_any": true}, "strict": {"strict": true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
			a, b := greeted(t, s, 1), greeted(t, s, 2)
			am, ac := a.conditionFor(options)
			bm, bc := b.conditionFor(options)
			wantCode(t, "a wait without the mutex", b.call(nil, wire.MethodWaitCondition, bc), status.NotOwner)
			wantCode(t, "notify without the mutex", b.call(nil, wire.MethodNotify, bc), status.NotOwner)
			depth := 1
			if name == "recursive" {
				depth = 3
			}
			for range depth {
				wantCode(t, "lock", b.call(nil, wire.MethodLock, bm, -1, 7), status.OK)
			}
			if name != "unlock_any" {
				wantCode(t, "another token", b.call(nil, wire.MethodWaitCondition, bc, -1, 8), status.NotOwner)
			}
			wantCode(t, "a try", b.call(nil, wire.MethodWaitCondition, bc, 0, 7), status.WouldBlock)
			wantCode(t, "it is held", a.call(nil, wire.MethodLock, am, 0), status.WouldBlock)
			waiting := b.send(wire.MethodWaitCondition, bc, -1, 7)
			wantCode(t, "it is released", a.call(nil, wire.MethodLock, ac), status.OK)
			s.awaitWaiters(t, "c", 1)
			wantCode(t, "notify", a.call(nil, wire.MethodNotify, ac), status.OK)
			s.awaitWaiters(t, "m", 1) // it waits for the mutex
			wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, am), status.OK)
			r := b.answer(waiting)
			if r.Err != nil || string(r.Result) != "\xc0" {
				t.Errorf("the waiter: %q, %v", r.Result, r.Err)
			}
			for i := range depth {
				wantCode(t, "it is held again", a.call(nil, wire.MethodLock, am, 0), status.WouldBlock)
				if err := b.call(nil, wire.MethodUnlock, bc, 7); err != nil {
					t.Errorf("unlock %d of %d: %v", i+1, depth, err)
				}
			}
			wantCode(t, "and free", a.call(nil, wire.MethodLock, am, 0), status.OK)
			wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, am), status.OK)
		})
	}
}

func TestNotifyAll(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	_, ac := a.conditionFor(nil)
	_, bc := b.conditionFor(nil)
	locked := func(method string, params ...any) {
		t.Helper()
		wantCode(t, "lock", a.call(nil, wire.MethodLock, ac), status.OK)
		wantCode(t, method, a.call(nil, method, params...), status.OK)
		wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, ac), status.OK)
	}
	tokens := make(map[uint32]int) // of the calls that wait
	for token := range 5 {
		wantCode(t, "lock", b.call(nil, wire.MethodLock, bc, -1, token), status.OK)
		tokens[b.send(wire.MethodWaitCondition, bc, -1, token)] = token
		s.awaitWaiters(t, "c", uint64(token)+1)
	}
	locked(wire.MethodNotify, ac, 0)
	// Each that is woken holds the mutex, and unlocks it for the next.
	unlocks := make(map[uint32]bool)
	for range 10 {
		r, err := b.receive()
		if err != nil || r.Err != nil {
			t.Fatalf("an answer: %+v, %v", r, err)
		}
		if token, waited := tokens[r.ID]; waited {
			delete(tokens, r.ID)
			unlocks[b.send(wire.MethodUnlock, bc, token)] = true
		} else if !unlocks[r.ID] {
			t.Fatalf("an answer to %d", r.ID)
		}
	}
	locked(wire.MethodNotify, ac)
	locked(wire.MethodNotify, ac, 1<<31-1)
	for _, n := range []any{-1, 1 << 31} {
		wantCode(t, "n", a.call(nil, wire.MethodNotify, ac, n), status.Invalid)
	}
}

// A wait with a timeout that sees the mutex go to another before it ends: the answer to
// the call that is returned comes when that one gives the mutex back. Who is too slow to
// take the mutex in time finds the wait over, and the next wait is longer.
func waitOvertaken(t *testing.T,
	waiter *rawClient, mutex, condition uint64, other *rawClient, otherMutex uint64,
) uint32 {
	t.Helper()
	for timeout := int64(time.Millisecond); ; timeout *= 2 {
		wantCode(t, "lock", waiter.call(nil, wire.MethodLock, mutex), status.OK)
		waiting := waiter.send(wire.MethodWaitCondition, condition, timeout)
		err := other.call(nil, wire.MethodLock, otherMutex, 1000*timeout)
		if status.Of(err) != status.TimedOut {
			wantCode(t, "lock by another", err, status.OK)
			return waiting
		}
		wantCode(t, "the wait", errOrNil(waiter.answer(waiting).Err), status.TimedOut)
		wantCode(t, "unlock", waiter.call(nil, wire.MethodUnlock, mutex), status.OK)
	}
}

// What ends the sleep does not end taking the mutex again: a timeout and a cancel are
// told when it is held, and only then.
func TestMutexIsTakenAgainAfterTimeoutAndCancel(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	am, _ := a.conditionFor(nil)
	bm, bc := b.conditionFor(nil)
	for _, want := range []status.Code{status.TimedOut, status.Cancelled} {
		var waiting uint32
		if want == status.TimedOut {
			waiting = waitOvertaken(t, b, bm, bc, a, am)
		} else {
			wantCode(t, "lock", b.call(nil, wire.MethodLock, bm), status.OK)
			waiting = b.send(wire.MethodWaitCondition, bc)
			wantCode(t, "lock by another", a.call(nil, wire.MethodLock, am), status.OK)
			s.awaitWaiters(t, "c", 1)
			for range 3 { // only the first one matters
				if err := b.conn.Write(wire.AppendCancel(nil, waiting)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.awaitWaiters(t, "m", 1) // it waits for the mutex
		ping := b.send(wire.MethodPing)
		if r := b.answer(ping); r.Err != nil { // no answer came before this one
			t.Error(r.Err)
		}
		wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, am), status.OK)
		wantCode(t, "the wait", errOrNil(b.answer(waiting).Err), want)
		wantCode(t, "it is held", a.call(nil, wire.MethodLock, am, 0), status.WouldBlock)
		wantCode(t, "unlock", b.call(nil, wire.MethodUnlock, bm), status.OK)
	}
}

// Closing the handle, and the end of the connection, end taking the mutex again; the
// mutex is nobody's then, and there is no notice.
func TestMutexIsNotTakenForNobody(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	am, ac := a.conditionFor(nil)
	uuid := byte(2)
	for _, name := range []string{"close", "bye", "hang up"} {
		for _, when := range []string{"asleep", "asleep, the mutex is held", "waits for the mutex"} {
			b := greeted(t, s, uuid)
			uuid++
			bm, bc := b.conditionFor(nil)
			wantCode(t, "lock", b.call(nil, wire.MethodLock, bm), status.OK)
			waiting := b.send(wire.MethodWaitCondition, bc)
			s.awaitWaiters(t, "c", 1)
			if when != "asleep" {
				wantCode(t, "lock by another", a.call(nil, wire.MethodLock, am), status.OK)
			}
			if when == "waits for the mutex" {
				wantCode(t, "notify", a.call(nil, wire.MethodNotify, ac), status.OK)
				s.awaitWaiters(t, "m", 1)
			}
			switch name {
			case "close":
				b.send(wire.MethodClose, bc)
				for range 2 {
					r, err := b.receive()
					if err != nil {
						t.Fatal(err)
					}
					if r.ID == waiting {
						wantCode(t, "the wait", errOrNil(r.Err), status.Closed)
					}
				}
			case "bye":
				b.send(wire.MethodBye)
			default:
				b.conn.Close()
			}
			s.awaitCalls(t, 0)
			if when != "asleep" {
				wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, am), status.OK)
			}
			var notice *wire.Notice
			if err := a.call(&notice, wire.MethodLock, am, 0); err != nil || notice != nil {
				t.Errorf("%s, %s: the mutex is locked with %+v, %v", name, when, notice, err)
			}
			wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, am), status.OK)
		}
	}
}

// The notice of a death wins over the timeout, since the mutex is held with it.
func TestConditionTellsOfADeath(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	b := greeted(t, s, 1)
	bm, bc := b.conditionFor(nil)
	for i, timed := range []bool{false, true} {
		a := greeted(t, s, byte(2+i))
		_, ac := a.conditionFor(nil)
		var waiting uint32
		if timed {
			waiting = waitOvertaken(t, b, bm, bc, a, ac)
			s.awaitWaiters(t, "m", 1)
		} else {
			wantCode(t, "lock", b.call(nil, wire.MethodLock, bm), status.OK)
			waiting = b.send(wire.MethodWaitCondition, bc)
			wantCode(t, "lock by another", a.call(nil, wire.MethodLock, ac), status.OK)
			s.awaitWaiters(t, "c", 1)
			wantCode(t, "notify", a.call(nil, wire.MethodNotify, ac), status.OK)
		}
		a.conn.Close()
		r := b.answer(waiting)
		var notice *wire.Notice
		if r.Err == nil {
			if err := wire.Decode(r.Result, &notice); err != nil {
				t.Fatal(err)
			}
		}
		if notice == nil || notice.Seat != uint32(2+i) || notice.Deaths != uint64(i)+1 {
			t.Fatalf("the wait: %+v, %v", notice, r.Err)
		}
		wantCode(t, "mark_consistent", b.call(nil, wire.MethodMarkConsistent, bc), status.OK)
		wantCode(t, "unlock", b.call(nil, wire.MethodUnlock, bm), status.OK)
	}
}

// A strict mutex that is not marked consistent is lost by a wait, as by unlock.
func TestStrictMutexOfACondition(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	strict := map[string]any{"strict": true}
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	am, _ := a.conditionFor(strict)
	bm, bc := b.conditionFor(strict)
	wantCode(t, "lock", a.call(nil, wire.MethodLock, am), status.OK)
	a.conn.Close()
	var notice wire.Notice
	if err := b.call(&notice, wire.MethodLock, bm); err != nil || notice.Deaths != 1 {
		t.Fatalf("lock: %+v, %v", notice, err)
	}
	wantCode(t, "the wait", b.call(nil, wire.MethodWaitCondition, bc), status.NotRecoverable)
	wantCode(t, "unlock", b.call(nil, wire.MethodUnlock, bm), status.NotOwner)
	wantCode(t, "lock", b.call(nil, wire.MethodLock, bm), status.NotRecoverable)
}

// Destroying the mutex wakes who waits in the conditions bound to it; destroying the
// condition leaves the mutex held.
func TestConditionThatIsDestroyed(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	am, _ := a.conditionFor(nil)
	bm, bc := b.conditionFor(nil)
	wait := func(method string) uint32 {
		t.Helper()
		wantCode(t, "lock", b.call(nil, wire.MethodLock, bm), status.OK)
		waiting := b.send(method, bc)
		s.awaitWaiters(t, "c", 1)
		return waiting
	}
	waiting := wait(wire.MethodWaitCondition)
	wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "c"), status.OK)
	wantCode(t, "the waiter", errOrNil(b.answer(waiting).Err), status.Removed)
	wantCode(t, "the mutex is held", a.call(nil, wire.MethodLock, am, 0), status.WouldBlock)
	wantCode(t, "unlock", b.call(nil, wire.MethodUnlock, bm), status.OK)
	wantCode(t, "close", b.call(nil, wire.MethodClose, bc), status.OK)

	bc = b.open("c", wire.KindCondition, map[string]any{"lock": "@m"})
	other := b.open("d", wire.KindCondition, map[string]any{"lock": "@m"})
	waiting = wait(wire.MethodWaitCondition)
	wantCode(t, "lock", b.call(nil, wire.MethodLock, bm, -1, 5), status.OK)
	second := b.send(wire.MethodWaitCondition, other, -1, 5)
	s.awaitWaiters(t, "d", 1)
	wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "m"), status.OK)
	for range 2 {
		r, err := b.receive()
		if err != nil || r.ID != waiting && r.ID != second {
			t.Fatalf("%+v, %v", r, err)
		}
		wantCode(t, "a waiter", errOrNil(r.Err), status.Removed)
		if r.Err.Object != "m" {
			t.Errorf("%v does not name the mutex", r.Err)
		}
	}
	wantCode(t, "unlock", b.call(nil, wire.MethodUnlock, bc), status.Removed)
	wantCode(t, "wait again", b.call(nil, wire.MethodWaitCondition, bc), status.Removed)
	wantCode(t, "notify", b.call(nil, wire.MethodNotify, bc), status.Removed)
}

// A mutex knows the conditions bound to it for as long as they are there.
func TestConditionsOfAMutex(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	_, c := a.conditionFor(nil)
	o, err := s.registry.pin(ref{name: "m"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.registry.unpin(o)
	bound := func(want int) {
		t.Helper()
		s.registry.mu.Lock()
		defer s.registry.mu.Unlock()
		if len(o.bound) != want {
			t.Errorf("%d conditions are bound to the mutex, want %d", len(o.bound), want)
		}
	}
	bound(1)
	a.open("d", wire.KindCondition, map[string]any{"lock": "@m"})
	bound(2)
	wantCode(t, "unlink", a.call(nil, wire.MethodUnlink, "c"), status.OK)
	bound(2)
	wantCode(t, "close", a.call(nil, wire.MethodClose, c), status.OK)
	bound(1)
	wantCode(t, "create without one", a.call(nil, wire.MethodCreate, "e", wire.KindCondition, map[string]any{}),
		status.Invalid)
	for what, lock := range map[string]any{"own": "own", "none": "none"} {
		wantCode(t, what, a.call(nil, wire.MethodCreate, "e", wire.KindCondition, map[string]any{"lock": lock}),
			status.Invalid)
	}
	wantCode(t, "of what is no mutex", a.call(nil, wire.MethodCreate, "e", wire.KindCondition,
		map[string]any{"lock": "@d"}), status.KindMismatch)
	wantCode(t, "read-only", a.call(nil, wire.MethodOpen, "d", map[string]any{"access": "r"}), status.Permission)
	bound(1)
}

// A grant that nobody hears of leaves the mutex free, and without a notice.
func TestUnheardConditionWaitReleases(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	options := map[string]any{"recursive": true}
	am, ac := a.conditionFor(options)
	bm, bc := b.conditionFor(options)
	for range 2 {
		wantCode(t, "lock", b.call(nil, wire.MethodLock, bm), status.OK)
	}
	b.send(wire.MethodWaitCondition, bc)
	s.awaitWaiters(t, "c", 1)
	wantCode(t, "lock", a.call(nil, wire.MethodLock, am), status.OK)
	wantCode(t, "notify", a.call(nil, wire.MethodNotify, ac), status.OK)
	s.mute(t, 2)
	wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, am), status.OK)
	s.awaitCalls(t, 0)
	var notice *wire.Notice
	if err := a.call(&notice, wire.MethodLock, am, 0); err != nil || notice != nil {
		t.Errorf("lock: %+v, %v", notice, err)
	}
}
