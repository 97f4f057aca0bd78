package shmd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// RWLock lets many readers in, or one writer. It is fair between the two: once a
// reader waits, at most one writer more goes in before it, and a writer waits for no
// reader that came later. What a dead reader held comes back; the death of a writer
// is a notice to all who come after it, until a writer calls MarkConsistent. Safe for
// concurrent use.
//
// Its own methods treat goroutines as sync.RWMutex does: any may unlock what another
// has locked, and who locks what it has locked already may wait for itself. An
// RWOwner is told so. Readings are counted by client: RUnlock ends one of this client's,
// whichever handle of it began it, and is ErrNotOwner if it has none.
type RWLock struct {
	*object
	RWOwner // the handle's own
}

// RWLockOptions are an rwlock's creation options.
type RWLockOptions struct {
	CommonOptions
}

// RWOwner is a thread of control that holds an rwlock: it may read again while it
// reads, and is told ErrDeadlock where it would wait for itself. One made by NewOwner
// is to be used from one goroutine at a time.
type RWOwner struct {
	object *object
	lock   *shm.RWLock
	owner  *shm.RWOwner
	refuse error // immutable; why nobody can lock through the handle, nil = one can
}

// CreateRWLock makes an rwlock; "" makes an anonymous one. ErrExists if the name is
// taken.
func CreateRWLock(ctx context.Context, c *Client, name string, o RWLockOptions) (*RWLock, error) {
	return c.rwlock(ctx, "create rwlock", name, wire.MethodCreate, name, wire.KindRWLock, o.wire())
}

// OpenRWLock opens an rwlock by name. Errors: ErrNotFound, ErrKindMismatch,
// ErrPermission, ErrSeatsFull.
func OpenRWLock(ctx context.Context, c *Client, name string) (*RWLock, error) {
	return c.rwlock(ctx, "open rwlock", name, wire.MethodOpen, name, wire.OpenOptions{Kind: new(wire.KindRWLock)})
}

// OpenOrCreateRWLock opens an rwlock, or makes it.
func OpenOrCreateRWLock(ctx context.Context, c *Client, name string, o RWLockOptions) (*RWLock, error) {
	return c.rwlock(ctx, "open rwlock", name, wire.MethodOpenOrCreate, name, wire.KindRWLock, o.wire())
}

func (o *RWLockOptions) wire() (w wire.CreateOptions) {
	o.fill(&w)
	return w
}

func (c *Client) rwlock(ctx context.Context, op, name, method string, params ...any) (*RWLock, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	var refuse error
	if o.segment.ReadOnly() {
		refuse = status.Permission
	}
	return &RWLock{o, RWOwner{o, o.segment.RWLock(), shm.SharedRWOwner(o.info.Owner), refuse}}, nil
}

// NewOwner makes an owner of its own.
func (l *RWLock) NewOwner() *RWOwner {
	return &RWOwner{l.object, l.lock, shm.MakeRWOwner(l.info.Owner, l.client.serial.Add(1)), l.refuse}
}

// WaitableRead is the lock letting readers in: that a TryRLock may succeed.
func (l *RWLock) WaitableRead() Waitable {
	return Waitable{object: l.object, item: func() shm.Waitable { return l.lock.WaitableRead(l.info.Owner) }}
}

// Lock locks for writing, waiting until ctx ends. The notice is not nil if a writer
// died. The error means that the lock is not held: ErrTimedOut (ctx's deadline),
// ErrCancelled, ErrDeadlock (NewOwner's only: it reads or writes already), ErrRemoved,
// ErrClosed, ErrPermission (read-only).
func (w *RWOwner) Lock(ctx context.Context) (*Notice, error) {
	n, err := w.tryWrite()
	if err == status.WouldBlock {
		n, err = w.lockSlow(ctx, w.lock.WriteLock, (*shm.RWLock).WriteUnlock)
	}
	if err != nil {
		return nil, wrap("lock", w.object.info.Name, err)
	}
	return n, nil
}

// TryLock locks for writing if nobody is inside; ErrWouldBlock if somebody is.
func (w *RWOwner) TryLock() (*Notice, error) {
	n, err := w.tryWrite()
	if err != nil {
		return nil, wrap("lock", w.object.info.Name, err)
	}
	return n, nil
}

// Unlock ends the writing. Errors: ErrNotOwner, ErrRemoved, ErrClosed.
func (w *RWOwner) Unlock() error {
	err := w.usable()
	if err == nil {
		w.object.releasing()
		err = w.lock.WriteUnlock(w.owner)
	}
	if err != nil {
		return wrap("unlock", w.object.info.Name, err)
	}
	return nil
}

// RLock locks for reading, waiting until ctx ends. The notice is not nil if a writer
// died: what it was writing may be half changed. Errors as Lock, but that a
// NewOwner's may read again, and is told ErrDeadlock if it writes; and ErrOverflow
// (65535 readers of one client, or 2^30 readings of one owner).
func (w *RWOwner) RLock(ctx context.Context) (*Notice, error) {
	if w.usable() == nil && w.lock.ReadAnnounce(w.owner) { // as tryRead does it, without a call
		if !w.lock.ReadEnter(w.owner) {
			w.lock.ReadStepBack(w.owner)
		} else if w.keep((*shm.RWLock).ReadUnlock) == nil {
			return nil, nil
		}
	}
	n, err := w.tryRead()
	if err == status.WouldBlock {
		n, err = w.lockSlow(ctx, w.lock.ReadLock, (*shm.RWLock).ReadUnlock)
	}
	if err != nil {
		return nil, wrap("read-lock", w.object.info.Name, err)
	}
	return n, nil
}

// TryRLock locks for reading if that needs no waiting; ErrWouldBlock if it does.
func (w *RWOwner) TryRLock() (*Notice, error) {
	n, err := w.tryRead()
	if err != nil {
		return nil, wrap("read-lock", w.object.info.Name, err)
	}
	return n, nil
}

// RUnlock ends one reading. Errors as Unlock.
func (w *RWOwner) RUnlock() error {
	err := w.usable()
	if err == nil {
		w.object.releasing()
		if w.lock.ReadLeave(w.owner) {
			if w.lock.ReadLeft(w.owner) {
				w.lock.ReadWake(w.owner)
			}
			return nil
		}
		err = w.lock.ReadUnlock(w.owner)
	}
	if err != nil {
		return wrap("read-unlock", w.object.info.Name, err)
	}
	return nil
}

// MarkConsistent says that the writer has repaired the data: the notices end.
// Errors as Unlock.
func (w *RWOwner) MarkConsistent() error {
	err := w.usable()
	if err == nil {
		err = w.lock.MarkConsistent(w.owner)
	}
	return wrap("mark consistent", w.object.info.Name, err)
}

// usable says why the lock cannot be used through this handle, if so.
func (w *RWOwner) usable() error {
	if w.object.closed.Load() {
		return status.Closed
	}
	return w.refuse
}

func (w *RWOwner) tryWrite() (*Notice, error) {
	if err := w.usable(); err != nil {
		return nil, err
	}
	n, err := w.lock.WriteLock(context.Background(), parker, w.owner, 0)
	if err != nil {
		return nil, err
	}
	return n, w.keep((*shm.RWLock).WriteUnlock)
}

func (w *RWOwner) tryRead() (*Notice, error) {
	if err := w.usable(); err != nil {
		return nil, err
	}
	n, err := w.lock.ReadLock(context.Background(), parker, w.owner, 0)
	if err != nil {
		return nil, err
	}
	return n, w.keep((*shm.RWLock).ReadUnlock)
}

// lockSlow waits, and so is apart from what must not allocate.
func (w *RWOwner) lockSlow(ctx context.Context,
	lock func(context.Context, *shm.Parker, *shm.RWOwner, time.Duration) (*Notice, error),
	unlock func(*shm.RWLock, *shm.RWOwner) error) (n *Notice, err error) {
	err = w.object.slowly(ctx, func(ctx context.Context) (err error) {
		n, err = lock(ctx, parker, w.owner, -1)
		return err
	})
	if err != nil {
		return nil, err
	}
	return n, w.keep(unlock)
}

// keep ends every acquisition. With an error the lock is not held: a handle that was
// closed meanwhile gives it back, as the daemon may have swept our seat already.
func (w *RWOwner) keep(unlock func(*shm.RWLock, *shm.RWOwner) error) error {
	if w.object.closed.Load() {
		return w.giveBack(unlock)
	}
	w.object.acquired()
	return nil
}

func (w *RWOwner) giveBack(unlock func(*shm.RWLock, *shm.RWOwner) error) error {
	if err := unlock(w.lock, w.owner); err != nil && !errors.Is(err, status.NotOwner) {
		return err
	}
	return status.Closed
}

// Locker is the lock for writing as a sync.Locker, RLocker that for reading; their
// methods panic where these return an error, because sync.Locker leaves no way to say
// so. Notices are dropped, and stay for the next.
func (w *RWOwner) Locker() sync.Locker { return rwLocker{w.Lock, w.Unlock} }

// RLocker is described at Locker.
func (w *RWOwner) RLocker() sync.Locker { return rwLocker{w.RLock, w.RUnlock} }

// rwLocker is one of the two ways to lock an rwlock, as a sync.Locker.
type rwLocker struct {
	lock   func(context.Context) (*Notice, error)
	unlock func() error
}

func (l rwLocker) Lock() {
	if _, err := l.lock(context.Background()); err != nil {
		panic(err)
	}
}

func (l rwLocker) Unlock() {
	if err := l.unlock(); err != nil {
		panic(err)
	}
}
