package shm

import (
	"context"
	"time"
)

// Join waits until no message is ready and none is leased: until all that was put is
// done. What is being written does not count, nor do dead letters; Shutdown does not
// end it. It is over when it finds the queue so: more may be put at any time. Other
// errors: status.WouldBlock and TimedOut if the queue does not become so.
func (q *Queue) Join(ctx context.Context, p *Parker, a Actor, timeout time.Duration) error {
	w := queueWait{q: q, actor: a, latch: q.takeLatch, ec: q.idle, goal: forIdle, spun: true,
		callClock: within(timeout)}
	for {
		if err := w.enter(ctx, p); err != nil {
			return err
		}
		w.endLeases()
		if q.isIdle() {
			return w.leave(nil)
		}
		err := w.sleep(ctx, p)
		w.duty = false // whoever wakes one wakes all
		if err != nil {
			return err
		}
	}
}

// isIdle reports, with the latch of the consumers held, whether no message is ready or
// leased.
func (q *Queue) isIdle() bool { return load32(&q.lines.LeasedCount) == 0 && !q.mayTake() }

// endsJoins announces that the queue is idle, if it is, with the latch of the consumers
// held. True = idle.wake(futexAll) is due once the latch is free.
func (q *Queue) endsJoins() bool {
	return q.idle.load()&eventcountWaiters != 0 && q.isIdle() && q.idle.signal()
}
