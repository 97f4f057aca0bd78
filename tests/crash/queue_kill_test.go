package crash

import (
	"fmt"
	"testing"

	"github.com/shmd/shmd/wire"
)

// forMessengers runs a test with every way to run the daemon, for each flavour.
func forMessengers(t *testing.T, test func(t *testing.T, f flavour, flags []string)) {
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, f := range flavours {
			t.Run(string(f), func(t *testing.T) { test(t, f, flags) })
		}
	})
}

// wantCounts wants the queue "jobs" to have so much once recovery is done.
func (s *scene) wantCounts(ready, leased, writing uint32) {
	s.t.Helper()
	want := wire.Counts{Ready: ready, Leased: leased, Writing: writing, Free: jobsSize - ready - leased - writing,
		MaxSize: jobsSize}
	if got := s.counts("jobs"); got != want {
		s.t.Fatalf("the queue has %+v, want %+v", got, want)
	}
}

// fill puts messages until the queue is full.
func (s *scene) fill(c *client) {
	s.t.Helper()
	for i := range jobsSize {
		c.do(fmt.Sprintf("put jobs full%d", i), "ok")
	}
	c.do("put jobs more 0", "error WOULD_BLOCK")
}

// TestConsumerKilled kills a consumer that has a lease while one of each flavour
// sleeps for a message: one of them gets it in its second delivery.
func TestConsumerKilled(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		s := newPost(t, flags...)
		victim := s.poster(f)
		victim.do("put jobs a", "ok")
		victim.do("lease jobs", "leased a 1")
		waiters := s.sleepers("queue", "jobs", "lease jobs", 0)
		victim.Kill()
		heir, waiters := wantOne(t, waiters, "leased a 2")
		heir.do("ack jobs", "ok")
		s.drain(waiters)
		s.wantCounts(0, 0, 0)
	})
}

// TestRedeliveryOrder kills a consumer with several leases: they come before what
// was put meanwhile, and in their old order. What it had acknowledged stays away.
func TestRedeliveryOrder(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		s := newPost(t, flags...)
		victim, other := s.poster(f), s.poster(flavourGo)
		for _, text := range []string{"a", "b", "c"} {
			other.do("put jobs "+text, "ok")
			victim.do("lease jobs", "leased "+text+" 1")
		}
		victim.do("ack jobs", "ok")
		other.do("put jobs d", "ok")
		s.wantCounts(1, 2, 0)
		victim.Kill()
		s.awaitGone(2)
		s.wantCounts(3, 0, 0)
		for _, want := range []string{"leased b 2", "leased c 2", "leased d 1", "error WOULD_BLOCK"} {
			other.do("lease jobs 0", want)
		}
		for range 3 {
			other.do("ack jobs", "ok")
		}
		s.wantCounts(0, 0, 0)
	})
}

// TestSleepingConsumerKilled kills a consumer that sleeps for a message: the next
// one goes to one of those who live.
func TestSleepingConsumerKilled(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		s := newPost(t, flags...)
		victim := s.poster(f)
		victim.Send("lease jobs")
		s.awaitAsleep("jobs", 1)
		waiters := s.sleepers("queue", "jobs", "lease jobs", 1)
		victim.Kill()
		s.awaitGone(1 + len(waiters))
		s.drain(waiters)
		s.wantCounts(0, 0, 0)
	})
}

// TestSleepingProducerKilled kills a producer that sleeps on a full queue: the
// next free slot goes to one of those who live, and its message is never seen.
func TestSleepingProducerKilled(t *testing.T) {
	forMessengers(t, func(t *testing.T, f flavour, flags []string) {
		s := newPost(t, flags...)
		victim, taker := s.poster(f), s.poster(flavourGo)
		s.fill(taker)
		victim.Send("put jobs never")
		s.awaitAsleep("jobs", 1)
		waiters := s.sleepers("queue", "jobs", "put jobs more", 1)
		victim.Kill()
		s.awaitGone(2 + len(waiters))
		for i := range jobsSize {
			taker.do("lease jobs 0", fmt.Sprintf("leased full%d 1", i))
			taker.do("ack jobs", "ok")
			if len(waiters) > 0 {
				_, waiters = wantOne(t, waiters, "ok")
			}
		}
		for range flavours {
			taker.do("lease jobs 0", "leased more 1")
			taker.do("ack jobs", "ok")
		}
		s.wantCounts(0, 0, 0)
	})
}

// TestSocketConsumerLeaves lets a consumer's connection end while the process
// lives: it has mapped nothing, so its lease is over.
func TestSocketConsumerLeaves(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newPost(t, flags...)
		leaver := s.poster(flavourSocket)
		leaver.do("put jobs a", "ok")
		leaver.do("lease jobs", "leased a 1")
		waiters := s.sleepers("queue", "jobs", "lease jobs", 0)
		leaver.do("closesocket", "ok")
		heir, waiters := wantOne(t, waiters, "leased a 2")
		heir.do("ack jobs", "ok")
		s.drain(waiters)
		leaver.Kill()
		s.wantCounts(0, 0, 0)
	})
}

// TestQueueDaemonKilled kills the daemon under a queue and a semaphore: who has
// mapped them goes on with the others who have, who has not is told at once.
func TestQueueDaemonKilled(t *testing.T) {
	s := newPost(t, "--keeper=none")
	s.create("permits", wire.KindSemaphore, undoOptions)
	one, blocked := s.poster(flavourGo), s.poster(flavourSocket)
	other := s.poster(flavours[len(flavours)-1])
	if other.flavour == flavourSocket {
		other = s.poster(flavourGo)
	}
	for _, c := range []*client{one, other} {
		c.do("open semaphore permits", "ok")
	}
	blocked.Send("lease jobs")
	s.awaitAsleep("jobs", 1)
	one.do("acquire permits 2", "ok")
	other.Send("lease jobs")
	s.awaitAsleep("jobs", 2)
	s.Kill()
	blocked.Expect("error LOST")
	// The daemon's own sleeper may have had the wake of the first put.
	for i := range 10 {
		one.do(fmt.Sprintf("put jobs a%d", i), "ok")
		other.Expect(fmt.Sprintf("leased a%d 1", i))
		other.do("ack jobs", "ok")
		other.Send("acquire permits 2")
		one.do("release permits 2", "ok")
		other.Expect("ok")
		one, other = other, one
		other.Send("lease jobs")
	}
	one.do("put jobs last", "ok")
	other.Expect("leased last 1")
	other.do("ack jobs", "ok")
	one.do("release permits 2", "ok")
	for _, c := range []*client{one, other} {
		c.MustEnd()
	}
}
