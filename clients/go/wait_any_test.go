package shmd_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// opened is what choices need of any object.
type opened interface {
	ID() uint64
	Close() error
}

// choice is one of several things to wait for.
type choice struct {
	name   string
	item   shmd.Waitable
	object opened
	change func(ready bool) error
}

// choices are one of each kind, none of which can be had.
func choices(t *testing.T, c *shmd.Client) []choice {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := shmd.CreateMutex(ctx, c, "", shmd.MutexOptions{})
	must(err)
	_, err = m.Lock(ctx)
	must(err)
	plain, err := shmd.CreateSemaphore(ctx, c, "", 0, shmd.SemaphoreOptions{})
	must(err)
	undo, err := shmd.CreateSemaphore(ctx, c, "", 1, shmd.SemaphoreOptions{Undo: true})
	must(err)
	must(undo.Acquire(ctx, 1))
	empty, err := shmd.CreateQueue(ctx, c, "", shmd.QueueOptions{MaxSize: 1, Raw: true})
	must(err)
	full, err := shmd.CreateQueue(ctx, c, "", shmd.QueueOptions{MaxSize: 1, Raw: true})
	must(err)
	must(full.Put(ctx, []byte("x")))
	value, err := shmd.CreateValue[int32](ctx, c, "", 0, shmd.ValueOptions{})
	must(err)
	manual, err := shmd.CreateEvent(ctx, c, "", shmd.EventOptions{})
	must(err)
	auto, err := shmd.CreateEvent(ctx, c, "", shmd.EventOptions{AutoReset: true})
	must(err)
	rw, err := shmd.CreateRWLock(ctx, c, "", shmd.RWLockOptions{})
	must(err)
	_, err = rw.Lock(ctx)
	must(err)
	quiet, err := shmd.CreateStream(ctx, c, "", shmd.StreamOptions{CapacityBytes: 4096})
	must(err)
	crowded, err := shmd.CreateStream(ctx, c, "", shmd.StreamOptions{CapacityBytes: 4096})
	must(err)
	carries := func(s *shmd.Stream, size int, fills bool) (*shmd.StreamProducer, *shmd.StreamConsumer,
		func(bool) error) {
		p, err := s.Producer(ctx)
		must(err)
		r, err := s.Consumer(ctx)
		must(err)
		return p, r, func(ready bool) error {
			if ready == fills {
				return p.TrySend(make([]byte, size))
			}
			_, err := r.TryRecv()
			return err
		}
	}
	_, recv, carry := carries(quiet, 10, true)
	send, _, crowd := carries(crowded, 2040, false)
	must(crowd(false))
	must(crowd(false))
	set := func(e *shmd.Event) func(bool) error {
		return func(ready bool) error {
			if ready {
				return e.Set()
			}
			return e.Reset()
		}
	}
	permit := func(s *shmd.Semaphore) func(bool) error {
		return func(ready bool) error {
			if ready {
				return s.Release(1)
			}
			return s.TryAcquire(1)
		}
	}
	message := func(q *shmd.Queue, fills bool) func(bool) error {
		return func(ready bool) error {
			if ready == fills {
				return q.TryPut([]byte("m"))
			}
			_, err := q.TryTake()
			return err
		}
	}
	return []choice{
		{"mutex", m.Waitable(), m, func(ready bool) error {
			if ready {
				return m.Unlock()
			}
			_, err := m.Lock(ctx)
			return err
		}},
		{"plain", plain.Waitable(), plain, permit(plain)},
		{"undo", undo.Waitable(), undo, permit(undo)},
		{"take", empty.WaitableTake(), empty, message(empty, true)},
		{"put", full.WaitablePut(), full, message(full, false)},
		{"recv", recv.WaitableRecv(), quiet, carry},
		{"send", send.WaitableSend(), crowded, crowd},
		{"manual", manual.Waitable(), manual, set(manual)},
		{"auto", auto.Waitable(), auto, set(auto)},
		{"read", rw.WaitableRead(), rw, func(ready bool) error {
			if ready {
				return rw.Unlock()
			}
			_, err := rw.Lock(ctx)
			return err
		}},
		{"change", value.WaitableChange(value.Version()), value, func(ready bool) error {
			if ready {
				return value.Store(1)
			}
			return nil
		}},
	}
}

// awaitSleeper waits until somebody sleeps in the object.
func (c choice) awaitSleeper(t *testing.T, asker *shmd.Client) {
	t.Helper()
	for {
		var st wire.Stat
		if err := asker.Call(t.Context(), wire.MethodStat, &st, c.object.ID()); err != nil {
			t.Fatal(err)
		}
		if st.Waiters > 0 {
			return
		}
	}
}

func TestWaitAny(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	for i := range choices(t, c) {
		all := choices(t, c)
		items := make([]shmd.Waitable, len(all))
		for j := range all {
			items[j] = all[j].item
		}
		if _, err := shmd.TryWaitAny(items...); !errors.Is(err, shmd.ErrWouldBlock) {
			t.Fatalf("before anything: %v", err)
		}
		done := make(chan int, 1)
		go func() {
			n, err := shmd.WaitAny(t.Context(), items...)
			if err != nil {
				t.Error(err)
			}
			done <- n
		}()
		for _, each := range all {
			each.awaitSleeper(t, c)
		}
		if err := all[i].change(true); err != nil {
			t.Fatal(err)
		}
		if n := <-done; n != i {
			t.Errorf("%s is ready, shmd.WaitAny names %s", all[i].name, all[n].name)
		}
	}
}

func TestWaitAnyEnds(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	all := choices(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	wait := func(ctx context.Context) {
		_, err := shmd.WaitAny(ctx, all[1].item, all[3].item)
		done <- err
	}
	go wait(ctx)
	all[3].awaitSleeper(t, c)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go wait(t.Context())
	all[3].awaitSleeper(t, c)
	if err := all[3].object.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := shmd.TryWaitAny(all[1].item, all[3].item); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed before: %v", err)
	}
	for _, items := range [][]shmd.Waitable{nil, {{}}, make([]shmd.Waitable, 1025)} {
		if _, err := shmd.TryWaitAny(items...); !errors.Is(err, shmd.ErrInvalid) {
			t.Errorf("%d items: %v", len(items), err)
		}
	}
}

// readable asks the kernel; -1 waits.
func readable(t *testing.T, p *shmd.Pollable, timeout int) bool {
	t.Helper()
	for {
		fds := []unix.PollFd{{Fd: int32(p.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, timeout)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	}
}

func TestPollable(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	for _, each := range choices(t, c) {
		p, err := shmd.NewPollable(each.item)
		if err != nil {
			t.Fatalf("%s: %v", each.name, err)
		}
		for range 20 {
			each.awaitSleeper(t, c)
			if readable(t, p, 0) {
				t.Fatalf("%s is readable before anything", each.name)
			}
			if err := each.change(true); err != nil {
				t.Fatal(err)
			}
			readable(t, p, -1)
			if err := p.Rearm(); err != nil {
				t.Fatal(err)
			}
			if each.name != "change" && !readable(t, p, 0) {
				t.Fatalf("%s: what is still there is not readable", each.name)
			}
			if err := errors.Join(each.change(false), p.Rearm(), p.Rearm()); err != nil {
				t.Fatal(err)
			}
		}
		if err := each.object.Close(); err != nil {
			t.Fatal(err)
		}
		readable(t, p, -1)
		if err := p.Rearm(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: rearm after the object was closed: %v", each.name, err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
	}
	if _, err := shmd.NewPollable(shmd.Waitable{}); !errors.Is(err, shmd.ErrInvalid) {
		t.Errorf("a pollable of nothing: %v", err)
	}
}
