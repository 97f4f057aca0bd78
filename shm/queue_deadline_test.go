package shm

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// leaseTime is that of the queues here, in which time passes only when a test says so.
const leaseTime = 1000 * LeaseNsMin

// timedQueue is a queue whose clock the test moves.
type timedQueue struct {
	*Queue
	now *atomic.Int64
}

func newTimedQueue(t testing.TB, maxsize uint64, deliveriesMax uint32) timedQueue {
	t.Helper()
	g, err := NewTimedQueueGeometry(leaseTime, maxsize, 16, 16, deliveriesMax, FlagRaw, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	q := timedQueue{NewHeapSegment(g, 1).Queue(), new(atomic.Int64)}
	q.now.Store(monotonicNs())
	q.leases.clock = q.now.Load
	return q
}

// passes lets time pass.
func (q timedQueue) passes(d time.Duration) { q.now.Add(int64(d)) }

func TestQueueLeaseEnds(t *testing.T) {
	q := newTimedQueue(t, 4, 2)
	put(t, q.Queue, 1, "a", "b", "c")
	a, b := lease(t, q.Queue, 1), lease(t, q.Queue, 1)
	q.passes(leaseTime / 2)
	if err := q.Extend(background, nil, actor(1), b, leaseTime, 0); err != nil {
		t.Fatal(err)
	}
	q.passes(leaseTime/2 - 1)
	if c := counts(t, q.Queue); c != (QueueCounts{Ready: 1, Leased: 2, Free: 1}) {
		t.Errorf("before the end: %+v", c)
	}
	q.passes(1)
	if c := counts(t, q.Queue); c != (QueueCounts{Ready: 2, Leased: 1, Free: 1}) {
		t.Errorf("at its end: %+v", c)
	}
	for what, err := range map[string]error{
		"ack":    q.Ack(background, nil, actor(1), a, 0),
		"nack":   q.Nack(background, nil, actor(1), a, 0),
		"extend": q.Extend(background, nil, actor(1), a, leaseTime, 0),
	} {
		if !errors.Is(err, status.NotOwner) {
			t.Errorf("%s of a lease that is over: %v", what, err)
		}
	}
	again := lease(t, q.Queue, 1) // the same client: the same seat, slot and number
	if again.Seq != a.Seq || again.Deliveries != 2 {
		t.Errorf("delivered again: %+v, was %+v", again, a)
	}
	if err := q.Ack(background, nil, actor(1), a, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("ack of the old lease beside the new one: %v", err)
	}
	if err := checkDerived(q.Queue); err != nil {
		t.Error(err)
	}
	q.passes(leaseTime)
	if got := take(t, q.Queue, 2); got != "b" {
		t.Errorf("then comes %q", got)
	}
	if c := counts(t, q.Queue); c != (QueueCounts{Ready: 1, Dead: 1, Free: 2}) {
		t.Errorf("after the last delivery: %+v", c)
	}
	dead, err := q.TakeDead(background, nil, actor(3), 0)
	if err != nil {
		t.Fatal(err)
	}
	q.passes(leaseTime)
	if c := counts(t, q.Queue); c.Dead != 1 || c.Leased != 0 {
		t.Errorf("a look at a dead letter that took too long: %+v", c)
	}
	if err := q.Ack(background, nil, actor(3), dead, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("ack of that: %v", err)
	}
	last := lease(t, q.Queue, 1)
	q.passes(2 * leaseTime) // nobody has looked
	if err := q.Ack(background, nil, actor(1), last, 0); err != nil {
		t.Errorf("ack of a lease that nobody has ended yet: %v", err)
	}
	if err := checkDerived(q.Queue); err != nil {
		t.Error(err)
	}
}

// expiry_ns never lies behind a deadline, so that nobody misses one, and after recovery
// the deadlines are looked at.
func TestQueueExpiryIsEarliest(t *testing.T) {
	q := newTimedQueue(t, 4, 0)
	put(t, q.Queue, 1, "a", "b", "c")
	first := lease(t, q.Queue, 1)
	q.passes(10)
	second := lease(t, q.Queue, 2)
	if q.lines.ExpiryNs != q.leases.deadlines[first.Slot] {
		t.Errorf("expiry %d, the first ends at %d", q.lines.ExpiryNs, q.leases.deadlines[first.Slot])
	}
	if err := q.Extend(background, nil, actor(2), second, LeaseNsMin, 0); err != nil {
		t.Fatal(err)
	}
	if q.lines.ExpiryNs != q.leases.deadlines[second.Slot] {
		t.Error("a lease that was shortened ends before expiry_ns")
	}
	if _, done := q.seg.Recover(victimOf(9, 1, 2)); !done || q.lines.ExpiryNs != 0 {
		t.Errorf("recovery leaves %d", q.lines.ExpiryNs)
	}
	q.passes(LeaseNsMin)
	if c := counts(t, q.Queue); c.Leased != 1 || q.lines.ExpiryNs != q.leases.deadlines[first.Slot] {
		t.Errorf("after the shortened one: %+v", c)
	}
	if err := q.Extend(background, nil, actor(1), first, LeaseNsMax, 0); err != nil {
		t.Fatal(err)
	}
	q.passes(100 * leaseTime)
	if c := counts(t, q.Queue); c.Leased != 1 {
		t.Errorf("one that was extended: %+v", c)
	}
}

func TestQueueExtendMisuse(t *testing.T) {
	q := newTimedQueue(t, 2, 0)
	put(t, q.Queue, 1, "a")
	l := lease(t, q.Queue, 1)
	for _, ns := range []uint64{0, LeaseNsMin - 1, LeaseNsMax + 1, math.MaxUint64} {
		if err := q.Extend(background, nil, actor(1), l, ns, 0); !errors.Is(err, status.Invalid) {
			t.Errorf("%d ns: %v", ns, err)
		}
		if _, err := NewTimedQueueGeometry(ns, 1, 8, 8, 0, 0, 1); ns != 0 && !errors.Is(err, status.Invalid) {
			t.Errorf("a queue of %d ns: %v", ns, err)
		}
	}
	if err := q.Extend(background, nil, actor(2), l, leaseTime, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("another's: %v", err)
	}
	if err := q.Extend(background, nil, actor(1), Lease{Slot: 7}, leaseTime, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("no slot: %v", err)
	}
	forever := newQueue(t, 2, 16, 0)
	put(t, forever, 1, "a")
	if err := forever.Extend(background, nil, actor(1), lease(t, forever, 1), leaseTime, 0); !errors.Is(err,
		status.Unsupported) {
		t.Errorf("without lease times: %v", err)
	}
}

// Who sleeps while others lease finds the end of their leases: of one that there was
// before, and of one that came later and woke nobody.
func TestQueueSleepersFindTheEnd(t *testing.T) {
	g, err := NewTimedQueueGeometry(2*LeaseNsMin, 4, 16, 16, 1, FlagRaw, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	waits := map[string]func(q *Queue, p *Parker) error{
		"take": func(q *Queue, p *Parker) error {
			_, err := q.Take(background, p, actor(2), nil, -1)
			return err
		},
		"take many": func(q *Queue, p *Parker) error {
			_, err := q.TakeMany(background, p, actor(2), nil, 3, time.Hour)
			return err
		},
		"wait-any of one": func(q *Queue, p *Parker) error {
			_, err := WaitAny(background, p, []Waitable{q.WaitableTake(actor(2))}, -1)
			return err
		},
		"wait-any": func(q *Queue, p *Parker) error {
			other := newQueue(t, 1, 16, 0)
			_, err := WaitAny(background, p, []Waitable{other.WaitableTake(actor(2)), q.WaitableTake(actor(2))},
				time.Hour)
			return err
		},
	}
	for name, wait := range waits {
		for _, later := range []bool{false, true} {
			q := NewHeapSegment(g, 1).Queue()
			q.seg.geometry.DeliveriesMax = 0
			p := NewParker(ParkerOptions{})
			begin := func() {
				put(t, q, 1, "a")
				if l, err := q.Lease(background, nil, actor(1), 0); err == nil && l.Deliveries != 1 {
					t.Errorf("%s: delivery %d", name, l.Deliveries)
				}
			}
			if !later {
				begin()
			}
			ended := make(chan error)
			go func() { ended <- wait(q.seg.Queue(), p) }()
			if later {
				await(func() bool { return q.seg.Waiting(2) > 0 })
				begin() // the sleeper is woken, and may be too late
			}
			if err := <-ended; err != nil {
				t.Errorf("%s, later %v: %v", name, later, err)
			}
		}
	}
	q := NewHeapSegment(g, 1).Queue() // after one delivery it is a dead letter
	put(t, q, 1, "a")
	lease(t, q, 1)
	if err := q.Join(background, NewParker(ParkerOptions{}), actor(2), -1); err != nil {
		t.Errorf("join: %v", err)
	}
	// What bounds the sleep is not the call's timeout, and does not hide it.
	put(t, q, 1, "b")
	l := lease(t, q, 1)
	if err := q.Extend(background, nil, actor(1), l, LeaseNsMax, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Take(background, NewParker(ParkerOptions{}), actor(2), nil, 5*LeaseNsMin); err != status.TimedOut {
		t.Errorf("a take that times out: %v", err)
	}
	ctx, cancel := context.WithCancel(background)
	go func() {
		await(func() bool { return q.seg.Waiting(2) > 0 })
		cancel()
	}()
	if _, err := q.Take(ctx, NewParker(ParkerOptions{}), actor(2), nil, -1); err != status.Cancelled {
		t.Errorf("a take that is cancelled: %v", err)
	}
}

// Several leases end at once: whoever finds it wakes as many as there are.
func TestQueueEndedLeasesWakeAll(t *testing.T) {
	q := newTimedQueue(t, 4, 0)
	p := NewParker(ParkerOptions{})
	put(t, q.Queue, 1, "a", "b", "c")
	leaseMany(t, q.Queue, 1, 3)
	ended := make(chan error)
	for range 3 {
		go func() { // as one whose view has slept since before: it bounds its sleep by the real clock
			view := q.seg.Queue()
			view.leases.clock = func() int64 { return q.now.Load() }
			_, err := view.Take(background, p, actor(2), nil, -1)
			ended <- err
		}()
	}
	await(func() bool { return q.seg.Waiting(2) == 3 })
	q.passes(leaseTime)
	if c := counts(t, q.Queue); c.Leased != 0 {
		t.Errorf("%+v", c)
	}
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Wild deadlines: a lease ends early or late, and nothing else.
func TestQueueWildDeadlines(t *testing.T) {
	for _, wild := range []uint64{0, 1, 1 << 63, math.MaxUint64} {
		q := newTimedQueue(t, 4, 0)
		put(t, q.Queue, 1, "a", "b")
		l := lease(t, q.Queue, 1)
		q.leases.deadlines[l.Slot] = wild
		q.lines.ExpiryNs = wild
		q.passes(1)
		early := wild < uint64(q.now.Load())
		if c := counts(t, q.Queue); (c.Leased == 0) != early {
			t.Errorf("deadline %#x: %+v", wild, c)
		}
		q.lines.LeasedCount = math.MaxUint32
		q.lines.ExpiryNs = 0
		if _, err := q.Take(background, nil, actor(2), nil, 0); err != nil {
			t.Errorf("deadline %#x, a wild count: %v", wild, err)
		}
		w := q.waitForMessage(actor(1), 0)
		w.endLeasesAt(uint64(q.now.Load()))
		if w.until <= 0 || w.until > q.now.Load()+leaseTime {
			t.Errorf("deadline %#x: sleep until %d, it is %d", wild, w.until, q.now.Load())
		}
	}
}

// More leases end at once than are put back one by one; they come in the old order,
// before what was never delivered.
func TestQueueManyLeasesEndAtOnce(t *testing.T) {
	const many = 3*BatchMax + 1
	q := newTimedQueue(t, many+1, 0)
	for i := range many {
		put(t, q.Queue, 1, string(rune('a'+i)))
	}
	for range many {
		lease(t, q.Queue, 1)
	}
	put(t, q.Queue, 1, "last")
	q.passes(leaseTime)
	if c := counts(t, q.Queue); c != (QueueCounts{Ready: many + 1}) {
		t.Errorf("after all ends: %+v", c)
	}
	if err := checkDerived(q.Queue); err != nil {
		t.Error(err)
	}
	for i := range many {
		if got := take(t, q.Queue, 2); got != string(rune('a'+i)) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	if got := take(t, q.Queue, 2); got != "last" {
		t.Errorf("then comes %q", got)
	}
}

// A look without the latch does not hide a lease that is over.
func TestQueueEmptyButForLeases(t *testing.T) {
	q := newTimedQueue(t, 4, 0)
	put(t, q.Queue, 1, "a")
	if _, err := q.Lease(background, nil, actor(1), 0); err != nil {
		t.Fatal(err)
	}
	if !q.Empty() {
		t.Error("a lease that runs is no message")
	}
	q.passes(leaseTime)
	if q.Empty() {
		t.Error("the lease is over: a take would find the message")
	}
	if got := take(t, q.Queue, 2); got != "a" {
		t.Errorf("took %q", got)
	}
}

// A take that copies a long message loses it to no clock.
func TestQueueLongTakeIsNotTimed(t *testing.T) {
	g, err := NewTimedQueueGeometry(leaseTime, 2, 1024, 1024, 0, FlagRaw, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	q := NewHeapSegment(g, 1).Queue()
	put(t, q, 1, strings.Repeat("x", 1000))
	if got := take(t, q, 1); len(got) != 1000 {
		t.Errorf("took %d bytes", len(got))
	}
	if deadline := slices.Max(q.leases.deadlines); deadline < LeaseNsMax {
		t.Errorf("it was leased until %d ns", deadline)
	}
}
