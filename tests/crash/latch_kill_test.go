package crash

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/shmd/shmd/wire"
)

// halfwayOf starts a Go client that goes halfway in an object: it has a seat of
// its own for that.
func (s *scene) halfwayOf(kind, name string, steps ...string) *client {
	s.t.Helper()
	c := s.messenger(flavourGo)
	c.do("open "+kind+" "+name, "ok")
	for _, step := range steps {
		c.do("halfway "+name+" "+step, step)
	}
	return c
}

// TestKilledInQueue kills a client at every step in the middle of a queue, while
// one of each flavour sleeps for a message, or for a slot.
func TestKilledInQueue(t *testing.T) {
	cases := []struct {
		step  string
		full  bool // the waiters want a slot, else a message
		found string
	}{
		{stepLatched, false, ""},
		{stepTaking, false, ""},
		{stepTaking, true, ""},
		{stepRuined, false, ""},
		{stepRuined, true, ""},
		{stepReserved, false, ""},
		{stepPublished, false, "leased halfway 1"},
		{stepUnwoken, false, "leased halfway 1"},
		{stepLeased, true, ""},
		{stepAcked, true, "ok"},
	}
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s full=%v", c.step, c.full), func(t *testing.T) {
				s := newPost(t, flags...)
				other, command := s.poster(flavourGo), "lease jobs"
				if c.full {
					s.fill(other)
					command = "put jobs more"
				}
				waiters := s.sleepers("queue", "jobs", command, 0)
				victim := s.halfwayOf("queue", "jobs", c.step)
				victim.Kill()
				if c.found != "" {
					var one *client
					one, waiters = wantOne(t, waiters, c.found)
					if !c.full {
						one.do("ack jobs", "ok")
					}
				}
				s.awaitGone(2 + len(flavours))
				s.awaitAsleep("jobs", len(waiters))
				if !c.full {
					s.wantCounts(0, 0, 0)
					s.drain(waiters)
					return
				}
				s.wantCounts(jobsSize, 0, 0)
				// All that was there is there, once, in order.
				delivery, first := 1, 0
				switch c.step {
				case stepLeased:
					delivery = 2
				case stepAcked:
					first = 1
				}
				for i := first; i < jobsSize; i++ {
					other.do("lease jobs 0", fmt.Sprintf("leased full%d %d", i, delivery))
					other.do("ack jobs", "ok")
					delivery = 1
					if len(waiters) > 0 {
						_, waiters = wantOne(t, waiters, "ok")
					}
				}
				for range flavours {
					other.do("lease jobs 0", "leased more 1")
					other.do("ack jobs", "ok")
				}
				s.wantCounts(0, 0, 0)
			})
		}
	})
}

// TestKilledInSemaphore does so in a semaphore with undo, while one of each flavour
// sleeps for a permit.
func TestKilledInSemaphore(t *testing.T) {
	cases := []struct {
		before []string // of the victim, which then has one of the two permits
		step   string
	}{
		{nil, stepLatched},
		{nil, stepRuined},
		{[]string{stepHeld}, stepReturned},
		{[]string{stepHeld}, stepUnwoken},
		{nil, stepAcquired},
	}
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, c := range cases {
			t.Run(c.step, func(t *testing.T) {
				s := newGate(t, flags...)
				other := s.holder(flavourGo, permitsMade-len(c.before))
				victim := s.halfwayOf("semaphore", "permits", c.before...)
				if c.step == stepAcquired {
					other.do("release permits 1", "ok") // which the victim acquires and the others want
				} else {
					s.wantPermits(0)
				}
				var waiters []*client
				if c.step != stepAcquired {
					waiters = s.sleepers("semaphore", "permits", "acquire permits 1", 0)
				}
				victim.do("halfway permits "+c.step, c.step)
				if c.step == stepAcquired {
					waiters = s.sleepers("semaphore", "permits", "acquire permits 1", 0)
				}
				victim.Kill()
				if c.step == stepLatched || c.step == stepRuined {
					s.awaitGone(2 + len(flavours))
					s.wantPermits(0)
					other.do("release permits 1", "ok")
				}
				s.passOn(waiters)
				s.awaitGone(2 + len(flavours))
				s.wantPermits(1)
				other.do("release permits 1", "ok")
				s.wantPermits(permitsMade)
			})
		}
	})
}

// TestWokenKilled kills a client that the only wake was for, before it takes what
// it was woken for: the others must not sleep on beside it.
func TestWokenKilled(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		t.Run("queue", func(t *testing.T) {
			s := newPost(t, flags...)
			victim, putter := s.halfwayOf("queue", "jobs"), s.poster(flavourGo)
			awaitFutex(t, victim.PID(), victim.Ask("halfway jobs "+stepWoken))
			waiters := s.sleepers("queue", "jobs", "lease jobs", 0)
			putter.do("put jobs a", "ok")
			victim.Expect(stepWoken)
			victim.Kill()
			one, waiters := wantOne(t, waiters, "leased a 1")
			one.do("ack jobs", "ok")
			s.drain(waiters)
		})
		t.Run("semaphore", func(t *testing.T) {
			s := newGate(t, flags...)
			victim, holder := s.halfwayOf("semaphore", "permits"), s.holder(flavourGo, permitsMade)
			awaitFutex(t, victim.PID(), victim.Ask("halfway permits "+stepWoken))
			waiters := s.sleepers("semaphore", "permits", "acquire permits 1", 0)
			holder.do("release permits 1", "ok")
			victim.Expect(stepWoken)
			victim.Kill()
			s.passOn(waiters)
			s.awaitGone(2 + len(flavours))
			s.wantPermits(1)
		})
	})
}

// TestStoppedTaking stops a client that holds the latch of the consumers: the producers go
// on, and the consumers wait for it.
func TestStoppedTaking(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newPost(t, flags...)
		stopped := s.halfwayOf("queue", "jobs", stepTaking)
		stopped.Signal(syscall.SIGSTOP)
		for _, f := range flavours {
			s.poster(f).do("put jobs "+string(f), "ok")
		}
		taker := s.poster(flavourGo)
		taker.Send("lease jobs")
		s.awaitStat("jobs", "a sleeping taker", func(st *wire.Stat) bool {
			return slices.ContainsFunc(st.Seats, func(seat wire.Seat) bool { return seat.Waiting })
		})
		busy := s.stat("jobs").Busy
		if busy == nil || int(busy.PID) != stopped.PID() || busy.Seat == 0 {
			t.Errorf("stat says %+v is in an operation; process %d is", busy, stopped.PID())
		}
		stopped.Signal(syscall.SIGCONT)
		stopped.do("halfway jobs "+stepUnlatch, stepUnlatch)
		taker.Expect("leased " + string(flavours[0]) + " 1")
		taker.do("ack jobs", "ok")
		for _, f := range flavours[1:] {
			taker.do("lease jobs 0", "leased "+string(f)+" 1")
			taker.do("ack jobs", "ok")
		}
		s.wantCounts(0, 0, 0)
	})
}

// TestStoppedInLatch stops a client that holds a latch. It lives, so nobody takes
// the latch from it: who wants the object waits, also with what somebody dead had
// leased, and everything else goes on. When it goes on, so do they.
func TestStoppedInLatch(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newPost(t, flags...)
		dead, others := s.poster(flavourGo), []*client{}
		dead.do("put jobs a", "ok")
		dead.do("lease jobs", "leased a 1")
		for _, f := range flavours {
			others = append(others, s.poster(f))
		}
		stopped := s.halfwayOf("queue", "jobs", stepLatched)
		stopped.Signal(syscall.SIGSTOP)
		mapped := 0
		for _, c := range others {
			c.Send("put jobs b")
			if c.flavour != flavourSocket {
				mapped++
			}
		}
		s.awaitStat("jobs", "the mapped clients sleeping", func(st *wire.Stat) bool {
			asleep := 0
			for _, seat := range st.Seats {
				if seat.Waiting && seat.Mapped {
					asleep++
				}
			}
			return asleep == mapped
		})
		s.awaitStatus("a waiting call", func(st *wire.Status) bool { return st.Waiting == uint64(len(others)-mapped) })
		dead.Kill()
		s.awaitStatus("the death", func(st *wire.Status) bool { return st.Deaths == 1 })
		timely := s.poster(flavourSocket)
		timely.do("put jobs c 1000000", "error TIMED_OUT")
		bystander := s.start(flavourGo, nil)
		bystander.do("open array data", "ok")
		for range 100 {
			s.call(wire.MethodPing, nil)
			bystander.do("lock data", "held")
			bystander.do("unlock data", "ok")
		}
		for _, c := range others {
			if line := c.Poll(); line != "" {
				t.Errorf("the %s client says %q while the latch is held", c.flavour, line)
			}
		}
		// It is reported by name and seat.
		busy := s.stat("jobs").Busy
		if busy == nil || int(busy.PID) != stopped.PID() || busy.Seat == 0 {
			t.Errorf("stat says %+v is in an operation; process %d is", busy, stopped.PID())
		}
		stopped.Signal(syscall.SIGCONT)
		stopped.do("halfway jobs "+stepUnlatch, stepUnlatch)
		for _, c := range others {
			c.Expect("ok")
		}
		// The dead was recovered late, but it was.
		timely.Send("put jobs c")
		timely.Expect("ok")
		s.awaitGone(5 + len(others)) // the stopped one has two connections
		s.wantCounts(uint32(2+len(others)), 0, 0)
		timely.do("lease jobs 0", "leased a 2")
		timely.do("ack jobs", "ok")
		for range others {
			timely.do("lease jobs 0", "leased b 1")
			timely.do("ack jobs", "ok")
		}
		timely.do("lease jobs 0", "leased c 1")
		timely.do("ack jobs", "ok")
	})
}
