package shm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

func newQueue(t testing.TB, maxsize uint64, slotSize, deliveriesMax uint32) *Queue {
	t.Helper()
	g, err := NewQueueGeometry(maxsize, slotSize, slotSize, deliveriesMax, FlagRaw, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).Queue()
}

// put, take and lease do not wait.
func put(t testing.TB, q *Queue, seat uint16, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := q.Put(background, nil, actor(seat), []byte(m), 0); err != nil {
			t.Fatalf("put %q: %v", m, err)
		}
	}
}

func take(t testing.TB, q *Queue, seat uint16) string {
	t.Helper()
	m, err := q.Take(background, nil, actor(seat), nil, 0)
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	return string(m)
}

func lease(t testing.TB, q *Queue, seat uint16) Lease {
	t.Helper()
	l, err := q.Lease(background, nil, actor(seat), 0)
	if err != nil {
		t.Fatalf("lease: %v", err)
	}
	return l
}

func counts(t testing.TB, q *Queue) QueueCounts {
	t.Helper()
	c, err := q.Counts(background, nil, actor(60), 0)
	if err != nil {
		t.Fatal(err)
	}
	if sum := c.Ready + c.Leased + c.Writing + c.Free + c.Dead; sum != q.size {
		t.Fatalf("%+v: %d slots of %d", c, sum, q.size)
	}
	return c
}

// readySlots are the slots in the ready ring, in its order.
func readySlots(q *Queue) (slots []uint32) {
	head, _ := q.readPosition(&q.lines.ReadyHead)
	for i := range between(&q.lines.ReadyHead, &q.lines.ReadyTail) {
		slot, ok := q.readySlot(q.further(head, i))
		if !ok {
			slot = 1 << 31 // a gap
		}
		slots = append(slots, slot)
	}
	return slots
}

// freeSlots are the slots in the free ring, by number: their order is a matter of taste.
func freeSlots(q *Queue) (slots []uint32) {
	head, _ := q.readPosition(&q.lines.FreeHead)
	for i := range between(&q.lines.FreeHead, &q.lines.FreeTail) {
		at := q.further(head, i)
		entry := load64(&q.free[at.place()])
		if !isEntryAt(at, entry) {
			entry = 1 << 31 // a gap
		}
		slots = append(slots, slotOf(entry))
	}
	slices.Sort(slots)
	return slots
}

// derived is what is derived, in an order that does not depend on where the rings begin.
func derived(q *Queue) string {
	l := q.lines
	return fmt.Sprint("ready ", readySlots(q), " free ", freeSlots(q), " fresh ", l.Fresh, " leased ", l.LeasedCount,
		" writing ", l.WritingCount, " dead ", l.DeadCount)
}

// checkDerived compares what the operations keep up with what a rebuild makes.
func checkDerived(q *Queue) error {
	rebuilt := clone(q.seg).Queue()
	if !rebuilt.rebuild() {
		return errors.New("the slots' words are unsound")
	}
	if is, want := derived(q), derived(rebuilt); is != want {
		return fmt.Errorf("kept up:\n%s\nrebuilt:\n%s", is, want)
	}
	if q.lines.NextSeq < rebuilt.lines.NextSeq {
		return fmt.Errorf("the next number is %d, and %d was given", q.lines.NextSeq, rebuilt.lines.NextSeq-1)
	}
	return nil
}

// clone is another segment of the same bytes.
func clone(s *Segment) *Segment {
	c := NewHeapSegment(s.geometry, 1)
	copy(c.mem, s.mem)
	return c
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	q := newQueue(t, 3, 1000, 0)
	long := strings.Repeat("x", 1000)
	for range 3 { // round the ring
		put(t, q, 1, "a", "", long)
		if err := q.Put(background, nil, actor(1), nil, 0); err != status.WouldBlock {
			t.Errorf("put on a full queue: %v", err)
		}
		if c := counts(t, q); c != (QueueCounts{Ready: 3}) {
			t.Errorf("%+v", c)
		}
		if err := checkDerived(q); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"a", "", long} {
			if got := take(t, q, 2); got != want {
				t.Errorf("took %.10q, want %.10q", got, want)
			}
		}
		if _, err := q.Take(background, nil, actor(2), nil, 0); err != status.WouldBlock {
			t.Errorf("take from an empty queue: %v", err)
		}
	}
	if got, err := q.Take(background, nil, actor(2), []byte("kept"), 0); err == nil || string(got) != "kept" {
		t.Errorf("after an error dst is %q", got)
	}
	put(t, q, 1, "b")
	if got, err := q.Take(background, nil, actor(2), []byte("a"), 0); err != nil || string(got) != "ab" {
		t.Errorf("appended: %q, %v", got, err)
	}
}

func TestQueueMisuse(t *testing.T) {
	q := newQueue(t, 2, 16, 0)
	a, b := actor(1), actor(2)
	err := q.Put(background, nil, a, make([]byte, 17), 0)
	if !errors.Is(err, status.TooLarge) || !strings.Contains(fmt.Sprint(err), "17 bytes") ||
		!strings.Contains(fmt.Sprint(err), "16 (") {
		t.Errorf("a message over the maximum: %v", err)
	}
	for _, seat := range []uint16{0, SeatsDefault + 1, SeatDaemon} {
		if err := q.Put(background, nil, actor(seat), nil, 0); !errors.Is(err, status.Invalid) {
			t.Errorf("seat %d: %v", seat, err)
		}
	}
	put(t, q, 1, "a")
	l := lease(t, q, 1)
	for what, err := range map[string]error{
		"ack by another":           q.Ack(background, nil, b, l, 0),
		"nack by another":          q.Nack(background, nil, b, l, 0),
		"ack of another number":    q.Ack(background, nil, a, Lease{Slot: l.Slot, Seq: l.Seq + 1}, 0),
		"ack of another slot":      q.Ack(background, nil, a, Lease{Slot: 1 - l.Slot, Seq: l.Seq}, 0),
		"ack of no slot":           q.Ack(background, nil, a, Lease{Slot: 1 << 20, Seq: l.Seq}, 0),
		"commit of a lease":        q.Commit(background, nil, a, Reservation{Slot: l.Slot, Ticket: l.Seq}, 1, 0),
		"commit of an old message": q.Commit(background, nil, a, Reservation{Slot: l.Slot}, 1, 0),
	} {
		if !errors.Is(err, status.NotOwner) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if q.Message(Lease{Slot: 2}) != nil || q.Message(Lease{Length: 17}) != nil ||
		q.Buffer(Reservation{Slot: 2}) != nil {
		t.Error("a view outside of the slots")
	}
	for range 2 {
		if err := q.Ack(background, nil, a, l, 0); err != nil {
			t.Errorf("ack, repeated: %v", err)
		}
	}
	if err := q.Nack(background, nil, a, l, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("nack after ack: %v", err)
	}
	if err := q.Ack(background, nil, b, l, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("ack of what another has acknowledged: %v", err)
	}
	put(t, q, 1, "b")
	if err := q.Ack(background, nil, a, l, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("ack after the slot is used again: %v", err)
	}
	if take(t, q, 2) != "b" {
		t.Error("a late ack has hurt another message")
	}
}

func TestQueueReservations(t *testing.T) {
	q := newQueue(t, 2, 16, 0)
	a, b := actor(1), actor(2)
	reserve := func() Reservation {
		t.Helper()
		r, err := q.Reserve(background, nil, a, 0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first, second := reserve(), reserve()
	if _, err := q.Reserve(background, nil, a, 0); err != status.WouldBlock {
		t.Errorf("a third of two: %v", err)
	}
	if err := checkDerived(q); err != nil {
		t.Error(err)
	}
	copy(q.Buffer(first), "first")
	copy(q.Buffer(second), "second")
	if err := q.Commit(background, nil, a, first, 17, 0); !errors.Is(err, status.TooLarge) {
		t.Errorf("commit of too much: %v", err)
	}
	if err := q.Commit(background, nil, b, first, 5, 0); !errors.Is(err, status.NotOwner) {
		t.Errorf("commit by another: %v", err)
	}
	for range 2 { // the order is that of the commits, and a commit may be repeated
		if err := q.Commit(background, nil, a, second, 6, 0); err != nil {
			t.Fatal(err)
		}
	}
	if c := counts(t, q); c != (QueueCounts{Ready: 1, Writing: 1}) {
		t.Errorf("%+v", c)
	}
	if err := q.Commit(background, nil, a, first, 5, 0); err != nil {
		t.Fatal(err)
	}
	if x, y := take(t, q, 2), take(t, q, 2); x != "second" || y != "first" {
		t.Errorf("took %q, %q", x, y)
	}
	if err := q.Commit(background, nil, a, first, 5, 0); err != nil {
		t.Errorf("a commit repeated after the message was taken: %v", err)
	}
	third := reserve()
	if err := q.Commit(background, nil, a, first, 5, 0); third.Slot == first.Slot && !errors.Is(err, status.NotOwner) {
		t.Errorf("a commit repeated after the slot was used again: %v", err)
	}
	if err := q.Abort(background, nil, a, third, 0); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"abort again":        q.Abort(background, nil, a, third, 0),
		"commit after abort": q.Commit(background, nil, a, third, 1, 0),
	} {
		if !errors.Is(err, status.NotOwner) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if c := counts(t, q); c != (QueueCounts{Free: 2}) {
		t.Errorf("%+v", c)
	}
}

func TestQueueReturnsToTheFront(t *testing.T) {
	q := newQueue(t, 5, 16, 2)
	put(t, q, 1, "a", "b", "c", "d")
	var leases []Lease
	for range 3 {
		leases = append(leases, lease(t, q, 1))
	}
	for _, i := range []int{1, 0, 2} { // in whatever order they come back
		if err := q.Nack(background, nil, actor(1), leases[i], 0); err != nil {
			t.Fatal(err)
		}
		if err := checkDerived(q); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"a", "b", "c"} {
		l := lease(t, q, 2)
		if got := string(q.Message(l)); got != want || l.Deliveries != 2 {
			t.Errorf("leased %q, delivery %d, want %q, 2", got, l.Deliveries, want)
		}
		if err := q.Nack(background, nil, actor(2), l, 0); err != nil {
			t.Fatal(err)
		}
	}
	if c := counts(t, q); c != (QueueCounts{Ready: 1, Dead: 3, Free: 1}) {
		t.Errorf("%+v", c)
	}
	dead, err := q.TakeDead(background, nil, actor(3), 0)
	if err != nil || string(q.Message(dead)) != "a" || dead.Deliveries != 2 {
		t.Errorf("the oldest dead letter: %q, %+v, %v", q.Message(dead), dead, err)
	}
	if err := q.Nack(background, nil, actor(3), dead, 0); err != nil {
		t.Error(err)
	}
	if dead, err = q.TakeDead(background, nil, actor(3), 0); err != nil || string(q.Message(dead)) != "a" {
		t.Errorf("a dead letter that was looked at: %q, %v", q.Message(dead), err)
	}
	if err := q.Ack(background, nil, actor(3), dead, 0); err != nil {
		t.Error(err)
	}
	if n, err := q.Redeliver(background, nil, actor(3), 0); n != 2 || err != nil {
		t.Errorf("redelivered %d, %v", n, err)
	}
	if err := checkDerived(q); err != nil {
		t.Error(err)
	}
	if l := lease(t, q, 1); string(q.Message(l)) != "b" || l.Deliveries != 1 {
		t.Errorf("redelivered: %q, %+v", q.Message(l), l)
	}
	if x, y := take(t, q, 1), take(t, q, 1); x != "c" || y != "d" {
		t.Errorf("then %q, %q", x, y)
	}
	if _, err := q.TakeDead(background, nil, actor(3), 0); err != status.WouldBlock {
		t.Errorf("no dead letter: %v", err)
	}
	if n, err := q.Redeliver(background, nil, actor(3), 0); n != 0 || err != nil {
		t.Errorf("redelivered %d, %v", n, err)
	}
}

func TestQueueShutdown(t *testing.T) {
	q := newQueue(t, 4, 16, 0)
	a := actor(1)
	r, err := q.Reserve(background, nil, a, 0)
	if err != nil {
		t.Fatal(err)
	}
	put(t, q, 1, "a", "b")
	for range 2 {
		if err := q.Shutdown(background, nil, a, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Put(background, nil, a, nil, -1); err != status.Ended {
		t.Errorf("put: %v", err)
	}
	if _, err := q.Reserve(background, nil, a, -1); err != status.Ended {
		t.Errorf("reserve: %v", err)
	}
	if c := counts(t, q); !c.Closed || c.Ready != 2 {
		t.Errorf("%+v", c)
	}
	if got := take(t, q, 2); got != "a" {
		t.Errorf("drained %q", got)
	}
	l := lease(t, q, 2)
	if _, err := q.Take(background, nil, a, nil, -1); err != status.Ended {
		t.Errorf("take from an empty one: %v", err)
	}
	// What is leased or reserved comes back all the same.
	if err := q.Nack(background, nil, actor(2), l, 0); err != nil {
		t.Error(err)
	}
	if err := q.Commit(background, nil, a, r, 0, 0); err != nil {
		t.Error(err)
	}
	if x, y := take(t, q, 2), take(t, q, 2); x != "b" || y != "" {
		t.Errorf("took %q, %q", x, y)
	}
}

// A look without the latch says that a queue is empty only if a take would block.
func TestQueueEmpty(t *testing.T) {
	q := newQueue(t, 4, 16, 0)
	want := func(what string, is bool) {
		t.Helper()
		if got := q.Empty(); got != is {
			t.Errorf("%s: %v", what, got)
		}
	}
	want("a new queue", true)
	put(t, q, 1, "a")
	want("with a message", false)
	if _, err := q.Take(background, nil, actor(1), nil, 0); err != nil {
		t.Fatal(err)
	}
	want("taken", true)
	head := q.lines.ReadyHead
	q.lines.ReadyHead |= uint64(positionHidden)
	want("the ring is being rebuilt", false)
	q.lines.ReadyHead = head
	q.seg.readOnly = true
	want("a take is refused", false)
	q.seg.readOnly = false
	if err := q.Shutdown(background, nil, actor(1), 0); err != nil {
		t.Fatal(err)
	}
	want("shut down", false)
	store32(&q.lines.Closed, 0)
	q.seg.Remove()
	want("removed", false)
}
