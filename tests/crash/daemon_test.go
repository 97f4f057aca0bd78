package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// TestDaemonKilled kills a daemon without a keeper under its clients: who has mapped an
// object goes on with the others who have, who has not is told at once; the next daemon
// takes the socket over.
func TestDaemonKilled(t *testing.T) {
	s := newScene(t, "--keeper=none")
	one, other, blocked := s.start(flavourGo, nil), s.start(flavourC, nil), s.start(flavourSocket, nil)
	for _, c := range []*client{one, other, blocked} {
		c.do("open array data", "ok")
	}
	one.do("lock data", "held")
	blocked.Send("lock data")
	s.awaitSleepers(own, 1)
	segment := s.Segment(s.stat("data").ID)
	s.Kill()
	blocked.Expect("error LOST")
	for _, c := range []*client{one, other, blocked} {
		c.do("open mutex lock", "error LOST")
	}
	select {
	case <-s.ctl.Lost():
	case <-t.Context().Done():
	}

	// The daemon's own sleeper, for the blocked call, is counted for ever.
	const daemons = 1
	holder, waiter := one, other
	for range 10 {
		waiter.Send("lock data")
		harness.Await(t, "the other client sleeps", func() bool {
			n, err := segment.Waiting()
			if err != nil {
				t.Fatal(err)
			}
			return n == daemons+1
		})
		holder.do("begin data", "ok")
		holder.do("set data 0 1", "ok")
		holder.do("end data", "ok")
		holder.do("unlock data", "ok")
		waiter.Expect("held")
		waiter.do("pair data", "values 1 0 clean")
		holder, waiter = waiter, holder
	}
	holder.do("unlock data", "ok")

	next := harness.StartDaemonWith(t, harness.DaemonOptions{Socket: s.Socket})
	again := &scene{t, next, next.Dial(t)}
	again.create("data", wire.KindArray, arrayOptions(nil))
	for _, f := range flavours {
		c := again.start(f, nil)
		c.do("open array data", "ok")
		c.do("lock data", "held")
		c.do("pair data", "values 0 0 clean") // another object
		c.do("unlock data", "ok")
		c.MustEnd()
	}
	for _, c := range []*client{one, other} {
		c.do("lock data", "held")
		c.do("unlock data", "ok")
		c.do("close data", "ok")
	}
}

// TestSecondDaemon starts a daemon on a socket that is served.
func TestSecondDaemon(t *testing.T) {
	s := newScene(t)
	second := harness.StartCmd(t, exec.Command(harness.Binary(t), "serve", "--socket", s.Socket))
	err := second.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 69 || !strings.Contains(second.Stderr(), "another shmd daemon") {
		t.Fatalf("the second daemon ended with %v, want exit status 69 and the reason: %s", err, second.Stderr())
	}
	s.start(flavourC, nil).do("open mutex lock", "ok")
}

// TestManyBlocked lets many calls wait at the daemon, which takes few threads,
// and grants them all, one after the other.
func TestManyBlocked(t *testing.T) {
	const (
		connections = 20
		mutexes     = 100
		callers     = connections * mutexes
		threadsMax  = 64
	)
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newScene(t, flags...)
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		var held [mutexes]wire.Attachment
		for m := range held {
			s.call(wire.MethodCreate, &held[m], fmt.Sprintf("many/%d", m), wire.KindMutex, wire.CreateOptions{})
			s.call(wire.MethodLock, nil, held[m].Handle)
		}
		var inside [mutexes]atomic.Int32
		done := make(chan error, callers)
		for range connections {
			c := s.Dial(t)
			for m := range mutexes {
				var a wire.Attachment
				if err := c.Call(ctx, wire.MethodOpen, &a, held[m].Name); err != nil {
					t.Fatal(err)
				}
				go func() { done <- caller(ctx, c, a.Handle, &inside[m]) }()
			}
		}
		s.awaitStatus("all callers", func(st *wire.Status) bool { return st.Waiting == callers })
		if n := s.threads(); n > threadsMax {
			t.Errorf("%d blocked calls take %d threads, want at most %d", callers, n, threadsMax)
		}
		for m := range held {
			s.call(wire.MethodUnlock, nil, held[m].Handle)
		}
		for range callers {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// caller takes a lock, is alone in it, and gives it back.
func caller(ctx context.Context, c *shmd.Client, handle uint64, inside *atomic.Int32) error {
	if err := c.Call(ctx, wire.MethodLock, nil, handle); err != nil {
		return err
	}
	if n := inside.Add(1); n != 1 {
		return fmt.Errorf("%d callers hold one lock", n)
	}
	inside.Add(-1)
	return c.Call(ctx, wire.MethodUnlock, nil, handle)
}

// threads is the number of the daemon's threads.
func (s *scene) threads() int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if count, ok := strings.CutPrefix(line, "Threads:"); ok {
			if _, err := fmt.Sscan(count, &n); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return n
}
