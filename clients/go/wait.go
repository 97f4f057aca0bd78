package shmd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shmd/shmd/status"
)

// tryThenWait runs an operation at once if it needs no waiting, and else lets it
// wait until ctx ends or the handle is closed. act is called with timeout 0 first.
func (o *object) tryThenWait(ctx context.Context, act func(ctx context.Context, timeout time.Duration) error) error {
	if err := o.usable(); err != nil {
		return err
	}
	err := act(ctx, 0)
	if !errors.Is(err, status.WouldBlock) {
		return err
	}
	return o.slowly(ctx, func(ctx context.Context) error { return act(ctx, -1) })
}

// slowly runs a wait, which Close ends too.
func (o *object) slowly(ctx context.Context, wait func(ctx context.Context) error) error {
	return o.slowlyIn(o.ctx, ctx, wait)
}

// slowlyIn is slowly for a part of the object, whose context ends with the object's, or
// before.
func (o *object) slowlyIn(part, ctx context.Context, wait func(ctx context.Context) error) error {
	if err := o.enterWait(); err != nil {
		return err
	}
	defer o.waits.Done()
	w := &waitContext{Context: ctx, closing: part}
	defer w.end()
	err := wait(w)
	if err != nil && o.closed.Load() {
		return status.Closed
	}
	return err
}

// enterWait makes Close wait for waits.Done. ErrClosed = it was closed.
func (o *object) enterWait() error {
	o.waitsMu.Lock()
	defer o.waitsMu.Unlock()
	if o.closed.Load() {
		return status.Closed
	}
	o.waits.Add(1)
	return nil
}

// beginWait makes Close call cancel, and wait for end. ErrClosed = it was closed.
func (o *object) beginWait(cancel context.CancelFunc) (end func(), err error) {
	if err := o.enterWait(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(o.ctx, cancel)
	return func() {
		stop()
		o.waits.Done()
	}, nil
}

// waitContext is the caller's context, which Close cancels too. To be
// told of that takes longer than most waits, which end while they spin: so it begins
// when somebody asks for the channel.
type waitContext struct {
	context.Context                 // the caller's
	closing         context.Context // ends by Close
	once            sync.Once
	both            context.Context    // nil = not yet needed
	cancel          context.CancelFunc // with both
	stop            func() bool        // with both
}

func (w *waitContext) cancellable() context.Context {
	w.once.Do(func() {
		w.both, w.cancel = context.WithCancel(w.Context)
		w.stop = context.AfterFunc(w.closing, w.cancel)
	})
	return w.both
}

func (w *waitContext) Done() <-chan struct{} { return w.cancellable().Done() }

func (w *waitContext) Err() error {
	if err := w.closing.Err(); err != nil {
		return err
	}
	return w.Context.Err()
}

// Value lets package context find the cancellation, which spares it a goroutine for each
// context that stands on this one.
func (w *waitContext) Value(key any) any { return w.cancellable().Value(key) }

// end follows the last use.
func (w *waitContext) end() {
	if w.both != nil {
		w.stop()
		w.cancel()
	}
}
