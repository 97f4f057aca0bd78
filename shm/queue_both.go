package shm

import "context"

// Both latches of a queue, for what looks at the whole of it: a count, and a rebuild.
// That of the producers first. Nobody sleeps for one with the other in hand: its holder
// may be dead, and recovery wants both.

// bothTries and bothPauses bound the wait for a second latch, to some holds.
const (
	bothTries  = 100
	bothPauses = 10
)

// tryAWhile runs try until it is true, for a moment.
func tryAWhile(try func() bool) bool {
	for range bothTries {
		if try() {
			return true
		}
		pause(bothPauses)
	}
	return false
}

// enterBoth is enter for both latches; what a daemon left that is gone is rebuilt.
func (w *queueWait) enterBoth(ctx context.Context, p *Parker) error {
	q, me := w.q, w.actor.Latcher
	if err := q.seg.admits(w.actor.Seat); err != nil {
		return err
	}
	var put, take uint32
	for {
		var err error
		if put, err = w.enterOne(ctx, p, q.putLatch); err != nil {
			return err
		}
		if tryAWhile(func() bool { take, err = q.takeLatch.TryLatch(me); return err == nil }) {
			break
		}
		q.putLatch.PutBack(me, put)
		if take, err = w.enterOne(ctx, p, q.takeLatch); err != nil {
			return err
		}
		q.takeLatch.PutBack(me, take)
	}
	err := q.refuses()
	if err == nil && !(isFree(put) && isFree(take)) && !q.rebuild() {
		err = errCorrupt
	}
	if err != nil {
		return orElse(w.leaveBoth(), err)
	}
	return nil
}

// leaveBoth ends what enterBoth began.
func (w *queueWait) leaveBoth() error {
	q := w.q
	err := q.unlatch(q.takeLatch, w.actor)
	err = orElse(q.unlatch(q.putLatch, w.actor), err)
	w.wakeOthers()
	return err
}

// repair rebuilds what a daemon left that is gone, unless another has.
func (w *queueWait) repair(ctx context.Context, p *Parker) error {
	if err := w.enterBoth(ctx, p); err != nil {
		return err
	}
	return w.leaveBoth()
}

// stealBoth takes both latches for recovery; false = a living client has one of them:
// recover again later. What was found in the first is there again then.
func (q *Queue) stealBoth(v *Victim) bool {
	var put uint32
	var ok bool
	if !tryAWhile(func() bool { put, ok = q.putLatch.Steal(v.Daemon, v.lives); return ok }) {
		return false
	}
	if tryAWhile(func() bool { _, ok = q.takeLatch.Steal(v.Daemon, v.lives); return ok }) {
		return true
	}
	q.putLatch.PutBack(v.Daemon, put)
	return false
}

// finish ends what stealBoth began; as Latch.finish.
func (q *Queue) finish(v *Victim, cameBack bool) bool {
	return finishAll(v, cameBack, []*Latch{q.takeLatch, q.putLatch}, []eventcount{q.notEmpty, q.notFull, q.idle})
}

// holder is the seat of one who is in the middle of an operation, as of a latch. If both
// sides have one, it is that of who stays.
func (q *Queue) holder() uint16 {
	put, take := q.putLatch.holder(), q.takeLatch.holder()
	if put == 0 || take == 0 {
		return put | take
	}
	for range bothTries {
		switch {
		case q.putLatch.holder() != put:
			return take
		case q.takeLatch.holder() != take:
			return put
		}
		pause(bothPauses)
	}
	return put
}

// inOperation reports whether somebody is in the middle of an operation, or was: a client
// may have taken a latch of a daemon that is gone, and put it back.
func (q *Queue) inOperation() bool {
	return !isFree(load32(q.putLatch.word)) || !isFree(load32(q.takeLatch.word))
}
