package shm

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/status"
)

// What a dead client had leased comes first and in order, with its deliveries; what
// it was writing is gone; what it had taken away stays away.
func TestQueueDeath(t *testing.T) {
	q := newQueue(t, 8, 16, 2)
	put(t, q, 2, "a", "b", "c", "d", "e")
	mine := []Lease{lease(t, q, 1), lease(t, q, 1)}
	theirs := lease(t, q, 2) // c
	if err := q.Nack(background, nil, actor(1), mine[1], 0); err != nil {
		t.Fatal(err)
	}
	mine[1] = lease(t, q, 1) // b, for the second time
	r, err := q.Reserve(background, nil, actor(1), 0)
	if err != nil {
		t.Fatal(err)
	}
	acked := lease(t, q, 1) // d
	if err := q.Ack(background, nil, actor(1), acked, 0); err != nil {
		t.Fatal(err)
	}
	want := []HeldSlot{{mine[0].Slot, mine[0].Seq, 1, false}, {mine[1].Slot, mine[1].Seq, 2, false},
		{r.Slot, r.Ticket, 0, true}}
	if got := q.Held(client(1), 9); !reflect.DeepEqual(got, want) || len(q.Held(client(1), 2)) != 2 {
		t.Errorf("held: %v, want %v", got, want)
	}
	for i, want := range []bool{true, false} { // again is harmless
		if held, done := q.seg.Recover(victimOf(1, 2)); held != want || !done {
			t.Errorf("recovery %d: held %v, done %v", i, held, done)
		}
		if c := counts(t, q); c != (QueueCounts{Ready: 2, Leased: 1, Dead: 1, Free: 4}) {
			t.Errorf("recovery %d: %+v", i, c)
		}
	}
	if err := checkDerived(q); err != nil {
		t.Error(err)
	}
	if got := q.Held(client(1), 9); got != nil {
		t.Errorf("still held: %v", got)
	}
	for what, err := range map[string]error{
		"ack of the dead":    q.Ack(background, nil, actor(1), mine[0], 0),
		"ack again":          q.Ack(background, nil, actor(1), acked, 0),
		"commit of the dead": q.Commit(background, nil, actor(1), r, 1, 0),
	} {
		if !errors.Is(err, status.NotOwner) {
			t.Errorf("%s: %v", what, err)
		}
	}
	first := lease(t, q, 2)
	if string(q.Message(first)) != "a" || first.Deliveries != 2 {
		t.Errorf("first comes %q, delivery %d", q.Message(first), first.Deliveries)
	}
	if got := take(t, q, 2); got != "e" {
		t.Errorf("then %q", got)
	}
	if dead, err := q.TakeDead(background, nil, actor(2), 0); err != nil || string(q.Message(dead)) != "b" {
		t.Errorf("the dead letter: %q, %v", q.Message(dead), err)
	}
	if err := q.Ack(background, nil, actor(2), theirs, 0); err != nil {
		t.Errorf("ack of a living client's lease: %v", err)
	}
}

// The daemon takes the latch as itself, and holds for a client: a try gives up
// while a client has the latch, and the lease is the client's.
func TestQueueDaemonActs(t *testing.T) {
	q := newQueue(t, 4, 600, 0)
	long := strings.Repeat("x", 600)
	q.lines.PutLatch = client(1)
	if err := q.Put(background, nil, forClient(2), nil, 0); status.Of(err) != status.Busy {
		t.Errorf("a try while a client has the latch: %v", err)
	}
	if err := q.Put(background, nil, forClient(2), nil, time.Millisecond); err != status.TimedOut {
		t.Errorf("a wait while a client has the latch: %v", err)
	}
	q.lines.PutLatch = 0
	for _, m := range []string{"a", long} {
		if err := q.Put(background, nil, forClient(2), []byte(m), 0); err != nil {
			t.Fatal(err)
		}
	}
	l, err := q.Lease(background, nil, forClient(2), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.Take(background, nil, forClient(3), nil, 0); err != nil || string(got) != long {
		t.Errorf("took %.5q, %v", got, err)
	}
	if got := q.Held(client(2), 9); len(got) != 1 || got[0].Seq != l.Seq || q.Held(daemonOf(1), 9) != nil {
		t.Errorf("the client holds %v", got)
	}
	if held, done := q.seg.Recover(victimOf(2, 3)); !held || !done || take(t, q, 3) != "a" {
		t.Errorf("recovery: held %v, done %v", held, done)
	}
}

// Nobody waits for a dead holder of the latch in a queue that was destroyed.
func TestQueueRemovedUnderLatch(t *testing.T) {
	q := newQueue(t, 4, 16, 0)
	p := NewParker(ParkerOptions{})
	q.lines.PutLatch = client(1)
	ended := make(chan error)
	for _, a := range []Actor{actor(2), forClient(3)} {
		go func() { ended <- q.seg.Queue().Put(background, p, a, nil, -1) }()
	}
	await(func() bool { return q.seg.Waiting(2) == 1 })
	if !q.seg.Remove() {
		t.Error("not done")
	}
	for range 2 {
		if err := <-ended; err != status.Removed {
			t.Error(err)
		}
	}
}

// Words that no client of ours would write: a typed error, and recovery says that
// the object is corrupt when a slot's own words are ruined.
func TestQueueCorrupt(t *testing.T) {
	slotOf := func(q *Queue, n int) *QueueDesc { return &q.descs[n] } // 0 leased by 1, 1 and 2 ready, 3 free
	cases := []struct {
		name     string
		scribble func(*Queue)
		op       func(*Queue) error
		ruined   bool // for ever, not only what can be derived again
	}{
		{"ready head", func(q *Queue) { q.lines.ReadyHead = 4 }, takeOne, false},
		{"ready head, giving back", func(q *Queue) { q.lines.ReadyHead = 4 }, nackFirst, false},
		{"ready tail", func(q *Queue) { q.lines.ReadyTail |= 4 }, putOne, false},
		{"ready ring", func(q *Queue) { q.ready[1] = 1<<32 | 1<<31 }, takeOne, false},
		{"a free slot is ready", func(q *Queue) { q.ready[1] = 1<<32 | 4 }, takeOne, false},
		{"free head", func(q *Queue) { q.lines.FreeHead = 1 << 31 }, putOne, false},
		{"free tail", func(q *Queue) { q.lines.FreeTail = 4 }, ackFirst, false},
		{"free ring", func(q *Queue) { q.free[0] = 5 }, putOne, false},
		{"a ready slot is free", func(q *Queue) { q.free[0] = 2 }, putOne, false},
		{"fresh", func(q *Queue) { q.lines.Fresh = 5 }, putOne, false},
		{"a ready slot is fresh", func(q *Queue) { q.lines.Fresh = 1 }, putOne, false},
		{"the next number", func(q *Queue) { q.lines.NextSeq = 1<<63 - 1 }, putOne, false},
		{"no next number", func(q *Queue) { q.lines.NextSeq = 0 }, putOne, false},
		{"a count", func(q *Queue) { q.lines.DeadCount = 1 << 30 }, countAll, false},
		{"more than there are", func(q *Queue) { q.lines.ReadyTail += 5 << 32 }, countAll, false},
		{"a dead letter that is none", func(q *Queue) { q.lines.DeadCount = 1 }, takeDeadOne, false},
		{"the latch", func(q *Queue) { q.lines.PutLatch = client(9) }, tryOne, false},
		{"length", func(q *Queue) { slotOf(q, 1).Length = 17 }, takeOne, true},
		{"length, leasing", func(q *Queue) { slotOf(q, 1).Length = 1 << 31 }, leaseOne, true},
		{"an unknown state", func(q *Queue) { slotOf(q, 1).State = 5 << slotStateShift }, takeOne, true},
		{"reserved bits", func(q *Queue) { slotOf(q, 3).State |= 1 << 60 }, nil, true},
		{"leased by nobody", func(q *Queue) { slotOf(q, 0).State &^= uint64(ownerMask) }, nil, true},
		{"leased by a seat that is not there", func(q *Queue) { slotOf(q, 0).State |= 0xfff }, nil, true},
		{"a number", func(q *Queue) { slotOf(q, 2).Seq = 1 << 63 }, nil, true},
		{"a ticket", func(q *Queue) { slotOf(q, 2).Ticket = 1 << 63 }, nil, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(t, 4, 16, 0)
			put(t, q, 2, "a", "b", "c")
			lease(t, q, 1)
			c.scribble(q)
			if c.op != nil {
				if err := c.op(q); !errors.Is(err, status.Corrupt) {
					t.Errorf("the operation: %v", err)
				}
			}
			if _, done := q.seg.Recover(victimOf(5, 1, 2)); !done {
				t.Fatal("recovery is not done")
			}
			if ruined := q.seg.State() == StateCorrupt; ruined != c.ruined {
				t.Errorf("recovery leaves it %v", q.seg.State())
			}
			if c.ruined {
				if err := putOne(q); !errors.Is(err, status.Corrupt) {
					t.Errorf("after recovery: %v", err)
				}
				return
			}
			if err := checkDerived(q); err != nil {
				t.Error(err)
			}
			if x, y := take(t, q, 2), take(t, q, 2); x != "b" || y != "c" {
				t.Errorf("after recovery: %q, %q", x, y)
			}
		})
	}
}

func takeOne(q *Queue) error {
	_, err := q.Take(background, nil, actor(2), nil, 0)
	return err
}

func leaseOne(q *Queue) error {
	_, err := q.Lease(background, nil, actor(2), 0)
	return err
}

func putOne(q *Queue) error { return q.Put(background, nil, actor(2), nil, 0) }

func ackFirst(q *Queue) error { return q.Ack(background, nil, actor(1), Lease{Slot: 0, Seq: 1}, 0) }

func nackFirst(q *Queue) error { return q.Nack(background, nil, actor(1), Lease{Slot: 0, Seq: 1}, 0) }

func countAll(q *Queue) error {
	_, err := q.Counts(background, nil, actor(2), 0)
	return err
}

func takeDeadOne(q *Queue) error {
	_, err := q.TakeDead(background, nil, actor(2), 0)
	return err
}

// tryOne finds a latch that somebody wrote into while it was held.
func tryOne(q *Queue) error {
	if err := q.unlatch(q.putLatch, actor(2)); err != nil {
		return err
	}
	return errors.New("unlatched")
}

// Somebody writes random bytes over the whole segment while clients and recovery
// work: nothing panics, overruns or hangs, and only errors of the documented kinds
// come out. Two mappings, so that only the scribbler's bytes are wild.
func TestQueueScribbler(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g, err := NewTimedQueueGeometry(LeaseNsMin, 7, 32, 6000, 2, FlagRaw, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	s, f, err := CreateSegment(g, SegmentOptions{Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer unmap(t, s)
	s.Publish()
	wild, err := MapSegment(f, g, false)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap(t, wild)
	p, sides := NewParker(ParkerOptions{}), newTestSides(true, 6000)
	var workers sync.WaitGroup
	var over atomic.Bool
	for i := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		workers.Go(func() { worry(t, s.Queue().WithSides(sides), p, actor(uint16(1+i)), rng) })
	}
	var enemies sync.WaitGroup
	enemies.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 99))
		for !over.Load() {
			scribble(wild, rng)
		}
	})
	enemies.Go(func() { // the daemon goes on: whoever waits for a scribbled latch is let in
		for !over.Load() {
			s.Recover(victimOf(9, 1, 2, 3, 4))
			s.Recover(victimOf(1, 2, 3, 4)) // what it takes away is a Corrupt or NotOwner to its thread
			atomic.StoreUint32(&s.page.Header.State, uint32(StateLive))
		}
	})
	workers.Wait()
	over.Store(true)
	enemies.Wait()
}

// scribble writes one random word somewhere, mostly where it hurts.
func scribble(s *Segment, rng *rand.Rand) {
	g := s.Geometry()
	from, to := uint64(kindOffset), g.DataOffset
	if rng.IntN(10) == 0 {
		from, to = 0, g.SegmentSize
	}
	at := (from + rng.Uint64N(to-from)) &^ 7
	word := rng.Uint64()
	switch rng.IntN(3) {
	case 0:
		word &= 0xf0000000f // small numbers are the worse ones
	case 1:
		word = 0
	}
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&s.mem[at])), word)
}

// worry does everything for a while, and looks at the errors only.
func worry(t *testing.T, q *Queue, p *Parker, a Actor, rng *rand.Rand) {
	var l Lease
	var r Reservation
	var many []Lease
	allowed := []status.Code{status.WouldBlock, status.TimedOut, status.Ended, status.NotOwner, status.Corrupt,
		status.Removed}
	for range 3000 {
		var err error
		timeout := time.Duration(rng.IntN(2)) * 20 * time.Microsecond
		moment := 100 * time.Microsecond
		switch rng.IntN(17) {
		case 11:
			_, err = q.PutMany(background, p, a, make([][]byte, 1+rng.IntN(7)), timeout+1)
		case 12:
			_, err = q.TakeMany(background, p, a, nil, 9, timeout+1)
		case 13:
			many, err = q.LeaseMany(background, p, a, nil, 9, timeout+1)
		case 14:
			if len(many) > 0 && rng.IntN(2) == 0 {
				_, err = q.AckMany(background, p, a, many, moment)
			} else if len(many) > 0 {
				_, err = q.NackMany(background, p, a, many, moment)
			}
		case 15:
			err = q.Extend(background, p, a, l, LeaseNsMin, moment)
		case 16:
			err = q.Join(background, p, a, timeout+1)
		case 0, 1:
			err = q.Put(background, p, a, make([]byte, rng.IntN(60*(1+99*rng.IntN(2)))), timeout+1)
		case 2, 3:
			_, err = q.Take(background, p, a, nil, timeout+1)
		case 4:
			l, err = q.Lease(background, p, a, timeout+1)
		case 5:
			_, err = len(q.AppendMessage(nil, l)), q.Ack(background, p, a, l, moment)
		case 6:
			err = q.Nack(background, p, a, l, moment)
		case 7:
			if r, err = q.ReserveSize(background, p, a, uint32(rng.IntN(6000)), timeout+1); err == nil {
				clear(q.Buffer(r))
			}
		case 8:
			err = q.Commit(background, p, a, r, 5, moment)
		case 9:
			_, err = q.TakeDead(background, p, a, moment)
		case 10:
			_, err = q.Redeliver(background, p, a, moment)
		}
		if err == nil {
			continue
		}
		known := false
		for _, code := range allowed {
			known = known || status.Of(err) == code
		}
		if !known {
			t.Errorf("seat %d: %v", SeatOf(a.Seat), err)
		}
	}
}
