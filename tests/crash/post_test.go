package crash

import (
	"fmt"
	"testing"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// messenger starts a client that obeys the commands of messenger_test.go.
func (s *scene) messenger(f flavour) *client {
	s.t.Helper()
	c := s.startProgram(f, "messenger", nil)
	c.Expect("ok")
	return c
}

// poster starts a messenger that has "jobs" open.
func (s *scene) poster(f flavour) *client {
	s.t.Helper()
	c := s.messenger(f)
	c.do("open queue jobs", "ok")
	return c
}

const jobsSize = 6

// newPost is a scene with the raw queue "jobs".
func newPost(t *testing.T, flags ...string) *scene {
	t.Helper()
	s := newScene(t, flags...)
	s.create("jobs", wire.KindQueue, wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(jobsSize))})
	return s
}

// open opens an object for the test itself.
func (s *scene) open(name string) (handle uint64) {
	s.t.Helper()
	var a wire.Attachment
	s.call(wire.MethodOpen, &a, name)
	return a.Handle
}

func (s *scene) counts(name string) (c wire.Counts) {
	s.t.Helper()
	h := s.open(name)
	s.call(wire.MethodCounts, &c, h)
	s.call(wire.MethodClose, nil, h)
	return c
}

func (s *scene) permits(name string) (p wire.Permits) {
	s.t.Helper()
	h := s.open(name)
	s.call(wire.MethodPermits, &p, h)
	s.call(wire.MethodClose, nil, h)
	return p
}

// awaitAsleep waits until n clients sleep in a queue or semaphore. Of those whose
// calls the daemon makes, each shows in its seat, or is counted by the daemon.
func (s *scene) awaitAsleep(name string, n int) {
	s.t.Helper()
	s.awaitStat(name, fmt.Sprintf("%d sleepers", n), func(st *wire.Stat) bool {
		asleep := 0
		for _, seat := range st.Seats {
			if seat.Waiting {
				asleep++
			}
		}
		return asleep == n
	})
}

// sleepers starts one client of each flavour that sleep in an object for what a
// command wants; already is how many do.
func (s *scene) sleepers(kind, name, command string, already int) []*client {
	s.t.Helper()
	all := make([]*client, 0, len(flavours))
	for i, f := range flavours {
		c := s.messenger(f)
		c.do("open "+kind+" "+name, "ok")
		c.Send(command)
		s.awaitAsleep(name, already+i+1)
		all = append(all, c)
	}
	return all
}

// wantOne wants one of the clients to say a line, and returns it and the others.
func wantOne(t *testing.T, among []*client, want string) (one *client, rest []*client) {
	t.Helper()
	harness.Await(t, "one of the clients says "+want, func() bool {
		for i, c := range among {
			if line := c.Poll(); line == want {
				one = c
				rest = append(append(rest, among[:i]...), among[i+1:]...)
				return true
			} else if line != "" {
				t.Fatalf("the %s client says %q, want %q\n%s", c.flavour, line, want, c.Stderr())
			}
		}
		return false
	})
	return one, rest
}

// drain lets each of the clients, which want a message, have one in turn.
func (s *scene) drain(sleepers []*client) {
	s.t.Helper()
	putter := s.poster(flavourGo)
	for i := range sleepers {
		putter.do(fmt.Sprintf("put jobs m%d", i), "ok")
		var one *client
		one, sleepers = wantOne(s.t, sleepers, fmt.Sprintf("leased m%d 1", i))
		one.do("ack jobs", "ok")
	}
	putter.MustEnd()
}
