package shmd

import (
	"context"
	"sync"

	"github.com/shmd/shmd/wire"
)

// Mutex is a lock by name that survives the death of its owner. Safe for
// concurrent use. Its own methods treat goroutines as sync.Mutex does: each Lock
// waits for the Unlock before, and any goroutine may unlock. Recursion needs to
// know who asks: see NewOwner.
type Mutex struct {
	*object
	Owner // the handle's own
}

// MutexOptions are a mutex's creation options.
type MutexOptions struct {
	CommonOptions
	// Recursive lets the same Owner (NewOwner) lock again.
	Recursive bool
	// UnlockAny lets any client unlock, as Python's Lock does. If the client
	// that locked dies, the lock is given back even if another was meant to
	// unlock it.
	UnlockAny bool
	// Strict makes the mutex unusable (ErrNotRecoverable) when it is unlocked
	// after a notice without MarkConsistent.
	Strict bool
}

// CreateMutex makes a mutex; "" makes an anonymous one. ErrExists if the name is
// taken.
func CreateMutex(ctx context.Context, c *Client, name string, o MutexOptions) (*Mutex, error) {
	return c.mutex(ctx, "create mutex", name, wire.MethodCreate, name, wire.KindMutex, o.wire())
}

// OpenMutex opens a mutex by name. Errors: ErrNotFound, ErrKindMismatch,
// ErrPermission, ErrSeatsFull.
func OpenMutex(ctx context.Context, c *Client, name string) (*Mutex, error) {
	return c.mutex(ctx, "open mutex", name, wire.MethodOpen, name, wire.OpenOptions{Kind: new(wire.KindMutex)})
}

// OpenOrCreateMutex opens a mutex, or makes it; ErrOptionMismatch if it exists
// with other flags.
func OpenOrCreateMutex(ctx context.Context, c *Client, name string, o MutexOptions) (*Mutex, error) {
	return c.mutex(ctx, "open mutex", name, wire.MethodOpenOrCreate, name, wire.KindMutex, o.wire())
}

func (o *MutexOptions) wire() wire.CreateOptions {
	w := wire.CreateOptions{Recursive: &o.Recursive, UnlockAny: &o.UnlockAny, Strict: &o.Strict}
	o.fill(&w)
	return w
}

func (c *Client) mutex(ctx context.Context, op, name, method string, params ...any) (*Mutex, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Mutex{object: o, Owner: o.common()}, nil
}

// NewOwner makes an owner of its own: one that may lock a recursive lock again,
// and is told ErrDeadlock when it would wait for itself. The own locks of values
// and arrays are recursive.
func (o *object) NewOwner() *Owner { return &Owner{object: o, owner: o.owner()} }

// Locker is the mutex as a sync.Locker; its methods panic where these return an
// error.
func (w *Owner) Locker() sync.Locker { return locker{w} }
