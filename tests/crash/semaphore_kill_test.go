package crash

import (
	"fmt"
	"testing"

	"github.com/shmd/shmd/wire"
)

const permitsMade = 2

var undoOptions = wire.CreateOptions{Initial: new(uint32(permitsMade)), Maximum: new(uint32(permitsMade)),
	Undo: new(true)}

// newGate is a scene with the undo semaphore "permits".
func newGate(t *testing.T, flags ...string) *scene {
	t.Helper()
	s := newScene(t, flags...)
	s.create("permits", wire.KindSemaphore, undoOptions)
	return s
}

// holder starts a messenger that has acquired permits.
func (s *scene) holder(f flavour, n int) *client {
	s.t.Helper()
	c := s.messenger(f)
	c.do("open semaphore permits", "ok")
	if n > 0 {
		c.do(fmt.Sprintf("acquire permits %d", n), "ok")
	}
	return c
}

// wantPermits wants so many permits available, of all there ever were.
func (s *scene) wantPermits(available uint32) {
	s.t.Helper()
	if p := s.permits("permits"); p.Available != available || p.Total != permitsMade {
		s.t.Fatalf("the permits are %+v, want %d of %d available", p, available, permitsMade)
	}
}

// passOn lets each of the clients, which want one permit, have it in turn.
func (s *scene) passOn(waiters []*client) {
	s.t.Helper()
	for len(waiters) > 0 {
		var one *client
		one, waiters = wantOne(s.t, waiters, "ok")
		one.do("release permits 1", "ok")
	}
}

// TestPermitsComeBack kills who holds all permits while one of each flavour sleeps
// for one, and one for all: they come back once, and everybody gets what it wants.
func TestPermitsComeBack(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		s := newGate(t, flags...)
		victim := s.holder(f, permitsMade)
		waiters := s.sleepers("semaphore", "permits", "acquire permits 1", 0)
		greedy := s.sleepers("semaphore", "permits", fmt.Sprintf("acquire permits %d", permitsMade), len(waiters))
		s.wantPermits(0)
		victim.Kill()
		// Those who want all may be first, or last.
		want := map[*client]int{}
		for _, w := range waiters {
			want[w] = 1
		}
		for _, g := range greedy {
			want[g] = permitsMade
		}
		for all := append(greedy, waiters...); len(all) > 0; {
			var one *client
			one, all = wantOne(t, all, "ok")
			one.do(fmt.Sprintf("release permits %d", want[one]), "ok")
		}
		s.wantPermits(permitsMade)
	})
}

// TestSleeperForPermitsKilled kills who sleeps for a permit, of both sorts of
// semaphore: the next permit goes to one who lives.
func TestSleeperForPermitsKilled(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		for _, undo := range []bool{false, true} {
			t.Run(fmt.Sprintf("undo=%v", undo), func(t *testing.T) {
				s := newScene(t, flags...)
				s.create("permits", wire.KindSemaphore, wire.CreateOptions{Initial: new(uint32(1)), Undo: &undo})
				holder, victim := s.holder(flavourGo, 1), s.holder(f, 0)
				victim.Send("acquire permits 1")
				s.awaitAsleep("permits", 1)
				waiters := s.sleepers("semaphore", "permits", "acquire permits 1", 1)
				victim.Kill()
				s.awaitGone(2 + len(waiters))
				holder.do("release permits 1", "ok")
				s.passOn(waiters)
				if p := s.permits("permits"); p.Available != 1 {
					t.Errorf("the permits are %+v", p)
				}
			})
		}
	})
}

// TestPlainPermitsStayAway kills who has taken a permit of a plain semaphore: it is
// gone, and a client that lives may make a new one.
func TestPlainPermitsStayAway(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		s := newScene(t, flags...)
		s.create("permits", wire.KindSemaphore, wire.CreateOptions{Initial: new(uint32(1))})
		victim := s.holder(f, 1)
		waiters := s.sleepers("semaphore", "permits", "acquire permits 1", 0)
		victim.Kill()
		s.awaitGone(1 + len(waiters))
		s.awaitAsleep("permits", len(waiters))
		if p := s.permits("permits"); p.Available != 0 {
			t.Errorf("the permits are %+v", p)
		}
		maker := s.holder(flavourGo, 0)
		maker.do("release permits 1", "ok")
		s.passOn(waiters)
	})
}
