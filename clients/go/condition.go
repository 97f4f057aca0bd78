package shmd

import (
	"context"
	"errors"
	"math"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Condition lets whoever holds its mutex wait until another, holding the mutex too,
// says that something has changed. The mutex is another object, bound for ever when
// the condition is created; Lock, Unlock and MarkConsistent are those of the mutex,
// so that a program may use it through the condition alone, or through a Mutex of its
// own, or both. Whoever dies waiting takes no notification along. Safe for concurrent
// use.
//
// As with sync.Cond, a wake-up says that the condition may be true, not that it is:
// use WaitFor, or Wait in a loop.
type Condition struct {
	*object
	Owner     // the handle's own, or that of With, in the mutex
	condition *shm.Condition
}

// ConditionOptions are a condition's creation options.
type ConditionOptions struct {
	CommonOptions
}

// CreateCondition makes a condition of a mutex; "" makes an anonymous one. Errors:
// ErrExists if the name is taken, ErrInvalid without a mutex.
func CreateCondition(ctx context.Context, c *Client, name string, mutex *Mutex,
	o ConditionOptions) (*Condition, error) {
	return c.createCondition(ctx, "create condition", name, wire.MethodCreate, mutex, o)
}

// OpenCondition opens a condition by name, and its mutex, both of which need write
// permission. Errors: ErrNotFound, ErrKindMismatch, ErrPermission, ErrSeatsFull.
func OpenCondition(ctx context.Context, c *Client, name string) (*Condition, error) {
	return c.condition(ctx, "open condition", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindCondition)})
}

// OpenOrCreateCondition opens a condition, or makes it; ErrOptionMismatch if it
// exists with another mutex.
func OpenOrCreateCondition(ctx context.Context, c *Client, name string, mutex *Mutex,
	o ConditionOptions) (*Condition, error) {
	return c.createCondition(ctx, "open condition", name, wire.MethodOpenOrCreate, mutex, o)
}

func (c *Client) createCondition(ctx context.Context, op, name, method string, mutex *Mutex,
	o ConditionOptions) (*Condition, error) {
	if mutex == nil {
		return nil, wrap(op, name, status.New(status.Invalid, "", "a condition needs its mutex; it is nil"))
	}
	w := wire.CreateOptions{Lock: mutex.ID()}
	o.fill(&w)
	return c.condition(ctx, op, name, method, name, wire.KindCondition, w)
}

func (c *Client) condition(ctx context.Context, op, name, method string, params ...any) (*Condition, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Condition{o, o.common(), o.segment.Condition(o.guard)}, nil
}

// With is the condition for an Owner that holds, or will hold, its mutex: one that
// NewOwner of the condition or of a Mutex of this client made. What it returns is the
// same handle, to be used by that Owner's thread of control. ErrInvalid if the Owner
// is of another lock.
func (c *Condition) With(w *Owner) (*Condition, error) {
	if w == nil || w.object.guard == nil || w.object.client != c.client || w.object.guardID() != c.guardID() {
		return nil, wrap("use", c.info.Name, status.New(status.Invalid, "", "the owner is not one of its mutex"))
	}
	return &Condition{c.object, Owner{c.object, w.owner}, c.condition}, nil
}

// guardID is the object whose lock guards this one.
func (o *object) guardID() uint64 {
	if o.foreign != nil {
		return o.info.LockID
	}
	return o.info.ID
}

// Wait releases the mutex, waits until it is notified or ctx ends, and takes the
// mutex again, for which it waits as long as it must. A recursive mutex is released
// whatever its depth, and gets that back.
//
// Whatever Wait returns, the mutex is held again as before, but for the errors below
// that say not. The notice is not nil, beside an error too, if an owner of the mutex
// died meanwhile. A wake-up may come without a notification.
//
// Errors: ErrTimedOut (ctx's deadline), ErrCancelled, ErrRemoved (the condition),
// ErrNotOwner (the caller did not hold the mutex, and does not). The mutex is not
// held any more after ErrClosed, after ErrRemoved if it was destroyed itself, and
// after ErrNotRecoverable; there, Unlock through the condition only fails.
func (c *Condition) Wait(ctx context.Context) (*Notice, error) {
	n, err := c.wait(ctx)
	return n, wrap("wait for", c.info.Name, err)
}

func (c *Condition) wait(ctx context.Context) (n *Notice, err error) {
	if err := c.lockable(); err != nil {
		return nil, err
	}
	var ended error
	c.releasing()
	err = c.slowly(ctx, func(ctx context.Context) error {
		n, ended = c.condition.Wait(ctx, c.ctx, parker, c.actor(), c.Owner.owner, -1)
		if !c.closed.Load() {
			return nil
		}
		// The daemon is about to sweep our seat, unless a Mutex keeps it.
		if c.held(ended) {
			_, _ = c.guard.Suspend(c.Owner.owner) // destroyed meanwhile: not held either
		}
		n, ended = nil, status.Closed
		return nil
	})
	c.acquired()
	if err == nil {
		err = ended
	}
	return n, err
}

// held reports whether the mutex is held again after a wait that ended so. Other
// threads of control of the handle may hold it too, so that a look at it tells only
// whether it still exists.
func (c *Condition) held(ended error) bool {
	switch status.Of(ended) {
	case status.OK, status.TimedOut, status.Cancelled:
		return true
	case status.Removed:
		return c.guard.Holds(c.Owner.owner)
	}
	return false
}

// WaitFor waits, with the mutex held, until predicate is true, which it calls with
// the mutex held, and first without waiting. It ends as Wait does, but for wake-ups
// without cause; when ctx ends it looks once more, and is successful if the predicate
// is true by then.
//
// A notice ends the wait: what the mutex guards may be half changed, and predicate may
// be false.
func (c *Condition) WaitFor(ctx context.Context, predicate func() bool) (*Notice, error) {
	for !predicate() {
		n, err := c.Wait(ctx)
		if (errors.Is(err, status.TimedOut) || errors.Is(err, status.Cancelled)) && n == nil && predicate() {
			return nil, nil
		}
		if n != nil || err != nil {
			return n, err
		}
	}
	return nil, nil
}

// Notify wakes up to n of those who wait; who comes to wait later is not meant. The
// caller must hold the mutex, and keeps it: ErrNotOwner. Other errors: ErrInvalid (n
// is less than 1), ErrRemoved, ErrClosed, ErrPermission.
func (c *Condition) Notify(n int) error {
	err := c.lockable()
	if err == nil {
		err = c.condition.Notify(c.actor(), c.Owner.owner, min(n, math.MaxInt32))
	}
	return wrap("notify", c.info.Name, err)
}

// NotifyAll wakes everybody who waits. Errors as Notify.
func (c *Condition) NotifyAll() error { return c.Notify(math.MaxInt32) }
