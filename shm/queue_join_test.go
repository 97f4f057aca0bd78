package shm

import (
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Each way in which the last message can be done ends every join.
func TestQueueJoin(t *testing.T) {
	cases := []struct {
		name string
		last func(q *Queue, l Lease) error // of a queue with one message that seat 1 leases
		want error
	}{
		{"ack", func(q *Queue, l Lease) error { return q.Ack(background, nil, actor(1), l, 0) }, nil},
		{"ack many", func(q *Queue, l Lease) error {
			_, err := q.AckMany(background, nil, actor(1), []Lease{l}, 0)
			return err
		}, nil},
		{"death", func(q *Queue, _ Lease) error {
			q.seg.geometry.DeliveriesMax = 1
			q.seg.Recover(victimOf(1, 2))
			return nil
		}, nil},
		{"dead letter", func(q *Queue, l Lease) error {
			q.seg.geometry.DeliveriesMax = 1
			return q.Nack(background, nil, actor(1), l, 0)
		}, nil},
		{"nack, and a take", func(q *Queue, l Lease) error {
			if err := q.Nack(background, nil, actor(1), l, 0); err != nil {
				return err
			}
			return takeOne(q)
		}, nil},
		{"take many", func(q *Queue, l Lease) error {
			if err := q.Nack(background, nil, actor(1), l, 0); err != nil {
				return err
			}
			_, err := q.TakeMany(background, nil, actor(1), nil, 2, 0)
			return err
		}, nil},
		{"destroyed", func(q *Queue, _ Lease) error { q.seg.Remove(); return nil }, status.Removed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t, 4, 16, 0)
			p := NewParker(ParkerOptions{})
			if err := q.Join(background, nil, actor(2), 0); err != nil {
				t.Fatalf("nothing to wait for: %v", err)
			}
			put(t, q, 1, "a")
			if err := q.Join(background, nil, actor(2), 0); err != status.WouldBlock {
				t.Errorf("a message is ready: %v", err)
			}
			l := lease(t, q, 1)
			if err := q.Join(background, p, actor(2), time.Microsecond); err != status.TimedOut {
				t.Errorf("a message is leased: %v", err)
			}
			if _, err := q.Reserve(background, nil, actor(3), 0); err != nil { // does not count
				t.Fatal(err)
			}
			ended := make(chan error)
			const waiters = 3
			for range waiters {
				go func() { ended <- q.seg.Queue().Join(background, p, actor(2), -1) }()
			}
			await(func() bool { return q.seg.Waiting(2) == waiters })
			if err := q.Shutdown(background, nil, actor(3), 0); err != nil { // ends none
				t.Fatal(err)
			}
			if q.seg.Waiting(2) != waiters {
				t.Error("shutdown has ended a join")
			}
			if err := c.last(q, l); err != nil {
				t.Fatal(err)
			}
			for range waiters {
				if err := <-ended; err != c.want {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
			if c.want == nil && c.name != "death" && q.idle.load()&eventcountWaiters != 0 {
				t.Error("the waiters bit is left set")
			}
		})
	}
}

// A join that waits costs who is not the last nothing.
func TestQueueJoinIsNotWokenInVain(t *testing.T) {
	q := newQueue(t, 4, 16, 0)
	p := NewParker(ParkerOptions{})
	put(t, q, 1, "a", "b")
	ended := make(chan error)
	go func() { ended <- q.seg.Queue().Join(background, p, actor(2), -1) }()
	await(func() bool { return q.seg.Waiting(2) == 1 })
	word := q.idle.load()
	take(t, q, 1)
	l := lease(t, q, 1)
	if err := q.Nack(background, nil, actor(1), l, 0); err != nil {
		t.Fatal(err)
	}
	if q.idle.load() != word {
		t.Error("who joins was signalled while a message was left")
	}
	take(t, q, 1)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
