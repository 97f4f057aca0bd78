package crash

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// restarted is the scene with the next daemon, of a killed one.
func (s *scene) restarted(o harness.DaemonOptions) *scene {
	s.t.Helper()
	next := s.Restart(o)
	if err := s.ctl.Close(); err != nil { // it has come back, and would be a leak at the end
		s.t.Error(err)
	}
	return &scene{s.t, next, next.Dial(s.t)}
}

// TestRestart kills the daemon under a client that holds a lock and one that waits for
// it: neither notices, and what they had they have in the next one.
func TestRestart(t *testing.T) {
	for _, f := range flavours {
		t.Run(string(f), func(t *testing.T) {
			s := newScene(t)
			holder, waiter := s.start(f, nil), s.start(flavourGo, nil)
			holder.do("open array data", "ok")
			waiter.do("open array data", "ok")
			holder.do("lock data", "held")
			waiter.Send("lock data")
			s.awaitSleepers(own, 1)
			id := s.stat("data").ID
			s.Kill()
			s = s.restarted(harness.DaemonOptions{})
			if st := s.stat("data"); st.ID != id || len(st.Seats) != 2 {
				t.Fatalf("the next daemon knows %+v", st)
			}
			holder.do("begin data", "ok")
			holder.do("set data 0 1", "ok")
			holder.do("end data", "ok")
			holder.do("unlock data", "ok")
			waiter.Expect("held")
			waiter.do("pair data", "values 1 0 clean")
			holder.do("open mutex lock", "ok") // of the next daemon

			// Which notices deaths, of clients that came back.
			waiter.Kill()
			holder.Send("lock data")
			if line := holder.Line(); !strings.Contains(line, fmt.Sprintf(" %d ", waiter.PID())) {
				t.Fatalf("after the death of client %d: %s", waiter.PID(), line)
			}
			holder.do("mark data", "ok")
			holder.do("unlock data", "ok")
			holder.MustEnd()
		})
	}
}

// TestRestartSides kills the daemon after a side segment came to be another slot's: the
// message in it is there, and the next one is written there too.
func TestRestartSides(t *testing.T) {
	s := newScene(t)
	create := wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(2)), SlotSize: new(uint32(64)),
		MessageMax: new(uint32(8192))}
	s.create("jobs", wire.KindQueue, create)
	jobs, err := shmd.OpenQueue(t.Context(), s.ctl, "jobs")
	if err != nil {
		t.Fatal(err)
	}
	long := func(n int) string { return strings.Repeat(fmt.Sprint(n), 8192) }
	put := func(q *shmd.Queue, message string) {
		t.Helper()
		if err := q.TryPut([]byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	take := func(q *shmd.Queue, want string) {
		t.Helper()
		if got, err := q.TryTake(); err != nil || string(got) != want {
			t.Fatalf("took %d bytes, %v; want %d", len(got), err, len(want))
		}
	}
	put(jobs, long(1))
	take(jobs, long(1))
	put(jobs, "short") // where that was
	put(jobs, long(2))
	s.Kill()
	s = s.restarted(harness.DaemonOptions{})
	next, err := shmd.OpenQueue(t.Context(), s.ctl, "jobs")
	if err != nil {
		t.Fatal(err)
	}
	take(next, "short")
	take(next, long(2))
	for i := range 4 {
		put(next, long(i))
		take(next, long(i))
	}
	put(next, long(5)) // both slots have messages in memory of their own
	put(next, long(6))
	take(next, long(5))
	take(next, long(6))
}

// TestDaemonAndKeeperKilled kills both: names are lost, clients are told so, and what is
// mapped goes on.
func TestDaemonAndKeeperKilled(t *testing.T) {
	s := newScene(t)
	one, other := s.start(flavourGo, nil), s.start(flavourC, nil)
	socket := s.start(flavourSocket, nil)
	for _, c := range []*client{one, other, socket} {
		c.do("open array data", "ok")
	}
	one.do("lock data", "held")
	keeper := s.KeeperPID()
	s.Kill()
	if err := syscall.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, "the end of the keeper", func() bool { return s.KeeperPID() == 0 })
	next := s.Restart(harness.DaemonOptions{})
	for _, c := range []*client{one, other, socket} {
		c.do("open mutex lock", "error LOST")
	}
	<-s.ctl.Lost()
	one.do("unlock data", "ok")
	other.do("lock data", "held")
	other.do("unlock data", "ok")
	again := &scene{t, next, next.Dial(t)}
	again.create("data", wire.KindArray, arrayOptions(nil))
	c := again.start(flavourC, nil)
	c.do("open array data", "ok")
	c.MustEnd()
}

// TestRestartHoldings kills the daemon under a client that has only the socket: what it
// holds of each kind it holds in the next one, is told so, and can give it back.
func TestRestartHoldings(t *testing.T) {
	s := newScene(t)
	c := s.Dial(t)
	call := func(method string, result any, params ...any) {
		t.Helper()
		if err := c.Call(t.Context(), method, result, params...); err != nil {
			t.Fatal(err)
		}
	}
	handles := make(map[string]uint64)
	create := func(kind string, o wire.CreateOptions) {
		var a wire.Attachment
		call(wire.MethodCreate, &a, "holds/"+kind, kind, o)
		handles[kind] = a.Handle
	}
	create(wire.KindMutex, wire.CreateOptions{Recursive: new(true)})
	create(wire.KindRWLock, wire.CreateOptions{})
	create(wire.KindSemaphore, wire.CreateOptions{Undo: new(true), Initial: new(uint32(3)), Maximum: new(uint32(3))})
	create(wire.KindQueue, wire.CreateOptions{MaxSize: new(uint32(4))})
	create(wire.KindBarrier, wire.CreateOptions{Parties: new(uint32(1))})
	const token = 7
	call(wire.MethodLock, nil, handles[wire.KindMutex], -1, token)
	call(wire.MethodLock, nil, handles[wire.KindMutex], -1, token)
	call(wire.MethodReadLock, nil, handles[wire.KindRWLock], -1, token)
	call(wire.MethodAcquire, nil, handles[wire.KindSemaphore], 2)
	call(wire.MethodPut, nil, handles[wire.KindQueue], 42)
	var lease wire.Lease
	call(wire.MethodLease, &lease, handles[wire.KindQueue])
	var arrival wire.Arrival
	call(wire.MethodArrive, &arrival, handles[wire.KindBarrier], -1, true)
	var before, after wire.List[wire.Holding]
	call(wire.MethodHoldings, &before)
	if len(before) != 5 || !arrival.Leader {
		t.Fatalf("before, it holds %+v", before)
	}
	s.Kill()
	s = s.restarted(harness.DaemonOptions{})
	call(wire.MethodHoldings, &after)
	if !reflect.DeepEqual(after, before) {
		t.Errorf("it held %+v, and holds %+v", before, after)
	}
	// A writer waits, so that a reader who was forgotten could not read again.
	writer := s.Dial(t)
	var w wire.Attachment
	if err := writer.Call(t.Context(), wire.MethodOpen, &w, "holds/rwlock"); err != nil {
		t.Fatal(err)
	}
	waits, err := writer.Start(wire.MethodLock, w.Handle)
	if err != nil {
		t.Fatal(err)
	}
	s.awaitStatus("the writer", func(st *wire.Status) bool { return st.Waiting == 1 })
	call(wire.MethodReadLock, nil, handles[wire.KindRWLock], -1, token)
	call(wire.MethodReadUnlock, nil, handles[wire.KindRWLock], token)
	call(wire.MethodReadUnlock, nil, handles[wire.KindRWLock], token)
	if err := waits.Wait(t.Context(), nil); err != nil {
		t.Error(err)
	}
	err = c.Call(t.Context(), wire.MethodReadUnlock, nil, handles[wire.KindRWLock], token)
	if !errors.Is(err, status.NotOwner) {
		t.Errorf("one read too many: %v", err)
	}
	if err := writer.Call(t.Context(), wire.MethodUnlock, nil, w.Handle); err != nil {
		t.Error(err)
	}
	call(wire.MethodComplete, nil, handles[wire.KindBarrier])
	call(wire.MethodAck, nil, handles[wire.KindQueue], lease.Lease)
	call(wire.MethodRelease, nil, handles[wire.KindSemaphore], 2)
	call(wire.MethodUnlock, nil, handles[wire.KindMutex], token)
	call(wire.MethodUnlock, nil, handles[wire.KindMutex], token)
	call(wire.MethodHoldings, &after)
	if len(after) != 0 {
		t.Errorf("it has given back everything, and holds %+v", after)
	}
	for _, each := range []*shmd.Client{c, writer} {
		if err := each.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRestartAfterDeaths kills a client after the daemon: the next one finds it dead.
func TestRestartAfterDeaths(t *testing.T) {
	for _, f := range flavours {
		t.Run(string(f), func(t *testing.T) {
			s := newScene(t)
			dead, heir := s.start(f, nil), s.start(flavourGo, nil)
			dead.do("open array data", "ok")
			heir.do("open array data", "ok")
			dead.do("lock data", "held")
			heir.Send("lock data")
			s.awaitSleepers(own, 1)
			s.Kill()
			dead.Kill()
			s.restarted(harness.DaemonOptions{})
			if line := heir.Line(); !strings.Contains(line, fmt.Sprintf(" %d ", dead.PID())) {
				t.Errorf("the heir is told %q, of the death of %d", line, dead.PID())
			}
			heir.do("mark data", "ok")
			heir.do("unlock data", "ok")
			heir.MustEnd()
		})
	}
}

// TestTermination: SIGTERM leaves everything to the next daemon, SIGINT nothing.
func TestTermination(t *testing.T) {
	s := newScene(t)
	c := s.start(flavourGo, nil)
	c.do("open array data", "ok")
	c.do("lock data", "held")
	s.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	s = s.restarted(harness.DaemonOptions{})
	c.do("open mutex lock", "ok")
	c.do("unlock data", "ok")
	if s.KeeperPID() == 0 {
		t.Fatal("there is no keeper")
	}
	s.Signal(syscall.SIGINT)
	if err := s.Wait(); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, "the end of the keeper", func() bool { return s.KeeperPID() == 0 })
	s.Restart(harness.DaemonOptions{})
	c.do("open mutex lock", "error LOST")
	c.do("lock data", "held")
	c.do("unlock data", "ok")
}
