package shmd_test

import (
	"bytes"
	"errors"
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
	wantError(t, "one byte more", p.Put(ctx, make([]byte, longest+1)), shmd.ErrTooLarge)
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

// Without the daemon, what is mapped goes on, and slots keep what they have: a stream of
// long messages asks nobody. What is not mapped is ErrLost, and stays.
func TestLongMessagesWithoutDaemon(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	p, c := pair(t, s, longMessages)
	put := func(size int, seed byte) {
		t.Helper()
		if err := p.Put(ctx, content(size, seed)); err != nil {
			t.Fatal(err)
		}
	}
	take := func(who *shmd.Queue, size int, seed byte) {
		t.Helper()
		if got, err := who.Take(ctx); err != nil || !bytes.Equal(got, content(size, seed)) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	put(5000, 1)
	put(6000, 2)
	l, err := c.Lease(ctx)
	if err != nil {
		t.Fatal(err)
	}
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
	put(7000, 3)
	if n, err := p.Counts(); err != nil || n.Ready != 2 || n.Free != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	take(p, 6000, 2)
	take(p, 7000, 3)
	for i := range 100 {
		size := 8192 - i
		put(size, byte(i))
		take(c, size, byte(i))
	}
	wantError(t, "more than the slot has", p.Put(ctx, content(8193, 3)), shmd.ErrLost)
	wantError(t, "what only the daemon knows that it has", p.Put(ctx, content(5000, 3)), shmd.ErrLost)
	if err := p.Put(ctx, []byte("short")); err != nil {
		t.Errorf("a short put: %v", err)
	}
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
