package shmd

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Semaphore counts permits: Acquire takes some or waits for them, Release gives
// them back. A plain one is a counter, as sem_t: anybody may release, and what a
// dead client had taken is gone. With Undo, permits belong to the client that
// acquired them and come back exactly once when it dies. Not fair. Safe for
// concurrent use; permits belong to the client, not to a goroutine or a handle.
type Semaphore struct {
	*object
	permits *shm.Semaphore
}

// SemaphoreOptions are a semaphore's creation options.
type SemaphoreOptions struct {
	CommonOptions
	// Maximum is how many permits there may be; 0 = 2147483647. For a bounded
	// semaphore give the number of its initial permits.
	Maximum uint32
	// Undo gives the permits of a client that dies back.
	Undo bool
}

// Permits is a look at a semaphore that holds nothing still: Available ones, and
// with Undo the Total there is and those Held by this client.
type Permits = shm.Permits

// CreateSemaphore makes a semaphore of initial permits; "" makes an anonymous one.
// ErrExists if the name is taken.
func CreateSemaphore(ctx context.Context, c *Client, name string, initial uint32,
	o SemaphoreOptions) (*Semaphore, error) {
	return c.semaphore(ctx, "create semaphore", name, wire.MethodCreate, name, wire.KindSemaphore, o.wire(initial))
}

// OpenSemaphore opens a semaphore by name. Errors: ErrNotFound, ErrKindMismatch,
// ErrPermission, ErrSeatsFull.
func OpenSemaphore(ctx context.Context, c *Client, name string) (*Semaphore, error) {
	return c.semaphore(ctx, "open semaphore", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindSemaphore)})
}

// OpenOrCreateSemaphore opens a semaphore, or makes it with initial permits;
// ErrOptionMismatch if it exists with another maximum or without undo.
func OpenOrCreateSemaphore(ctx context.Context, c *Client, name string, initial uint32,
	o SemaphoreOptions) (*Semaphore, error) {
	return c.semaphore(ctx, "open semaphore", name, wire.MethodOpenOrCreate, name, wire.KindSemaphore, o.wire(initial))
}

func (o *SemaphoreOptions) wire(initial uint32) wire.CreateOptions {
	w := wire.CreateOptions{Initial: &initial, Undo: &o.Undo}
	if o.Maximum != 0 {
		w.Maximum = &o.Maximum
	}
	o.fill(&w)
	return w
}

func (c *Client) semaphore(ctx context.Context, op, name, method string, params ...any) (*Semaphore, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Semaphore{o, o.segment.Semaphore()}, nil
}

// Acquire takes n permits, all or none, waiting until ctx ends. Errors:
// ErrTimedOut (ctx's deadline), ErrCancelled, ErrInvalid (n is not 1 to the
// maximum), ErrUnsupported (n > 1 and not Undo), ErrRemoved, ErrClosed,
// ErrPermission (read-only); after each nothing was taken.
func (s *Semaphore) Acquire(ctx context.Context, n uint32) error {
	if n == 1 && s.usable() == nil && s.permits.TakeFree() {
		return nil
	}
	return s.acquire(ctx, n)
}

func (s *Semaphore) acquire(ctx context.Context, n uint32) error {
	acquire := func(ctx context.Context, timeout time.Duration) error {
		return s.permits.AcquireWait(ctx, parker, s.actor(), n, timeout)
	}
	return wrap("acquire", s.info.Name, s.tryThenWait(ctx, acquire))
}

// TryAcquire is Acquire that does not wait: ErrWouldBlock.
func (s *Semaphore) TryAcquire(n uint32) error {
	err := s.usable()
	if err == nil {
		err = s.permits.AcquireWait(context.Background(), parker, s.actor(), n, 0)
	}
	return wrap("acquire", s.info.Name, err)
}

// Release gives n permits back. With Undo this client must hold them:
// ErrNotOwner. Else there must be room: ErrOverflow. Other errors: ErrInvalid (n is
// 0), ErrRemoved, ErrClosed, ErrPermission; after each nothing was given.
func (s *Semaphore) Release(n uint32) error {
	if n == 1 && s.usable() == nil && s.permits.GiveFree() {
		return nil
	}
	return s.give("release", n, s.permits.Release)
}

// Post makes n new permits, whoever holds how many: ErrOverflow beyond the maximum.
// Without Undo it is Release.
func (s *Semaphore) Post(n uint32) error { return s.give("post", n, s.permits.Post) }

func (s *Semaphore) give(op string, n uint32,
	give func(context.Context, *shm.Parker, shm.Actor, uint32, time.Duration) error) error {
	err := s.usable()
	if err == nil {
		err = give(context.Background(), parker, s.actor(), n, -1)
	}
	return wrap(op, s.info.Name, err)
}

// Permits looks at the semaphore. Errors: ErrRemoved, ErrClosed.
func (s *Semaphore) Permits() (Permits, error) {
	var p Permits
	err := s.usable()
	switch {
	case err != nil:
	case s.segment.State() == shm.StateRemoved:
		err = status.Removed
	default:
		p = s.permits.Permits(s.info.Owner)
	}
	return p, wrap("look at", s.info.Name, err)
}
