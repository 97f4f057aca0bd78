//go:build shmd_replay

package shm

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the queue. Properties, for every operation of a dying
// client, every prefix of its stores, and every prefix of recovery's own stores
// after that (the daemon dies, and the next epoch begins again):
//
//  1. after recovery the latches are free, no slot names the dead, and the derived
//     state is what a rebuild makes;
//  2. the operation is all or nothing: the messages, their order and deliveries are
//     what recovery makes of the bytes before it, or of those after it; of a batch,
//     what it makes of those after the first n, whatever n;
//  3. the eventcounts have moved, so that no sleep that began before compares equal;
//  4. a live client can put, take, lease and ack;
//  5. instead of recovery, a client that finds a latch of an older epoch's daemon, which
//     died in its recovery, takes both, rebuilds, and goes on.

// queueCase starts with a queue of 4 slots in which seat 1 leases "a", seat 2
// leases "b", and "c" is ready; deliveries end at 2.
type queueCase struct {
	name    string
	prepare func(*Queue)
	op      func(*Queue)
	between bool                  // it commits more than once
	batch   func(q *Queue, n int) // instead of op: three times in one batch, n = the first n; between = in any order
	timed   bool                  // the queue has a lease time
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
	putOne := func(q *Queue) { must(q.Put(background, nil, actor(liveSeat), side, 0)) }
	putSide := func(q *Queue) { takeIt(q); putOne(q) }
	threeSides := func(q *Queue) { // and all slots but one are free
		for range 3 {
			putOne(q)
		}
		for range 3 {
			takeIt(q)
		}
	}
	armed := func(q *Queue) { q.notEmpty.announce(); q.notFull.announce() }
	dead := func(q *Queue) { nack(q); leaseIt(q); nack(q) }                             // "a", for it comes first again
	oneMore := func(q *Queue) { takeIt(q); must(q.Ack(background, nil, me, first, 0)) } // and "b" is leased
	threeReady := func(q *Queue) { oneMore(q); put3(q, liveSeat) }
	threeMine := func(q *Queue) {
		threeReady(q)
		_, err := q.LeaseMany(background, nil, me, nil, 3, 0)
		must(err)
	}
	mine := func(q *Queue) (all []Lease) {
		for _, h := range q.Held(client(victimSeat), 9) {
			all = append(all, Lease{Slot: h.Slot, Seq: h.Seq})
		}
		return all
	}
	over := func(q *Queue) { // the leases of "a" and "b" are over
		put64(&q.leases.deadlines[0], 1)
		put64(&q.leases.deadlines[1], 2)
		put64(&q.lines.ExpiryNs, 1)
	}
	look := func(q *Queue) { _, err := q.Counts(background, nil, me, 0); must(err) }
	return []queueCase{
		{name: "put many", prepare: oneMore, batch: func(q *Queue, n int) {
			_, err := q.PutMany(background, nil, me, [][]byte{[]byte("x"), []byte("y"), []byte("z")}[:n], 0)
			must(err)
		}},
		{name: "put many with waiters", prepare: func(q *Queue) { oneMore(q); armed(q) }, batch: func(q *Queue, n int) {
			_, err := q.PutMany(background, nil, me, [][]byte{[]byte("x"), []byte("y"), []byte("z")}[:n], 0)
			must(err)
		}},
		{name: "take many", prepare: threeReady, batch: func(q *Queue, n int) {
			_, err := q.TakeMany(background, nil, me, nil, n, 0)
			must(err)
		}},
		{name: "lease many", prepare: threeReady, batch: func(q *Queue, n int) {
			_, err := q.LeaseMany(background, nil, me, nil, n, 0)
			must(err)
		}},
		{name: "lease many, timed", prepare: threeReady, timed: true, batch: func(q *Queue, n int) {
			_, err := q.LeaseMany(background, nil, me, nil, n, 0)
			must(err)
		}},
		{name: "ack many", prepare: func(q *Queue) { threeMine(q); armed(q); q.idle.announce() },
			batch: func(q *Queue, n int) {
				_, err := q.AckMany(background, nil, me, mine(q)[:n], 0)
				must(err)
			}},
		{name: "nack many", prepare: threeMine, batch: func(q *Queue, n int) {
			_, err := q.NackMany(background, nil, me, mine(q)[:n], 0)
			must(err)
		}},
		{name: "lease, timed", op: leaseIt, timed: true},
		{name: "extend", op: func(q *Queue) { must(q.Extend(background, nil, me, first, LeaseNsMin, 0)) }, timed: true},
		{name: "ends of leases", prepare: over, op: look, between: true, timed: true},
		{name: "the end of one lease", prepare: func(q *Queue) {
			must(q.Ack(background, nil, me, first, 0))
			over(q)
			armed(q)
		}, op: look, timed: true},
		{name: "the end of one lease, with a lease", prepare: over, op: leaseIt, between: true, timed: true},
		{name: "join", prepare: takeIt, op: func(q *Queue) {
			if err := q.Join(background, NewParker(ParkerOptions{}), me, 1); err != status.TimedOut {
				panic(err)
			}
		}},
		{name: "the last take of a join", prepare: func(q *Queue) {
			must(q.Ack(background, nil, me, first, 0))
			must(q.Ack(background, nil, actor(liveSeat), Lease{Slot: 1, Seq: 2}, 0))
			q.idle.announce()
		}, op: takeIt},
		{"put", nil, func(q *Queue) { must(q.Put(background, nil, me, []byte("new"), 0)) }, false, nil, false},
		{"put with a waiter", armed, func(q *Queue) { must(q.Put(background, nil, me, []byte("new"), 0)) }, false,
			nil, false},
		{"put a long one", nil, func(q *Queue) { must(q.Put(background, nil, me, long, 0)) }, false, nil, false},
		{"put with a duty", nil, func(q *Queue) {
			w := q.waitForSlot(me, 0)
			w.duty = true
			f, err := w.slot(background, nil)
			must(err)
			must(q.fill(f, nil))
			must(w.finish(q.notEmpty))
		}, false, nil, false},
		{"reserve", nil, reserve, false, nil, false},
		{"commit", reserve, func(q *Queue) { must(q.Commit(background, nil, me, r, 3, 0)) }, false, nil, false},
		{"abort", reserve, func(q *Queue) { must(q.Abort(background, nil, me, r, 0)) }, false, nil, false},
		{"take", nil, takeIt, false, nil, false},
		{"take with a waiter", armed, takeIt, false, nil, false},
		{"take a long one", func(q *Queue) {
			takeIt(q)
			must(q.Put(background, nil, actor(liveSeat), long, 0))
		}, takeIt, true, nil, false},
		{"put into a side", nil, func(q *Queue) { must(q.Put(background, nil, me, side, 0)) }, false, nil, false},
		{"commit a side", reserveSide, func(q *Queue) { must(q.Commit(background, nil, me, r, 5000, 0)) }, false, nil,
			false},
		{"commit little of a side", reserveSide, func(q *Queue) {
			must(q.Commit(background, nil, me, r, 600, 0))
		}, false, nil, false},
		{"abort a side", reserveSide, func(q *Queue) { must(q.Abort(background, nil, me, r, 0)) }, false, nil, false},
		{"put where a side was", func(q *Queue) { putSide(q); takeIt(q) },
			func(q *Queue) { must(q.Put(background, nil, me, long, 0)) }, false, nil, false},
		{"put into the side that the slot has", func(q *Queue) { putSide(q); takeIt(q) },
			func(q *Queue) { must(q.Put(background, nil, me, side, 0)) }, false, nil, false},
		{"put into one of several", func(q *Queue) { oneMore(q); threeSides(q) },
			func(q *Queue) { must(q.Put(background, nil, me, side, 0)) }, false, nil, false},
		{"put into one that was not the first", func(q *Queue) { oneMore(q); putOne(q); takeIt(q) }, func(q *Queue) {
			must(q.Put(background, nil, me, side, 0))
			if q.word(0).state() != slotFree {
				panic("into the first")
			}
		}, false, nil, false},
		{"put more than the slot's side has", func(q *Queue) {
			takeIt(q)
			must(q.Put(background, nil, actor(liveSeat), side[:4000], 0))
			takeIt(q)
		}, func(q *Queue) { must(q.Put(background, nil, me, side, 0)) }, false, nil, false},
		{"a side taken away", func(q *Queue) { oneMore(q); threeSides(q) }, func(q *Queue) {
			if !q.Disown(daemonOf(atomic.LoadUint32(&q.seg.page.Header.DaemonEpoch)), 2) {
				panic("not taken away")
			}
		}, false, nil, false},
		{"take from a side", putSide, takeIt, true, nil, false},
		{"lease a side", putSide, leaseIt, false, nil, false},
		{"lease a side without the daemon", putSide, func(q *Queue) {
			replaySides.fail(status.Lost)
			defer replaySides.fail(nil)
			for range 2 { // "c" first
				if _, err := q.Lease(background, nil, me, 0); err != nil && err != status.Lost {
					panic(err)
				}
			}
		}, true, nil, false},
		{"lease", nil, leaseIt, false, nil, false},
		{"ack", nil, func(q *Queue) { must(q.Ack(background, nil, me, first, 0)) }, false, nil, false},
		{"nack", nil, nack, false, nil, false},
		{"nack with a waiter", armed, nack, false, nil, false},
		{"nack the last time", func(q *Queue) { nack(q); leaseIt(q) }, nack, false, nil, false},
		{"take dead", dead, func(q *Queue) { _, err := q.TakeDead(background, nil, me, 0); must(err) }, false, nil,
			false},
		{"redeliver", func(q *Queue) {
			for range 2 { // "c" dies too
				leaseIt(q)
				must(q.Nack(background, nil, me, Lease{Slot: 2, Seq: 3}, 0))
			}
			nack(q)
			leaseIt(q)
			nack(q)
		}, func(q *Queue) { _, err := q.Redeliver(background, nil, me, 0); must(err) }, true, nil, false},
		{"shut down", armed, func(q *Queue) { must(q.Shutdown(background, nil, me, 0)) }, false, nil, false},
		{"look", nil, func(q *Queue) { _, err := q.Counts(background, nil, me, 0); must(err) }, false, nil, false},
		{"wait and give up", takeIt, func(q *Queue) {
			if _, err := q.Take(background, NewParker(ParkerOptions{}), me, nil, 1); err != status.TimedOut {
				panic(err)
			}
		}, false, nil, false},
		{"steal from an older epoch", func(q *Queue) {
			ruin(q) // as the old daemon left it
			q.lines.PutLatch, q.lines.TakeLatch = daemonOf(1)|ownerWaiters, daemonOf(1)
			atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, 2)
		}, takeIt, false, nil, false},
		{"steal one side from an older epoch", func(q *Queue) {
			q.lines.PutLatch = daemonOf(1)
			atomic.StoreUint32(&q.seg.page.Header.DaemonEpoch, 2)
		}, func(q *Queue) { must(q.Put(background, nil, me, []byte("new"), 0)) }, false, nil, false},
		{"recovery of another", func(q *Queue) { r, err := q.Reserve(background, nil, actor(3), 0); must(err); _ = r },
			func(q *Queue) { q.seg.Recover(victimOf(3, victimSeat, liveSeat)) }, true, nil, false},
	}
}

// replaySides are those of all images of a case: side segments outlive whatever dies.
var replaySides *testSides

func viewOf(s *Segment) *Queue {
	q := s.Queue().WithSides(replaySides)
	replaySides.named = q.Named
	return q
}

func put3(q *Queue, seat uint16) {
	_, err := q.PutMany(background, nil, actor(seat), [][]byte{[]byte("x"), []byte("y"), []byte("z")}, 0)
	must(err)
}

func replayQueueStart(t *testing.T, timed bool) *Queue {
	t.Helper()
	q, sides := newSideQueue(t, 4, 600, 5000)
	if timed {
		g, err := NewTimedQueueGeometry(LeaseNsMax, 4, 600, 5000, 2, FlagRaw, SeatsDefault)
		must(err)
		q = NewHeapSegment(g, 1).Queue().WithSides(sides)
	}
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
			start := replayQueueStart(t, c.timed)
			if c.prepare != nil {
				c.prepare(start)
			}
			outcomes := []string{outcomeOf(start.seg)}
			if c.batch != nil {
				for n := 1; n < 3; n++ {
					part := clone(start.seg)
					c.batch(viewOf(part), n)
					outcomes = append(outcomes, outcomeOf(part))
				}
				c.op = func(q *Queue) { c.batch(q, 3) }
			}
			whole := clone(start.seg)
			stores := recordStores(whole, func() { c.op(viewOf(whole)) })
			if len(stores) < 2 {
				t.Fatal("the operation stores nothing: the log is broken")
			}
			outcomes = append(outcomes, outcomeOf(whole))
			reached := make([]bool, len(outcomes))
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
					return fmt.Errorf("half done:\n%s\nit may be:\n%s", outcome, strings.Join(outcomes, "\n"))
				})
				images += n
				if err != nil {
					t.Errorf("prefix %d of %d: %v", k, len(stores), err)
				}
			}
			for i := range outcomes {
				// Equal ones are reached by the first.
				if !reached[i] && slices.Index(outcomes, outcomes[i]) == i {
					t.Errorf("not reached: %s", outcomes[i])
				}
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
	for _, slot := range readySlots(q) {
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
		ofDaemons := func(word uint32) bool { return word == 0 || SeatOf(word) == SeatDaemon }
		if l := viewOf(died).lines; l.PutLatch|l.TakeLatch != 0 && ofDaemons(l.PutLatch) && ofDaemons(l.TakeLatch) {
			if err := useQueue(viewOf(died)); err != nil {
				return j, fmt.Errorf("without recovery, prefix %d of %d: %w", j, len(stores), err)
			}
		}
	}
	return len(stores) + 1, nil
}

func checkQueue(start, s *Segment) error {
	was, is := viewOf(start), viewOf(s)
	if !isFree(is.lines.PutLatch) || !isFree(is.lines.TakeLatch) {
		return fmt.Errorf("the latches are left as %#x and %#x", is.lines.PutLatch, is.lines.TakeLatch)
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
	if q.lines.Closed != 0 || len(freeSlots(q)) == 0 && q.lines.Fresh == q.size { // the dead may hold every slot
		return checkDerived(q)
	}
	if err := q.Put(background, nil, me, []byte("z"), 0); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	m, err := q.Take(background, nil, me, nil, 0)
	if err == nil && string(m) != "z" {
		// A message whose entry the dead did not come to: the producers' side lists it, now.
		m, err = q.Take(background, nil, me, nil, 0)
	}
	if err != nil || string(m) != "z" {
		return fmt.Errorf("took %.9q, %w", m, err)
	}
	return checkDerived(q)
}
