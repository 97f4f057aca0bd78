package shmd

import (
	"context"
	"errors"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Barrier lets nobody go on until all parties have arrived, then everybody, and
// begins anew. It breaks, so that nobody waits for ever for one who does not come:
// when a party dies, when a waiter's context ends, by Abort, and by an action that
// fails. Then those who wait and those who come are told, until Reset.
//
// A client is a party once it has arrived, or from the beginning if it was opened so;
// others may look at the barrier, and their death changes nothing. Several goroutines
// of one client may arrive, each for itself. Safe for concurrent use.
type Barrier struct {
	*object
	barrier *shm.Barrier
}

// BarrierOptions are a barrier's creation options.
type BarrierOptions struct {
	CommonOptions
	// Parties is how many must arrive, 1 to 4094.
	Parties uint32
	// Party makes this client a party at once, as OpenBarrierAsParty does.
	Party bool
}

// BarrierStatus is a look at a barrier that holds nothing still.
type BarrierStatus = shm.BarrierStatus

// BarrierReasons are why a barrier is broken, one bit for each.
type BarrierReasons = shm.BarrierReasons

// The reasons.
const (
	BrokenByTimeout = shm.BrokenByTimeout // the context of one who waited ended by its deadline
	BrokenByAbort   = shm.BrokenByAbort   // or was cancelled; or somebody called Abort
	BrokenByDeath   = shm.BrokenByDeath   // of a party
	BrokenByAction  = shm.BrokenByAction  // an action failed
)

// CreateBarrier makes a barrier; "" makes an anonymous one. ErrExists if the name is
// taken.
func CreateBarrier(ctx context.Context, c *Client, name string, o BarrierOptions) (*Barrier, error) {
	return c.createBarrier(ctx, "create barrier", name, wire.MethodCreate, o)
}

// OpenBarrier opens a barrier by name. Errors: ErrNotFound, ErrKindMismatch,
// ErrPermission, ErrSeatsFull.
func OpenBarrier(ctx context.Context, c *Client, name string) (*Barrier, error) {
	return c.openBarrier(ctx, "open barrier", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindBarrier)})
}

// OpenBarrierAsParty is OpenBarrier for one who will arrive: if this client dies
// before it does, the barrier breaks, as it does if it dies later.
func OpenBarrierAsParty(ctx context.Context, c *Client, name string) (*Barrier, error) {
	return c.openBarrier(ctx, "open barrier", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindBarrier), Party: new(true)})
}

// OpenOrCreateBarrier opens a barrier, or makes it; ErrOptionMismatch if it exists
// with another number of parties.
func OpenOrCreateBarrier(ctx context.Context, c *Client, name string, o BarrierOptions) (*Barrier, error) {
	return c.createBarrier(ctx, "open barrier", name, wire.MethodOpenOrCreate, o)
}

func (c *Client) createBarrier(ctx context.Context, op, name, method string, o BarrierOptions) (*Barrier, error) {
	w := wire.CreateOptions{Parties: &o.Parties}
	o.fill(&w)
	b, err := c.openBarrier(ctx, op, name, method, name, wire.KindBarrier, w)
	if err == nil && o.Party {
		if err := b.barrier.Declare(b.actor()); err != nil {
			return nil, errors.Join(wrap(op, name, err), b.Close())
		}
	}
	return b, err
}

func (c *Client) openBarrier(ctx context.Context, op, name, method string, params ...any) (*Barrier, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Barrier{o, o.segment.Barrier()}, nil
}

// Wait arrives, and waits until all parties have or ctx ends. The index is 0 for who
// arrived first, up to the number of parties less 1, so that each is another's.
//
// Errors: ErrTimedOut (ctx's deadline) and ErrCancelled, which break the barrier for
// the others; ErrBroken (it was, or somebody broke it meanwhile), ErrPeerDied (by the
// death of a party, which the text names, as Status does), ErrOutcomeUnknown (more
// than 8 rounds have gone by since, and nobody knows), ErrRemoved, ErrClosed,
// ErrPermission (read-only).
func (b *Barrier) Wait(ctx context.Context) (index int, err error) {
	r, err := b.arrive(ctx, false)
	return int(r.Index), wrap("wait at", b.info.Name, err)
}

// WaitAction is Wait, where the last to arrive runs action before anybody goes on. If
// it fails or panics, the barrier is broken: this party gets ErrBroken with action's
// error in it, the others ErrBroken alone. If the barrier was broken while action ran,
// by a waiter's deadline say, so does this party although action was successful.
func (b *Barrier) WaitAction(ctx context.Context, action func() error) (index int, err error) {
	r, err := b.arrive(ctx, true)
	if err == nil && r.Leader {
		err = b.lead(r, action)
	}
	return int(r.Index), wrap("wait at", b.info.Name, err)
}

func (b *Barrier) arrive(ctx context.Context, act bool) (r shm.Arrival, err error) {
	err = b.tryThenWait(ctx, func(ctx context.Context, timeout time.Duration) (err error) {
		r, err = b.arriveWithin(ctx, timeout, act)
		return err
	})
	return r, err
}

func (b *Barrier) arriveWithin(ctx context.Context, timeout time.Duration, act bool) (shm.Arrival, error) {
	b.releasing()
	r, err := b.barrier.Arrive(ctx, parker, b.actor(), timeout, act)
	b.acquired()
	return r, err
}

// lead runs the action of an arrival that waits for it.
func (b *Barrier) lead(r shm.Arrival, action func() error) (err error) {
	acted := false
	complete := func(ok bool) error {
		if err := b.usable(); err != nil {
			return err // the seat was given back, and the barrier broke by that
		}
		b.releasing()
		return b.barrier.Complete(b.actor(), r, ok)
	}
	defer func() {
		if !acted { // it panics, and is to go on doing so
			_ = complete(false)
		}
	}()
	err = action()
	acted = true
	if e := complete(err == nil); err == nil || e != nil {
		return e
	}
	return status.Wrap(status.Broken, "", err, "the action failed")
}

// TryWait is Wait that does not wait: it is successful for the last to arrive.
// ErrWouldBlock: others are missing, and this one did not arrive.
func (b *Barrier) TryWait() (index int, err error) {
	var r shm.Arrival
	if err = b.usable(); err == nil {
		r, err = b.arriveWithin(context.Background(), 0, false)
	}
	return int(r.Index), wrap("wait at", b.info.Name, err)
}

// Abort breaks the barrier. It may be repeated. Errors: ErrRemoved, ErrClosed,
// ErrPermission.
func (b *Barrier) Abort() error {
	err := b.usable()
	if err == nil {
		err = b.barrier.Abort(b.actor())
	}
	return wrap("abort", b.info.Name, err)
}

// Reset makes the barrier whole and empty; whoever waits is told that it broke. The
// notice is that of the death which had broken it, nil if none had. Errors as Abort.
func (b *Barrier) Reset() (n *Notice, err error) {
	if err = b.usable(); err == nil {
		n, err = b.barrier.Reset(b.actor())
	}
	return n, wrap("reset", b.info.Name, err)
}

// Status looks at the barrier. Errors: ErrRemoved, ErrClosed.
func (b *Barrier) Status() (s BarrierStatus, err error) {
	err = b.usable()
	switch {
	case err != nil:
	case b.segment.State() == shm.StateRemoved:
		err = status.Removed
	default:
		s = b.barrier.Status()
	}
	return s, wrap("look at", b.info.Name, err)
}
