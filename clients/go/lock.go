package shmd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Notice says that an owner of the lock died while holding it: Seat, PID, UID,
// DiedNs (CLOCK_REALTIME), Deaths. The lock is held all the same. It is repeated
// to every owner until one calls MarkConsistent.
type Notice = shm.Notice

// Owner is a thread of control that holds locks: a recursive lock counts per
// Owner, and only the Owner that locked may unlock. One made by NewOwner is to be
// used from one goroutine at a time; the one inside a handle from any, where each
// Lock waits for the Unlock before.
type Owner struct {
	object *object
	owner  shm.Owner
}

// Lock takes the lock, waiting until ctx ends. The notice is not nil if an owner
// died. The error means that the lock is not held: ErrTimedOut (ctx's deadline),
// ErrCancelled, ErrDeadlock (NewOwner's only), ErrRemoved, ErrNotRecoverable, ErrClosed,
// ErrPermission (read-only), ErrUnsupported (no lock).
func (w *Owner) Lock(ctx context.Context) (*Notice, error) {
	o := w.object
	if o.lockable() == nil {
		// As lock does it, without a call.
		if o.guard.TakeFree(w.owner) && w.keep() == nil {
			return nil, nil
		}
		if o.guard.RetakeFree(w.owner) || o.guard.TakeSoon(w.owner) && w.keep() == nil {
			return nil, nil
		}
	}
	n, err := w.lock(ctx, -1)
	if err != nil {
		return nil, wrap("lock", o.info.Name, err)
	}
	return n, nil
}

// TryLock takes the lock if it is free; ErrWouldBlock if it is not.
func (w *Owner) TryLock() (*Notice, error) {
	n, err := w.lock(context.Background(), 0)
	if err != nil {
		return nil, wrap("lock", w.object.info.Name, err)
	}
	return n, nil
}

// lock must not allocate, hence the closure elsewhere.
func (w *Owner) lock(ctx context.Context, timeout time.Duration) (*Notice, error) {
	o := w.object
	if err := o.lockable(); err != nil {
		return nil, err
	}
	n, err := o.guard.TryLock(w.owner)
	if err != nil {
		if err != status.WouldBlock || timeout == 0 {
			return nil, err
		}
		if n, err = w.lockSlow(ctx); err != nil {
			return nil, err
		}
	}
	if err := w.keep(); err != nil {
		return nil, err
	}
	return n, nil
}

// keep ends every acquisition. With an error the lock is not held. It is small
// enough to be inlined.
func (w *Owner) keep() error {
	if w.object.careful.Load() {
		return w.keepUnlessGone()
	}
	w.object.acquired()
	return nil
}

// keepUnlessGone gives back the lock of a handle that was closed meanwhile (the
// daemon may have swept our seat already), and of an object that was destroyed
// while its foreign lock lives on.
func (w *Owner) keepUnlessGone() error {
	o := w.object
	var gone error
	switch {
	case o.closed.Load():
		gone = status.Closed
	case o.segment.State() == shm.StateRemoved:
		gone = status.Removed
	default:
		o.acquired()
		return nil
	}
	if err := o.guard.Unlock(w.owner); err != nil && !errors.Is(err, status.NotOwner) {
		return err
	}
	return gone
}

func (w *Owner) lockSlow(ctx context.Context) (n *Notice, err error) {
	o := w.object
	err = o.slowly(ctx, func(ctx context.Context) (err error) {
		n, err = o.guard.LockAsleep(ctx, parker, w.owner, -1)
		return err
	})
	return n, err
}

// lockable says why there is no locking through this handle, if so.
func (o *object) lockable() error {
	if o.closed.Load() {
		return status.Closed
	}
	return o.refusal
}

// refusalOf is why an object that is open cannot be locked; nil = it can.
func (o *object) refusalOf() error {
	switch {
	case o.guard == nil:
		return status.New(status.Unsupported, "", "the object was created without a lock")
	case o.segment.ReadOnly():
		return status.Permission
	}
	return nil
}

// Unlock releases one level. Errors: ErrNotOwner, ErrRemoved, ErrClosed,
// ErrInvalid inside a write bracket.
func (w *Owner) Unlock() error {
	o := w.object
	err := o.lockable()
	if err == nil {
		o.releasing()
		if o.guard.ReleaseFree(w.owner) {
			return nil
		}
		err = o.guard.Unlock(w.owner)
	}
	if err != nil {
		return wrap("unlock", o.info.Name, err)
	}
	return nil
}

// MarkConsistent says that the holder has repaired the data: the notices end.
func (w *Owner) MarkConsistent() error {
	o := w.object
	err := o.lockable()
	if err == nil && o.segment.Geometry().Kind.HasData() {
		err = o.array().MarkConsistent(o.access(w.owner))
	} else if err == nil {
		err = o.guard.MarkConsistent(w.owner)
	}
	return wrap("mark consistent", o.info.Name, err)
}

func (o *object) array() *shm.Array { return o.segment.Array(o.guard) }

func (o *object) access(holder shm.Owner) shm.Access {
	return shm.Access{Self: shm.Owner{Word: o.info.Owner, Token: holder.Token}, Holder: holder}
}

// locker is a sync.Locker over an Owner.
type locker struct{ owner *Owner }

// Lock panics if the lock cannot be had, because sync.Locker leaves no way to
// say so; a notice is dropped, and stays for the next owner.
func (l locker) Lock() {
	if _, err := l.owner.Lock(context.Background()); err != nil {
		panic(err)
	}
}

func (l locker) Unlock() {
	if err := l.owner.Unlock(); err != nil {
		panic(err)
	}
}

var _ sync.Locker = locker{}
