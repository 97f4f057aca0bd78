package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// waitItemBytes is what one item of a wait keeps in the parker, about.
const waitItemBytes = 256

func (c *call) waitAny() error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	list, err := c.params.List("items")
	if err != nil {
		return err
	}
	if n := list.Len(); n < 1 || n > wire.WaitItemsMax {
		return status.New(status.Invalid, "", "%d items; it must be 1 to %d", n, wire.WaitItemsMax)
	}
	var handles []*handle
	var items []shm.Waitable
	for list.More() {
		item, err := list.List("item")
		if err != nil {
			return err
		}
		h, waitable, err := c.waitable(item)
		if err != nil {
			return err
		}
		handles, items = append(handles, h), append(items, waitable)
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	parker := c.session.server.parker
	return c.tryThenWaitOn(handles, waitItemBytes*len(items), timeout,
		func(ctx context.Context, timeout time.Duration) (appender, error) {
			index, err := shm.WaitAny(ctx, parker, items, timeout)
			if err != nil {
				return nil, err
			}
			return func(b []byte) ([]byte, error) { return wire.AppendUint(b, uint64(index)), nil }, nil
		}, nil)
}

// waitable reads one item.
func (c *call) waitable(item wire.Params) (*handle, shm.Waitable, error) {
	if err := item.Arity(2, 3); err != nil {
		return nil, nil, err
	}
	number, err := item.Uint64("handle")
	if err != nil {
		return nil, nil, err
	}
	until, err := item.Str("until")
	if err != nil {
		return nil, nil, err
	}
	h, err := c.session.handle(number)
	if err == nil {
		err = h.alive()
	}
	if err == nil {
		err = h.writable()
	}
	if err != nil {
		return nil, nil, err
	}
	o := h.seat.object
	takesVersion, mayNameEnd := until == wire.UntilChanged, o.pipe != nil
	if item.More() != takesVersion && !mayNameEnd {
		return nil, nil, status.New(status.BadParams, "", "an item until %.32q has %d elements, a handle, until, "+
			"and for changed a version", until, item.Len())
	}
	waitable, err := c.until(h, until, &item)
	return h, waitable, on(o, err)
}

// until is what is waited for at an object.
func (c *call) until(h *handle, until string, item *wire.Params) (shm.Waitable, error) {
	o, actor := h.seat.object, c.actor(h)
	switch {
	case until == wire.UntilFree && o.rwlock == nil && o.lock != nil:
		return o.lock.Waitable(h.seat.holder(0).Word), nil
	case until == wire.UntilFree && o.array != nil:
		return nil, status.New(status.Unsupported, "", "%s was created without a lock", o.describe())
	case until == wire.UntilPermit && o.semaphore != nil:
		return o.semaphore.Waitable(actor), nil
	case until == wire.UntilMessage && o.queue != nil:
		return o.queue.WaitableTake(actor), nil
	case until == wire.UntilSlot && o.queue != nil:
		return o.queue.WaitablePut(actor), nil
	case until == wire.UntilSet && o.event != nil:
		return o.event.Waitable(actor), nil
	case until == wire.UntilReadable && o.rwlock != nil:
		return o.rwlock.WaitableRead(h.seat.word), nil
	case (until == wire.UntilReadable || until == wire.UntilWritable) && (o.stream != nil || o.pipe != nil):
		return h.seat.untilReady(until, item)
	case until == wire.UntilChanged && o.array != nil:
		version, err := item.Uint64("version")
		return o.array.WaitableChange(h.seat.word, version), err
	}
	return nil, status.New(status.KindMismatch, "", "it is %s: there is no until %.32q of it", o.describe(), until)
}

// untilReady is a message or bytes to receive, or room to send.
func (s *seat) untilReady(until string, item *wire.Params) (shm.Waitable, error) {
	end, err := item.StrOr("end", "")
	if err != nil {
		return nil, err
	}
	purpose := receives
	if until == wire.UntilWritable {
		purpose = sends
	}
	d, err := s.direction(purpose, end)
	switch {
	case err != nil:
		return nil, err
	case purpose == sends:
		return d.writer.Waitable(), nil
	}
	return d.reader.Waitable(), nil
}
