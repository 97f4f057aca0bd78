package shm

import (
	"context"

	"github.com/shmd/shmd/status"
)

// gate lets so many goroutines of one process through at once as it has room for: those
// that sleep in the kernel, for whom it keeps the others. So whatever is woken there
// does not stir all who wait. Protocol: tests/models/gate.pml. Safe for concurrent use.
type gate chan struct{}

// enter waits for room. Errors, with nothing to leave: status.TimedOut at the deadline
// (absolute CLOCK_MONOTONIC in ns, 0 = none), and Cancelled with ctx.
func (g gate) enter(ctx context.Context, deadline int64) error {
	if g.tryEnter() {
		return nil
	}
	timer, stop := timerAt(deadline)
	defer stop()
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return endOf(ctx)
	case <-timer:
		return status.TimedOut
	}
}

func (g gate) tryEnter() bool {
	select {
	case g <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g gate) leave() { <-g }
