package crash

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
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
