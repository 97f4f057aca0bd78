package shmd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/shm"
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
// before; whoever ends it calls rouse.
func (o *object) slowlyIn(part, ctx context.Context, wait func(ctx context.Context) error) error {
	w := waitContexts.Get().(*waitContext)
	w.Context, w.closing = ctx, part
	if err := o.beginSlow(w); err != nil {
		return err
	}
	defer o.endSlow(w)
	err := wait(w)
	if err != nil && o.closed.Load() {
		return status.Closed
	}
	return err
}

// beginSlow enters a wait into the list of those that rouse ends. ErrClosed = it was closed.
func (o *object) beginSlow(w *waitContext) error {
	o.waitsMu.Lock()
	defer o.waitsMu.Unlock()
	if o.closed.Load() {
		return status.Closed
	}
	w.next = o.slow
	if w.next != nil {
		w.next.link = &w.next
	}
	o.slow, w.link = w, &o.slow
	return nil
}

// endSlow follows the last use of its context.
func (o *object) endSlow(w *waitContext) {
	o.waitsMu.Lock()
	*w.link = w.next
	if w.next != nil {
		w.next.link = w.link
	}
	o.waitsMu.Unlock()
	w.end()
}

// rouse ends the waits under a part of the object, whose context has ended; all, if that
// is the object's. It returns when they are over.
func (o *object) rouse(part context.Context) {
	some := true
	shm.RouseUntil(func() { some = o.rouseOnce(part) }, func() bool { return !some })
}

func (o *object) rouseOnce(part context.Context) (some bool) {
	o.waitsMu.Lock()
	defer o.waitsMu.Unlock()
	for w := o.slow; w != nil; w = w.next {
		if part == o.ctx || part == w.closing {
			w.sleeper.Rouse()
			some = true
		}
	}
	return some
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

// waitContext is the caller's context, which Close cancels too. To be told of that by a
// channel takes longer than most waits: so it begins when somebody asks for the channel,
// and who sleeps in the kernel is roused instead. It implements shm.Restless.
type waitContext struct {
	context.Context                 // the caller's
	closing         context.Context // ends by Close
	sleeper         shm.Sleeper
	next            *waitContext  // protected by the object's waitsMu
	link            **waitContext // protected by it; what points here
	over            atomic.Bool
	watched         func() bool // ends that the end of the caller's context rouses; nil = none yet
	once            sync.Once
	both            context.Context    // nil = not yet needed
	cancel          context.CancelFunc // with both
	stop            func() bool        // with both
}

// Sleeper implements shm.Restless.
func (w *waitContext) Sleeper() *shm.Sleeper {
	if w.watched == nil && w.Context.Done() != nil {
		w.watched = context.AfterFunc(w.Context, func() { shm.RouseUntil(w.sleeper.Rouse, w.over.Load) })
	}
	return &w.sleeper
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

// waitContexts are those that were used by nobody but who waited.
var waitContexts = sync.Pool{New: func() any { return new(waitContext) }}

// end follows the last use.
func (w *waitContext) end() {
	switch {
	case w.watched == nil && w.both == nil:
		w.Context, w.closing, w.next, w.link = nil, nil, nil, nil
		waitContexts.Put(w)
		return
	case w.watched != nil:
		w.over.Store(true)
		w.watched()
	}
	if w.both != nil {
		w.stop()
		w.cancel()
	}
}
