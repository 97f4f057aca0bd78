package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// latchPollMax bounds the pauses of a daemon that wants a latch.
const latchPollMax = 2 * time.Millisecond

// latchPatience is how long the daemon polls for a latch whose holder lives: one
// that is stopped must not hold up what else the daemon does for the same client,
// the end of its session above all. Variable for tests.
var latchPatience = 5 * time.Second

// enter takes the latch for the actor; found is as TryLatch's.
// A client sleeps until the deadline (absolute CLOCK_MONOTONIC in ns, 0 = none).
// The daemon polls, for seat 4095 never announces itself in a latch, and gives up
// after latchPatience: status.Busy, which says nothing about the object. With try
// it gives up after a moment.
func (l *Latch) enter(ctx context.Context, p *Parker, a Actor, deadline int64, try bool) (found uint32, err error) {
	found, err = l.TryLatch(a.Latcher)
	if err == nil {
		return found, nil
	}
	return l.enterSlowly(ctx, p, a, deadline, try, false)
}

// enterSlowly is enter of who has tried in vain; many = for a batch.
func (l *Latch) enterSlowly(ctx context.Context, p *Parker, a Actor, deadline int64, try bool,
	many bool) (found uint32, err error) {
	if !a.daemon() {
		return l.await(ctx, p, a.Latcher, deadline, many)
	}
	l.spinWhileHeld(many)
	// Its own pauses count, not a clock: that goes on while nobody runs, neither the holder.
	waited := time.Duration(0)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, latchPollMax) {
		found, err = l.TryLatch(a.Latcher)
		if err == nil {
			return found, nil
		}
		if try {
			return 0, status.New(status.Busy, "", "another client is in the middle of an operation")
		}
		if l.seg.State() == StateRemoved { // its holder may be dead and never recovered
			return 0, status.Removed
		}
		if deadline != 0 && monotonicNs() >= deadline {
			return 0, status.TimedOut
		}
		if waited >= latchPatience {
			return 0, status.New(status.Busy, "", "the client in seat %d has been in the middle of an operation "+
				"for %v: is it stopped? stat says which process it is", l.holder(), latchPatience)
		}
		waited += pause
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return 0, endOf(ctx)
		case <-t.C:
		}
	}
}
