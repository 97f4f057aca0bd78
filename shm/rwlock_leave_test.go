package shm

import (
	"context"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

func TestRWLockTimesOut(t *testing.T) {
	short, stop := context.WithTimeout(background, time.Microsecond)
	defer stop()
	gone, cancel := context.WithCancel(background)
	cancel()
	p := NewParker(ParkerOptions{})
	for _, c := range []struct {
		name    string
		ctx     context.Context
		timeout time.Duration
		want    status.Code
	}{
		{"timeout", background, time.Microsecond, status.TimedOut},
		{"deadline", short, -1, status.TimedOut},
		{"cancellation", gone, -1, status.Cancelled},
	} {
		for name, end := range map[string]func(*RWLock, context.Context, time.Duration) error{
			"a reader": func(l *RWLock, ctx context.Context, timeout time.Duration) error {
				ok(t, l.tryWrite(rwOwner(1, 1)))
				_, err := l.ReadLock(ctx, p, rwOwner(2, 1), timeout)
				ok(t, l.WriteUnlock(rwOwner(1, 1)))
				return err
			},
			"a writer behind a writer": func(l *RWLock, ctx context.Context, timeout time.Duration) error {
				ok(t, l.tryWrite(rwOwner(1, 1)))
				_, err := l.WriteLock(ctx, p, rwOwner(2, 1), timeout)
				ok(t, l.WriteUnlock(rwOwner(1, 1)))
				return err
			},
			"a writer behind readers": func(l *RWLock, ctx context.Context, timeout time.Duration) error {
				o := rwOwner(1, 1)
				ok(t, l.tryRead(o))
				_, err := l.WriteLock(ctx, p, rwOwner(2, 1), timeout)
				if !l.Status().Wanted {
					t.Error("the turn of readers that have waited is lost")
				}
				other := rwOwner(3, 1)
				ok(t, l.tryRead(other), l.ReadUnlock(o), l.ReadUnlock(other))
				return err
			},
			"a writer that prepares": func(l *RWLock, ctx context.Context, timeout time.Duration) error {
				ok(t, l.declare(&l.cells[1].Word))
				_, err := l.WriteLock(ctx, p, rwOwner(2, 1), timeout)
				if !l.Status().Wanted {
					t.Error("the turn of readers that have waited is lost")
				}
				l.undeclare(&l.cells[1].Word)
				return err
			},
		} {
			l := newRWLock(t)
			wantCode(t, c.name+" of "+name, end(l, c.ctx, c.timeout), c.want)
			l.atRest(t)
			ok(t, l.tryWrite(rwOwner(4, 1)), l.WriteUnlock(rwOwner(4, 1)), l.tryRead(rwOwner(4, 1)))
		}
	}
}

// Who sleeps behind a writer that gives up is let in.
func TestRWLockWithdrawWakes(t *testing.T) {
	l, p := newRWLock(t), NewParker(ParkerOptions{})
	inside := rwOwner(1, 1)
	ok(t, l.tryRead(inside))
	ctx, cancel := context.WithCancel(background)
	w := l.writer(ctx, p, rwOwner(2, 1))
	r := l.reader(background, p, rwOwner(3, 1))
	next := l.writer(background, p, rwOwner(4, 1))
	cancel()
	wantCode(t, "the writer", (<-w).err, status.Cancelled)
	ok(t, (<-r).err, l.ReadUnlock(inside))
	if len(next) != 0 {
		t.Error("a writer is inside beside a reader")
	}
	// The owner of the background is that thread's own.
	ok(t, leaveCell(&l.cells[3].Word))
	l.wakeWriter(&l.cells[3].Word)
	ok(t, (<-next).err, l.WriteUnlock(rwOwner(4, 1)))
	l.atRest(t)
}
