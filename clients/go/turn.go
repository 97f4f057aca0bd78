package shmd

import (
	"context"
	"sync/atomic"
)

// turn lets one call at a time in, as a mutex whose waits end with a context. Its zero
// value is not ready: newTurn.
type turn struct {
	state atomic.Uint32 // 0 = free, 1 = taken, 2 = taken, and somebody may wait
	freed chan struct{} // holds a token for whoever waits
}

func newTurn() turn { return turn{freed: make(chan struct{}, 1)} }

// try takes the turn if it is free.
func (t *turn) try() bool { return t.state.CompareAndSwap(0, 1) }

// take waits for the turn until ctx ends, with the error that says so.
func (t *turn) take(ctx context.Context) error {
	if t.try() {
		return nil
	}
	for t.state.Swap(2) != 0 {
		select {
		case <-t.freed:
		case <-ctx.Done():
			return endOf(ctx)
		}
	}
	return nil
}

// give lets the next in. It is small enough to be inlined, and always an atomic exchange.
func (t *turn) give() {
	if t.state.Swap(0) == 2 {
		t.rouse()
	}
}

func (t *turn) rouse() {
	select {
	case t.freed <- struct{}{}:
	default: // a token is there already
	}
}
