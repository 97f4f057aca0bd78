package shm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// testSides are a daemon's side segments: on the heap, or real ones.
type testSides struct {
	real bool
	max  uint32 // message_max

	mu      sync.Mutex
	numbers map[uint32]*Side  // by number
	slots   map[uint32]uint32 // the slot's number
	failing error             // instead of all answers
	named   func(slot uint32) uint32
}

func newTestSides(real bool, messageMax uint32) *testSides {
	return &testSides{real: real, max: messageMax, numbers: map[uint32]*Side{}, slots: map[uint32]uint32{}}
}

func (s *testSides) Mapped(slot, number uint32) *Side {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.numbers[number]
}

func (s *testSides) Make(_ context.Context, r Reservation, size uint32) (uint32, *Side, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return 0, nil, s.failing
	}
	if s.named != nil && s.named(r.Slot) != 0 {
		return 0, nil, status.New(status.Invalid, "", "slot %d names a side segment", r.Slot)
	}
	if number := s.slots[r.Slot]; number != 0 && len(s.numbers[number].mem) >= int(size) {
		return number, s.numbers[number], nil
	}
	side := NewHeapSide(SideSize(size, s.max))
	if s.real {
		f, err := CreateSide(1, SideSize(size, s.max), SegmentOptions{})
		if err != nil {
			return 0, nil, err
		}
		defer f.Close()
		if side, err = MapSide(f, SideSize(size, s.max)); err != nil {
			return 0, nil, err
		}
	}
	number := uint32(len(s.numbers) + 1)
	s.numbers[number], s.slots[r.Slot] = side, number
	return number, side, nil
}

func (s *testSides) Find(_ context.Context, _, number uint32) (*Side, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return nil, s.failing
	}
	if side := s.numbers[number]; side != nil {
		return side, nil
	}
	return nil, errCorrupt
}

// fail makes all answers err; nil = no more.
func (s *testSides) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

func newSideQueue(t testing.TB, maxsize uint64, slotSize, messageMax uint32) (*Queue, *testSides) {
	t.Helper()
	g, err := NewQueueGeometry(maxsize, slotSize, messageMax, 2, FlagRaw, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	s := newTestSides(false, messageMax)
	q := NewHeapSegment(g, 1).Queue().WithSides(s)
	s.named = q.Named
	return q, s
}

// text is size bytes that tell where they are, and whose.
func text(size int, seed byte) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ seed
	}
	return b
}

func TestSideSize(t *testing.T) {
	for _, c := range []struct {
		size, max uint32
		want      uint64
	}{{1, 1, 4096}, {4096, 1 << 20, 4096}, {4097, 1 << 20, 8192}, {600_000, 1 << 20, 1 << 20},
		{600_000, 700_000, 700_416}, {MessageLimit, MessageLimit, MessageLimit}} {
		if got := SideSize(c.size, c.max); got != c.want {
			t.Errorf("for %d of %d: %d bytes, want %d", c.size, c.max, got, c.want)
		}
	}
}

func TestSideMessages(t *testing.T) {
	const slotSize, messageMax = 64, 3 << 20
	q, sides := newSideQueue(t, 3, slotSize, messageMax)
	sizes := []int{slotSize, slotSize + 1, 4096, 4097, 1 << 20, messageMax, 0}
	for round := range 3 {
		for i, size := range sizes {
			message := text(size, byte(round+i))
			if err := q.Put(background, nil, actor(1), message, 0); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			put(t, q, 1, "next")
			got, err := q.Take(background, nil, actor(2), []byte("kept"), 0)
			if err != nil || !bytes.Equal(got, append([]byte("kept"), message...)) {
				t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
			}
			if take(t, q, 2) != "next" {
				t.Error("the next one is hurt")
			}
			if err := checkDerived(q); err != nil {
				t.Fatal(err)
			}
		}
		// Per slot one side for each power of two at most, and none once they have grown.
		if made := len(sides.numbers); made > 12 {
			t.Errorf("round %d: %d side segments were made", round, made)
		}
	}
	err := q.Put(background, nil, actor(1), make([]byte, messageMax+1), 0)
	if !errors.Is(err, status.TooLarge) {
		t.Errorf("a message over the maximum: %v", err)
	}
	if _, err := q.ReserveSize(background, nil, actor(1), messageMax+1, 0); !errors.Is(err, status.TooLarge) {
		t.Errorf("a reservation over the maximum: %v", err)
	}
	if c := counts(t, q); c != (QueueCounts{Free: 3}) {
		t.Errorf("%+v", c)
	}
}

func TestSideReservations(t *testing.T) {
	q, sides := newSideQueue(t, 2, 64, 10_000)
	a := actor(1)
	r, err := q.ReserveSize(background, nil, a, 5000, 0)
	if err != nil || len(q.Buffer(r)) != 5000 {
		t.Fatalf("%d bytes, %v", len(q.Buffer(r)), err)
	}
	if !q.Reserved(a.Seat, r) || q.Reserved(client(2), r) ||
		q.Reserved(a.Seat, Reservation{Slot: r.Slot, Ticket: 9}) ||
		q.Reserved(a.Seat, Reservation{Slot: 9, Ticket: r.Ticket}) || q.Idle(r.Slot) || !q.Idle(1-r.Slot) || q.Idle(2) {
		t.Error("who has reserved what")
	}
	message := text(5000, 7)
	copy(q.Buffer(r), message)
	if err := q.Commit(background, nil, a, r, 5001, 0); !errors.Is(err, status.TooLarge) {
		t.Errorf("more than was reserved: %v", err)
	}
	if err := q.Commit(background, nil, a, r, 4000, 0); err != nil {
		t.Fatal(err)
	}
	if got := take(t, q, 2); got != string(message[:4000]) {
		t.Errorf("took %d bytes", len(got))
	}
	for range 2 { // one that turns out short lies in its slot
		if r, err = q.ReserveSize(background, nil, a, 5000, 0); err != nil {
			t.Fatal(err)
		}
		copy(q.Buffer(r), message)
		if err := q.Commit(background, nil, a, r, 64, 0); err != nil {
			t.Fatal(err)
		}
		if at := q.place(r.Slot); at != (place{length: 64}) || q.Named(r.Slot) != 1 {
			t.Errorf("64 bytes at %+v; the slot has side segment %d", at, q.Named(r.Slot))
		}
		if got := take(t, q, 2); got != string(message[:64]) {
			t.Errorf("took %q", got)
		}
	}
	short, err := q.Reserve(background, nil, a, 0)
	if err != nil || len(q.Buffer(short)) != 64 {
		t.Errorf("%d bytes, %v", len(q.Buffer(short)), err)
	}
	if err := q.Commit(background, nil, a, short, 65, 0); !errors.Is(err, status.TooLarge) {
		t.Errorf("more than the slot: %v", err)
	}
	if err := q.Abort(background, nil, a, short, 0); err != nil {
		t.Error(err)
	}
	if len(sides.numbers) != 1 {
		t.Errorf("%d side segments", len(sides.numbers))
	}
	// A repeated commit of what is over must not touch the slot that is somebody else's.
	put(t, q, 2, "other", "other")
	if err := q.Commit(background, nil, a, r, 64, 0); !errors.Is(err, status.NotOwner) && err != nil {
		t.Errorf("a late commit: %v", err)
	}
	if x, y := take(t, q, 2), take(t, q, 2); x != "other" || y != "other" {
		t.Errorf("a late commit wrote into %q, %q", x, y)
	}
}

// Long messages go round among a few of the slots that were freed last and have side
// segments; while none has, they take the slot that was freed first, as short ones do.
func TestSideRound(t *testing.T) {
	q, sides := newSideQueue(t, 32, 64, 10_000)
	a := actor(1)
	var numbers []uint32 // of the last messages that go took
	pass := func(size, n int) (slots []uint32) {
		t.Helper()
		numbers = nil
		for range n {
			if err := q.Put(background, nil, a, text(size, 1), 0); err != nil {
				t.Fatal(err)
			}
		}
		for range n {
			l, err := q.Lease(background, nil, a, 0)
			if err != nil {
				t.Fatal(err)
			}
			slots, numbers = append(slots, l.Slot), append(numbers, q.Named(l.Slot))
			if err := q.Ack(background, nil, a, l, 0); err != nil {
				t.Fatal(err)
			}
			if err := checkDerived(q); err != nil {
				t.Fatal(err)
			}
		}
		return slots
	}
	pass(10, 24)                                                   // so many slots were used, and have none
	if slots := pass(5000, 1); !slices.Equal(slots, []uint32{0}) { // what was freed first
		t.Errorf("slots %d of none that has a side segment", slots)
	}
	for range 30 {
		if slots := pass(5000, 1); !slices.Equal(slots, []uint32{0}) {
			t.Errorf("slots %d; 0 has the only side segment", slots)
		}
	}
	if slots := pass(10, 3); slices.Contains(slots, 0) {
		t.Errorf("short messages in slots %d; 0 was freed last", slots)
	}
	if slots := pass(5000, 1); !slices.Equal(slots, []uint32{0}) || len(sides.numbers) != 1 {
		t.Errorf("slots %d, %d side segments; 0 has the only one", slots, len(sides.numbers))
	}
	pass(5000, 6)
	if len(sides.numbers) != 6 {
		t.Errorf("%d side segments of six messages at once", len(sides.numbers))
	}
	var round []uint32
	for range 12 {
		round = append(round, pass(5000, 1)...)
	}
	if slices.Contains(round[:3], round[3]) || !slices.Equal(round[:4], round[4:8]) ||
		!slices.Equal(round[:4], round[8:]) || len(sides.numbers) != 6 {
		t.Errorf("the round is %d, of %d side segments", round, len(sides.numbers))
	}
	// Words that say where to look are not believed.
	for _, tail := range []uint64{0, uint64(q.size), ^uint64(0), 5<<32 | 3} {
		was := load64(&q.lines.FreeTail)
		store64(&q.lines.FreeTail, tail)
		r, err := q.ReserveSize(background, nil, a, 5000, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Abort(background, nil, a, r, 0); err != nil {
			t.Fatal(err)
		}
		store64(&q.lines.FreeTail, was)
		if err := checkDerived(q); err != nil {
			t.Errorf("with the tail %#x: %v", tail, err)
		}
	}
}

// What the daemon takes away is nobody's: the slot names none, unless a message lies there.
func TestDisown(t *testing.T) {
	q, _ := newSideQueue(t, 5, 64, 10_000)
	a, daemon := actor(1), daemonOf(1)
	put := func(m []byte) {
		t.Helper()
		if err := q.Put(background, nil, a, m, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		put(text(5000, 1))
	}
	for range 4 {
		take(t, q, 2)
	}
	// Slot 4 has a long message, 0 comes to have a short one, 1 is reserved, 2 and 3 are free.
	put([]byte("short"))
	r, err := q.Reserve(background, nil, a, 0)
	if err != nil {
		t.Fatal(err)
	}
	for slot, want := range []bool{true, false, true, true, false} {
		if q.Idle(uint32(slot)) != want {
			t.Errorf("slot %d idle: %v", slot, !want)
		}
	}
	if q.Disown(daemon, r.Slot) || q.Disown(daemon, 4) || q.Disown(daemon, 5) || q.Named(4) == 0 || q.Named(5) != 0 {
		t.Error("taken from slots that are in use, or are none")
	}
	if found, err := q.putLatch.TryLatch(client(3)); err != nil || found != 0 {
		t.Fatal(found, err)
	}
	if q.Disown(daemon, 0) || q.Named(0) == 0 {
		t.Error("taken while another is at the queue")
	}
	if err := q.putLatch.Unlatch(client(3)); err != nil {
		t.Fatal(err)
	}
	for slot := range uint32(4) {
		if slot != r.Slot && (!q.Disown(daemon, slot) || q.Named(slot) != 0) {
			t.Errorf("slot %d keeps %d", slot, q.Named(slot))
		}
	}
	if got := take(t, q, 2); got != string(text(5000, 1)) {
		t.Errorf("took %d bytes", len(got))
	}
	if got := take(t, q, 2); got != "short" {
		t.Errorf("took %q", got)
	}
	if err := q.Abort(background, nil, a, r, 0); err != nil {
		t.Fatal(err)
	}
	atomic.StoreUint32(&q.seg.page.Header.State, uint32(StateRemoved))
	if q.Disown(daemon, 0) {
		t.Error("taken from an object that is gone")
	}
}

// Without memory for it nothing has happened: the slot is free again, and the
// message stays.
func TestSideErrors(t *testing.T) {
	q, sides := newSideQueue(t, 2, 64, 10_000)
	a, long := actor(1), text(5000, 1)
	sides.fail(status.Quota)
	for range 5 {
		if err := q.Put(background, nil, a, long, 0); err != status.Quota {
			t.Fatal(err)
		}
		put(t, q, 1, "short")
		if take(t, q, 1) != "short" {
			t.Error("short messages do not go on")
		}
	}
	if c := counts(t, q); c != (QueueCounts{Free: 2}) {
		t.Errorf("%+v", c)
	}
	sides.fail(nil)
	if err := q.Put(background, nil, a, long, 0); err != nil {
		t.Fatal(err)
	}
	sides.fail(status.Lost)
	if _, err := q.Take(background, nil, a, nil, 0); err != status.Lost {
		t.Errorf("take: %v", err)
	}
	if c := counts(t, q); c != (QueueCounts{Ready: 1, Free: 1}) {
		t.Errorf("%+v", c)
	}
	if _, err := q.Lease(background, nil, a, 0); err != status.Lost {
		t.Errorf("lease: %v", err)
	}
	if _, err := q.TakeDead(background, nil, a, 0); err != status.Lost { // it was delivered twice
		t.Errorf("take a dead letter: %v", err)
	}
	sides.fail(nil)
	l, err := q.TakeDead(background, nil, a, 0)
	if err != nil || !bytes.Equal(q.Message(l), long) {
		t.Errorf("the dead letter: %d bytes, %v", len(q.Message(l)), err)
	}
	if err := q.Nack(background, nil, a, l, 0); err != nil {
		t.Error(err)
	}
	if n, err := q.Redeliver(background, nil, a, 0); n != 1 || err != nil {
		t.Error(n, err)
	}
	blind := q.seg.Queue()
	if _, err := blind.Take(background, nil, a, nil, 0); !errors.Is(err, status.Unsupported) {
		t.Errorf("take without sides: %v", err)
	}
	if err := blind.Put(background, nil, a, long, 0); !errors.Is(err, status.Unsupported) {
		t.Errorf("put without sides: %v", err)
	}
	if got := take(t, q, 2); got != string(long) {
		t.Errorf("took %d bytes", len(got))
	}
	if err := checkDerived(q); err != nil {
		t.Error(err)
	}
}

// A dead producer's slot is free again whenever it died, and a dead consumer's
// message comes back from its side segment.
func TestSideDeath(t *testing.T) {
	q, sides := newSideQueue(t, 1, 64, 10_000)
	long := text(5000, 1)
	for range 3 {
		if _, err := q.ReserveSize(background, nil, actor(1), 5000, 0); err != nil {
			t.Fatal(err)
		}
		if held, done := q.seg.Recover(victimOf(1, 2)); !held || !done {
			t.Fatalf("held %v, done %v", held, done)
		}
	}
	if err := q.Put(background, nil, actor(2), long, 0); err != nil {
		t.Fatal(err)
	}
	lease(t, q, 1)
	if held, done := q.seg.Recover(victimOf(1, 2)); !held || !done {
		t.Fatalf("held %v, done %v", held, done)
	}
	if got := take(t, q, 2); got != string(long) {
		t.Errorf("took %d bytes", len(got))
	}
	if len(sides.numbers) != 1 {
		t.Errorf("%d side segments", len(sides.numbers))
	}
}

// What a scribbler may do to the words about a side segment.
func TestSideCorrupt(t *testing.T) {
	for _, c := range []struct {
		name     string
		scribble func(d *QueueDesc)
		op       func(*Queue) error
		ruined   bool // visible in the words alone
	}{
		{"an unknown number", func(d *QueueDesc) { d.Side = 99 }, takeOne, false},
		{"an unknown number, leasing", func(d *QueueDesc) { d.Side = 99 }, leaseOne, false},
		{"no number", func(d *QueueDesc) { d.Side = 0 }, takeOne, true},
		{"no number, leasing", func(d *QueueDesc) { d.Side = 0 }, leaseOne, true},
		{"longer than the side", func(d *QueueDesc) { d.Length = 9000 }, takeOne, false},
		{"longer than the maximum", func(d *QueueDesc) { d.Length = 10_001 }, takeOne, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, _ := newSideQueue(t, 2, 64, 10_000)
			if err := q.Put(background, nil, actor(1), text(5000, 1), 0); err != nil {
				t.Fatal(err)
			}
			c.scribble(&q.descs[0])
			for range 2 {
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
		})
	}
}

// A mapping lives as long as a lease that looks at it, and then goes.
func TestSideMapping(t *testing.T) {
	q, _ := newSideQueue(t, 1, 64, 100_000)
	sides := newTestSides(true, 100_000)
	q.WithSides(sides)
	message := text(90_000, 3)
	if err := q.Put(background, nil, actor(1), message, 0); err != nil {
		t.Fatal(err)
	}
	l := lease(t, q, 2)
	clear(sides.numbers) // as when the slot got another
	for range 3 {
		runtime.GC()
	}
	if got := q.AppendMessage(nil, l); !bytes.Equal(got, message) {
		t.Error("the message is gone")
	}
	f, err := CreateSide(1, 8192, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := MapSide(f, 4096); !errors.Is(err, status.Corrupt) {
		t.Errorf("of another size: %v", err)
	}
	side, err := MapSide(f, 8192)
	if err != nil {
		t.Fatal(err)
	}
	if err := side.Unmap(); err != nil {
		t.Error(err)
	}
	fd, err := unix.MemfdCreate("unsealed", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unsealed := os.NewFile(uintptr(fd), "unsealed")
	defer unsealed.Close()
	if err := unsealed.Truncate(8192); err != nil {
		t.Fatal(err)
	}
	if _, err := MapSide(unsealed, 8192); !errors.Is(err, status.Corrupt) {
		t.Errorf("without seals: %v", err)
	}
	if err := NewHeapSide(1).Unmap(); err != nil {
		t.Error(err)
	}
}

// takeAway does what the daemon does when memory is short: what it takes from a slot is
// nobody's any more.
func (s *testSides) takeAway(q *Queue, slot uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	number := s.slots[slot]
	if number == 0 || !q.Disown(daemonOf(1), slot) {
		return false
	}
	for i := range s.numbers[number].mem {
		s.numbers[number].mem[i] = 0xee
	}
	delete(s.slots, slot)
	s.numbers[number] = nil
	return true
}

// Producers and consumers of messages of all sizes, at once, and a daemon who takes side
// segments away.
func TestSideDeliversAll(t *testing.T) {
	q, sides := newSideQueue(t, 4, 64, 20_000)
	p := NewParker(ParkerOptions{})
	const rounds = 200
	var wg sync.WaitGroup
	taken := 0
	over := make(chan struct{})
	var taker sync.WaitGroup
	taker.Go(func() {
		for slot := uint32(0); ; slot = (slot + 1) % 4 {
			select {
			case <-over:
				return
			default:
				if sides.takeAway(q, slot) {
					taken++
				}
			}
		}
	})
	for i := range 2 {
		wg.Go(func() {
			for r := range rounds {
				size := 4 + (r*131+i*7)%19_000
				if err := q.Put(background, p, actor(uint16(1+i)), text(size, byte(r)), -1); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				l, err := q.Lease(background, p, actor(uint16(3+i)), -1)
				if err != nil {
					t.Error(err)
					return
				}
				m := q.Message(l)
				if !bytes.Equal(m, text(len(m), m[0])) {
					t.Errorf("a message of %d bytes is mixed up", len(m))
				}
				if err := q.Ack(background, p, actor(uint16(3+i)), l, -1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(over)
	taker.Wait()
	if c := counts(t, q); c != (QueueCounts{Free: 4}) {
		t.Errorf("%+v", c)
	}
	if taken == 0 {
		t.Error("no side segment was taken away")
	}
	if made := len(sides.numbers); made > 4*(4+taken) { // each slot grows anew
		t.Errorf("%d side segments were made, %d taken away", made, taken)
	}
}

// latchingSides let another client, which stays so, into the middle of an operation before
// they answer.
type latchingSides struct {
	*testSides
	latch *Latch
}

func (s latchingSides) Mapped(_, _ uint32) *Side { return nil }

func (s latchingSides) Make(ctx context.Context, r Reservation, size uint32) (uint32, *Side, error) {
	if _, err := s.latch.TryLatch(client(9)); err != nil {
		return 0, nil, err
	}
	return s.testSides.Make(ctx, r, size)
}

func (s latchingSides) Find(ctx context.Context, slot, number uint32) (*Side, error) {
	if _, err := s.latch.TryLatch(client(9)); err != nil {
		return nil, err
	}
	return s.testSides.Find(ctx, slot, number)
}

// What the daemon could do only half of must not be answered as if nothing had been done:
// tried again it would hold one slot more each time.
func TestSideHalfDone(t *testing.T) {
	before := latchPatience
	defer func() { latchPatience = before }()
	latchPatience = time.Millisecond
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		fails error
		put   bool
		want  QueueCounts
	}{
		"put":              {nil, true, QueueCounts{Writing: 1, Free: 1}},
		"put, and no side": {lost, true, QueueCounts{Writing: 1, Free: 1}},
		"take":             {nil, false, QueueCounts{Leased: 1, Free: 1}},
		"take, no side":    {lost, false, QueueCounts{Leased: 1, Free: 1}},
	} {
		q, sides := newSideQueue(t, 2, 64, 10_000)
		latch, do := q.putLatch, func(q *Queue) error {
			return q.Put(background, nil, forClient(1), make([]byte, 500), 0)
		}
		if !c.put {
			if err := do(q); err != nil {
				t.Fatal(err)
			}
			latch, do = q.takeLatch, func(q *Queue) error {
				_, err := q.Take(background, nil, forClient(1), nil, 0)
				return err
			}
		}
		sides.fail(c.fails)
		if err := do(q.WithSides(latchingSides{sides, latch})); !errors.Is(err, status.OutcomeUnknown) {
			t.Errorf("%s: %v, want OUTCOME_UNKNOWN", name, err)
		}
		if err := latch.Unlatch(client(9)); err != nil {
			t.Error(err)
		}
		if got := counts(t, q); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
