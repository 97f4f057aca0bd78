package shm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

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
	return NewHeapSegment(g, 1).Queue().WithSides(s), s
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

// Producers and consumers of messages of all sizes, at once.
func TestSideDeliversAll(t *testing.T) {
	q, sides := newSideQueue(t, 4, 64, 20_000)
	p := NewParker(ParkerOptions{})
	const rounds = 200
	var wg sync.WaitGroup
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
	if c := counts(t, q); c != (QueueCounts{Free: 4}) {
		t.Errorf("%+v", c)
	}
	if made := len(sides.numbers); made > 4*4 {
		t.Errorf("%d side segments were made", made)
	}
}
