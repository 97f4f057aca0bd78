package shmd_test

import (
	"errors"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// What a consumer tries, it gets at once, or it is told that there is nothing.
func TestTryReceive(t *testing.T) {
	_, producer, _, consumer := roles(t, start(t, daemon.Config{}), "f", shmd.StreamOptions{})
	_, err := consumer.TryPeek()
	wantError(t, "peek of nothing", err, shmd.ErrWouldBlock)
	_, err = consumer.TryPeekMany(2)
	wantError(t, "peek of nothing", err, shmd.ErrWouldBlock)
	_, err = consumer.TryRecvMany(2)
	wantError(t, "receive nothing", err, shmd.ErrWouldBlock)
	if n, err := producer.TrySendMany([][]byte{[]byte("a"), []byte("bb"), nil}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	_, err = consumer.TryPeekMany(0)
	wantError(t, "peek at none", err, shmd.ErrInvalid)
	_, err = consumer.TryRecvMany(0)
	wantError(t, "receive none", err, shmd.ErrInvalid)
	for range 2 { // peeking takes nothing
		if m, err := consumer.TryPeek(); string(m) != "a" || err != nil {
			t.Errorf("peeked %q, %v", m, err)
		}
	}
	if m, err := consumer.TryPeekMany(2); len(m) != 2 || string(m[1]) != "bb" || err != nil {
		t.Errorf("peeked %q, %v", m, err)
	}
	if err := consumer.Advance(1); err != nil {
		t.Error(err)
	}
	m, err := consumer.TryRecvMany(9)
	if len(m) != 2 || string(m[0]) != "bb" || len(m[1]) != 0 || err != nil {
		t.Errorf("received %q, %v", m, err)
	}
	if err := producer.Close(); err != nil {
		t.Error(err)
	}
	_, err = consumer.TryRecvMany(1)
	wantError(t, "the end", err, shmd.ErrEnded)
	_, err = consumer.TryRecvMany(1)
	wantError(t, "after the end", err, shmd.ErrWouldBlock)
	if err := consumer.Close(); err != nil {
		t.Error(err)
	}
	_, err = consumer.TryPeekMany(1)
	wantError(t, "peek of what was closed", err, shmd.ErrClosed)
	_, err = producer.TrySendMany([][]byte{nil})
	wantError(t, "send of what was closed", err, shmd.ErrClosed)
}

// Who tries does not wait for another goroutine that waits.
func TestTryBesideAWait(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	ended := make(chan error, 2)
	tries := func(what string, do func() error) {
		t.Helper()
		tried := make(chan error, 1)
		go func() { tried <- do() }()
		select {
		case err := <-tried:
			wantError(t, what, err, shmd.ErrWouldBlock)
		case <-time.After(patience):
			t.Fatalf("%s waits", what)
		}
	}
	closes := func(close func() error) {
		t.Helper()
		if err := close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, shmd.ErrClosed) {
			t.Errorf("who waits: %v", err)
		}
	}

	stream, producer, _, consumer := roles(t, s, "f", shmd.StreamOptions{CapacityBytes: 4096})
	go func() {
		_, err := consumer.Recv(ctx)
		ended <- err
	}()
	asleep(t, c, stream.ID(), 1)
	tries("TryRecv", func() error { _, err := consumer.TryRecv(); return err })
	tries("TryRecvMany", func() error { _, err := consumer.TryRecvMany(1); return err })
	tries("TryPeek", func() error { _, err := consumer.TryPeek(); return err })
	tries("TryPeekMany", func() error { _, err := consumer.TryPeekMany(1); return err })
	closes(consumer.Close)
	for producer.TrySend(make([]byte, 1000)) == nil {
	}
	go func() { ended <- producer.Send(ctx, make([]byte, 1000)) }()
	asleep(t, c, stream.ID(), 1)
	tries("TrySend", func() error { return producer.TrySend(nil) })
	tries("TrySendMany", func() error { _, err := producer.TrySendMany([][]byte{nil, nil}); return err })
	tries("TryReserve", func() error { _, err := producer.TryReserve(1); return err })
	closes(producer.Close)

	a, _, pipe := pipeEnds(t, s, shmd.PipeOptions{CapacityBytes: 4096, Bytes: true})
	if _, err := a.WriteBytes(ctx, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := a.WriteBytes(ctx, make([]byte, 1))
		ended <- err
	}()
	go func() {
		_, err := a.ReadBytes(ctx, make([]byte, 1))
		ended <- err
	}()
	asleep(t, c, pipe.ID(), 2)
	tries("TryWriteBytes", func() error { _, err := a.TryWriteBytes([]byte("x")); return err })
	tries("TryReadBytes", func() error { _, err := a.TryReadBytes(make([]byte, 1)); return err })
	closes(a.Close)
	if err := <-ended; !errors.Is(err, shmd.ErrClosed) {
		t.Errorf("who waits: %v", err)
	}
}
