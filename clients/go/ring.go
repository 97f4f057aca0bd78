package shmd

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// direction is one role at one ring: what sending and receiving share. Its calls take
// turns.
type direction struct {
	object *object         // immutable
	ctx    context.Context // immutable; ended by close, and with the handle
	end    context.CancelFunc
	over   atomic.Bool // closed
	turn   turn
}

func newDirection(o *object) *direction {
	d := &direction{object: o, turn: newTurn()}
	d.ctx, d.end = context.WithCancel(o.ctx)
	return d
}

// close ends the calls that wait, and keeps all others off from now on. True = it
// was open, and the caller ends the role.
func (d *direction) close() bool {
	if d.over.Swap(true) {
		return false
	}
	d.end()
	d.object.rouse(d.ctx)
	_ = d.turn.take(context.Background()) // for ever: its error is the context's
	return true
}

// begin lets a call in that does not wait.
func (d *direction) begin() error {
	if err := d.usable(); err != nil {
		return err
	}
	return d.turn.take(d.ctx)
}

// usable is ErrClosed once the role or the handle was closed.
func (d *direction) usable() error {
	if d.over.Load() {
		return status.Closed
	}
	return d.object.usable()
}

// enters lets a call in that finds nothing in its way; then the turn is its own. It is small
// enough to be inlined; false = try, or wait, says what it is.
func (d *direction) enters() bool { return !d.over.Load() && !d.object.closed.Load() && d.turn.try() }

// now runs an act that does not wait.
func (d *direction) now(act func() error) error {
	if err := d.begin(); err != nil {
		return d.ended(err)
	}
	defer d.turn.give()
	return act()
}

// mayTry takes the turn for a call that does not wait for that either: ErrWouldBlock while
// another call has it.
func (d *direction) mayTry() error {
	if err := d.usable(); err != nil {
		return err
	}
	if !d.turn.try() {
		return d.ended(status.WouldBlock)
	}
	return nil
}

// try is now that does not wait for its turn.
func (d *direction) try(act func() error) error {
	if err := d.mayTry(); err != nil {
		return err
	}
	defer d.turn.give()
	return act()
}

// ended is err, or ErrClosed if the role was closed meanwhile.
func (d *direction) ended(err error) error {
	if err != nil && d.over.Load() {
		return status.Closed
	}
	return err
}

// wait runs an act that waits until ctx ends, or the role or the handle is closed. act
// is called with timeout 0 first, unless it is long: that goes in pieces, which are not
// begun in vain.
func (d *direction) wait(ctx context.Context, long bool,
	act func(ctx context.Context, timeout time.Duration) error) error {
	if err := d.usable(); err != nil {
		return err
	}
	mine := d.turn.try()
	if mine && !long {
		if err := act(ctx, 0); !errors.Is(err, status.WouldBlock) {
			d.turn.give()
			return err
		}
	}
	return d.ended(d.waitSlow(ctx, mine, act))
}

// waitSlow waits for the turn, if it is not the call's already, and then runs act.
func (d *direction) waitSlow(ctx context.Context, mine bool,
	act func(ctx context.Context, timeout time.Duration) error) error {
	err := d.object.slowlyIn(d.ctx, ctx, func(ctx context.Context) error {
		if !mine {
			if err := d.turn.take(ctx); err != nil {
				return err
			}
			mine = true
		}
		return act(ctx, -1)
	})
	if mine {
		d.turn.give()
	}
	return err
}

// waitable makes one for WaitAny. It looks at shared words only, so it takes no turn.
func (d *direction) waitable(item func() shm.Waitable) Waitable {
	return Waitable{object: d.object, item: item}
}
