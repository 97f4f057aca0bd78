package shmd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

func TestSemaphore(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	m, err := shmd.CreateSemaphore(ctx, c, "s", 2, shmd.SemaphoreOptions{Maximum: 2, Undo: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Acquire(ctx, 2); err != nil {
		t.Fatal(err)
	}
	wantError(t, "try", m.TryAcquire(1), shmd.ErrWouldBlock)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	wantError(t, "a short wait", m.Acquire(short, 1), context.DeadlineExceeded)
	wantError(t, "more than the maximum", m.Acquire(ctx, 3), shmd.ErrInvalid)
	wantError(t, "beyond the maximum", m.Post(1), shmd.ErrOverflow)

	other, err := shmd.OpenOrCreateSemaphore(ctx, dial(t, s), "s", 9, shmd.SemaphoreOptions{Maximum: 2, Undo: true})
	if err == nil {
		t.Error("initial above maximum passed")
		other.Close()
	}
	dying := dial(t, s)
	other, err = shmd.OpenSemaphore(ctx, dying, "s")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "release of another's", other.Release(1), shmd.ErrNotOwner)
	if err := m.Release(2); err != nil {
		t.Fatal(err)
	}
	if err := other.Acquire(ctx, 2); err != nil {
		t.Fatal(err)
	}
	acquired := make(chan error)
	go func() { acquired <- m.Acquire(ctx, 1) }()
	if err := dying.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-acquired; err != nil {
		t.Errorf("who waits for the permits of one that goes: %v", err)
	}
	if p, err := m.Permits(); err != nil || p.Available != 1 || p.Held != 1 || p.Total != 2 {
		t.Errorf("permits %+v, %v", p, err)
	}
	go func() { acquired <- m.Acquire(ctx, 2) }()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "acquire of a closed handle", <-acquired, shmd.ErrClosed)
}

func TestQueueOfValues(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	q, err := shmd.CreateQueue(ctx, dial(t, s), "q", shmd.QueueOptions{MaxSize: 2, SlotSize: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	type job struct {
		Path string
		N    int
	}
	taken := make(chan job)
	consumer, err := shmd.OpenQueue(ctx, dial(t, s), "q")
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ended := make(chan error)
	go func() {
		for {
			var j job
			if err := consumer.TakeValue(ctx, &j); err != nil {
				ended <- err
				return
			}
			taken <- j
		}
	}()
	for i := range 10 {
		if err := q.PutValue(ctx, job{fmt.Sprint(i), i}); err != nil {
			t.Fatal(err)
		}
		if j := <-taken; j.N != i || j.Path != fmt.Sprint(i) {
			t.Errorf("took %+v, want %d", j, i)
		}
	}
	wantError(t, "two values", q.Put(ctx, []byte{1, 2}), shmd.ErrBadType)
	wantError(t, "too long", q.PutValue(ctx, string(make([]byte, 64))), shmd.ErrTooLarge)
	wantError(t, "no msgpack form", q.PutValue(ctx, func() {}), shmd.ErrBadType)
	if err := q.Shutdown(); err != nil {
		t.Error(err)
	}
	wantError(t, "put after shutdown", q.PutValue(ctx, 1), shmd.ErrEnded)
	wantError(t, "the consumer's end", <-ended, io.EOF)
}

// A call over the socket that is cancelled while it waits takes nothing.
func TestCancelledCallTakesNothing(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	q, err := shmd.CreateQueue(t.Context(), c, "q", shmd.QueueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var handle struct {
		Handle uint64 `msgpack:"handle"`
	}
	if err := c.Call(t.Context(), "open", &handle, "q"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		taken := make(chan error)
		go func() { taken <- c.Call(ctx, "take", nil, handle.Handle) }()
		cancelled := make(chan struct{})
		go func() {
			cancel()
			close(cancelled)
		}()
		if err := q.PutValue(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		<-cancelled
		failed := <-taken
		left, err := q.Counts()
		if err != nil || (failed == nil) != (left.Ready == 0) {
			t.Fatalf("the call ended with %v, and %d messages are left, %v", failed, left.Ready, err)
		}
		if failed != nil {
			if _, err := q.TryTake(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A lease that is not acknowledged comes back, first; one that is stays away.
func TestLeases(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	q, err := shmd.CreateQueue(ctx, dial(t, s), "q", shmd.QueueOptions{Raw: true, DeliveriesMax: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, m := range []string{"a", "b", "c"} {
		if err := q.Put(ctx, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	dying := dial(t, s)
	other, err := shmd.OpenQueue(ctx, dying, "q")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b"} {
		l, err := other.Lease(ctx)
		if err != nil || string(l.Message()) != want || l.Deliveries() != 1 {
			t.Fatalf("lease %v, want %q", err, want)
		}
	}
	if err := dying.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := q.TryLease()
	if err != nil || string(l.Message()) != "a" || l.Deliveries() != 2 {
		t.Fatalf("redelivered %v", err)
	}
	if err := l.Nack(); err != nil {
		t.Error(err)
	}
	wantError(t, "nack twice", l.Nack(), shmd.ErrNotOwner)
	if l, err = q.TryLease(); err != nil || l.Deliveries() != 3 {
		t.Fatalf("third delivery: %v", err)
	}
	if err := l.Nack(); err != nil {
		t.Error(err)
	}
	n, err := q.Counts()
	if err != nil || n.Dead != 1 || n.Ready != 2 {
		t.Errorf("counts %+v, %v", n, err)
	}
	dead, err := q.TakeDead()
	if err != nil || string(dead.Message()) != "a" {
		t.Fatalf("dead letter: %v", err)
	}
	if err := errors.Join(dead.Ack(), dead.Ack()); err != nil {
		t.Errorf("an ack may be repeated: %v", err)
	}
	for _, want := range []string{"b", "c"} {
		if m, err := q.TryTake(); string(m) != want || err != nil {
			t.Errorf("took %q, %v; want %q", m, err, want)
		}
	}
	_, err = q.TryTake()
	wantError(t, "empty", err, shmd.ErrWouldBlock)
}

// Messages made in place are seen whole or not at all.
func TestReservations(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	q, err := shmd.CreateQueue(ctx, dial(t, s), "q", shmd.QueueOptions{Raw: true, MaxSize: 1, SlotSize: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	r, err := q.Reserve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "put beside the only slot", q.TryPut(nil), shmd.ErrWouldBlock)
	for _, try := range []func() (*shmd.Reservation, error){
		q.TryReserve, func() (*shmd.Reservation, error) { return q.TryReserveSize(1) },
	} {
		_, err = try()
		wantError(t, "try to reserve beside the only slot", err, shmd.ErrWouldBlock)
	}
	_, err = q.ReserveSize(ctx, -1)
	wantError(t, "reserve less than nothing", err, shmd.ErrInvalid)
	_, err = q.TryReserveSize(9)
	wantError(t, "try to reserve more than there ever is", err, shmd.ErrTooLarge)
	copy(r.Buffer(), "12345678")
	wantError(t, "longer than the slot", r.Commit(9), shmd.ErrTooLarge)
	wantError(t, "shorter than nothing", r.Commit(-1), shmd.ErrInvalid)
	if err := r.Commit(3); err != nil {
		t.Fatal(err)
	}
	wantError(t, "abort after commit", r.Abort(), shmd.ErrNotOwner)
	if m, err := q.Take(ctx); string(m) != "123" || err != nil {
		t.Errorf("took %q, %v", m, err)
	}
	for _, reserve := range []func() (*shmd.Reservation, error){
		q.TryReserve, func() (*shmd.Reservation, error) { return q.Reserve(ctx) },
	} {
		if r, err = reserve(); err != nil || len(r.Buffer()) != 8 {
			t.Fatalf("reserve: %v", err)
		}
		if err := r.Abort(); err != nil {
			t.Error(err)
		}
	}
	wantError(t, "commit after abort", r.Commit(1), shmd.ErrNotOwner)
	wantError(t, "abort after abort", r.Abort(), shmd.ErrNotOwner)
	if r, err = q.TryReserve(); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(0); err != nil {
		t.Error(err)
	}
	wantError(t, "abort after commit", r.Abort(), shmd.ErrNotOwner)
	if m, err := q.TryTake(); len(m) != 0 || err != nil {
		t.Errorf("after an abort that came too late %q was taken, %v", m, err)
	}
	if n, err := q.Counts(); err != nil || n.Free != 1 {
		t.Errorf("counts %+v, %v", n, err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	_, err = q.TryReserve()
	wantError(t, "try to reserve through a closed handle", err, shmd.ErrClosed)
}

// Many producers and consumers in several clients: each message arrives exactly
// once, those of one producer in order.
func TestQueueAccounts(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	c := dial(t, s)
	q, err := shmd.CreateQueue(ctx, c, "q", shmd.QueueOptions{MaxSize: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	const producers, consumers, messages = 4, 4, 500
	type message struct{ From, N int }
	var producing, consuming sync.WaitGroup
	for from := range producers {
		p, err := shmd.OpenQueue(ctx, dial(t, s), "q")
		if err != nil {
			t.Fatal(err)
		}
		producing.Go(func() {
			for n := range messages {
				if err := p.PutValue(ctx, message{from, n}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	got := make([][]message, consumers)
	for i := range consumers {
		q, err := shmd.OpenQueue(ctx, dial(t, s), "q")
		if err != nil {
			t.Fatal(err)
		}
		consuming.Go(func() {
			for {
				var m message
				l, err := q.Lease(ctx)
				if errors.Is(err, io.EOF) {
					return
				}
				if err == nil {
					err = errors.Join(l.Decode(&m), l.Ack())
				}
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = append(got[i], m)
			}
		})
	}
	producing.Wait()
	if err := q.Shutdown(); err != nil {
		t.Error(err)
	}
	consuming.Wait()
	seen := map[message]int{}
	for _, all := range got {
		last := map[int]int{}
		for _, m := range all {
			seen[m]++
			if n, before := last[m.From]; before && n >= m.N {
				t.Errorf("%+v came after number %d of its producer", m, n)
			}
			last[m.From] = m.N
		}
	}
	for from := range producers {
		for n := range messages {
			if times := seen[message{from, n}]; times != 1 {
				t.Fatalf("message %d of producer %d arrived %d times", n, from, times)
			}
		}
	}
}

// What is taken or received goes behind what a slice has, which an error leaves as it was.
func TestAppend(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	q, err := shmd.CreateQueue(ctx, c, "", shmd.QueueOptions{SlotSize: 8, MessageMax: 600, Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	_, producer, _, consumer := roles(t, s, "appended", shmd.StreamOptions{})
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, each := range []struct {
		name    string
		put     func(message []byte) error
		take    func(dst []byte) ([]byte, error)
		nothing error
	}{
		{"TakeAppend", q.TryPut,
			func(dst []byte) ([]byte, error) { return q.TakeAppend(ended, dst) }, shmd.ErrCancelled},
		{"TryTakeAppend", q.TryPut, q.TryTakeAppend, shmd.ErrWouldBlock},
		{"RecvAppend", producer.TrySend,
			func(dst []byte) ([]byte, error) { return consumer.RecvAppend(ended, dst) }, shmd.ErrCancelled},
		{"TryRecvAppend", producer.TrySend, consumer.TryRecvAppend, shmd.ErrWouldBlock},
	} {
		for _, message := range []string{"", "a", "short", strings.Repeat("long", 150)} {
			for _, room := range []int{0, 1, 8, 1000} {
				before := append(make([]byte, 0, 3+room), "<-:"...)
				if err := each.put([]byte(message)); err != nil {
					t.Fatal(err)
				}
				got, err := each.take(before)
				if want := "<-:" + message; string(got) != want || err != nil {
					t.Errorf("%s of %q with room for %d: %q, %v", each.name, message, room, got, err)
				}
			}
		}
		got, err := each.take([]byte("kept"))
		if string(got) != "kept" {
			t.Errorf("%s of nothing made %q of what was there", each.name, got)
		}
		wantError(t, each.name+" of nothing", err, each.nothing)
	}
}
