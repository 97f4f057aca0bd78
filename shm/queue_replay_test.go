//go:build shmd_replay

package shm

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the queue. Properties, for every operation of a dying
// client, every prefix of its stores, and every prefix of recovery's own stores
// after that (the daemon dies, and the next epoch begins again):
//
//  1. after recovery the latch is free, no slot names the dead, and the derived
//     state is what a rebuild makes;
//  2. the operation is all or nothing: the messages, their order and deliveries are
//     what recovery makes of the bytes before it, or of those after it;
//  3. the eventcounts have moved, so that no sleep that began before compares equal;
//  4. a live client can put, take, lease and ack;
//  5. instead of recovery, a client that finds the latch of an older epoch's daemon,
//     which died in its recovery, takes it, rebuilds, and goes on.

// queueCase starts with a queue of 4 slots in which seat 1 leases "a", seat 2
// leases "b", and "c" is ready; deliveries end at 2.
type queueCase struct {
	name    string
	prepare func(*Queue)
	op      func(*Queue)
	between bool // it commits more than once
}

func queueCases() []queueCase {
	me := actor(victimSeat)
	first := Lease{Slot: 0, Seq: 1, Length: 1}
	long := []byte(strings.Repeat("x", 600))
	var r Reservation
	reserve := func(q *Queue) {
		var err error
		r, err = q.Reserve(background, nil, me, 0)
		must(err)
		storeBytes(q.Buffer(r), []byte("new"))
	}
	leaseIt := func(q *Queue) { _, err := q.Lease(background, nil, me, 0); must(err) }
	nack := func(q *Queue) { must(q.Nack(background, nil, me, first, 0)) }
	takeIt := func(q *Queue) { _, err := q.Take(background, nil, me, nil, 0); must(err) }
	side := []byte(strings.Repeat("y", 5000))
	reserveSide := func(q *Queue) {
		var err error
		r, err = q.ReserveSize(background, nil, me, 5000, 0)
		must(err)
		copy(q.Buffer(r), side)
	}
	putSide := func(q *Queue) { takeIt(q); must(q.Put(background, nil, actor(liveSeat), side, 0)) }
	armed := func(q *Queue) { q.notEmpty.announce(); q.notFull.announce() }
	dead := func(q *Queue) { nack(q); leaseIt(q); nack(q) } // "a", for it comes first again
	return []queueCase{
		{"put", nil, func(q *Queue) { must(q.Put(background, nil, me, []byte("new"), 0)) }, false},
		{"put with a waiter", armed, func(q *Queue) { must(q.Put(background, nil, me, []byte("new"), 0)) }, false},
		{"put a long one", nil, func(q *Queue) { must(q.Put(background, nil, me, long, 0)) }, false},
		{"put with a duty", nil, func(q *Queue) {
			w := q.waitForSlot(me, 0)
			w.duty = true
			slot, _, err := w.slot(background, nil)
			must(err)
			number, err := q.nextNumber()
			must(err)
			q.popFree()
			q.publish(slot, number, place{})
			must(w.finish(q.notEmpty, q.notEmpty.signal()))
		}, false},
		{"reserve", nil, reserve, false},
		{"commit", reserve, func(q *Queue) { must(q.Commit(background, nil, me, r, 3, 0)) }, false},
		{"abort", reserve, func(q *Queue) { must(q.Abort(background, nil, me, r, 0)) }, false},
		{"take", nil, takeIt, false},
		{"take with a waiter", armed, takeIt, false},
		{"take a long one", func(q *Queue) {
			takeIt(q)
			must(q.Put(background, nil, actor(liveSeat), long, 0))
		}, takeIt, true},
		{"put into a side", nil, func(q *Queue) { must(q.Put(background, nil, me, side, 0)) }, false},
		{"commit a side", reserveSide, func(q *Queue) { must(q.Commit(background, nil, me, r, 5000, 0)) }, false},
		{"commit little of a side", reserveSide, func(q *Queue) {
			must(q.Commit(background, nil, me, r, 600, 0))
		}, false},
		{"abort a side", reserveSide, func(q *Queue) { must(q.Abort(background, nil, me, r, 0)) }, false},
		{"put where a side was", func(q *Queue) { putSide(q); takeIt(q) },
			func(q *Queue) { must(q.Put(background, nil, me, long, 0)) }, false},
		{"take from a side", putSide, takeIt, true},
		{"lease a side", putSide, leaseIt, false},
		{"lease a side without the daemon", putSide, func(q *Queue) {
			replaySides.fail(status.Lost)
			defer replaySides.fail(nil)
			for range 2 { // "c" first
				if _, err := q.Lease(background, nil, me, 0); err != nil && err != status.Lost {
					panic(err)
				}
			}
		}, true},
		{"lease", nil, leaseIt, false},
		{"ack", nil, func(q *Queue) { must(q.Ack(background, nil, me, first, 0)) }, false},
		{"nack", nil, nack, false},
		{"nack with a waiter", armed, nack, false},
		{"nack the last time", func(q *Queue) { nack(q); leaseIt(q) }, nack, false},
		{"take dead", dead, func(q *Queue) { _, err := q.TakeDead(background, nil, me, 0); must(err) }, false},
		{"redeliver", func(q *Queue) {
			for range 2 { // "c" dies too
				leaseIt(q)
				must(q.Nack(background, nil, me, Lease{Slot: 2, Seq: 3}, 0))
			}
			nack(q)
			leaseIt(q)
			nack(q)
		}, func(q *Queue) { _, err := q.Redeliver(background, nil, me, 0); must(err) }, true},
		{"shut down", armed, func(q *Queue) { must(q.Shutdown(background, nil, me, 0)) }, false},
		{"look", nil, func(q *Queue) { _, err := q.Counts(background, nil, me, 0); must(err) }, false},
		{"wait and give up", takeIt, func(q *Queue) {
			if _, err := q.Take(background, NewParker(ParkerOptions{}), me, nil, 1); err != status.TimedOut {
				panic(err)
			}
		}, false},
		{"steal from an older epoch", func(q *Queue) {
			q.lines.ReadyHead, q.lines.ReadyCount, q.ready[0] = 3, 0, 77 // as the old daemon left it
			q.lines.Latch = daemonOf(1) | ownerWaiters
			atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, 2)
		}, takeIt, false},
		{"recovery of another", func(q *Queue) { r, err := q.Reserve(background, nil, actor(3), 0); must(err); _ = r },
			func(q *Queue) { q.seg.Recover(victimOf(3, victimSeat, liveSeat)) }, true},
	}
}

// replaySides are those of all images of a case: side segments outlive whatever dies.
var replaySides *testSides

func viewOf(s *Segment) *Queue { return s.Queue().WithSides(replaySides) }

func replayQueueStart(t *testing.T) *Queue {
	t.Helper()
	q, sides := newSideQueue(t, 4, 600, 5000)
	replaySides = sides
	put(t, q, liveSeat, "a", "b", "c")
	lease(t, q, victimSeat)
	lease(t, q, liveSeat)
	return q
}

func TestQueuePrefixReplay(t *testing.T) {
	images := 0
	for _, c := range queueCases() {
		t.Run(c.name, func(t *testing.T) {
			start := replayQueueStart(t)
			if c.prepare != nil {
				c.prepare(start)
			}
			whole := clone(start.seg)
			stores := recordStores(whole, func() { c.op(viewOf(whole)) })
			if len(stores) < 2 {
				t.Fatal("the operation stores nothing: the log is broken")
			}
			outcomes := [2]string{outcomeOf(start.seg), outcomeOf(whole)}
			reached := [2]bool{}
			for k, image := range stores.prefixes(start.seg) {
				n, err := replayQueue(start.seg, image, func(outcome string) error {
					for i, want := range outcomes {
						if outcome == want {
							reached[i] = true
							return nil
						}
					}
					if c.between {
						return nil
					}
					return fmt.Errorf("half done:\n%s\nbefore:\n%s\nafter:\n%s", outcome, outcomes[0], outcomes[1])
				})
				images += n
				if err != nil {
					t.Errorf("prefix %d of %d: %v", k, len(stores), err)
				}
			}
			if outcomes[0] != outcomes[1] && reached != [2]bool{true, true} {
				t.Errorf("outcomes reached: %v", reached)
			}
		})
	}
	t.Logf("%d images recovered", images)
}

// outcomeOf is what a recovery makes of the bytes: the messages in their order,
// with deliveries.
func outcomeOf(s *Segment) string {
	q := viewOf(clone(s))
	epoch := atomic.LoadUint32(&s.page.Header.DaemonEpoch) + 1
	atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, epoch)
	v := victimOf(victimSeat, liveSeat)
	v.Daemon = daemonOf(epoch)
	if _, done := q.seg.Recover(v); !done {
		return "not recovered"
	}
	return describe(q)
}

func describe(q *Queue) string {
	var out strings.Builder
	for i := range q.lines.ReadyCount {
		slot := q.ready[q.wrap(q.lines.ReadyHead+i)]
		l, at := Lease{Slot: slot, Length: q.descs[slot].Length}, q.place(slot)
		if at.side != 0 {
			l.side = replaySides.numbers[at.side]
		}
		fmt.Fprintf(&out, "ready %.5q %d %d; ", q.Message(l), at.length, q.word(slot).deliveries())
	}
	for slot := range q.size {
		if w := q.word(slot); w.state() == slotDead || w.state() == slotLeased || w.state() == slotWriting {
			fmt.Fprintf(&out, "slot %d is %d of %d, %d; ", slot, w.state(), SeatOf(w.owner()), w.deliveries())
		}
	}
	fmt.Fprintf(&out, "closed %d", q.lines.Closed)
	return out.String()
}

// replayQueue recovers the image once in full, and once more after each prefix of
// recovery's stores; it returns how many images it recovered.
func replayQueue(start, image *Segment, check func(outcome string) error) (int, error) {
	epoch := atomic.LoadUint32(&start.page.Header.DaemonEpoch) + 1
	v := victimOf(victimSeat, liveSeat)
	full := clone(image)
	atomic.StoreUint32(&full.page.Header.DaemonEpoch, epoch)
	v.Daemon = daemonOf(epoch)
	var done bool
	stores := recordStores(full, func() { _, done = full.Recover(v) })
	if !done {
		return 0, fmt.Errorf("recovery is not done")
	}
	v.Daemon = daemonOf(epoch + 1)
	for j, died := range stores.prefixes(image) {
		atomic.StoreUint32(&died.page.Header.DaemonEpoch, epoch+1)
		again := clone(died)
		if _, done := again.Recover(v); !done {
			return j, fmt.Errorf("recovery after %d of %d stores of the last is not done", j, len(stores))
		}
		err := checkQueue(start, again)
		if err == nil {
			err = check(describe(viewOf(again)))
		}
		if err == nil {
			err = useQueue(viewOf(again))
		}
		if err != nil {
			return j, fmt.Errorf("recovery prefix %d of %d: %w", j, len(stores), err)
		}
		if SeatOf(viewOf(died).lines.Latch) == SeatDaemon {
			if err := useQueue(viewOf(died)); err != nil {
				return j, fmt.Errorf("without recovery, prefix %d of %d: %w", j, len(stores), err)
			}
		}
	}
	return len(stores) + 1, nil
}

func checkQueue(start, s *Segment) error {
	was, is := viewOf(start), viewOf(s)
	if !isFree(is.lines.Latch) {
		return fmt.Errorf("the latch is left as %#x", is.lines.Latch)
	}
	if s.State() != StateLive {
		return fmt.Errorf("the object is %v", s.State())
	}
	for slot := range is.size {
		if w := is.word(slot); w.owner() == client(victimSeat) {
			return fmt.Errorf("slot %d still names the dead: %#x", slot, uint64(w))
		}
	}
	if s.Waiting(victimSeat) != 0 {
		return fmt.Errorf("the dead still waits")
	}
	for _, ec := range [][2]eventcount{{was.notEmpty, is.notEmpty}, {was.notFull, is.notFull}, {was.idle, is.idle}} {
		if eventcountOf(ec[0].load()) == eventcountOf(ec[1].load()) {
			return fmt.Errorf("an eventcount has not moved")
		}
	}
	return checkDerived(is)
}

// useQueue does what a live client would do next: everything comes out, in the
// order of the numbers, then something goes in and comes out. Dead letters stay.
func useQueue(q *Queue) error {
	me := actor(liveSeat)
	for last := uint64(0); ; {
		l, err := q.Lease(background, nil, me, 0)
		if err == status.WouldBlock || err == status.Ended {
			break
		}
		if err == nil && l.Seq <= last {
			err = fmt.Errorf("message %d after %d", l.Seq, last)
		}
		if err == nil {
			err = q.Ack(background, nil, me, l, 0)
		}
		if err != nil {
			return fmt.Errorf("draining: %w", err)
		}
		last = l.Seq
	}
	if q.lines.Closed != 0 {
		return checkDerived(q)
	}
	if err := q.Put(background, nil, me, []byte("z"), 0); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if m, err := q.Take(background, nil, me, nil, 0); err != nil || string(m) != "z" {
		return fmt.Errorf("took %q, %w", m, err)
	}
	return checkDerived(q)
}
