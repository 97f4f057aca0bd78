package crash

import "testing"

// TestWaiterKilled kills a client that sleeps for a lock whose holder lives: the
// unlock must wake one of the others, each in its turn.
func TestWaiterKilled(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, sub := range subjects {
			for _, f := range flavours {
				t.Run(sub.name+"/"+string(f), func(t *testing.T) {
					s := newScene(t, flags...)
					holder, victim := s.start(flavourGo, nil), s.start(f, nil)
					for _, c := range []*client{holder, victim} {
						c.do("open "+sub.kind+" "+sub.object, "ok")
					}
					holder.do("lock "+sub.object, "held")
					victim.Send("lock " + sub.object)
					s.awaitSleepers(sub, 1)
					waiters := s.startWaiters(sub, 1)
					victim.Kill()
					s.awaitGone(2 + len(waiters))
					s.awaitSleepers(sub, len(waiters))
					holder.do("unlock "+sub.object, "ok")
					s.takeTurns(sub, waiters)
					holder.do("lock "+sub.object, "held")
					holder.do("unlock "+sub.object, "ok")
				})
			}
		}
	})
}

// TestWaiterAndHolderKilled kills a sleeper and then the holder: the notice goes
// to who is left.
func TestWaiterAndHolderKilled(t *testing.T) {
	sub := subjects[1]
	for _, f := range flavours {
		t.Run(string(f), func(t *testing.T) {
			s := newScene(t)
			holder, victim := s.start(f, nil), s.start(f, nil)
			pair := hold(holder, sub)
			victim.do("open array data", "ok")
			victim.Send("lock data")
			s.awaitSleepers(sub, 1)
			victim.Kill()
			s.awaitGone(2)
			s.inherit(sub, holder, pair, holder.Kill)
		})
	}
}

// TestTimeoutBesideDeath lets a waiter give up while the holder lives and dies:
// it leaves without the lock, and the other one gets it.
func TestTimeoutBesideDeath(t *testing.T) {
	sub := subjects[1]
	for _, f := range flavours {
		t.Run(string(f), func(t *testing.T) {
			s := newScene(t)
			holder, brief := s.start(f, nil), s.start(f, nil)
			hold(holder, sub)
			brief.do("open array data", "ok")
			brief.do("lock data 0", "error WOULD_BLOCK")
			brief.do("lock data 1000000", "error TIMED_OUT")
			s.inherit(sub, holder, "values 7 0", holder.Kill)
		})
	}
}
