package shmd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// pipeEnds are both ends of a new pipe, of two clients.
func pipeEnds(t *testing.T, s *daemon.Server, o shmd.PipeOptions) (a, b *shmd.PipeEnd, pipe *shmd.Pipe) {
	t.Helper()
	pipe, err := shmd.CreatePipe(t.Context(), dial(t, s), "p", o)
	if err != nil {
		t.Fatal(err)
	}
	other, err := shmd.OpenPipe(t.Context(), dial(t, s), "p")
	if err != nil {
		t.Fatal(err)
	}
	if a, err = pipe.End(t.Context(), shmd.EndA); err != nil {
		t.Fatal(err)
	}
	if b, err = other.End(t.Context(), shmd.AnyEnd); err != nil || b.Which() != shmd.EndB {
		t.Fatal(b, err)
	}
	return a, b, pipe
}

func TestPipe(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	a, b, pipe := pipeEnds(t, s, shmd.PipeOptions{CapacityBytes: 4096})
	_, err := pipe.End(ctx, shmd.EndA)
	wantError(t, "an end of one's own", err, shmd.ErrTaken)
	_, err = pipe.End(ctx, shmd.AnyEnd)
	wantError(t, "no end is left", err, shmd.ErrTaken)
	_, err = pipe.End(ctx, 2)
	wantError(t, "no such end", err, shmd.ErrInvalid)
	_, err = a.WriteBytes(ctx, []byte("x"))
	wantError(t, "bytes", err, shmd.ErrUnsupported)
	_, err = a.Conn()
	wantError(t, "a connection", err, shmd.ErrUnsupported)

	// Both ways, short messages and long ones, which do not fit the ring.
	for i, size := range []int{0, 1, 2040, 2041, 4096, 100_000} {
		message := content(size, byte(i))
		sent := make(chan error)
		go func() { sent <- a.Send(ctx, message) }()
		got, err := b.Recv(ctx)
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		go func() { sent <- b.Send(ctx, message) }()
		peeked, err := a.Peek(ctx)
		if err != nil || !bytes.Equal(peeked, message) {
			t.Fatalf("%d bytes: peeked %d, %v", size, len(peeked), err)
		}
		if err := a.Advance(1); err != nil {
			t.Error(err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	_, err = a.Reserve(ctx, 2041)
	wantError(t, "to reserve what goes in pieces", err, shmd.ErrTooLarge)
	wantError(t, "to try a long message", a.TrySend(make([]byte, 5000)), shmd.ErrWouldBlock)

	// A long message that is given up is never seen.
	short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	wantError(t, "a long message, without a reader", a.Send(short, make([]byte, 100_000)), shmd.ErrTimedOut)
	sent := make(chan error)
	go func() { sent <- a.Send(ctx, []byte("next")) }()
	if got, err := b.Recv(ctx); err != nil || string(got) != "next" {
		t.Errorf("after a message that was given up: %d bytes, %v", len(got), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}

	// The end: what was sent before arrives, then io.EOF for ever, and EPIPE at once.
	if err := a.Send(ctx, []byte("left")); err != nil {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Send(ctx, []byte("x")); !errors.Is(err, syscall.EPIPE) || !errors.Is(err, io.ErrClosedPipe) ||
		!errors.Is(err, shmd.ErrEnded) || errors.Is(err, io.EOF) {
		t.Errorf("send to who is gone: %v", err)
	}
	if got, err := b.Recv(ctx); err != nil || string(got) != "left" {
		t.Errorf("%q, %v", got, err)
	}
	for range 2 {
		_, err = b.Recv(ctx)
		wantError(t, "the end", err, io.EOF)
	}
	_, err = pipe.End(ctx, shmd.EndA)
	wantError(t, "an end that was closed", err, shmd.ErrEnded)
	_, err = a.Recv(ctx)
	wantError(t, "recv of what was closed", err, shmd.ErrClosed)
	wantError(t, "send of what was closed", a.TrySend(nil), shmd.ErrClosed)
}

// The death of the other end is told apart, to who waits and to who comes later.
func TestPipePeerDied(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	pipe, err := shmd.CreatePipe(ctx, c, "p", shmd.PipeOptions{CapacityBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	a, err := pipe.End(ctx, shmd.EndA)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := a.Recv(ctx)
		ended <- err
	}()
	go func() {
		for {
			if err := a.Send(ctx, make([]byte, 1000)); err != nil {
				ended <- err
				return
			}
		}
	}()
	asleep(t, c, pipe.ID(), 2)
	vanish(t, s, []any{wire.MethodOpen, "p", map[string]any{"role": wire.EndB}})
	for range 2 {
		err := <-ended
		if !errors.Is(err, shmd.ErrPeerDied) || errors.Is(err, io.EOF) ||
			errors.Is(err, syscall.EPIPE) == errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("who waits: %v", err)
		}
	}
	if err := a.TrySend(nil); !errors.Is(err, syscall.EPIPE) || !errors.Is(err, shmd.ErrPeerDied) {
		t.Errorf("send later: %v", err)
	}
	wantError(t, "poll", a.Poll(ctx), nil)
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
}

func TestPipeOfBytes(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	a, b, pipe := pipeEnds(t, s, shmd.PipeOptions{CapacityBytes: 4096, Bytes: true})
	wantError(t, "a message", a.Send(ctx, nil), shmd.ErrUnsupported)
	_, err := b.Recv(ctx)
	wantError(t, "a message", err, shmd.ErrUnsupported)
	if n, err := a.WriteBytes(ctx, make([]byte, 5000)); n != 4096 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	_, err = a.TryWriteBytes([]byte("x"))
	wantError(t, "write to a full ring", err, shmd.ErrWouldBlock)
	_, err = a.TryReadBytes(make([]byte, 1))
	wantError(t, "read of nothing", err, shmd.ErrWouldBlock)
	buffer := make([]byte, 5000)
	if n, err := b.ReadBytes(ctx, buffer[:96]); n != 96 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err := b.ReadBytes(ctx, buffer); n != 4000 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	_, err = shmd.OpenOrCreatePipe(ctx, dial(t, s), "p", shmd.PipeOptions{CapacityBytes: 4096})
	wantError(t, "of messages", err, shmd.ErrOptionMismatch)
	_, err = shmd.CreatePipe(ctx, dial(t, s), "q", shmd.PipeOptions{Bytes: true, MessageMaxBytes: 9})
	wantError(t, "bytes with a longest message", err, shmd.ErrInvalid)
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.ReadBytes(ctx, buffer); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
