package shm

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Each side goes on while somebody is in the middle of an operation on the other.
func TestQueueSidesAreApart(t *testing.T) {
	q := newQueue(t, 4, 16, 0)
	put(t, q, 1, "a", "b")
	l := lease(t, q, 1)
	q.lines.TakeLatch = client(9)
	put(t, q, 1, "c")
	if n := putMany(t, q, 1, "d", "e"); n != 1 {
		t.Errorf("put %d", n)
	}
	if _, err := q.Reserve(background, nil, actor(1), 0); err != status.WouldBlock {
		t.Errorf("reserve: %v", err)
	}
	q.lines.PutLatch, q.lines.TakeLatch = client(9), 0
	if err := q.Nack(background, nil, actor(1), l, 0); err != nil {
		t.Error(err)
	}
	if got := takeMany(t, q, 1, 9); got != `["a" "b" "c" "d"]` {
		t.Errorf("took %s", got)
	}
	q.lines.PutLatch = 0
	if err := checkDerived(q); err != nil {
		t.Error(err)
	}
}

// Whoever waits for a second latch has put the first one back: its holder may be dead, and
// recovery wants both. Then the waiter goes on.
func TestQueueNobodySleepsWithALatch(t *testing.T) {
	look := func(q *Queue, p *Parker) error {
		_, err := q.Counts(background, p, actor(2), -1)
		return err
	}
	for name, c := range map[string]struct {
		put uint32
		act func(q *Queue, p *Parker) error
	}{
		"counts":        {0, look},
		"counts, stale": {daemonOf(1), look},
		"put, stale": {daemonOf(1), func(q *Queue, p *Parker) error {
			return q.Put(background, p, actor(2), nil, -1)
		}},
	} {
		for _, died := range []bool{true, false} {
			q := newQueue(t, 4, 16, 0)
			p := NewParker(ParkerOptions{})
			put(t, q, 2, "a")
			lease(t, q, 1)
			q.lines.PutLatch, q.lines.TakeLatch = c.put, client(1)
			atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, 2)
			ended := make(chan error)
			go func() { ended <- c.act(q.seg.Queue(), p) }()
			await(func() bool { return q.seg.Waiting(2) == 1 })
			if got := load32(&q.lines.PutLatch); got != c.put {
				t.Errorf("%s: it sleeps with the producers' latch as %#x, was %#x", name, got, c.put)
			}
			if died {
				v := victimOf(1, 2)
				v.Daemon = daemonOf(2)
				if held, done := q.seg.Recover(v); !held || !done {
					t.Errorf("%s: held %v, done %v", name, held, done)
				}
			} else if err := q.takeLatch.Unlatch(client(1)); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if q.lines.PutLatch|q.lines.TakeLatch != 0 {
				t.Errorf("%s: left %#x and %#x", name, q.lines.PutLatch, q.lines.TakeLatch)
			}
		}
	}
}

// Who is announced looks once more: what came from the other side after the first look
// woke nobody.
func TestQueueLooksAgain(t *testing.T) {
	cases := map[string]struct {
		goal queueGoal
		come func(q *Queue) error // while the waiter has its latch
	}{
		"put": {forMessage, func(q *Queue) error { return q.Put(background, nil, actor(1), nil, 0) }},
		"commit": {forMessage, func(q *Queue) error {
			r, err := q.Reserve(background, nil, actor(1), 0)
			if err != nil {
				return err
			}
			return q.Commit(background, nil, actor(1), r, 0, 0)
		}},
		"shutdown": {forMessage, func(q *Queue) error { return q.Shutdown(background, nil, actor(1), 0) }},
		"take":     {forSlot, takeOne},
		"ack": {forSlot, func(q *Queue) error {
			l, err := q.Lease(background, nil, actor(1), 0)
			if err != nil {
				return err
			}
			return q.Ack(background, nil, actor(1), l, 0)
		}},
	}
	for name, c := range cases {
		for _, duty := range []bool{false, true} {
			q := newQueue(t, 2, 16, 0)
			w := q.waitForMessage(actor(2), -1)
			if c.goal == forSlot {
				put(t, q, 1, "a", "b")
				w = q.waitForSlot(actor(2), -1)
			}
			w.spun, w.duty = true, duty
			if err := w.enter(background, nil); err != nil {
				t.Fatal(err)
			}
			if w.mayGo() {
				t.Fatalf("%s: it is there too early", name)
			}
			if err := c.come(q); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := w.sleep(background, nil); err != nil { // a sleep would need a parker
				t.Errorf("%s: %v", name, err)
			}
			if w.duty != duty || w.ec.load()&eventcountWaiters == 0 {
				t.Errorf("%s: duty %v, was %v; the word is %#x", name, w.duty, duty, w.ec.load())
			}
			if !isFree(*w.latch.word) {
				t.Errorf("%s: the latch is left as %#x", name, *w.latch.word)
			}
		}
	}
}

// The same for wait-any, which has both sides in its hands.
func TestQueueArmLooksAgain(t *testing.T) {
	q := newQueue(t, 1, 16, 0)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if err := q.Put(background, nil, actor(1), nil, 0); err != nil && err != status.WouldBlock {
				t.Error(err)
			}
		}
	})
	p := NewParker(ParkerOptions{})
	for range 2000 {
		if _, err := WaitAny(background, p, []Waitable{q.WaitableTake(actor(2))}, -1); err != nil {
			t.Error(err)
		}
		if err := takeOne(q); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// Tags go round, with a length that does not divide their number.
func TestQueueTagsWrap(t *testing.T) {
	for _, size := range []uint64{1, 3, 4, 7} {
		q := newQueue(t, size, 16, 0)
		first := (1<<32 - 2*size) << 32 // all ones after some turns
		for _, word := range []*uint64{&q.lines.ReadyHead, &q.lines.ReadyTail, &q.lines.FreeHead, &q.lines.FreeTail} {
			*word = first
		}
		turnOver(t, q, 6*int(size), 1)
		if tag := position(q.lines.ReadyHead).tag(); tag > 1<<20 {
			t.Errorf("size %d: the tag is %#x: it has not gone round", size, tag)
		}
	}
}

// turnOver puts and takes n messages, with nacks and aborts between, and as many of them
// in the queue as it holds; it looks at the order and at the derived state.
func turnOver(t *testing.T, q *Queue, n int, seat uint16) {
	t.Helper()
	a, next, expected := actor(seat), 0, 0
	for expected < n {
		for {
			r, err := q.Reserve(background, nil, a, 0)
			if err == status.WouldBlock {
				break
			}
			if err == nil && next%2 == 0 {
				if err = q.Abort(background, nil, a, r, 0); err == nil {
					r, err = q.Reserve(background, nil, a, 0)
				}
			}
			if err == nil {
				m := fmt.Append(q.Buffer(r)[:0], next)
				err = q.Commit(background, nil, a, r, uint32(len(m)), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			next++
		}
		// All of them, back in whatever order, and again.
		leases := leaseMany(t, q, seat, int(q.size))
		for i := range leases {
			j := (i*5 + expected) % len(leases)
			leases[i], leases[j] = leases[j], leases[i]
		}
		for _, l := range leases {
			if err := q.Nack(background, nil, a, l, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkDerived(q); err != nil {
			t.Fatal(err)
		}
		for range 1 + expected%int(q.size) {
			if got := take(t, q, seat); got != fmt.Sprint(expected) {
				t.Fatalf("message %d is %q", expected, got)
			}
			expected++
		}
	}
}

// What comes back finds its place at the front with every other slot in the ring, also of
// a queue of one.
func TestQueueComesBackIntoAFullRing(t *testing.T) {
	for _, size := range []uint64{1, 2, 5} {
		turnOver(t, newQueue(t, size, 16, 0), 40, 1)
	}
}

// Beside a producer, one who takes, and gives back what it likes, gets the messages in
// order, and each time the first that is not done.
func TestQueueOrderBesideAProducer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, size := range []uint64{1, 2, 7} {
		q := newQueue(t, size, 16, 0)
		p := NewParker(ParkerOptions{})
		const messages = 2000
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range messages {
				if err := q.seg.Queue().Put(background, p, actor(1), fmt.Append(nil, i), -1); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for done := 0; done < messages; {
			leases, err := q.LeaseMany(background, p, actor(2), nil, 1+rng.IntN(int(size)), -1)
			if err != nil {
				t.Fatal(err)
			}
			keep := rng.IntN(len(leases) + 1)
			for i, l := range leases {
				if got := string(q.Message(l)); got != fmt.Sprint(done+i) {
					t.Fatalf("size %d: message %d is %q", size, done+i, got)
				}
			}
			rng.Shuffle(len(leases)-keep, func(i, j int) {
				leases[keep+i], leases[keep+j] = leases[keep+j], leases[keep+i]
			})
			for i, l := range leases {
				end := q.Nack
				if i < keep {
					end = q.Ack
				}
				if err := end(background, p, actor(2), l, -1); err != nil {
					t.Fatal(err)
				}
			}
			done += keep
		}
		wg.Wait()
		if err := checkDerived(q); err != nil {
			t.Error(err)
		}
	}
}

// A look without the latch never misses a message that is there all the time, whoever
// gives one back before it, or rebuilds.
func TestQueueEmptyMissesNothing(t *testing.T) {
	q := newQueue(t, 3, 16, 0)
	put(t, q, 1, "a", "b")
	var stop atomic.Bool
	var wg sync.WaitGroup
	p := NewParker(ParkerOptions{})
	wg.Go(func() {
		for !stop.Load() {
			l, err := q.Lease(background, p, actor(2), -1)
			if err == nil {
				err = q.Nack(background, p, actor(2), l, -1)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			q.seg.Recover(victimOf(9, 2))
		}
	})
	end := time.Now().Add(300 * time.Millisecond)
	for looks := 0; time.Now().Before(end) || looks < 10000; looks++ {
		if q.Empty() {
			t.Error("a message was there all the time")
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

// A new daemon repeats the wake-ups of the one before; where somebody is in the middle of
// an operation it needs both latches, for he may have one that is not rebuilt yet.
func TestQueueAfterADaemon(t *testing.T) {
	for _, c := range []struct {
		put, take uint32
		done      bool
	}{
		{0, 0, true},
		{ownerWaiters, 0, true},
		{daemonOf(1), 0, true},
		{0, daemonOf(1), true},
		{client(2), 0, false},
		{0, client(2), false},
		{daemonOf(1), client(2), false},
	} {
		q := newQueue(t, 2, 16, 0)
		put(t, q, 2, "a")
		q.lines.PutLatch, q.lines.TakeLatch = c.put, c.take
		q.seg.Adopt(2)
		before := q.notEmpty.load()
		v := Victim{Owner: daemonOf(1), Daemon: daemonOf(2), Alive: alive(2)}
		if done := q.seg.RecoverDaemon(v); done != c.done || done == (q.notEmpty.load() == before) {
			t.Errorf("%+v: %v, and %#x was %#x", c, done, q.notEmpty.load(), before)
		}
		if c.done && !(isFree(q.lines.PutLatch) && isFree(q.lines.TakeLatch)) ||
			!c.done && (q.lines.PutLatch != c.put || q.lines.TakeLatch != c.take) {
			t.Errorf("%+v: left %#x and %#x", c, q.lines.PutLatch, q.lines.TakeLatch)
		}
	}
}

// Who is stopped in the middle of an operation is told from who is at work.
func TestQueueLatchHolder(t *testing.T) {
	q := newQueue(t, 2, 16, 0)
	for _, c := range []struct{ put, take, want uint32 }{
		{0, 0, 0}, {client(2), 0, 2}, {0, client(3), 3}, {client(2), client(3), 2},
	} {
		q.lines.PutLatch, q.lines.TakeLatch = c.put, c.take
		if got := q.seg.LatchHolder(); uint32(got) != c.want {
			t.Errorf("%+v: seat %d", c, got)
		}
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	q.lines.TakeLatch = client(3)
	wg.Go(func() {
		for seat := uint16(4); !stop.Load(); seat ^= 1 {
			store32(&q.lines.PutLatch, client(seat))
			pause(100)
		}
	})
	await(func() bool { return q.holder() == 3 })
	stop.Store(true)
	wg.Wait()
}
