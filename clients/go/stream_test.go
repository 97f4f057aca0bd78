package shmd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// roles are the two roles of a stream, of two clients.
func roles(t *testing.T, s *daemon.Server, name string, o shmd.StreamOptions) (*shmd.Stream, *shmd.StreamProducer,
	*shmd.Stream, *shmd.StreamConsumer) {
	t.Helper()
	ctx := t.Context()
	from, err := shmd.OpenOrCreateStream(ctx, dial(t, s), name, o)
	if err != nil {
		t.Fatal(err)
	}
	to, err := shmd.OpenStream(ctx, dial(t, s), name)
	if err != nil {
		t.Fatal(err)
	}
	producer, err := from.Producer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := to.Consumer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return from, producer, to, consumer
}

func TestStream(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	from, producer, to, consumer := roles(t, s, "f", shmd.StreamOptions{CapacityBytes: 4096})
	if again, err := from.Producer(ctx); again != producer || err != nil {
		t.Errorf("claimed again: %p, %v", again, err)
	}
	_, err := to.Producer(ctx)
	wantError(t, "a role that is taken", err, shmd.ErrTaken)
	_, err = consumer.TryRecv()
	wantError(t, "recv of nothing", err, shmd.ErrWouldBlock)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = consumer.Recv(short)
	wantError(t, "a short wait", err, context.DeadlineExceeded)
	wantError(t, "a short poll", consumer.Poll(short), shmd.ErrTimedOut)

	// In place on both sides.
	wantError(t, "commit of nothing", producer.Commit(0), shmd.ErrInvalid)
	wantError(t, "abort of nothing", producer.Abort(), shmd.ErrInvalid)
	buffer, err := producer.Reserve(ctx, 8)
	if err != nil || len(buffer) != 8 {
		t.Fatal(len(buffer), err)
	}
	_, err = producer.Reserve(ctx, -1)
	wantError(t, "reserve less than nothing", err, shmd.ErrInvalid)
	wantError(t, "send beside what is reserved", producer.Send(ctx, []byte("x")), shmd.ErrInvalid)
	_, err = producer.SendMany(ctx, [][]byte{nil, nil})
	wantError(t, "many beside what is reserved", err, shmd.ErrInvalid)
	_, err = producer.TryReserve(1)
	wantError(t, "reserve again", err, shmd.ErrInvalid)
	wantError(t, "commit of more", producer.Commit(9), shmd.ErrInvalid)
	wantError(t, "commit of less than nothing", producer.Commit(-1), shmd.ErrInvalid)
	if err := producer.Commit(copy(buffer, "placed")); err != nil {
		t.Error(err)
	}
	wantError(t, "commit again", producer.Commit(1), shmd.ErrInvalid)
	wantError(t, "abort of what was sent", producer.Abort(), shmd.ErrInvalid)
	if _, err = producer.TryReserve(8); err != nil {
		t.Error(err)
	}
	if err := producer.Abort(); err != nil {
		t.Error(err)
	}
	wantError(t, "abort again", producer.Abort(), shmd.ErrInvalid)
	wantError(t, "commit of what was given up", producer.Commit(1), shmd.ErrInvalid)
	message, err := consumer.Peek(ctx)
	if err != nil || string(message) != "placed" {
		t.Errorf("peeked %q, %v", message, err)
	}
	_, err = consumer.RecvInto(ctx, make([]byte, 5))
	wantError(t, "into too little", err, shmd.ErrTooLarge)
	wantError(t, "advance over more", consumer.Advance(2), shmd.ErrInvalid)
	if n, err := consumer.RecvInto(ctx, buffer[:0:0]); n != 0 || !errors.Is(err, shmd.ErrTooLarge) {
		t.Error(n, err)
	}
	into := make([]byte, 6)
	if n, err := consumer.RecvInto(ctx, into); n != 6 || err != nil || string(into) != "placed" {
		t.Errorf("%d, %v, %q", n, err, into)
	}

	// Many at once.
	if n, err := producer.SendMany(ctx, [][]byte{[]byte("a"), nil, []byte("ccc")}); n != 3 || err != nil {
		t.Error(n, err)
	}
	_, err = producer.SendMany(ctx, nil)
	wantError(t, "none", err, shmd.ErrInvalid)
	_, err = consumer.RecvMany(ctx, 0)
	wantError(t, "none", err, shmd.ErrInvalid)
	peeked, err := consumer.PeekMany(ctx, 2)
	if err != nil || len(peeked) != 2 || string(peeked[0]) != "a" || len(peeked[1]) != 0 {
		t.Errorf("peeked %q, %v", peeked, err)
	}
	if err := consumer.Advance(1); err != nil {
		t.Error(err)
	}
	if many, err := consumer.RecvMany(ctx, 9); err != nil || len(many) != 2 || string(many[1]) != "ccc" {
		t.Errorf("received %q, %v", many, err)
	}
	wantError(t, "too long", producer.Send(ctx, make([]byte, 2041)), shmd.ErrTooLarge)

	// Full: who waits goes on when there is room, or gives up.
	for producer.TrySend(make([]byte, 500)) == nil {
	}
	wantError(t, "send to a full ring", producer.Send(short, make([]byte, 500)), context.DeadlineExceeded)
	sent := make(chan error)
	go func() { sent <- producer.Send(ctx, bytes.Repeat([]byte("z"), 500)) }()
	for {
		message, err := consumer.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if message[0] == 'z' {
			break
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}

	// The end, which is told once.
	waiting := make(chan error)
	go func() {
		_, err := consumer.Recv(ctx)
		waiting <- err
	}()
	if err := producer.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; err == nil || !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	_, err = consumer.TryRecv()
	wantError(t, "after the end", err, shmd.ErrWouldBlock)
	wantError(t, "send of what was closed", producer.Send(ctx, []byte("x")), shmd.ErrClosed)
	if producer, err = to.Producer(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := producer.Send(ctx, fmt.Append(nil, i)); err != nil {
			t.Error(err)
		}
	}
	if err := producer.Close(); err != nil {
		t.Error(err)
	}
	text := ""
	for message, err := range consumer.Messages(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		text += string(message)
	}
	if text != "012" {
		t.Errorf("messages %q", text)
	}

	// Closing ends who waits.
	go func() {
		_, err := consumer.Recv(ctx)
		waiting <- err
	}()
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "a wait in what is closed", <-waiting, shmd.ErrClosed)
	if _, err := from.Consumer(ctx); err != nil {
		t.Errorf("the role that was closed: %v", err)
	}
}

// Closing a role ends who sleeps in it, and leaves the handle and its other role alone.
func TestStreamRoleClosedWhileAsleep(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	_, _, to, consumer := roles(t, s, "asleep", shmd.StreamOptions{})
	ended := make(chan error)
	go func() {
		_, err := consumer.Recv(ctx)
		ended <- err
	}()
	asleep(t, c, to.ID(), 1)
	if err := consumer.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "a wait in what was closed", <-ended, shmd.ErrClosed)
	if _, err := to.Consumer(ctx); err != nil {
		t.Errorf("the role that was closed: %v", err)
	}
}

// Who tries in a loop leaves no garbage behind while there is nothing.
func TestTryRecvOfNothingDoesNotAllocate(t *testing.T) {
	_, _, _, consumer := roles(t, start(t, daemon.Config{}), "empty", shmd.StreamOptions{})
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := consumer.TryRecv(); !errors.Is(err, shmd.ErrWouldBlock) {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A role is claimed through one handle of a client.
func TestStreamTwoHandles(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	a, err := shmd.CreateStream(ctx, c, "f", shmd.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := shmd.OpenStream(ctx, c, "f")
	if err != nil {
		t.Fatal(err)
	}
	producer, err := a.Producer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Producer(ctx)
	wantError(t, "through another handle", err, shmd.ErrTaken)
	consumer, err := b.Consumer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := producer.Send(ctx, []byte("x")); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil { // and so retires, although the client has the other
		t.Error(err)
	}
	if m, err := consumer.Recv(ctx); string(m) != "x" || err != nil {
		t.Errorf("%q, %v", m, err)
	}
	if _, err := consumer.Recv(ctx); !errors.Is(err, shmd.ErrEnded) {
		t.Error(err)
	}
	if _, err = b.Producer(ctx); err != nil {
		t.Error(err)
	}
}

// A producer that is gone without a goodbye has died.
func TestStreamPeerDied(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	from, _, _, consumer := roles(t, s, "f", shmd.StreamOptions{})
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := consumer.Recv(ctx)
	wantError(t, "an orderly end", err, io.EOF)
	vanish(t, s, []any{wire.MethodOpen, "f", map[string]any{"role": wire.RoleProducer}},
		[]any{wire.MethodSend, 1, []byte("last words")})
	if m, err := consumer.Recv(ctx); string(m) != "last words" || err != nil {
		t.Errorf("%q, %v", m, err)
	}
	_, err = consumer.Recv(ctx)
	if !errors.Is(err, shmd.ErrPeerDied) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		!strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("a death: %v", err)
	}
}

// Goroutines share a role, and everything arrives once.
func TestStreamShared(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	_, producer, _, consumer := roles(t, s, "f", shmd.StreamOptions{CapacityBytes: 4096})
	const each, n = 3, 2000
	var senders, receivers sync.WaitGroup
	for g := range each {
		senders.Go(func() {
			for i := range n {
				if err := producer.Send(ctx, fmt.Append(nil, g*n+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := make([]int, each*n)
	var mu sync.Mutex
	for range each {
		receivers.Go(func() {
			for {
				m, err := consumer.Recv(ctx)
				if errors.Is(err, shmd.ErrEnded) || errors.Is(err, shmd.ErrClosed) {
					_ = consumer.Close() // the end is told to one: it tells the others
					return
				}
				var i int
				if _, failed := fmt.Sscan(string(m), &i); err != nil || failed != nil {
					t.Error(err, failed)
					return
				}
				mu.Lock()
				seen[i]++
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	if err := producer.Close(); err != nil {
		t.Error(err)
	}
	receivers.Wait()
	for i, times := range seen {
		if times != 1 {
			t.Fatalf("message %d arrived %d times", i, times)
		}
	}
}
