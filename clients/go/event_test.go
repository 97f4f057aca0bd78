package shmd_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// asleep returns once n threads sleep in an object.
func asleep(t *testing.T, c *shmd.Client, id, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		var stat wire.Stat
		if err := c.Call(ctx, wire.MethodStat, &stat, id); err != nil {
			t.Fatalf("%d threads asleep, want %d: %v", stat.Waiters, n, err)
		}
		if stat.Waiters == n {
			return
		}
		runtime.Gosched()
	}
}

// twoEvents are handles of two clients on one event.
func twoEvents(t *testing.T, s *daemon.Server, o shmd.EventOptions) (*shmd.Event, *shmd.Event, *shmd.Client) {
	t.Helper()
	c := dial(t, s)
	a, err := shmd.CreateEvent(t.Context(), c, "e", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, a) })
	b, err := shmd.OpenEvent(t.Context(), dial(t, s), "e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, b) })
	return a, b, c
}

func closeObject(t *testing.T, o interface{ Close() error }) {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

// isSet fails the test unless the event is set, or not, as wanted.
func isSet(t *testing.T, e *shmd.Event, want bool) {
	t.Helper()
	if got, err := e.IsSet(); got != want || err != nil {
		t.Errorf("set: %v, %v; want %v", got, err, want)
	}
}

func TestManualEvent(t *testing.T) {
	ctx, s := t.Context(), start(t, daemon.Config{})
	a, b, c := twoEvents(t, s, shmd.EventOptions{})
	isSet(t, a, false)
	wantError(t, "try", a.TryWait(), shmd.ErrWouldBlock)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	wantError(t, "deadline", b.Wait(short), context.DeadlineExceeded)

	// Whoever waits is let go by a set, by one that is reset at once, and by a pulse.
	for _, release := range []func() error{
		a.Set, func() error { return errors.Join(a.Set(), a.Reset()) }, a.Pulse,
	} {
		ended := make(chan error)
		for _, e := range []*shmd.Event{a, b, b} {
			go func() { ended <- e.Wait(ctx) }()
		}
		asleep(t, c, a.ID(), 3)
		if err := release(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if err := a.Reset(); err != nil {
			t.Error(err)
		}
		isSet(t, b, false)
	}
	if err := errors.Join(b.Set(), b.Set(), a.Wait(ctx), a.Wait(ctx), b.TryWait()); err != nil {
		t.Error(err)
	}
	isSet(t, a, true)
}

func TestAutoResetEvent(t *testing.T) {
	ctx, s := t.Context(), start(t, daemon.Config{})
	a, b, c := twoEvents(t, s, shmd.EventOptions{AutoReset: true, Set: true})
	isSet(t, b, true)
	if err := errors.Join(a.Set(), b.Wait(ctx)); err != nil {
		t.Error(err)
	}
	wantError(t, "a second wait for one set", b.TryWait(), shmd.ErrWouldBlock)
	wantError(t, "pulse", a.Pulse(), shmd.ErrUnsupported)

	ended := make(chan error)
	for _, e := range []*shmd.Event{a, b} {
		go func() { ended <- e.Wait(ctx) }()
	}
	asleep(t, c, a.ID(), 2)
	for left := range uint64(2) {
		if err := a.Set(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		asleep(t, c, a.ID(), 1-left)
	}
	isSet(t, a, false)
	if err := errors.Join(a.Set(), b.Reset()); err != nil {
		t.Error(err)
	}
	wantError(t, "a set that was taken back", a.TryWait(), shmd.ErrWouldBlock)
}

// A wait ends by cancellation, by Close, and by the end of the object.
func TestEventWaitEnds(t *testing.T) {
	s := start(t, daemon.Config{})
	for _, auto := range []bool{false, true} {
		a, b, c := twoEvents(t, s, shmd.EventOptions{AutoReset: auto})
		ended := make(chan error)
		wait := func(e *shmd.Event, ctx context.Context) {
			go func() { ended <- e.Wait(ctx) }()
			asleep(t, c, a.ID(), 1)
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait(b, ctx)
		cancel()
		wantError(t, "cancellation", <-ended, context.Canceled)
		wait(b, t.Context())
		closeObject(t, b)
		wantError(t, "close", <-ended, os.ErrClosed)
		wantError(t, "wait after close", b.TryWait(), shmd.ErrClosed)
		wantError(t, "set after close", b.Set(), shmd.ErrClosed)
		_, err := b.IsSet()
		wantError(t, "look after close", err, shmd.ErrClosed)
		wait(a, t.Context())
		if err := c.Destroy(t.Context(), "e"); err != nil {
			t.Fatal(err)
		}
		wantError(t, "destroyed", <-ended, shmd.ErrRemoved)
		for what, change := range map[string]func() error{"set": a.Set, "reset": a.Reset, "try": a.TryWait} {
			wantError(t, what, change(), shmd.ErrRemoved)
		}
		_, err = a.IsSet()
		wantError(t, "look", err, shmd.ErrRemoved)
	}
}

func TestEventMistakes(t *testing.T) {
	ctx, s := t.Context(), start(t, daemon.Config{})
	a, _, c := twoEvents(t, s, shmd.EventOptions{})
	r, err := shmd.OpenEventReadOnly(ctx, c, "e")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := a.Set(); err != nil {
		t.Error(err)
	}
	isSet(t, r, true)
	for what, change := range map[string]func() error{"set": r.Set, "reset": r.Reset, "pulse": r.Pulse,
		"try": r.TryWait, "wait": func() error { return r.Wait(ctx) }} {
		wantError(t, what+" of a read-only handle", change(), os.ErrPermission)
	}
	_, err = shmd.OpenOrCreateEvent(ctx, c, "e", shmd.EventOptions{AutoReset: true})
	wantError(t, "open with the other sort", err, shmd.ErrOptionMismatch)
	again, err := shmd.OpenOrCreateEvent(ctx, c, "e", shmd.EventOptions{Set: true})
	if err != nil || again.Created() {
		t.Fatalf("open what exists: %v", err)
	}
	defer again.Close()
	_, err = shmd.OpenSemaphore(ctx, c, "e")
	wantError(t, "open as a semaphore", err, shmd.ErrKindMismatch)
	_, err = again.NewOwner().Lock(ctx)
	wantError(t, "lock an event", err, shmd.ErrUnsupported)
}
