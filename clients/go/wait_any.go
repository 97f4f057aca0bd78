package shmd

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Waitable is what WaitAny and a Pollable wait for: until a try on an object may
// succeed, or would say why it never will. Nothing is taken. Objects make them:
// Waitable of mutexes, semaphores and events, WaitableTake and WaitablePut of queues,
// WaitableRead of rwlocks, WaitableSend and WaitableRecv of streams and pipes,
// WaitableChange of values and arrays. The zero Waitable is
// refused.
type Waitable struct {
	object *object
	item   func() shm.Waitable // for one wait
	again  func() shm.Waitable // for a wait after another; nil = item
}

// WaitAny waits until a try on one of the items may succeed, and returns its index,
// the lowest if there are several. By the time of the try another may have been
// faster: try, and wait again after ErrWouldBlock. Errors: ErrTimedOut (ctx's
// deadline), ErrCancelled, ErrInvalid (no items, more than 1024), ErrClosed (any of
// them), ErrPermission (read-only), ErrCorrupt. That an object was destroyed is no
// error here: its try says so.
func WaitAny(ctx context.Context, items ...Waitable) (int, error) {
	index, err := waitAny(ctx, items, -1)
	return index, wrap("wait for any", "", err)
}

// TryWaitAny is WaitAny that only looks: ErrWouldBlock.
func TryWaitAny(items ...Waitable) (int, error) {
	index, err := waitAny(context.Background(), items, 0)
	return index, wrap("wait for any", "", err)
}

func waitAny(ctx context.Context, items []Waitable, timeout time.Duration) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waitables := make([]shm.Waitable, len(items))
	for i, item := range items {
		if item.object == nil {
			return 0, status.New(status.Invalid, "", "item %d is no object's", i)
		}
		end, err := item.object.beginWait(cancel)
		if err != nil {
			return i, err
		}
		defer end()
		waitables[i] = item.item()
	}
	index, err := shm.WaitAny(ctx, parker, waitables, timeout)
	if err != nil {
		for i, item := range items {
			if item.object.closed.Load() {
				return i, status.Closed
			}
		}
	}
	return index, err
}

// Waitable is the mutex becoming free.
func (m *Mutex) Waitable() Waitable {
	return Waitable{object: m.object, item: func() shm.Waitable { return m.guard.Waitable(m.holder) }}
}

// Waitable is a permit that can be acquired.
func (s *Semaphore) Waitable() Waitable {
	return Waitable{object: s.object, item: func() shm.Waitable { return s.permits.Waitable(s.actor()) }}
}

// WaitableTake is a message that can be taken or leased, or the end of the queue.
func (q *Queue) WaitableTake() Waitable {
	return Waitable{object: q.object, item: func() shm.Waitable { return q.queue.WaitableTake(q.actor()) }}
}

// WaitablePut is a slot for another message, or the end of the queue.
func (q *Queue) WaitablePut() Waitable {
	return Waitable{object: q.object, item: func() shm.Waitable { return q.queue.WaitablePut(q.actor()) }}
}

// WaitableChange is a version other than the given one. A Pollable goes on from the
// version that is current when it is armed again.
func (d *data[T]) WaitableChange(version uint64) Waitable {
	since := func(version uint64) shm.Waitable { return d.elements.WaitableChange(d.info.Owner, version) }
	return Waitable{
		object: d.object,
		item:   func() shm.Waitable { return since(version) },
		again:  func() shm.Waitable { return since(d.elements.Version()) },
	}
}
