package shm

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// ruin makes all that is derived wrong.
func ruin(q *Queue) {
	l := q.lines
	for _, word := range []*uint64{&l.ReadyHead, &l.ReadyTail, &l.FreeHead, &l.FreeTail, &q.ready[0], &q.free[0]} {
		*word = 77
	}
	l.NextSeq, l.Fresh, l.LeasedCount, l.WritingCount, l.DeadCount = 0, 77, 77, 77, 77
}

// The derived state that a dead holder of either latch left is worth nothing: recovery
// steals both for whichever death, and a client steals them from a daemon that is gone.
func TestQueueLatchOfTheDead(t *testing.T) {
	for _, holder := range []uint32{client(1), client(7), daemonOf(1), daemonOf(2)} {
		for which := 1; which <= 3; which++ {
			name := fmt.Sprintf("%#x has %d", holder, which)
			q := newQueue(t, 4, 16, 0)
			put(t, q, 2, "a", "b", "c")
			if take(t, q, 2) != "a" {
				t.Fatal("not a")
			}
			want := derived(q)
			ruin(q)
			if which&1 != 0 {
				q.lines.PutLatch = holder
			}
			if which&2 != 0 {
				q.lines.TakeLatch = holder
			}
			atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, 2)
			v := victimOf(1, 2, 3)
			v.Daemon = daemonOf(2)
			switch SeatOf(holder) {
			case SeatDaemon:
				if generationOf(holder) == 2 {
					words := [2]uint32{q.lines.PutLatch, q.lines.TakeLatch}
					if _, done := q.seg.Recover(v); done {
						t.Errorf("%s: stolen from a thread of this daemon", name)
					}
					if words != [2]uint32{q.lines.PutLatch, q.lines.TakeLatch} {
						t.Errorf("%s: left as %#x, %#x, were %#x", name, q.lines.PutLatch, q.lines.TakeLatch, words)
					}
					continue
				}
				// Whoever finds one of them repairs both sides.
				if which == 1 {
					r, err := q.Reserve(background, nil, actor(2), -1)
					if err == nil {
						err = q.Abort(background, nil, actor(2), r, -1)
					}
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				} else if err := q.Ack(background, nil, actor(2), Lease{}, -1); !errors.Is(err, status.NotOwner) {
					t.Errorf("%s: %v", name, err)
				}
			default:
				if _, done := q.seg.Recover(v); !done {
					t.Errorf("%s: not recovered", name)
				}
			}
			if q.lines.PutLatch|q.lines.TakeLatch != 0 {
				t.Errorf("%s: left as %#x and %#x", name, q.lines.PutLatch, q.lines.TakeLatch)
			}
			if got := derived(q); got != want {
				t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
			}
			put(t, q, 2, "d")
			if x, y, z := take(t, q, 2), take(t, q, 2), take(t, q, 2); x != "b" || y != "c" || z != "d" {
				t.Errorf("%s: took %q, %q, %q", name, x, y, z)
			}
		}
	}
}

// What recovery cannot get both latches for it leaves as it was, waiters included, and
// does when the living holder is done.
func TestQueueLatchOfTheLiving(t *testing.T) {
	for _, c := range []struct{ put, take, putLeft, takeLeft uint32 }{
		{put: client(2), take: client(1), putLeft: client(2), takeLeft: client(1)},
		{put: client(1), take: client(2), putLeft: client(1), takeLeft: client(2)},
		{put: 0, take: client(2), putLeft: 0, takeLeft: client(2)},
		{put: client(1) | ownerWaiters, take: client(2), putLeft: client(1) | ownerWaiters, takeLeft: client(2)},
		{put: daemonOf(1), take: client(2) | ownerWaiters, putLeft: daemonOf(1), takeLeft: client(2) | ownerWaiters},
	} {
		q := newQueue(t, 4, 16, 0)
		put(t, q, 2, "a", "b")
		lease(t, q, 1)
		q.lines.PutLatch, q.lines.TakeLatch = c.put, c.take
		atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, 2)
		v := victimOf(1, 2)
		v.Daemon = daemonOf(2)
		before := derived(q)
		if held, done := q.seg.Recover(v); held || done {
			t.Errorf("%+v: held %v, done %v", c, held, done)
		}
		if q.lines.PutLatch != c.putLeft || q.lines.TakeLatch != c.takeLeft || derived(q) != before {
			t.Errorf("%+v: left %#x and %#x, %s", c, q.lines.PutLatch, q.lines.TakeLatch, derived(q))
		}
		if q.lines.PutLatch == client(2) {
			q.lines.PutLatch = 0
		} else {
			q.lines.TakeLatch = 0
		}
		if held, done := q.seg.Recover(v); !held || !done || take(t, q, 2) != "a" {
			t.Errorf("%+v: then held %v, done %v", c, held, done)
		}
	}
}
