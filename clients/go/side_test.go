package shmd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

const longest = 3 << 20

var longMessages = shmd.QueueOptions{MaxSize: 4, SlotSize: 64, MessageMax: longest, Raw: true}

// content is size bytes that tell where they are.
func content(size int, seed byte) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ seed
	}
	return b
}

// pair opens a new queue by two clients, who know nothing of each other.
func pair(t *testing.T, s *daemon.Server, o shmd.QueueOptions) (producer, consumer *shmd.Queue) {
	t.Helper()
	producer, err := shmd.CreateQueue(t.Context(), dial(t, s), "q", o)
	if err != nil {
		t.Fatal(err)
	}
	if consumer, err = shmd.OpenQueue(t.Context(), dial(t, s), "q"); err != nil {
		t.Fatal(err)
	}
	return producer, consumer
}

// openSides counts the descriptors of side segments in this process, the daemon's
// and the clients'.
func openSides(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err == nil && strings.Contains(target, "shmd-side") { // the one that lists them is gone by now
			n++
		}
	}
	return n
}

// mappedSides counts the mappings of side segments.
func mappedSides(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "shmd-side")
}

func TestLongMessages(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	p, c := pair(t, s, longMessages)
	for round := range 10 {
		for i, size := range []int{64, 65, 1 << 20, longest, 0} {
			message := content(size, byte(round+i))
			if err := p.Put(ctx, message); err != nil {
				t.Fatalf("put %d bytes: %v", size, err)
			}
			if round%2 == 0 {
				got, err := c.Take(ctx)
				if err != nil || !bytes.Equal(got, message) {
					t.Fatalf("%d bytes came as %d, %v", size, len(got), err)
				}
				continue
			}
			l, err := c.Lease(ctx)
			if err != nil || !bytes.Equal(l.Message(), message) {
				t.Fatalf("%d bytes leased: %v", size, err)
			}
			if err := l.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := openSides(t); n != 1 {
		t.Errorf("%d side segments for one message at a time", n)
	}
	err := p.Put(ctx, make([]byte, longest+1))
	wantError(t, "one byte more", err, shmd.ErrTooLarge)
	if text := err.Error(); !strings.Contains(text, "3145729 bytes") || !strings.Contains(text, "3145728") {
		t.Errorf("%q does not name both sizes", text)
	}
	r, err := p.ReserveSize(ctx, 100_000)
	if err != nil || len(r.Buffer()) != 100_000 {
		t.Fatalf("reserved %d bytes, %v", len(r.Buffer()), err)
	}
	message := content(99_000, 7)
	copy(r.Buffer(), message)
	wantError(t, "commit of too much", r.Commit(100_001), shmd.ErrTooLarge)
	if err := r.Commit(99_000); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Take(ctx); err != nil || !bytes.Equal(got, message) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err = p.ReserveSize(ctx, longest+1)
	wantError(t, "a reservation of too much", err, shmd.ErrTooLarge)
	if r, err = p.Reserve(ctx); err != nil || len(r.Buffer()) != 64 {
		t.Errorf("reserved %d bytes, %v", len(r.Buffer()), err)
	}
	if err := r.Abort(); err != nil {
		t.Error(err)
	}
}

// Messages that grow, one or two at a time: a slot gets larger memory now and then, and no
// more of it is there than messages were there at once.
func TestGrowingMessages(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	p, c := pair(t, s, longMessages)
	for size := 65; size <= longest; size += size / 3 {
		for i := range byte(2) {
			if err := p.Put(ctx, content(size-int(i), i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range byte(2) {
			if got, err := c.Take(ctx); err != nil || !bytes.Equal(got, content(size-int(i), i)) {
				t.Fatalf("%d bytes came as %d, %v", size-int(i), len(got), err)
			}
		}
		if n := openSides(t); n > 2 {
			t.Fatalf("%d side segments for two messages at a time, of %d bytes", n, size)
		}
	}
}

// A message of 1 GiB is made and read in place, twice in the same memory.
func TestLongestMessage(t *testing.T) {
	const size, page = 1 << 30, 4096
	if testing.Short() {
		t.Skip("it takes 1 GiB of memory")
	}
	if available := memoryAvailable(t); available < 3*size {
		t.Skipf("it takes 1 GiB of memory, and wants 3 to be available: there are %d bytes", available)
	}
	s := start(t, daemon.Config{BudgetBytes: 2 * size, QuotaBytes: 2 * size})
	ctx := t.Context()
	o := longMessages
	o.MessageMax = size
	p, c := pair(t, s, o)
	_, err := p.ReserveSize(ctx, size+1)
	wantError(t, "one byte more", err, shmd.ErrTooLarge)
	for round := range byte(2) {
		r, err := p.ReserveSize(ctx, size)
		if err != nil {
			t.Fatal(err)
		}
		buffer := r.Buffer()
		if len(buffer) != size {
			t.Fatalf("%d bytes were reserved", len(buffer))
		}
		at := func(i int) []byte { return buffer[page*i : page*i+8] }
		for i := range size / page {
			binary.LittleEndian.PutUint64(at(i), uint64(i)<<8|uint64(round))
		}
		buffer[size-1] = round
		if err := r.Commit(size); err != nil {
			t.Fatal(err)
		}
		l, err := c.Lease(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if buffer = l.Message(); len(buffer) != size || buffer[size-1] != round {
			t.Fatalf("a message of %d bytes", len(buffer))
		}
		for i := range size / page {
			if got := binary.LittleEndian.Uint64(at(i)); got != uint64(i)<<8|uint64(round) {
				t.Fatalf("%#x in page %d", got, i)
			}
		}
		if err := l.Ack(); err != nil {
			t.Fatal(err)
		}
		if n := openSides(t); n != 1 {
			t.Errorf("%d side segments", n)
		}
	}
}

// memoryAvailable is what the kernel thinks can be had, in bytes.
func memoryAvailable(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	var kib uint64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// A value in memory may be longer than a message of the protocol; who has only the
// socket is told so, and it stays.
func TestLongValues(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	o := longMessages
	o.Raw = false
	p, c := pair(t, s, o)
	text := strings.Repeat("long ", 2<<20/5)
	if err := p.PutValue(ctx, text); err != nil {
		t.Fatal(err)
	}
	var got string
	wantError(t, "take over the socket",
		dialAnd(t, s, func(c *shmd.Client, handle uint64) error {
			return c.Call(ctx, wire.MethodTake, nil, handle)
		}), shmd.ErrTooLarge)
	if err := c.TakeValue(ctx, &got); err != nil || got != text {
		t.Errorf("%d characters, %v", len(got), err)
	}
	if err := p.PutValue(ctx, text[:900<<10]); err != nil {
		t.Fatal(err)
	}
	if err := dialAnd(t, s, func(c *shmd.Client, handle uint64) error {
		return c.Call(ctx, wire.MethodTake, &got, handle)
	}); err != nil || got != text[:900<<10] {
		t.Errorf("over the socket: %d characters, %v", len(got), err)
	}
	if err := dialAnd(t, s, func(c *shmd.Client, handle uint64) error {
		return c.Call(ctx, wire.MethodPut, nil, handle, text[:800<<10])
	}); err != nil {
		t.Fatal(err)
	}
	l, err := c.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Decode(&got); err != nil || got != text[:800<<10] {
		t.Errorf("from the socket: %d characters, %v", len(got), err)
	}
}

// dialAnd calls with the handle of a client that maps nothing.
func dialAnd(t *testing.T, s *daemon.Server, act func(c *shmd.Client, handle uint64) error) error {
	t.Helper()
	c := dial(t, s)
	var a wire.Attachment
	if err := c.Call(t.Context(), wire.MethodOpen, &a, "q"); err != nil {
		t.Fatal(err)
	}
	return act(c, a.Handle)
}

// Without the daemon, what is mapped goes on; what is not is ErrLost, and stays.
func TestLongMessagesWithoutDaemon(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	p, c := pair(t, s, longMessages)
	put, take := passing(t)
	put(p, 5000, 1)
	l, err := c.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
	put(p, 6000, 2)
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(l.Message(), content(5000, 1)) {
		t.Error("the lease's message is gone")
	}
	if err := l.Nack(); err != nil {
		t.Fatal(err)
	}
	take(c, 5000, 1)
	_, err = c.Take(ctx)
	wantError(t, "what is not mapped", err, shmd.ErrLost)
	put(p, 8192, 3) // as much as there is where 5000 bytes were
	if n, err := p.Counts(); err != nil || n.Ready != 2 || n.Free != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	take(p, 6000, 2)
	take(c, 8192, 3)
	for range 2 { // the second time only the daemon knows what the slots have
		wantError(t, "more than a slot has", p.Put(ctx, content(8193, 3)), shmd.ErrLost)
		wantError(t, "more than a slot has", p.Put(ctx, content(8193, 3)), shmd.ErrLost)
	}
	wantError(t, "what was there", p.Put(ctx, content(5000, 3)), shmd.ErrLost)
	put(p, 5, 3)
}

// A stream of long messages asks nobody, once the memory is there: the daemon is gone.
func TestLongMessagesAskNobody(t *testing.T) {
	s := start(t, daemon.Config{})
	p, c := pair(t, s, longMessages)
	put, take := passing(t)
	for i := range byte(3) {
		put(p, 8192, i)
	}
	for i := range byte(3) {
		take(c, 8192, i)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		many := 1 + i%3
		for k := range many {
			put(p, 8192-i, byte(k))
		}
		for k := range many {
			take(c, 8192-i, byte(k))
		}
	}
}

// passing puts and takes content.
func passing(t *testing.T) (put, take func(q *shmd.Queue, size int, seed byte)) {
	put = func(q *shmd.Queue, size int, seed byte) {
		t.Helper()
		if err := q.Put(t.Context(), content(size, seed)); err != nil {
			t.Fatal(err)
		}
	}
	take = func(q *shmd.Queue, size int, seed byte) {
		t.Helper()
		if got, err := q.Take(t.Context()); err != nil || !bytes.Equal(got, content(size, seed)) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	return put, take
}

// Destroyed while a message is looked at, the memory stays for the one who looks,
// and goes with the handles.
func TestLongMessagesDestroyed(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	func() {
		p, c := pair(t, s, longMessages)
		if err := p.Put(ctx, content(5000, 1)); err != nil {
			t.Fatal(err)
		}
		l, err := c.Lease(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := dial(t, s).Destroy(ctx, "q"); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(l.Message(), content(5000, 1)) {
			t.Error("the message is gone while it is looked at")
		}
		wantError(t, "ack", l.Ack(), shmd.ErrRemoved)
		wantError(t, "put", p.Put(ctx, content(5000, 1)), shmd.ErrRemoved)
		if err := errors.Join(p.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}()
	if n := openSides(t); n != 0 {
		t.Errorf("%d descriptors of side segments are left", n)
	}
	for mappedSides(t) > 0 {
		runtime.GC() // until the test's deadline
	}
}

// When side segments exhaust the quota, short messages go on.
func TestLongMessagesQuota(t *testing.T) {
	s := start(t, daemon.Config{QuotaBytes: 5 << 20})
	ctx := t.Context()
	p, c := pair(t, s, longMessages)
	if err := p.Put(ctx, content(longest, 1)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantError(t, "one too many", p.Put(ctx, content(longest, 2)), shmd.ErrQuota)
	}
	if err := p.Put(ctx, []byte("short")); err != nil {
		t.Error(err)
	}
	if got, err := c.Take(ctx); err != nil || !bytes.Equal(got, content(longest, 1)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := c.Take(ctx); err != nil || string(got) != "short" {
		t.Errorf("%q, %v", got, err)
	}
}
