package shmd

import (
	"context"
	"runtime"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Event is waited for until it is set. With manual reset, which is the default, it
// stays set until Reset, and everybody who waits goes on; with AutoReset each Set
// lets one waiter go on. Whoever dies waiting takes no Set along. Safe for
// concurrent use.
type Event struct {
	*object
	event *shm.Event
}

// EventOptions are an event's creation options.
type EventOptions struct {
	CommonOptions
	// AutoReset lets one waiter go on for each Set, which is then used up.
	AutoReset bool
	// Set makes the event set from the beginning.
	Set bool
}

// CreateEvent makes an event; "" makes an anonymous one. ErrExists if the name is
// taken.
func CreateEvent(ctx context.Context, c *Client, name string, o EventOptions) (*Event, error) {
	return c.event(ctx, "create event", name, wire.MethodCreate, name, wire.KindEvent, o.wire())
}

// OpenEvent opens an event by name. Errors: ErrNotFound, ErrKindMismatch,
// ErrPermission, ErrSeatsFull.
func OpenEvent(ctx context.Context, c *Client, name string) (*Event, error) {
	return c.event(ctx, "open event", name, wire.MethodOpen, name, wire.OpenOptions{Kind: new(wire.KindEvent)})
}

// OpenEventReadOnly is OpenEvent for IsSet alone, for which read permission is
// enough.
func OpenEventReadOnly(ctx context.Context, c *Client, name string) (*Event, error) {
	return c.event(ctx, "open event", name, wire.MethodOpen, name,
		wire.OpenOptions{Kind: new(wire.KindEvent), Access: new(wire.AccessRead)})
}

// OpenOrCreateEvent opens an event, or makes it; ErrOptionMismatch if it exists with
// the other sort of reset. Whether an event that exists is set does not matter.
func OpenOrCreateEvent(ctx context.Context, c *Client, name string, o EventOptions) (*Event, error) {
	return c.event(ctx, "open event", name, wire.MethodOpenOrCreate, name, wire.KindEvent, o.wire())
}

func (o *EventOptions) wire() wire.CreateOptions {
	w := wire.CreateOptions{AutoReset: &o.AutoReset, Set: &o.Set}
	o.fill(&w)
	return w
}

func (c *Client) event(ctx context.Context, op, name, method string, params ...any) (*Event, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Event{o, o.segment.Event()}, nil
}

// Set sets the event and wakes who waits for it: everybody, or with AutoReset one.
// An event that is set stays so. Errors: ErrRemoved, ErrClosed, ErrPermission
// (read-only).
func (e *Event) Set() error { return e.change("set", e.event.Set) }

// Reset makes the event unset. Who was waiting when it was set goes on all the same.
// Errors as Set.
func (e *Event) Reset() error { return e.change("reset", e.event.Reset) }

// Pulse lets everybody go on who waits now, and leaves the event unset. Errors as
// Set, and ErrUnsupported with AutoReset.
func (e *Event) Pulse() error { return e.change("pulse", e.event.Pulse) }

func (e *Event) change(op string, change func(shm.Actor) error) error {
	err := e.usable()
	if err == nil {
		e.releasing()
		err = change(e.actor())
	}
	return wrap(op, e.info.Name, err)
}

// Wait waits until the event is set or ctx ends; with AutoReset it uses the Set up.
// Errors: ErrTimedOut (ctx's deadline), ErrCancelled, ErrRemoved, ErrClosed,
// ErrPermission (read-only).
func (e *Event) Wait(ctx context.Context) error {
	return wrap("wait for", e.info.Name, e.tryThenWait(ctx, e.wait))
}

func (e *Event) wait(ctx context.Context, timeout time.Duration) error {
	err := e.event.Wait(ctx, parker, e.actor(), timeout)
	e.acquired()
	return err
}

// TryWait is Wait that does not wait: ErrWouldBlock if the event is not set.
func (e *Event) TryWait() error {
	err := e.usable()
	if err == nil {
		err = e.wait(context.Background(), 0)
	}
	return wrap("wait for", e.info.Name, err)
}

// Waitable is the event being set: that a TryWait may succeed.
func (e *Event) Waitable() Waitable {
	return Waitable{object: e.object, item: func() shm.Waitable { return e.event.Waitable(e.actor()) }}
}

// IsSet reports whether the event is set. With AutoReset another may use that up
// before the caller has read the answer. Errors: ErrRemoved, ErrClosed.
func (e *Event) IsSet() (bool, error) {
	set, live := e.event.Look()
	if e.closed.Load() || !live {
		return false, e.gone()
	}
	e.acquired()
	runtime.KeepAlive(e) // the mapping goes with it
	return set, nil
}

// gone is why there is nothing to look at any more. It is apart, so that a look needs
// no room for an error.
func (e *Event) gone() error {
	err := e.usable()
	if err == nil {
		err = status.Removed
	}
	return wrap("look at", e.info.Name, err)
}
