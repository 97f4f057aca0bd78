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
)

func TestMutexOptions(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	plain, err := shmd.CreateMutex(ctx, c, "plain", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	recursive, err := shmd.CreateMutex(ctx, c, "recursive", shmd.MutexOptions{Recursive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer recursive.Close()
	loose, err := shmd.CreateMutex(ctx, c, "loose", shmd.MutexOptions{UnlockAny: true})
	if err != nil {
		t.Fatal(err)
	}
	defer loose.Close()

	lock := func(w interface {
		Lock(context.Context) (*shmd.Notice, error)
	}) {
		t.Helper()
		if n, err := w.Lock(ctx); n != nil || err != nil {
			t.Fatalf("lock: %v, %v", n, err)
		}
	}
	lock(plain)
	_, err = plain.TryLock()
	wantError(t, "the handle's try while it holds the lock", err, shmd.ErrWouldBlock)
	other := plain.NewOwner()
	_, err = other.TryLock()
	wantError(t, "another owner's try", err, shmd.ErrWouldBlock)
	wantError(t, "another owner's unlock", other.Unlock(), shmd.ErrNotOwner)
	if err := plain.Unlock(); err != nil {
		t.Error(err)
	}
	wantError(t, "unlock twice", plain.Unlock(), shmd.ErrNotOwner)

	lock(other)
	_, err = other.Lock(ctx)
	wantError(t, "lock twice", err, shmd.ErrDeadlock)
	if err := other.Unlock(); err != nil {
		t.Error(err)
	}

	owner, other := recursive.NewOwner(), recursive.NewOwner()
	lock(owner)
	lock(owner)
	if err := owner.Unlock(); err != nil {
		t.Error(err)
	}
	_, err = other.TryLock()
	wantError(t, "try while one level is left", err, shmd.ErrWouldBlock)
	if err := owner.Unlock(); err != nil {
		t.Error(err)
	}
	lock(other)
	if err := other.Unlock(); err != nil {
		t.Error(err)
	}

	lock(loose)
	if err := loose.NewOwner().Unlock(); err != nil {
		t.Errorf("unlock_any: %v", err)
	}

	_, err = shmd.CreateMutex(ctx, c, "both", shmd.MutexOptions{UnlockAny: true, Strict: true})
	wantError(t, "unlock_any with strict", err, shmd.ErrInvalid)
	_, err = shmd.OpenOrCreateMutex(ctx, c, "plain", shmd.MutexOptions{Recursive: true})
	wantError(t, "open with other flags", err, shmd.ErrOptionMismatch)
	_, err = shmd.CreateMutex(ctx, c, "plain", shmd.MutexOptions{})
	wantError(t, "create twice", err, shmd.ErrExists)
	wantError(t, "create twice", err, os.ErrExist)
	_, err = shmd.OpenValue[int32](ctx, c, "plain")
	wantError(t, "open a mutex as a value", err, shmd.ErrKindMismatch)
}

// A wait for the lock ends by deadline, by cancellation and by Close, and then
// the lock is not held.
func TestLockEnds(t *testing.T) {
	s := start(t, daemon.Config{})
	holder, err := shmd.CreateMutex(t.Context(), dial(t, s), "m", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiter, err := shmd.OpenMutex(t.Context(), dial(t, s), "m")
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = waiter.Lock(ctx)
	wantError(t, "deadline", err, shmd.ErrTimedOut)
	wantError(t, "deadline", err, context.DeadlineExceeded)

	ended := make(chan error)
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		_, err := waiter.Lock(ctx)
		ended <- err
	}()
	cancel()
	wantError(t, "cancellation", <-ended, context.Canceled)

	go func() {
		_, err := waiter.NewOwner().Lock(t.Context())
		ended <- err
	}()
	if err := waiter.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "close", <-ended, os.ErrClosed)
	if err := holder.Unlock(); err != nil {
		t.Error(err)
	}
	if _, err := holder.TryLock(); err != nil {
		t.Errorf("the lock is not free: %v", err)
	}
}

// A client that goes while it holds a lock leaves a notice; MarkConsistent ends
// the notices; a strict mutex without it is lost.
func TestNotice(t *testing.T) {
	s := start(t, daemon.Config{})
	heir := dial(t, s)
	for _, strict := range []bool{false, true} {
		name := map[bool]string{false: "lenient", true: "strict"}[strict]
		m, err := shmd.CreateMutex(t.Context(), heir, name, shmd.MutexOptions{Strict: strict})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		leave := func() {
			t.Helper()
			c := dial(t, s)
			held, err := shmd.OpenMutex(t.Context(), c, name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := held.Lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		n, err := m.Lock(t.Context())
		if err != nil || n == nil || n.PID != uint32(os.Getpid()) || n.Deaths != 1 || n.DiedNs == 0 {
			t.Fatalf("%s: notice %+v, %v", name, n, err)
		}
		if err := errors.Join(m.MarkConsistent(), m.Unlock()); err != nil {
			t.Error(err)
		}
		if n, err := m.Lock(t.Context()); n != nil || err != nil {
			t.Errorf("%s: after MarkConsistent: %+v, %v", name, n, err)
		}
		if err := m.Unlock(); err != nil {
			t.Error(err)
		}
		leave()
		if n, err := m.Lock(t.Context()); n == nil || n.Deaths != 2 || err != nil {
			t.Fatalf("%s: notice %+v, %v", name, n, err)
		}
		if err := m.Unlock(); err != nil {
			t.Error(err)
		}
		n, err = m.Lock(t.Context())
		if strict {
			wantError(t, "strict, unlocked without MarkConsistent", err, shmd.ErrNotRecoverable)
			continue
		}
		if n == nil || err != nil {
			t.Errorf("the notice is not repeated: %v, %v", n, err)
		}
		if err := m.Unlock(); err != nil {
			t.Error(err)
		}
	}
}

// Destroying an object ends every wait in it, local ones and those at the daemon.
func TestDestroyWakes(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	a, err := shmd.CreateArray[int64](t.Context(), c, "a", shmd.ArrayOptions{Length: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	reader, err := shmd.OpenArrayReadOnly[int64](t.Context(), c, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := a.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	version := a.Version()
	ended := make(chan error)
	for _, wait := range []func() error{
		func() error { _, err := a.NewOwner().Lock(t.Context()); return err },
		func() error { _, err := a.WaitChange(t.Context(), version); return err },
		func() error { _, err := reader.WaitChange(t.Context(), version); return err },
	} {
		go func() { ended <- wait() }()
	}
	if err := c.Destroy(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantError(t, "a wait in a destroyed object", <-ended, shmd.ErrRemoved)
	}
	wantError(t, "unlock", a.Unlock(), shmd.ErrRemoved)
	_, err = a.Load(0)
	wantError(t, "load", err, shmd.ErrRemoved)
}

// The lock excludes goroutines of several clients from each other.
func TestLockExcludes(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	mutex, err := shmd.CreateMutex(t.Context(), c, "m", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer mutex.Close()
	var counter int // what the lock guards; the race detector looks on
	var all sync.WaitGroup
	const clients, goroutines, rounds = 3, 3, 300
	for range clients {
		m, err := shmd.OpenMutex(t.Context(), dial(t, s), "m")
		if err != nil {
			t.Fatal(err)
		}
		for range goroutines {
			all.Go(func() {
				for range rounds {
					if _, err := m.Lock(t.Context()); err != nil {
						t.Error(err)
						return
					}
					counter++
					if err := m.Unlock(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if counter != clients*goroutines*rounds {
		t.Errorf("the counter is %d, want %d", counter, clients*goroutines*rounds)
	}
}
