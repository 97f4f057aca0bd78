package shm

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// awaitable is an object of each sort that can be waited for, not ready yet.
type awaitable struct {
	name  string
	seg   *Segment
	item  Waitable
	event func() error // makes it ready
}

func awaitables(t *testing.T) []awaitable {
	lock := newSegment(t, KindMutex, 0, 0, 0).Lock()
	if _, err := lock.TryLock(owner(1, 1)); err != nil {
		t.Fatal(err)
	}
	plain, undo := newSemaphore(t, 0, 5, 0), newSemaphore(t, 0, 5, FlagUndo)
	empty, full := newQueue(t, 4, 64, 0), newQueue(t, 1, 64, 0)
	put(t, full, 1, "last")
	value := newSegment(t, KindValue, ctypes.CodeInt, 0, 0)
	array := value.Array(value.Lock())
	manual, auto := newEvent(t, false, 0), newEvent(t, false, FlagAutoReset)
	rw := newRWLock(t)
	writer := MakeRWOwner(client(1), 1)
	if _, err := rw.WriteLock(background, nil, writer, 0); err != nil {
		t.Fatal(err)
	}
	post := func(m *Semaphore) func() error {
		return func() error { return m.Post(background, nil, actor(1), 1, -1) }
	}
	return []awaitable{
		{"lock", lock.seg, lock.Waitable(client(2)), func() error { return lock.Unlock(owner(1, 1)) }},
		{"plain", plain.seg, plain.Waitable(actor(2)), post(plain)},
		{"undo", undo.seg, undo.Waitable(actor(2)), post(undo)},
		{"take", empty.seg, empty.WaitableTake(actor(2)),
			func() error { return empty.Put(background, nil, actor(1), []byte("first"), 0) }},
		{"put", full.seg, full.WaitablePut(actor(2)), func() error { return takeOne(full) }},
		{"event", manual.seg, manual.Waitable(actor(2)), func() error { return manual.Set(actor(1)) }},
		{"auto", auto.seg, auto.Waitable(actor(2)), func() error { return auto.Set(actor(1)) }},
		{"read", rw.seg, rw.WaitableRead(client(2)), func() error { return rw.WriteUnlock(writer) }},
		{"change", value, array.WaitableChange(client(2), array.Version()), func() error { return array.Store(0, 7) }},
	}
}

func itemsOf(all []awaitable) (items []Waitable) {
	for _, a := range all {
		items = append(items, a.item)
	}
	return items
}

// parkers are all ways in which a wait may sleep.
func parkers(t *testing.T, test func(t *testing.T, p *Parker)) {
	for name, o := range map[string]ParkerOptions{
		"waitv": {}, "shared": {DirectMax: 1}, "without": {WithoutWaitv: true},
	} {
		t.Run(name, func(t *testing.T) { test(t, NewParker(o)) })
	}
}

// Each object ends a wait for all of them, and is named.
func TestWaitAnyNamesWhatIsReady(t *testing.T) {
	parkers(t, func(t *testing.T, p *Parker) {
		for i := range awaitables(t) {
			all := awaitables(t)
			if _, err := WaitAny(background, p, itemsOf(all), 0); err != status.WouldBlock {
				t.Fatalf("%s: before anything: %v", all[i].name, err)
			}
			got := make(chan int, 1)
			failed := make(chan error, 1)
			go func() {
				n, err := WaitAny(background, p, itemsOf(all), -1)
				failed <- err
				got <- n
			}()
			for _, a := range all {
				await(func() bool { return a.seg.Waiting(2) == 1 })
			}
			if err := all[i].event(); err != nil {
				t.Fatal(err)
			}
			if err := <-failed; err != nil {
				t.Fatalf("%s: %v", all[i].name, err)
			}
			if n := <-got; n != i {
				t.Errorf("%s is ready, WaitAny names %s", all[i].name, all[n].name)
			}
			for _, a := range all {
				if a.seg.Waiting(2) != 0 {
					t.Errorf("%s still counts a waiter", a.name)
				}
			}
			if n, err := WaitAny(background, p, itemsOf(all), 0); n != i || err != nil {
				t.Errorf("%s stays ready: %d, %v", all[i].name, n, err)
			}
		}
	})
}

// What is destroyed is ready: the try says why it never will be.
func TestWaitAnyEndsWithTheObject(t *testing.T) {
	p := NewParker(ParkerOptions{})
	for i := range awaitables(t) {
		all := awaitables(t)
		done := make(chan error, 1)
		go func() {
			n, err := WaitAny(background, p, itemsOf(all), -1)
			if err == nil && n != i {
				err = errors.New("the wrong one: " + all[n].name)
			}
			done <- err
		}()
		await(func() bool { return all[i].seg.Waiting(2) == 1 })
		if !all[i].seg.Remove() {
			t.Fatal("not removed")
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", all[i].name, err)
		}
	}
}

func TestWaitAnyEndsWithoutAnEvent(t *testing.T) {
	parkers(t, func(t *testing.T, p *Parker) {
		all := awaitables(t)
		if _, err := WaitAny(background, p, itemsOf(all), time.Millisecond); err != status.TimedOut {
			t.Errorf("timeout: %v", err)
		}
		ctx, cancel := context.WithCancel(background)
		done := make(chan error, 1)
		go func() {
			_, err := WaitAny(ctx, p, itemsOf(all), -1)
			done <- err
		}()
		await(func() bool { return all[0].seg.Waiting(2) == 1 })
		cancel()
		if err := <-done; err != status.Cancelled {
			t.Errorf("cancelled: %v", err)
		}
		for _, a := range all {
			if a.seg.Waiting(2) != 0 {
				t.Errorf("%s still counts a waiter", a.name)
			}
		}
	})
}

func TestWaitAnyRefuses(t *testing.T) {
	p := NewParker(ParkerOptions{})
	for name, items := range map[string][]Waitable{
		"none": nil, "too many": make([]Waitable, WaitAnyMax+1),
	} {
		if _, err := WaitAny(background, p, items, 0); !errors.Is(err, status.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, a := range awaitables(t) {
		a.seg.readOnly = true
		if _, err := WaitAny(background, p, []Waitable{a.item}, 0); !errors.Is(err, status.Permission) {
			t.Errorf("%s on a read-only mapping: %v", a.name, err)
		}
	}
}

// A wake that WaitAny consumed and did not use reaches whoever sleeps beside it: the
// acquirer gets the one permit in any case.
func TestWaitAnyPassesWakesOn(t *testing.T) {
	bothSorts(t, func(t *testing.T, flags Flags) {
		parkers(t, func(t *testing.T, p *Parker) {
			never := newSemaphore(t, 0, 1, 0)
			rounds := 50
			if p.withoutWaitv.Load() {
				rounds = 5 // each waits for a tick
			}
			for range rounds {
				m := newSemaphore(t, 0, 1, flags)
				var both sync.WaitGroup
				both.Go(func() {
					_, err := WaitAny(background, p, []Waitable{never.Waitable(actor(2)), m.Waitable(actor(2))}, -1)
					if err != nil {
						t.Error(err)
					}
				})
				await(func() bool { return m.seg.Waiting(2) == 1 })
				both.Go(func() {
					if err := m.AcquireWait(background, p, actor(3), 1, -1); err != nil {
						t.Error(err)
					}
				})
				await(func() bool { return m.seg.Waiting(3) == 1 })
				if err := m.Post(background, p, actor(1), 1, -1); err != nil {
					t.Fatal(err)
				}
				await(func() bool { return m.Permits(client(3)).Available == 0 && m.seg.Waiting(3) == 0 })
				// The acquirer may have been first: WaitAny then waits for the next one.
				if err := m.Release(background, p, actor(3), 1, -1); err != nil {
					t.Fatal(err)
				}
				both.Wait()
				if err := m.inOrder(); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}
