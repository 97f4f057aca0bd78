package main

import (
	"context"
	"errors"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// lead runs the command of the last to arrive at a barrier.
func (w *waiter) lead(ctx context.Context) error {
	h := &holding{app: w.app, object: w.object, verb: "wait", what: "the barrier"}
	command, err := w.app.command(w.words)
	var ran commandResult
	if err == nil {
		ran, err = h.runCommand(command)
	}
	if err != nil {
		return errors.Join(err, h.giveBack(ctx, wire.MethodComplete, false))
	}
	if err := h.giveBack(ctx, wire.MethodComplete, ran.code == 0); err != nil && ran.code == 0 {
		return err // the others did not go on, so neither do we
	}
	return h.end(ran, nil)
}

// condition waits for a condition under its mutex: once, or until the command
// succeeds.
func (w *waiter) condition(ctx context.Context) error {
	deadline := time.Now().Add(time.Duration(w.timeout)) // read only if there is a timeout
	l := w.app.newHeldLock(w.object, "wait")
	if err := l.take(ctx, w.timeout); err != nil {
		return err
	}
	held, err := true, error(nil)
	for {
		if err = l.refuseStrict(ctx); err != nil {
			return err
		}
		if len(w.words) > 0 {
			var good bool
			if good, err = w.holds(l); good || err != nil {
				break
			}
		}
		timeout := w.timeout
		if timeout > 0 {
			timeout = max(time.Until(deadline).Nanoseconds(), 0)
		}
		if held, err = l.waitCondition(ctx, timeout); err != nil || len(w.words) == 0 {
			break
		}
	}
	if held {
		err = errors.Join(on(w.object.name, err), l.giveBack(ctx, l.unlock))
	}
	return w.show(err, document{{"notified", true}})
}

// holds runs the command, which says whether there is nothing left to wait for.
func (w *waiter) holds(l *heldLock) (bool, error) {
	command, err := w.app.command(w.words)
	if err != nil {
		return false, err
	}
	ran, err := l.run(command)
	if err == nil && ran.ended { // a failure that means: no more
		err = l.end(ran, nil)
	}
	return err == nil && ran.code == 0, err
}

// waitCondition waits once, and tells what take does. held: the mutex is held again.
func (l *heldLock) waitCondition(ctx context.Context, timeout int64) (held bool, err error) {
	var n *wire.Notice
	err = l.object.call(ctx, wire.MethodWaitCondition, &n, timeout)
	l.tell(n)
	switch status.Of(err) {
	case status.OK, status.WouldBlock, status.TimedOut, status.Cancelled:
		return true, err
	}
	return false, err
}
