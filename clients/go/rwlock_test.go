package shmd_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

func newRWLock(t *testing.T, c *shmd.Client) *shmd.RWLock {
	t.Helper()
	l, err := shmd.CreateRWLock(t.Context(), c, "l", shmd.RWLockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, l) })
	return l
}

func openRWLock(t *testing.T, c *shmd.Client) *shmd.RWLock {
	t.Helper()
	l, err := shmd.OpenRWLock(t.Context(), c, "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObject(t, l) })
	return l
}

// Handles and owners read at once, write alone, and only those unlock who locked.
func TestRWLockOwners(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	l := newRWLock(t, c)
	other := openRWLock(t, dial(t, s))
	must(t, "read")(l.RLock(ctx))
	must(t, "read once more")(l.RLock(ctx))
	must(t, "the other reads")(other.TryRLock())
	_, err := other.TryLock()
	wantError(t, "write beside readers", err, shmd.ErrWouldBlock)
	_, err = l.TryLock()
	wantError(t, "write beside oneself", err, shmd.ErrWouldBlock)
	wantError(t, "end a writing that is none", l.Unlock(), shmd.ErrNotOwner)
	if err := errors.Join(l.RUnlock(), l.RUnlock(), other.RUnlock()); err != nil {
		t.Error(err)
	}
	wantError(t, "end a reading too much", l.RUnlock(), shmd.ErrNotOwner)
	must(t, "write")(other.Lock(ctx))
	_, err = l.TryRLock()
	wantError(t, "read beside a writer", err, shmd.ErrWouldBlock)
	_, err = l.TryLock()
	wantError(t, "write beside a writer", err, shmd.ErrWouldBlock)
	wantError(t, "end another's writing", l.Unlock(), shmd.ErrNotOwner)
	wantError(t, "mark another's writing", l.MarkConsistent(), shmd.ErrNotOwner)
	if err := errors.Join(other.MarkConsistent(), other.Unlock()); err != nil {
		t.Error(err)
	}

	owner, second := l.NewOwner(), l.NewOwner()
	must(t, "read")(owner.RLock(ctx))
	must(t, "read again")(owner.RLock(ctx))
	_, err = owner.Lock(ctx)
	wantError(t, "write while reading", err, shmd.ErrDeadlock)
	wantError(t, "end another owner's reading", second.RUnlock(), shmd.ErrNotOwner)
	if err := owner.RUnlock(); err != nil {
		t.Error(err)
	}
	_, err = second.TryLock()
	wantError(t, "write while one reading is left", err, shmd.ErrWouldBlock)
	if err := owner.RUnlock(); err != nil {
		t.Error(err)
	}
	must(t, "write")(second.Lock(ctx))
	_, err = second.Lock(ctx)
	wantError(t, "write while writing", err, shmd.ErrDeadlock)
	_, err = second.RLock(ctx)
	wantError(t, "read while writing", err, shmd.ErrDeadlock)
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
}

// Readers see what writers of other clients have made whole.
func TestRWLockExcludes(t *testing.T) {
	s := start(t, daemon.Config{})
	newRWLock(t, dial(t, s))
	const clients, rounds = 3, 300
	var one, two int // what the lock guards; the race detector looks on
	var reads atomic.Int64
	var all sync.WaitGroup
	for range clients {
		l := openRWLock(t, dial(t, s))
		all.Go(func() {
			for range rounds {
				if _, err := l.Lock(t.Context()); err != nil {
					t.Error(err)
					return
				}
				one++
				two++
				if err := l.Unlock(); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for range 2 { // goroutines of one handle
			all.Go(func() {
				for range rounds {
					if _, err := l.RLock(t.Context()); err != nil {
						t.Error(err)
						return
					}
					if one != two {
						t.Error("half a writing is seen")
					}
					reads.Add(1)
					if err := l.RUnlock(); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if one != clients*rounds || reads.Load() != 2*clients*rounds {
		t.Errorf("%d writings, %d readings", one, reads.Load())
	}
}

// A wait ends by deadline, cancellation, Close, and the end of the object; then the
// lock is not held.
func TestRWLockWaitEnds(t *testing.T) {
	s := start(t, daemon.Config{})
	c := dial(t, s)
	l := newRWLock(t, c)
	for _, read := range []bool{false, true} {
		must(t, "write")(l.Lock(t.Context()))
		waiter := openRWLock(t, dial(t, s))
		lock, unlock := waiter.Lock, waiter.Unlock
		if read {
			lock, unlock = waiter.RLock, waiter.RUnlock
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := lock(short)
		cancel()
		wantError(t, "deadline", err, context.DeadlineExceeded)
		ended := make(chan error)
		wait := func(ctx context.Context) {
			go func() {
				_, err := lock(ctx)
				ended <- err
			}()
			asleep(t, c, l.ID(), 1)
		}
		ctx, cancel := context.WithCancel(t.Context())
		wait(ctx)
		cancel()
		wantError(t, "cancellation", <-ended, context.Canceled)
		wait(t.Context())
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
		if err := errors.Join(<-ended, unlock()); err != nil {
			t.Errorf("let in: %v", err)
		}
		must(t, "write")(l.Lock(t.Context()))
		wait(t.Context())
		closeObject(t, waiter)
		wantError(t, "close", <-ended, os.ErrClosed)
		wantError(t, "unlock after close", unlock(), shmd.ErrClosed)
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
	}
	must(t, "read")(l.RLock(t.Context()))
	writer := openRWLock(t, dial(t, s))
	ended := make(chan error)
	go func() {
		_, err := writer.Lock(t.Context())
		ended <- err
	}()
	asleep(t, c, l.ID(), 1)
	if err := c.Destroy(t.Context(), "l"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "destroyed", <-ended, shmd.ErrRemoved)
	wantError(t, "unlock", l.RUnlock(), shmd.ErrRemoved)
	_, err := l.TryRLock()
	wantError(t, "read", err, shmd.ErrRemoved)
	_, err = l.TryLock()
	wantError(t, "write", err, shmd.ErrRemoved)
}

// What a dead reader held comes back in silence; the death of a writer is told to
// readers and writers until one of these has repaired.
func TestRWLockNotice(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	l := newRWLock(t, dial(t, s))
	vanish(t, s, []any{wire.MethodOpen, "l"}, []any{wire.MethodReadLock, 1})
	must(t, "write after a reader's death")(l.Lock(ctx))
	if err := l.Unlock(); err != nil {
		t.Error(err)
	}
	vanish(t, s, []any{wire.MethodOpen, "l"}, []any{wire.MethodLock, 1})
	own := l.NewOwner()
	for what, lock := range map[string]func() error{
		"read":  func() error { n, err := l.RLock(ctx); return errors.Join(told(n), err, l.RUnlock()) },
		"write": func() error { n, err := l.Lock(ctx); return errors.Join(told(n), err, l.Unlock()) },
		"owner": func() error { n, err := own.RLock(ctx); return errors.Join(told(n), err, own.RUnlock()) },
	} {
		if err := lock(); err != nil {
			t.Errorf("%s after a writer's death: %v", what, err)
		}
	}
	n, err := l.Lock(ctx)
	if err := errors.Join(told(n), err, l.MarkConsistent(), l.Unlock()); err != nil {
		t.Error(err)
	}
	must(t, "read after the repair")(l.RLock(ctx))
	if err := l.RUnlock(); err != nil {
		t.Error(err)
	}
}

// told is an error unless the notice is of one death of this process.
func told(n *shmd.Notice) error {
	if n == nil || n.PID != uint32(os.Getpid()) || n.Deaths != 1 || n.DiedNs == 0 {
		return errors.New("not the notice that there should be")
	}
	return nil
}

func TestRWLockers(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	l := newRWLock(t, dial(t, s))
	read, write := l.RLocker(), l.Locker()
	read.Lock()
	must(t, "read beside")(l.TryRLock())
	_, err := l.TryLock()
	wantError(t, "write beside", err, shmd.ErrWouldBlock)
	read.Unlock()
	if err := l.RUnlock(); err != nil {
		t.Error(err)
	}
	write.Lock()
	_, err = l.TryRLock()
	wantError(t, "read beside the writer", err, shmd.ErrWouldBlock)
	write.Unlock()
	defer func() {
		if r := recover(); r == nil {
			t.Error("unlocking what is not locked does not panic")
		}
	}()
	if _, err := shmd.OpenOrCreateRWLock(ctx, dial(t, s), "l", shmd.RWLockOptions{}); err != nil {
		t.Error(err)
	}
	write.Unlock()
}
