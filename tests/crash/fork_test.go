package crash

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

var own = subjects[1]

// startForker starts c/forker.c, which then holds the lock of "data".
func (s *scene) startForker(scenario string) *client {
	s.t.Helper()
	c := &client{s.t, s.run(harness.Command(s.cProgram("forker", nil), scenario), nil), flavourC}
	c.Expect("parent locked")
	return c
}

// TestForkedChild forks a mapped client: in the child every handle refuses, the
// memory stays, and a connection of its own works; the parent notices nothing.
func TestForkedChild(t *testing.T) {
	s := newScene(t)
	c := s.startForker("child")
	for _, line := range []string{"child lock FORKED", "child unlock FORKED", "child load FORKED",
		"child unlink FORKED", "child try WOULD_BLOCK", "child ready"} {
		c.Expect(line)
	}
	s.awaitSleepers(own, 1)
	c.Send("go on")
	// Both speak now, each in its own order.
	want := map[string][]string{
		"parent": {"sees 42", "unlock OK", "lock OK", "unlock OK"},
		"child":  {"own lock OK", "own unlock OK"},
	}
	for len(want["parent"])+len(want["child"]) > 0 {
		who, what, _ := strings.Cut(c.Line(), " ")
		if len(want[who]) == 0 || want[who][0] != what {
			t.Fatalf("%s says %q, want %q", who, what, want[who])
		}
		want[who] = want[who][1:]
	}
	c.MustEnd()
}

// TestForkedOrphan kills a client whose child still has its socket and its
// mapping: it is the process that counts.
func TestForkedOrphan(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newScene(t, flags...)
		c := s.startForker("orphan")
		child, err := strconv.Atoi(strings.TrimPrefix(c.Line(), "child "))
		if err != nil {
			t.Fatal(err)
		}
		// Not Kill: that waits for the end of the output, which the child keeps open.
		s.inherit(own, c, "values 0 0", func() { c.Signal(syscall.SIGKILL) })
		if err := syscall.Kill(child, 0); err != nil {
			t.Fatalf("the child is gone, nothing is proved: %v", err)
		}
		c.CloseStdin()
	})
}

// TestExec lets a mapped client that holds a lock become another program: its
// process lives on and can never unlock.
func TestExec(t *testing.T) {
	for _, f := range flavours {
		t.Run(string(f), func(t *testing.T) {
			s := newScene(t)
			holder := s.start(f, nil)
			pair := hold(holder, own)
			s.inherit(own, holder, pair, func() { holder.do("exec", "idle") })
			if err := syscall.Kill(holder.PID(), 0); err != nil {
				t.Fatalf("the process is gone, nothing is proved: %v", err)
			}
			holder.MustEnd()
		})
	}
}

// TestSocketClosed closes the connection of a mapped client that lives and holds
// a lock. It may still write: nothing is taken from it before it dies, or has
// nothing mapped any more.
func TestSocketClosed(t *testing.T) {
	ends := []struct {
		name string
		end  func(c *client)
	}{
		{"killed", func(c *client) { c.Kill() }},
		{"exec", func(c *client) { c.do("exec", "idle") }},
	}
	for _, f := range []flavour{flavourGo, flavourC} {
		for _, end := range ends {
			t.Run(string(f)+"/"+end.name, func(t *testing.T) {
				s := newScene(t)
				holder := s.start(f, nil)
				pair := hold(holder, own)
				holder.do("closesocket", "ok")
				s.awaitZombie(holder)
				// It works on, by itself.
				holder.do("end data", "ok")
				holder.do("unlock data", "ok")
				holder.do("lock data", "held")
				holder.do("begin data", "ok")
				s.inherit(own, holder, pair, func() {
					s.awaitZombie(holder)
					end.end(holder)
				})
				s.awaitStatus("no zombie", func(st *wire.Status) bool { return st.Zombies == 0 })
			})
		}
	}
}

// awaitZombie waits until the daemon knows that a client is one, and wants that
// shown everywhere, with the lock still held.
func (s *scene) awaitZombie(c *client) {
	s.t.Helper()
	pid := int32(c.PID())
	s.awaitStatus("one zombie", func(st *wire.Status) bool { return st.Zombies == 1 })
	var clients []wire.ClientInfo
	s.call(wire.MethodClients, &clients)
	found := false
	for _, info := range clients {
		found = found || info.PID == pid && info.Zombie && info.Mapped == 1
	}
	if !found {
		s.t.Errorf("no zombie of process %d among %+v", pid, clients)
	}
	st := s.stat(own.object)
	if st.Held == nil || st.Held.PID != pid || st.Inconsistent || st.Deaths != 0 {
		s.t.Errorf("the zombie does not hold the lock: %+v, %+v", st, st.Held)
	}
	for _, seat := range st.Seats {
		if seat.Zombie != (seat.PID == pid) {
			s.t.Errorf("the seats are %+v, want the one of process %d a zombie's", st.Seats, pid)
		}
	}
}

// TestDaemonised lets a child speak on its parent's connection: the daemon says
// why it ends that, and the child may connect for itself.
func TestDaemonised(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newScene(t, flags...)
		c := s.startForker("daemonise")
		for _, line := range []string{
			"child is told IDENTITY", "child sees the end", "child connected", "parent LOST",
		} {
			c.Expect(line)
		}
		s.awaitZombie(c)
		s.inherit(own, c, "values 0 0", c.Kill)
	})
}
