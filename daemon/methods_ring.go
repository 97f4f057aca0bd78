package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// batchMax is how many messages one call sends or receives at most.
const batchMax = 4096

// ring reads the handle of a stream or a pipe.
func (c *call) ring(least, most int) (*handle, error) {
	if err := c.params.Arity(least, most); err != nil {
		return nil, err
	}
	h, err := c.live()
	if err != nil {
		return nil, err
	}
	if o := h.seat.object; o.stream == nil && o.pipe == nil {
		return nil, o.isNo("stream or pipe")
	}
	return h, h.writable()
}

// role reads what claim and retire are about.
func (c *call) role() (*handle, string, error) {
	if err := c.params.Arity(2, 2); err != nil {
		return nil, "", err
	}
	h, err := c.live()
	if err == nil {
		err = h.writable()
	}
	if err != nil {
		return nil, "", err
	}
	role, err := c.params.Str("role")
	return h, role, err
}

func (c *call) claim() error {
	h, role, err := c.role()
	if err != nil {
		return err
	}
	if h.seat.object.queue != nil {
		err = c.session.server.claimQueue(h, role)
	} else {
		role, err = c.session.server.claim(h.seat, role)
	}
	if err != nil {
		return on(h.seat.object, err)
	}
	c.out = wire.AppendStr(wire.AppendResultHeader(c.out, c.id), role)
	return nil
}

var errRetired = status.New(status.Cancelled, "", "its role was retired")

// retire ends a role in an orderly way, and first the calls that wait in it.
func (c *call) retire() error {
	h, role, err := c.role()
	if err != nil {
		return err
	}
	s := h.seat
	if s.object.queue != nil {
		if err := c.session.server.retireQueue(h, role); err != nil {
			return on(s.object, err)
		}
		return c.nothing()
	}
	if s.object.stream == nil && s.object.pipe == nil {
		return s.object.isNo("stream, pipe or queue")
	}
	leaving, err := s.takeRole(role)
	if err != nil {
		return on(s.object, err)
	}
	var busy []*direction
	for _, d := range leaving {
		if !d.enter() {
			busy = append(busy, d)
		}
	}
	if busy == nil {
		c.endRole(leaving)
		return c.nothing()
	}
	err = c.wait([]*handle{h}, 0, func(context.Context) (appender, error) {
		for _, d := range busy {
			d.await() // which was cancelled
		}
		c.endRole(leaving)
		return appendNil, nil
	}, nil)
	if err != nil {
		s.putRole(leaving)
		for _, d := range leaving {
			if !slices.Contains(busy, d) {
				d.leave()
			}
		}
		return err
	}
	for _, d := range busy {
		c.session.pending.cancel(d.waiting, errRetired)
	}
	return nil
}

// endRole closes a role whose directions the call has.
func (c *call) endRole(directions []*direction) {
	directions[0].close()
	for _, d := range directions {
		d.taken(c.client)
	}
}

// transfer is one operation of a direction, to be executed.
type transfer struct {
	h       *handle
	purpose int
	bytes   int    // that it keeps while it waits
	keep    func() // copies what it needs of the request, which does not outlive the call at hand; nil = nothing
	// long: it goes in pieces, so that it is not tried first.
	long bool
	act  func(ctx context.Context, d *direction, timeout time.Duration) (appender, error)
}

// transfer reads the timeout and the end, which stand behind the other parameters, and
// executes the operation: at once, or set aside. Those of one direction follow each
// other.
func (c *call) transfer(t transfer) error {
	timeout, err := c.timeout()
	if err != nil {
		return err
	}
	end, err := c.params.StrOr("end", "")
	if err != nil {
		return err
	}
	o := t.h.seat.object
	d, err := t.h.seat.direction(t.purpose, end)
	if err == nil && !d.enter() {
		err = status.New(status.Invalid, "", "another call of this client waits here already: one at a time")
	}
	if err != nil {
		return on(o, err)
	}
	d.waiting = c.id
	aside := false
	setAside := func() {
		if aside = true; t.keep != nil {
			t.keep()
		}
	}
	work := func(ctx context.Context, patience time.Duration) (appender, error) {
		if aside {
			defer d.leave()
		}
		result, err := t.act(ctx, d, patience)
		if !aside && timeout != 0 && status.Of(err) == status.WouldBlock {
			setAside()
		}
		return result, on(o, o.sayEnded(err))
	}
	if t.long && timeout != 0 {
		setAside()
		err = c.wait([]*handle{t.h}, t.bytes, func(ctx context.Context) (appender, error) { return work(ctx, timeout) },
			nil)
	} else {
		err = c.tryThenWait(t.h, t.bytes, timeout, work, nil)
	}
	if !c.answered {
		d.leave()
	}
	return err
}

// sayEnded says what has ended.
func (o *object) sayEnded(err error) error {
	switch {
	case err != status.Ended:
		return err
	case o.stream != nil:
		return status.New(status.Ended, "", "the producer retired; recv waits for the next from now on")
	}
	return status.New(status.Ended, "", "the other end was closed")
}

// messages reads the handle of a stream or a pipe that carries those.
func (c *call) messages(least, most int) (*handle, error) {
	h, err := c.ring(least, most)
	if err == nil && h.seat.object.geometry.Flags.Has(shm.FlagBytes) {
		err = on(h.seat.object, status.New(status.Unsupported, "", "a pipe of bytes: write_bytes and read_bytes"))
	}
	return h, err
}

// bytes reads the handle of a pipe that carries those.
func (c *call) bytes() (*handle, error) {
	h, err := c.ring(2, 4)
	if err != nil {
		return nil, err
	}
	if o := h.seat.object; !o.geometry.Flags.Has(shm.FlagBytes) {
		err = on(o, status.New(status.Unsupported, "", "%s of messages: send and recv",
			withArticle(o.geometry.Kind.String())))
	}
	return h, err
}

// inOne is how long a message is at most that does not go in pieces.
func (o *object) inOne() int { return int(shm.RingMessageMax(o.geometry.Capacity)) }

func (c *call) send() error {
	h, err := c.messages(2, 4)
	if err != nil {
		return err
	}
	message, err := c.params.Bin("message")
	if err != nil {
		return err
	}
	parker := c.session.server.parker
	return c.transfer(transfer{h: h, purpose: sends, bytes: len(message), long: len(message) > h.seat.object.inOne(),
		keep: func() { message = slices.Clone(message) },
		act: func(ctx context.Context, d *direction, timeout time.Duration) (appender, error) {
			return appendNil, d.writer.Send(ctx, parker, message, timeout)
		}})
}

func (c *call) sendMany() error {
	h, err := c.messages(2, 4)
	if err != nil {
		return err
	}
	list, err := c.params.List("messages")
	if err != nil {
		return err
	}
	if !list.More() {
		return on(h.seat.object, status.New(status.Invalid, "", "0 messages; it must be at least 1"))
	}
	messages := make([][]byte, 0, min(list.Len(), batchMax))
	bytes := 0
	for list.More() && len(messages) < batchMax {
		message, err := list.Bin("message")
		if err != nil {
			return err
		}
		messages = append(messages, message)
		bytes += len(message)
	}
	parker := c.session.server.parker
	return c.transfer(transfer{h: h, purpose: sends, bytes: bytes, long: len(messages[0]) > h.seat.object.inOne(),
		keep: func() {
			for i, m := range messages {
				messages[i] = slices.Clone(m)
			}
		},
		act: func(ctx context.Context, d *direction, timeout time.Duration) (appender, error) {
			n, err := d.writer.SendMany(ctx, parker, messages, timeout)
			return appendCount(n), err
		}})
}

func (c *call) recv() error {
	h, err := c.messages(1, 3)
	if err != nil {
		return err
	}
	return c.transfer(transfer{h: h, purpose: receives,
		act: func(ctx context.Context, d *direction, timeout time.Duration) (appender, error) {
			messages, err := c.peek(ctx, d, 1, timeout)
			if err != nil {
				return nil, err
			}
			return appendBytes(wire.AppendBin(nil, messages[0])), c.advance(d, 1)
		}})
}

// peek waits for the next message and returns it and those behind it, up to most, that
// one answer carries.
func (c *call) peek(ctx context.Context, d *direction, most int, timeout time.Duration) ([][]byte, error) {
	srv := c.session.server
	for {
		messages, err := d.reader.PeekMany(ctx, srv.parker, nil, most, timeout)
		if status.Of(err) == status.TooLarge {
			paid, failed := d.payFor(c.client)
			switch {
			case failed != nil:
				return nil, failed
			case paid:
				continue
			}
			return nil, status.New(status.TooLarge, "", "%s: map the object to receive it", asStatus(err).Detail)
		}
		if err != nil {
			return nil, err
		}
		n, total := 0, 0
		for n < len(messages) && total+len(messages[n])+binHeaderMax <= carriedMax {
			total += len(messages[n]) + binHeaderMax
			n++
		}
		if n == 0 {
			return nil, status.New(status.TooLarge, "", "the message has %d bytes, an answer carries up to %d: "+
				"map the object to receive it", len(messages[0]), carriedMax-binHeaderMax)
		}
		return messages[:n], nil
	}
}

// advance takes what was peeked.
func (c *call) advance(d *direction, n int) error {
	err := d.reader.Advance(n)
	if err == nil {
		d.taken(c.client)
	}
	return err
}

// appendBytes appends what is encoded already.
func appendBytes(encoded []byte) appender {
	return func(b []byte) ([]byte, error) { return append(b, encoded...), nil }
}

// most reads how much the client takes at once.
func (c *call) most(h *handle) (int, error) {
	most, err := c.params.Uint32("max")
	if err == nil && most == 0 {
		err = on(h.seat.object, status.New(status.Invalid, "", "max is 0; it must be at least 1"))
	}
	return int(most), err
}

func (c *call) recvMany() error {
	h, err := c.messages(2, 4)
	if err != nil {
		return err
	}
	most, err := c.most(h)
	if err != nil {
		return err
	}
	return c.transfer(transfer{h: h, purpose: receives,
		act: func(ctx context.Context, d *direction, timeout time.Duration) (appender, error) {
			messages, err := c.peek(ctx, d, min(most, batchMax), timeout)
			if err != nil {
				return nil, err
			}
			answer := wire.AppendArrayLen(nil, len(messages))
			for _, message := range messages {
				answer = wire.AppendBin(answer, message)
			}
			return appendBytes(answer), c.advance(d, len(messages))
		}})
}

// binHeaderMax is how long the header of a bin is at most.
const binHeaderMax = 5

func (c *call) writeBytes() error {
	h, err := c.bytes()
	if err != nil {
		return err
	}
	bytes, err := c.params.Bin("bytes")
	if err != nil {
		return err
	}
	if len(bytes) == 0 {
		return on(h.seat.object, status.New(status.Invalid, "", "0 bytes; it must be at least 1"))
	}
	parker := c.session.server.parker
	return c.transfer(transfer{h: h, purpose: sends, bytes: len(bytes),
		keep: func() { bytes = slices.Clone(bytes) },
		act: func(ctx context.Context, d *direction, timeout time.Duration) (appender, error) {
			n, err := d.writer.Write(ctx, parker, bytes, timeout)
			return appendCount(n), err
		}})
}

func (c *call) readBytes() error {
	h, err := c.bytes()
	if err != nil {
		return err
	}
	most, err := c.most(h)
	if err != nil {
		return err
	}
	most = min(most, carriedMax, int(h.seat.object.geometry.Capacity))
	parker := c.session.server.parker
	return c.transfer(transfer{h: h, purpose: receives, bytes: most,
		act: func(ctx context.Context, d *direction, timeout time.Duration) (appender, error) {
			buffer := make([]byte, most)
			n, err := d.reader.Read(ctx, parker, buffer, timeout)
			if err != nil {
				return nil, err
			}
			return appendBytes(wire.AppendBin(nil, buffer[:n])), nil
		}})
}
