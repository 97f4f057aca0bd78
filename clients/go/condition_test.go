package shmd_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// newCondition makes a mutex m with a condition c.
func newCondition(t *testing.T, c *shmd.Client, o shmd.MutexOptions) (*shmd.Mutex, *shmd.Condition) {
	t.Helper()
	m, err := shmd.CreateMutex(t.Context(), c, "m", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, m) })
	w, err := shmd.CreateCondition(t.Context(), c, "c", m, shmd.ConditionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, w) })
	return m, w
}

func openCondition(t *testing.T, c *shmd.Client) *shmd.Condition {
	t.Helper()
	w, err := shmd.OpenCondition(t.Context(), c, "c")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, w) })
	return w
}

// must fails the test for an error or a notice.
func must(t *testing.T, what string) func(*shmd.Notice, error) {
	t.Helper()
	return func(n *shmd.Notice, err error) {
		t.Helper()
		if n != nil || err != nil {
			t.Errorf("%s: %+v, %v", what, n, err)
		}
	}
}

// wantHeld fails the test unless the mutex is held, or not, as wanted.
func wantHeld(t *testing.T, what string, m *shmd.Mutex, want bool) {
	t.Helper()
	probe := m.NewOwner()
	_, err := probe.TryLock()
	if err == nil {
		defer func() {
			if err := probe.Unlock(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}()
	}
	if held := errors.Is(err, shmd.ErrWouldBlock); held != want {
		t.Errorf("%s: held %v (%v), want %v", what, held, err, want)
	}
}

// Producers and consumers of several clients, which wait for each other under one
// mutex: nothing is lost, and nobody sleeps for ever.
func TestConditionHandsOver(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	_, notEmpty := newCondition(t, c, shmd.MutexOptions{})
	box, err := shmd.CreateValue(t.Context(), c, "box", int64(0), shmd.ValueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	const workers, rounds = 3, 200
	var all sync.WaitGroup
	var sum, looks int64 // what the mutex guards; the race detector looks on
	is := func(x int64) func() bool {
		return func() bool {
			looks++ // right before it waits
			now, _ := box.Load()
			return now == x
		}
	}
	for range workers {
		for _, act := range []func(w *shmd.Condition) error{
			func(w *shmd.Condition) error { // puts a number into the box
				_, err := w.WaitFor(t.Context(), is(0))
				return errors.Join(err, box.Store(1))
			},
			func(w *shmd.Condition) error {
				_, err := w.WaitFor(t.Context(), is(1))
				sum++
				return errors.Join(err, box.Store(0))
			},
		} {
			w := openCondition(t, dial(t, s))
			all.Go(func() {
				for range rounds {
					_, err := w.Lock(t.Context())
					if err := errors.Join(err, act(w), w.NotifyAll(), w.Unlock()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	must(t, "lock")(notEmpty.Lock(t.Context()))
	if x, err := box.Load(); x != 0 || err != nil || sum != workers*rounds || looks < 2*sum {
		t.Errorf("%d left in the box, %v; %d taken", x, err, sum)
	}
	if err := notEmpty.Unlock(); err != nil {
		t.Error(err)
	}
}

// Notify wakes as many as it says of those who wait, and needs the mutex.
func TestNotifyCounts(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	m, w := newCondition(t, c, shmd.MutexOptions{})
	wantError(t, "notify without the mutex", w.Notify(1), shmd.ErrNotOwner)
	wantError(t, "notify all without the mutex", w.NotifyAll(), shmd.ErrNotOwner)
	_, err := w.Wait(t.Context())
	wantError(t, "wait without the mutex", err, shmd.ErrNotOwner)

	other := openCondition(t, dial(t, s))
	ended := make(chan error)
	for range 4 {
		own, err := other.With(other.NewOwner())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := own.Lock(t.Context())
			if err == nil {
				_, err = own.Wait(t.Context())
			}
			ended <- errors.Join(err, own.Unlock())
		}()
	}
	asleep(t, c, w.ID(), 4)
	// The mutex is taken through its own handle, and the condition knows.
	must(t, "lock")(m.Lock(t.Context()))
	wantError(t, "notify nobody", w.Notify(0), shmd.ErrInvalid)
	wantError(t, "notify less", w.Notify(-1), shmd.ErrInvalid)
	if err := errors.Join(w.Notify(1), m.Unlock(), <-ended); err != nil {
		t.Error(err)
	}
	// Who was counted and not yet asleep may have woken too, without a cause.
	must(t, "lock")(m.Lock(t.Context()))
	if err := errors.Join(w.NotifyAll(), m.Unlock(), <-ended, <-ended, <-ended); err != nil {
		t.Error(err)
	}
}

// The depth of a recursive mutex is released and comes back.
func TestConditionKeepsDepth(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	m, w := newCondition(t, c, shmd.MutexOptions{Recursive: true})
	owner := m.NewOwner()
	own, err := w.With(owner)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		must(t, "lock")(owner.Lock(t.Context()))
	}
	ended := make(chan error)
	go func() {
		_, err := own.Wait(t.Context())
		ended <- err
	}()
	asleep(t, c, w.ID(), 1)
	other := openCondition(t, dial(t, s))
	must(t, "lock while the other waits")(other.Lock(t.Context()))
	if err := errors.Join(other.Notify(1), other.Unlock(), <-ended); err != nil {
		t.Error(err)
	}
	for range 3 {
		wantHeld(t, "until the last unlock", m, true)
		if err := owner.Unlock(); err != nil {
			t.Error(err)
		}
	}
	wantError(t, "one unlock more", owner.Unlock(), shmd.ErrNotOwner)
}

// Whatever ends a wait, the mutex is held again, unless the handle was closed or the
// mutex destroyed.
func TestConditionWaitEnds(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	m, w := newCondition(t, c, shmd.MutexOptions{})
	must(t, "lock")(m.Lock(t.Context()))
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := w.Wait(short)
	wantError(t, "deadline", err, context.DeadlineExceeded)
	wantHeld(t, "deadline", m, true)
	_, err = w.Wait(short)
	wantError(t, "a deadline that is over", err, shmd.ErrTimedOut)
	wantHeld(t, "a deadline that is over", m, true)

	calls := 0
	_, err = w.WaitFor(short, func() bool { calls++; return false })
	wantError(t, "wait for what never comes", err, shmd.ErrTimedOut)
	must(t, "wait for what comes at the deadline")(w.WaitFor(short, func() bool { calls++; return calls == 4 }))
	if calls != 4 {
		t.Errorf("the predicate was called %d times", calls)
	}

	ended := make(chan error)
	wait := func(ctx context.Context) {
		go func() {
			_, err := w.Wait(ctx)
			ended <- err
		}()
		asleep(t, c, w.ID(), 1)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wait(ctx)

	cancel()
	wantError(t, "cancellation", <-ended, context.Canceled)
	wantHeld(t, "cancellation", m, true)

	wait(t.Context())
	if err := c.Destroy(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "destroyed", <-ended, shmd.ErrRemoved)
	wantHeld(t, "destroyed", m, true)
	wantError(t, "notify", w.Notify(1), shmd.ErrRemoved)
	if err := w.Unlock(); err != nil { // through the condition, which is gone
		t.Error(err)
	}
}

// Close ends a wait, also while the mutex cannot be had; then it is not held.
func TestConditionClose(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	m, w := newCondition(t, c, shmd.MutexOptions{})
	holder := dial(t, s)
	held, err := shmd.OpenMutex(t.Context(), holder, "m")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for _, busy := range []bool{false, true} {
		own := openCondition(t, c)
		must(t, "lock")(own.Lock(t.Context()))
		ended := make(chan error)
		go func() {
			_, err := own.Wait(t.Context())
			ended <- err
		}()
		asleep(t, c, w.ID(), 1)
		if busy {
			must(t, "lock of the other")(held.Lock(t.Context()))
		}
		if err := own.Close(); err != nil {
			t.Error(err)
		}
		wantError(t, "close", <-ended, os.ErrClosed)
		wantError(t, "unlock after close", own.Unlock(), shmd.ErrClosed)
		wantHeld(t, "after close", m, busy)
	}
	if err := held.Unlock(); err != nil {
		t.Error(err)
	}
}

// Destroying the mutex ends the waits in its conditions.
func TestMutexOfConditionDestroyed(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	_, w := newCondition(t, c, shmd.MutexOptions{})
	must(t, "lock")(w.Lock(t.Context()))
	ended := make(chan error)
	go func() {
		_, err := w.Wait(t.Context())
		ended <- err
	}()
	asleep(t, c, w.ID(), 1)
	if err := c.Destroy(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "the wait", <-ended, shmd.ErrRemoved)
	wantError(t, "unlock", w.Unlock(), shmd.ErrRemoved)
	wantError(t, "notify", w.Notify(1), shmd.ErrRemoved)
	_, err := w.Wait(t.Context())
	wantError(t, "another wait", err, shmd.ErrRemoved)
}

// A death while somebody waits is told to him, with whatever ends the wait.
func TestConditionNotice(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	_, w := newCondition(t, c, shmd.MutexOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	type end struct {
		n   *shmd.Notice
		err error
	}
	ended := make(chan end, 1)
	leave := func() { // with the mutex
		t.Helper()
		dying := dial(t, s)
		held, err := shmd.OpenMutex(t.Context(), dying, "m")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := held.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel() // the wait is over, but for the mutex
		if err := dying.Close(); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "lock")(w.Lock(t.Context()))
	go func() {
		n, err := w.WaitFor(ctx, func() bool { return false })
		ended <- end{n, err}
	}()
	asleep(t, c, w.ID(), 1)
	leave()
	e := <-ended
	if e.n == nil || e.n.PID != uint32(os.Getpid()) {
		t.Errorf("notice %+v, %v", e.n, e.err)
	}
	if e.err != nil && !errors.Is(e.err, shmd.ErrCancelled) { // the death wakes too
		t.Errorf("the wait ends with %v", e.err)
	}
	if err := errors.Join(w.MarkConsistent(), w.Unlock()); err != nil {
		t.Error(err)
	}

	// WaitFor leaves it to its caller to look at what may be half changed.
	must(t, "lock")(w.Lock(t.Context()))
	looks := 0
	go func() {
		n, err := w.WaitFor(t.Context(), func() bool { looks++; return false })
		ended <- end{n, err}
	}()
	asleep(t, c, w.ID(), 1)
	vanish(t, s, []any{wire.MethodOpen, "c"}, []any{wire.MethodLock, 2}, []any{wire.MethodNotify, 2}) // 1 is the mutex
	if e := <-ended; e.n == nil || e.n.Deaths != 2 || e.err != nil || looks != 1 {
		t.Errorf("notice %+v, %v, after %d looks", e.n, e.err, looks)
	}
	if err := w.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestConditionMistakes(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	m, w := newCondition(t, c, shmd.MutexOptions{})
	_, err := shmd.CreateCondition(ctx, c, "none", nil, shmd.ConditionOptions{})
	wantError(t, "create without a mutex", err, shmd.ErrInvalid)
	other, err := shmd.CreateMutex(ctx, c, "other", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = shmd.OpenOrCreateCondition(ctx, c, "c", other, shmd.ConditionOptions{})
	wantError(t, "open with another mutex", err, shmd.ErrOptionMismatch)
	again, err := shmd.OpenOrCreateCondition(ctx, c, "c", m, shmd.ConditionOptions{})
	if err != nil || again.Created() {
		t.Fatalf("open what exists: %v", err)
	}
	defer again.Close()
	event, err := shmd.CreateEvent(ctx, c, "", shmd.EventOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer event.Close()
	stranger := openCondition(t, dial(t, s))
	for what, owner := range map[string]*shmd.Owner{"no owner": nil, "an owner of another mutex": other.NewOwner(),
		"an owner without a lock": event.NewOwner(), "an owner of another client": stranger.NewOwner()} {
		_, err = w.With(owner)
		wantError(t, what, err, shmd.ErrInvalid)
	}
	_, err = shmd.OpenMutex(ctx, c, "c")
	wantError(t, "open as a mutex", err, shmd.ErrKindMismatch)
}
