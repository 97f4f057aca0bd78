package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// data reads the handle of a value or array.
func (c *call) data() (*handle, *shm.Array, error) {
	h, err := c.live()
	if err != nil {
		return nil, nil, err
	}
	o := h.seat.object
	if o.array == nil {
		return nil, nil, status.New(status.KindMismatch, "", "%s has no data", o.describe()).On(o.label())
	}
	return h, o.array, nil
}

// writableData is data, for a call that changes it.
func (c *call) writableData() (*handle, *shm.Array, error) {
	h, array, err := c.data()
	if err == nil {
		err = h.writable()
	}
	return h, array, err
}

// index reads an element's index.
func (c *call) index(o *object, fallback bool) (uint64, error) {
	if fallback && !c.params.More() {
		return 0, nil
	}
	i, err := c.params.Int64("index")
	if err == nil && i < 0 {
		err = status.New(status.BadIndex, "",
			"index %d; the object has %d elements, the first is 0", i, o.geometry.Length).
			On(o.label())
	}
	return uint64(i), err
}

// writableElement reads what every change of one element has first among so many parameters:
// the handle, and the index.
func (c *call) writableElement(arity int) (*object, *shm.Array, uint64, error) {
	if err := c.params.Arity(arity, arity); err != nil {
		return nil, nil, 0, err
	}
	h, array, err := c.writableData()
	if err != nil {
		return nil, nil, 0, err
	}
	i, err := c.index(h.seat.object, false)
	return h.seat.object, array, i, err
}

// bits reads one value of the object's type.
func (c *call) bits(o *object, what string) (uint64, error) {
	d, err := c.params.Decoder(what)
	if err != nil {
		return 0, err
	}
	defer wire.ReleaseDecoder(d)
	bits, err := ctypes.DecodeMsgpack(d, o.geometry.Code)
	return bits, on(o, err)
}

// element answers with one value of the object's type.
func (c *call) element(o *object, bits uint64) error {
	b, err := ctypes.AppendMsgpack(wire.AppendResultHeader(c.out, c.id), o.geometry.Code, bits)
	if err != nil {
		// Only a 'u' that raw memory holds and that is no character.
		return on(o, status.New(status.Corrupt, "", "%v", err))
	}
	c.out = b
	return nil
}

func (c *call) get() error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	h, array, err := c.data()
	if err != nil {
		return err
	}
	o := h.seat.object
	i, err := c.index(o, true)
	if err != nil {
		return err
	}
	bits, err := array.Load(i)
	if err != nil {
		return on(o, err)
	}
	return c.element(o, bits)
}

func (c *call) set() error {
	o, array, i, err := c.writableElement(3)
	if err != nil {
		return err
	}
	bits, err := c.bits(o, "value")
	if err != nil {
		return err
	}
	if err := array.Store(i, bits); err != nil {
		return on(o, err)
	}
	return c.nothing()
}

func (c *call) add() error {
	o, array, i, err := c.writableElement(3)
	if err != nil {
		return err
	}
	add := array.FetchAddChecked
	var delta uint64
	if negative := c.params; o.geometry.Code.Kind() == ctypes.KindUint {
		// Codes without negative values can be counted down all the same.
		if d, err := negative.Int64("delta"); err == nil && d < 0 {
			add, delta = array.FetchSubChecked, -uint64(d)
		}
	}
	if delta == 0 {
		if delta, err = c.bits(o, "delta"); err != nil {
			return err
		}
	}
	before, err := add(i, delta)
	if err != nil {
		return on(o, err)
	}
	return c.element(o, before)
}

func (c *call) exchange() error {
	o, array, i, err := c.writableElement(3)
	if err != nil {
		return err
	}
	bits, err := c.bits(o, "value")
	if err != nil {
		return err
	}
	before, err := array.Exchange(i, bits)
	if err != nil {
		return on(o, err)
	}
	return c.element(o, before)
}

func (c *call) compareExchange() error {
	o, array, i, err := c.writableElement(4)
	if err != nil {
		return err
	}
	expected, err := c.bits(o, "expected")
	if err != nil {
		return err
	}
	desired, err := c.bits(o, "desired")
	if err != nil {
		return err
	}
	swapped, before, err := array.CompareExchange(i, expected, desired)
	if err != nil {
		return on(o, err)
	}
	c.out = wire.AppendBool(wire.AppendArrayLen(wire.AppendResultHeader(c.out, c.id), 2), swapped)
	if c.out, err = ctypes.AppendMsgpack(c.out, o.geometry.Code, before); err != nil {
		return on(o, status.New(status.Corrupt, "", "%v", err))
	}
	return nil
}

// access names who acts: the client's thread of control if that holds the lock,
// else the daemon itself, for this one call.
func (c *call) access(h *handle, token uint32) shm.Access {
	if a := h.seat.access(token); h.seat.object.lock != nil && h.seat.object.lock.Holds(a.Holder) {
		return a
	}
	return c.session.server.own()
}

// read answers with a consistent cut.
func (c *call) read() error {
	if err := c.params.Arity(1, 5); err != nil {
		return err
	}
	h, array, err := c.data()
	if err != nil {
		return err
	}
	o := h.seat.object
	start, count, err := c.span(o)
	if err != nil {
		return on(o, err)
	}
	timeout, token, err := c.locking()
	if err != nil {
		return err
	}
	// No element takes less than a byte of the answer.
	if count > wire.MessageMax {
		return status.New(status.TooLarge, "",
			"%d elements do not fit a message: read fewer at once", count).On(o.label())
	}
	buffer := make([]byte, count*uint64(o.geometry.ItemSize))
	access, parker := c.access(h, token), c.session.server.parker
	cut := func(ctx context.Context, timeout time.Duration) (appender, error) {
		version, dirty, err := array.Snapshot(ctx, parker, access, start, count, buffer, timeout)
		if err != nil {
			return nil, on(o, err)
		}
		values, err := ctypes.AppendMsgpackSlice(nil, o.geometry.Code, buffer)
		if err != nil {
			return nil, on(o, status.New(status.Corrupt, "", "%v", err))
		}
		return func(b []byte) ([]byte, error) {
			return wire.AppendEncoded(b, &wire.ReadResult{Values: values, Version: version, Dirty: dirty})
		}, nil
	}
	return c.tryThenWait(h, len(buffer), timeout, cut, nil)
}

// span reads start and count of a read.
func (c *call) span(o *object) (start, count uint64, err error) {
	from, err := c.params.Int64Or("start", 0)
	if err != nil {
		return 0, 0, err
	}
	n, err := c.params.Int64Or("count", -1)
	if err != nil {
		return 0, 0, err
	}
	length := o.geometry.Length
	if from < 0 || uint64(from) > length || n < -1 || n >= 0 && uint64(n) > length-uint64(from) {
		return 0, 0, status.New(status.BadIndex, "",
			"start %d, count %d; the object has %d elements, and count -1 means "+
				"to the end", from, n, length)
	}
	if n == -1 {
		return uint64(from), length - uint64(from), nil
	}
	return uint64(from), uint64(n), nil
}

// latchPatience is how long a try goes on while another client is in the middle of
// an operation: then it is stopped.
const latchPatience = 5 * time.Second

// mayWait reports whether a call that failed at its first attempt, with timeout 0, is to be
// set aside. Busy means that it could not even look, because another client is in the middle
// of an operation.
func mayWait(err error, timeout time.Duration) bool {
	code := status.Of(err)
	return code == status.Busy || code == status.WouldBlock && timeout != 0
}

// tryThenWait runs work at once if it needs no waiting, and sets the call aside
// if it does. work is called with timeout 0 first.
func (c *call) tryThenWait(h *handle, bytes int, timeout time.Duration,
	work func(ctx context.Context, timeout time.Duration) (appender, error), undo func()) error {
	return c.tryThenWaitOn([]*handle{h}, bytes, timeout, work, undo)
}

// tryThenWaitOn is tryThenWait for a work on several handles.
func (c *call) tryThenWaitOn(handles []*handle, bytes int, timeout time.Duration,
	work func(ctx context.Context, timeout time.Duration) (appender, error), undo func()) error {
	result, err := work(context.Background(), 0)
	switch {
	case err == nil:
		c.out, err = result(wire.AppendResultHeader(c.out, c.id))
		return err
	case !mayWait(err, timeout):
		return err
	case timeout == 0:
		return c.wait(handles, bytes, func(ctx context.Context) (appender, error) { return tryPatiently(ctx, work) },
			undo)
	}
	return c.wait(handles, bytes, func(ctx context.Context) (appender, error) { return work(ctx, timeout) }, undo)
}

// tryPatiently tries until it could look.
func tryPatiently(ctx context.Context,
	work func(ctx context.Context, timeout time.Duration) (appender, error)) (appender, error) {
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for end := time.Now().Add(latchPatience); ; {
		result, err := work(ctx, 0)
		if status.Of(err) != status.Busy || time.Now().After(end) {
			return result, err
		}
		select {
		case <-ctx.Done():
			return nil, status.Cancelled
		case <-pause.C:
		}
	}
}

// write replaces elements in one bracket.
func (c *call) write() error {
	if err := c.params.Arity(3, 5); err != nil {
		return err
	}
	h, array, err := c.writableData()
	if err != nil {
		return err
	}
	o := h.seat.object
	start, err := c.index(o, false)
	if err != nil {
		return err
	}
	d, err := c.params.Decoder("values")
	if err != nil {
		return err
	}
	defer wire.ReleaseDecoder(d)
	room := o.geometry.Length - min(start, o.geometry.Length)
	values, err := ctypes.DecodeMsgpackSlice(d, o.geometry.Code, int(min(room, wire.MessageMax)))
	if err != nil {
		return on(o, err)
	}
	timeout, token, err := c.locking()
	if err != nil {
		return err
	}
	access, parker := c.access(h, token), c.session.server.parker
	return c.tryThenWait(h, len(values), timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		// A notice stays for who locks.
		if _, err := array.Write(ctx, parker, access, start, values, timeout); err != nil {
			return nil, on(o, err)
		}
		return appendNil, nil
	}, nil)
}

func appendNil(b []byte) ([]byte, error) { return wire.AppendNil(b), nil }

// bracket executes begin_write and end_write.
func (c *call) bracket(act func(*shm.Array, shm.Access) error) error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	h, array, err := c.writableData()
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if err := act(array, h.seat.access(token)); err != nil {
		return on(h.seat.object, err)
	}
	return c.nothing()
}

func (c *call) beginWrite() error { return c.bracket((*shm.Array).BeginWrite) }
func (c *call) endWrite() error   { return c.bracket((*shm.Array).EndWrite) }

func (c *call) version() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	_, array, err := c.data()
	if err != nil {
		return err
	}
	c.out = wire.AppendUint(wire.AppendResultHeader(c.out, c.id), array.Version())
	return nil
}

func (c *call) waitChange() error {
	if err := c.params.Arity(2, 3); err != nil {
		return err
	}
	h, array, err := c.data()
	if err != nil {
		return err
	}
	version, err := c.params.Uint64("version")
	if err != nil {
		return err
	}
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	owner, parker := h.seat.owner(0), c.session.server.parker
	return c.tryThenWait(h, 0, timeout, func(ctx context.Context, timeout time.Duration) (appender, error) {
		now, err := array.WaitChange(ctx, parker, owner, version, timeout)
		if err != nil {
			return nil, on(h.seat.object, err)
		}
		return func(b []byte) ([]byte, error) { return wire.AppendUint(b, now), nil }, nil
	}, nil)
}
