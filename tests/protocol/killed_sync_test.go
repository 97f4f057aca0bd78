package protocol

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// begin makes a call whose answer nobody waits for.
func (c caller) begin(t *testing.T, call ...any) {
	t.Helper()
	line, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	c.Send(string(line))
}

// bench is one object of each sort that a killed client may have had a hand in, as
// another client, which maps nothing either, sees it.
type bench struct {
	*harness.Daemon
	t                                      *testing.T
	p                                      *peer
	event, lock, condition, barrier, table uint64
	victim                                 caller
}

// newBench starts a client to be killed: its handles are 1 to 6 in the same order, where
// that of the mutex which the condition opens along comes first.
func newBench(t *testing.T) *bench {
	b := &bench{Daemon: harness.StartDaemon(t), t: t}
	b.p = dial(t, b.Socket).greet()
	b.event = b.p.attach(wire.MethodCreate, "event", "event", m{"auto_reset": true})
	b.lock = b.p.attach(wire.MethodCreate, "lock", "mutex", m{"strict": true})
	b.condition = b.p.attach(wire.MethodCreate, "condition", "condition", m{"lock": "@lock"})
	b.barrier = b.p.attach(wire.MethodCreate, "barrier", "barrier", m{"parties": 3})
	b.table = b.p.attach(wire.MethodCreate, "table", "rwlock", m{})
	b.victim = startCaller(t, copySelf(t, public(t)), b.Socket, false)
	b.victim.Expect("OK")
	for _, name := range []string{"event", "lock", "condition"} {
		b.victim.call(t, status.OK, "", "open", name)
	}
	b.victim.call(t, status.OK, "", "open", "barrier", m{"party": true})
	b.victim.call(t, status.OK, "", "open", "table")
	return b
}

// The victim's handles.
const (
	vEvent = 1 + iota
	vLock
	vLockAlong
	vCondition
	vBarrier
	vTable
)

// sleeps returns once as many sleep in an object, of all clients.
func (b *bench) sleeps(object string, n uint64) {
	b.t.Helper()
	witness := b.Dial(b.t)
	defer witness.Close()
	harness.Await(b.t, fmt.Sprintf("there are %d sleepers in %s", n, object), func() bool {
		var stat wire.Stat
		if err := witness.Call(b.t.Context(), wire.MethodStat, &stat, object); err != nil {
			b.t.Fatal(err)
		}
		return stat.Waiters == n
	})
}

// kill kills it, and returns what a lock, or the like, is answered then.
func (b *bench) kill(pending uint32) wire.Response {
	b.t.Helper()
	b.victim.Kill()
	return b.p.response(pending)
}

// notice decodes one; nil is none.
func (b *bench) notice(r wire.Response) (n *wire.Notice) {
	b.t.Helper()
	if r.Err != nil {
		b.t.Errorf("answered %v", r.Err)
		return nil
	}
	if err := wire.Decode(r.Result, &n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// What a client that is killed held through the socket comes back, and is told to whom
// it matters, wherever it was.
func TestKilledClients(t *testing.T) {
	for name, test := range map[string]func(b *bench){
		"reader": func(b *bench) {
			for token := range 3 {
				b.victim.call(b.t, status.OK, "", "read_lock", vTable, 0, token)
			}
			writing := b.p.later(wire.MethodLock, b.table)
			b.sleeps("table", 1)
			if n := b.notice(b.kill(writing)); n != nil {
				b.t.Errorf("the writer is told of %+v", n)
			}
			b.p.must(wire.MethodUnlock, b.table)
		},
		"writer": func(b *bench) {
			b.victim.call(b.t, status.OK, "", "lock", vTable)
			reading := b.p.later(wire.MethodReadLock, b.table)
			b.sleeps("table", 1)
			if n := b.notice(b.kill(reading)); n == nil || n.PID != int32(b.victim.PID()) {
				b.t.Errorf("the reader is told of %+v", n)
			}
			b.p.must(wire.MethodReadUnlock, b.table)
			b.p.must(wire.MethodLock, b.table)
			b.p.must(wire.MethodMarkConsistent, b.table)
			b.p.must(wire.MethodUnlock, b.table)
		},
		"writer that waits": func(b *bench) {
			b.p.must(wire.MethodReadLock, b.table)
			b.victim.begin(b.t, "lock", vTable)
			b.sleeps("table", 1)
			reading := b.p.later(wire.MethodReadLock, b.table, -1, 5)
			b.sleeps("table", 2)
			if n := b.notice(b.kill(reading)); n != nil {
				b.t.Errorf("the reader is told of %+v", n)
			}
			b.p.must(wire.MethodReadUnlock, b.table, 5)
			b.p.must(wire.MethodReadUnlock, b.table)
		},
		"party": func(b *bench) {
			first := b.p.later(wire.MethodArrive, b.barrier)
			b.sleeps("barrier", 1)
			b.peerDied(b.kill(first))
		},
		"party that waits": func(b *bench) {
			b.victim.begin(b.t, "arrive", vBarrier)
			b.sleeps("barrier", 1)
			first := b.p.later(wire.MethodArrive, b.barrier)
			b.sleeps("barrier", 2)
			b.peerDied(b.kill(first))
		},
		"leader": func(b *bench) {
			first, second := b.p.later(wire.MethodArrive, b.barrier), b.p.later(wire.MethodArrive, b.barrier)
			b.sleeps("barrier", 2)
			b.victim.call(b.t, status.OK, "", "arrive", vBarrier, -1, true)
			b.victim.Kill()
			all := b.p.answers([]uint32{first, second})
			wantError(b.t, "arrive", nil, all[second].Err, status.PeerDied, "")
			b.peerDied(all[first])
		},
		"waiter for an event": func(b *bench) {
			b.victim.begin(b.t, "wait", vEvent)
			b.sleeps("event", 1)
			b.victim.Kill()
			b.sleeps("event", 0)
			b.p.must(wire.MethodSignal, b.event)
			b.p.must(wire.MethodWait, b.event, 0)
		},
		"waiter in a condition": func(b *bench) {
			b.victim.call(b.t, status.OK, "", "lock", vLock)
			b.victim.begin(b.t, "wait_condition", vCondition)
			b.sleeps("condition", 1)
			b.victim.Kill()
			b.sleeps("condition", 0)
			if n := b.notice(b.p.response(b.p.later(wire.MethodLock, b.lock))); n != nil {
				b.t.Errorf("the next owner is told of %+v", n)
			}
			b.p.must(wire.MethodNotify, b.condition)
			b.p.must(wire.MethodUnlock, b.lock)
		},
		"waiter for the mutex of a condition": func(b *bench) {
			b.victim.call(b.t, status.OK, "", "lock", vLock)
			b.victim.begin(b.t, "wait_condition", vCondition)
			b.sleeps("condition", 1)
			b.p.must(wire.MethodLock, b.lock)
			b.p.must(wire.MethodNotify, b.condition)
			b.sleeps("lock", 1)
			b.victim.Kill()
			b.sleeps("lock", 0)
			b.p.must(wire.MethodUnlock, b.lock)
			if n := b.notice(b.p.response(b.p.later(wire.MethodLock, b.lock))); n != nil {
				b.t.Errorf("the next owner is told of %+v", n)
			}
			b.p.must(wire.MethodUnlock, b.lock)
		},
		"notifier": func(b *bench) {
			b.p.must(wire.MethodLock, b.lock)
			waiting := b.p.later(wire.MethodWaitCondition, b.condition)
			b.sleeps("condition", 1)
			b.victim.call(b.t, status.OK, "", "lock", vCondition)
			if n := b.notice(b.kill(waiting)); n == nil || n.PID != int32(b.victim.PID()) {
				b.t.Errorf("the waiter is told of %+v", n)
			}
			b.p.must(wire.MethodMarkConsistent, b.condition)
			b.p.must(wire.MethodUnlock, b.lock)
		},
	} {
		t.Run(name, func(t *testing.T) { test(newBench(t)) })
	}
}

// peerDied wants the error that names the victim, and the state that does, and resets
// the barrier.
func (b *bench) peerDied(r wire.Response) {
	b.t.Helper()
	wantError(b.t, "arrive", nil, r.Err, status.PeerDied,
		fmt.Sprintf(`"barrier"|pid %d of uid %d, in seat 2`, b.victim.PID(), decoded[wire.Stat](b.p, wire.MethodStat,
			"barrier").LastDeath.UID))
	n := b.notice(b.p.response(b.p.later(wire.MethodReset, b.barrier)))
	if n == nil || n.PID != int32(b.victim.PID()) || n.Deaths != 1 {
		b.t.Errorf("reset clears %+v", n)
	}
}
