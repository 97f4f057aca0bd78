package shm

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/shmd/shmd/status"
)

// Whoever sleeps is woken by what it sleeps for, and by shutting down, destroying
// and dying.
func TestQueueWakes(t *testing.T) {
	a, b := actor(1), actor(2)
	cases := []struct {
		name    string
		full    bool // who waits wants to put
		wake    func(held) error
		waiters int
		want    error
	}{
		{"put", false, func(s held) error { return s.q.Put(background, nil, a, nil, 0) }, 1, nil},
		{"commit", false, func(s held) error { return s.q.Commit(background, nil, a, s.r, 1, 0) }, 1, nil},
		{"nack", false, func(s held) error { return s.q.Nack(background, nil, a, s.l, 0) }, 1, nil},
		{"take", true, func(s held) error { _, err := s.q.Take(background, nil, a, nil, 0); return err }, 1, nil},
		{"ack", true, func(s held) error { return s.q.Ack(background, nil, a, s.l, 0) }, 1, nil},
		{"abort", true, func(s held) error { return s.q.Abort(background, nil, a, s.r, 0) }, 1, nil},
		{"shutdown, takers", false, func(s held) error { return s.q.Shutdown(background, nil, a, 0) }, 3, status.Ended},
		{"shutdown, putters", true, func(s held) error { return s.q.Shutdown(background, nil, a, 0) }, 3, status.Ended},
		{"destroyed, takers", false, destroyHeld, 3, status.Removed},
		{"destroyed, putters", true, destroyHeld, 3, status.Removed},
		{"death of a lessee", false, recoverHeld, 1, nil},
		{"death of a writer", true, recoverHeld, 1, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t, 3, 16, 0)
			p := NewParker(ParkerOptions{})
			s := held{q: q}
			put(t, q, 1, "leased")
			s.l = lease(t, q, 1)
			var err error
			if s.r, err = q.Reserve(background, nil, a, 0); err != nil {
				t.Fatal(err)
			}
			if c.full {
				put(t, q, 1, "ready")
			}
			ended := make(chan error)
			for range c.waiters {
				go func() {
					var err error
					if c.full {
						err = q.seg.Queue().Put(background, p, b, nil, -1)
					} else {
						_, err = q.seg.Queue().Take(background, p, b, nil, -1)
					}
					ended <- err
				}()
			}
			await(func() bool { return q.seg.Waiting(2) == uint32(c.waiters) })
			if err := c.wake(s); err != nil {
				t.Fatal(err)
			}
			for range c.waiters {
				if err := <-ended; err != c.want {
					t.Errorf("the waiter: %v, want %v", err, c.want)
				}
			}
			if q.notEmpty.tell(1); q.notEmpty.load()&eventcountWaiters != 0 {
				t.Error("the waiters bit is left set by a signal")
			}
		})
	}
}

// held is a queue of which seat 1 holds a lease and a reservation.
type held struct {
	q *Queue
	l Lease
	r Reservation
}

func destroyHeld(s held) error {
	if !s.q.seg.Remove() {
		return errors.New("not destroyed")
	}
	return nil
}

func recoverHeld(s held) error {
	if held, done := s.q.seg.Recover(victimOf(1, 2)); !held || !done {
		return fmt.Errorf("held %v, done %v", held, done)
	}
	return nil
}

// A word that a wake was consumed for is passed on by who leaves.
func TestQueueErrorPassesTheWakeOn(t *testing.T) {
	q := newQueue(t, 1, 16, 0)
	p := NewParker(ParkerOptions{})
	ended := make(chan error)
	go func() {
		_, err := q.seg.Queue().Take(background, p, actor(2), nil, -1)
		ended <- err
	}()
	await(func() bool { return q.seg.Waiting(2) == 1 })
	put(t, q, 1, "a")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	// Now as one who was woken, finds the latch held, and is cancelled meanwhile.
	go func() {
		_, err := q.seg.Queue().Take(background, p, actor(2), nil, -1)
		ended <- err
	}()
	await(func() bool { return q.seg.Waiting(2) == 1 })
	if _, err := q.takeLatch.TryLatch(client(1)); err != nil {
		t.Fatal(err)
	}
	q.notEmpty.signal() // its wake went to w, which is not the sleeper
	gone, cancel := context.WithCancel(background)
	cancel()
	w := q.waitForMessage(actor(3), -1)
	w.duty = true
	if err := w.enter(gone, p); err != status.Cancelled {
		t.Fatal(err)
	}
	if err := q.takeLatch.Unlatch(client(1)); err != nil {
		t.Fatal(err)
	}
	await(func() bool { return q.notEmpty.load()&eventcountWaiters != 0 }) // the sleeper looked, and announced again
	put(t, q, 1, "b")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Three sleep, one event wakes one and clears the bit, and the woken arms it again
// for the others.
func TestQueueRearms(t *testing.T) {
	for _, full := range []bool{false, true} {
		q := newQueue(t, 1, 16, 0)
		p := NewParker(ParkerOptions{})
		if full {
			put(t, q, 1, "")
		}
		ended := make(chan error)
		for range 3 {
			go func() {
				q := q.seg.Queue()
				if full {
					ended <- q.Put(background, p, actor(2), nil, -1)
					return
				}
				_, err := q.Take(background, p, actor(2), nil, -1)
				ended <- err
			}()
		}
		await(func() bool { return q.seg.Waiting(2) == 3 })
		for range 3 {
			if full {
				take(t, q, 1)
			} else {
				put(t, q, 1, "")
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Destroying stores the state, then moves the words and wakes: who announces
// himself after that finds the state, and does not sleep.
func TestQueueDestroyedBeforeSleep(t *testing.T) {
	q := newQueue(t, 1, 16, 0)
	w := q.waitForMessage(actor(2), -1)
	w.spun = true
	if err := w.enter(background, nil); err != nil {
		t.Fatal(err)
	}
	if !q.seg.Remove() {
		t.Fatal("not destroyed")
	}
	if err := w.sleep(background, nil); err != nil { // a sleep would need a parker
		t.Error(err)
	}
	if err := w.enter(background, nil); err != status.Removed {
		t.Error(err)
	}
}

// Who waits for one message and goes is woken once for it: so many sleep, and when some
// have gone as many come. Whoever was woken in vain would be counted.
func TestQueueWakesOncePerMessage(t *testing.T) {
	for _, c := range []struct {
		name     string
		sleepers uint32
		shared   bool // one process, whose goroutines the gate keeps; else one each
		most     int  // wake-ups of a message, through the gate included
	}{{"processes", 12, false, 2}, {"goroutines", 300, true, 4}} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t, 8, 16, 0)
			p := NewParker(ParkerOptions{})
			wakes := make(chan int)
			come := func(n uint32) {
				for range n {
					view := q
					if !c.shared {
						view = q.seg.Queue()
					}
					go func() {
						n, err := wakesOfATake(view, p, actor(2))
						if err != nil {
							t.Error(err)
						}
						wakes <- n
					}()
				}
			}
			come(c.sleepers)
			total, messages := 0, 0
			for round := range 200 {
				await(func() bool { return q.seg.Waiting(2) == c.sleepers })
				k := 1 + round%3
				if n := putMany(t, q, 1, []string{"a", "b", "c"}[:k]...); n != k {
					t.Fatalf("put %d of %d", n, k)
				}
				for range k {
					total += <-wakes
				}
				messages += k
				come(uint32(k))
			}
			t.Logf("%d wake-ups for %d messages", total, messages)
			if total < messages || total > c.most*messages {
				t.Errorf("%d wake-ups for %d messages", total, messages)
			}
			if err := q.Shutdown(background, nil, actor(1), 0); err != nil {
				t.Fatal(err)
			}
			for range c.sleepers {
				<-wakes
			}
		})
	}
}

// wakesOfATake takes a message as Take does, without spinning, and counts the sleeps.
func wakesOfATake(q *Queue, p *Parker, a Actor) (n int, err error) {
	w := q.waitForMessage(a, -1)
	w.spun = true
	for ; ; n++ {
		m, ok, err := w.messageOrSleep(background, p)
		if err != nil {
			if err == status.Ended {
				err = nil
			}
			return n, err
		}
		if ok {
			tail, _ := q.readPosition(&q.lines.FreeTail)
			q.takeShort(&m, tail, nil)
			return n, w.finish(q.notFull)
		}
	}
}
