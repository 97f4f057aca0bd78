package crash

import (
	"fmt"
	"reflect"
	"syscall"
	"testing"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// TestRestartAccounts kills the daemon when two users have objects, handles, seats and
// side segments: the next one charges whom the one before did, and gives everything back
// (see harness.StartDaemon).
func TestRestartAccounts(t *testing.T) {
	s := newPublicScene(t)
	s.call(wire.MethodChmod, nil, "lock", 0o666)
	s.call(wire.MethodChmod, nil, "foreign", 0o666)
	var q wire.Attachment
	s.call(wire.MethodCreate, &q, "long", wire.KindQueue, wire.CreateOptions{MaxSize: new(uint32(4)),
		SlotSize: new(uint32(64)), MessageMax: new(uint32(1 << 20)), Content: new(wire.ContentRaw)})
	for range 3 {
		s.call(wire.MethodPut, nil, q.Handle, make([]byte, 100<<10))
	}
	var clients []*client
	for _, f := range flavours {
		for _, attr := range []*syscall.SysProcAttr{nil, asNobody()} {
			c := s.start(f, attr)
			c.do("open array foreign", "ok")
			clients = append(clients, c)
		}
	}
	before, err := s.Accounts(t.Context(), s.ctl)
	if err != nil {
		t.Fatal(err)
	}
	if before[nobody]["handles"] != 2*uint64(len(flavours)) || before[0]["objects"] != 7 {
		t.Errorf("before: %v", before)
	}
	s.Kill()
	s = s.restarted(harness.DaemonOptions{Flags: []string{"--socket-mode=0666"}})
	s.call(wire.MethodOpen, nil, "long") // as the former client of the test had it
	harness.Await(t, "the accounts of the next daemon", func() bool {
		after, err := s.Accounts(t.Context(), s.ctl)
		if err != nil {
			t.Fatal(err)
		}
		for _, uses := range after {
			delete(uses, "detached") // who has nothing to ask the daemon does not come back
		}
		if !reflect.DeepEqual(before, after) {
			t.Logf("before %v, after %v", before, after)
		}
		return reflect.DeepEqual(before, after)
	})
	for i, c := range clients {
		if i%2 == 0 {
			c.Kill()
		} else {
			c.MustEnd()
		}
	}
}

// TestRestartWithAllConnections restarts the daemon when a user has as many connections as
// he may: all come back, though each is counted twice on its way, and no other comes.
func TestRestartWithAllConnections(t *testing.T) {
	s := newPublicScene(t)
	s.call(wire.MethodChmod, nil, "lock", 0o666)
	s.call(wire.MethodChmod, nil, "foreign", 0o666)
	var clients []*client
	for _, f := range flavours {
		c := s.start(f, asNobody())
		c.do("open array foreign", "ok")
		clients = append(clients, c)
	}
	s.Kill()
	s = s.restarted(harness.DaemonOptions{Flags: []string{"--socket-mode=0666",
		fmt.Sprintf("--quota-user=%d:connections=%d", nobody, len(clients))}})
	for _, c := range clients {
		c.do("open array foreign", "ok")
	}
	harness.Await(t, "all are back", func() bool {
		accounts, err := s.Accounts(t.Context(), s.ctl)
		if err != nil {
			t.Fatal(err)
		}
		return accounts[nobody]["detached"] == 0 && accounts[nobody]["connections"] == uint64(len(clients))
	})
	for _, c := range clients {
		c.MustEnd()
	}
}
