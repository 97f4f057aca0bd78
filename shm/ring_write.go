package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// RingWriter is the producer of a stream, or the sending half of a pipe's end. Not safe
// for concurrent use: whoever has it serialises its calls.
//
// Errors that any operation may return: status.NotOwner (the role was given back or
// lost), Removed, Corrupt (words of the ring cannot be right; nothing was overrun), and of
// a pipe Ended and PeerDied (nobody will read it); while it waits for room TimedOut,
// Cancelled, and WouldBlock if timeout is 0. After an error nothing was sent, if it does
// not say otherwise. timeout: negative = for ever, 0 = not at all.
type RingWriter struct {
	ringSide
	prefix   uint64 // header of a record that goes before the next one; 0 = none
	reserved uint64 // where the reserved record begins
	size     int    // bytes of the reserved message; -1 = none
}

func newRingWriter(r *ring, a Actor, owner *uint32) *RingWriter {
	return &RingWriter{ringSide: ringSide{ring: r, own: r.tail, other: r.head, owner: owner, actor: a}, size: -1}
}

// Send sends a copy of msg. Other errors: status.TooLarge beyond MessageMax,
// Unsupported (a pipe of bytes), Invalid (something is reserved). A message that is longer
// than RingMessageMax goes through a pipe in pieces, while it is being received: after an
// error the receiver drops what it has of it. To try that is refused with WouldBlock if the
// pieces have no room all at once.
func (w *RingWriter) Send(ctx context.Context, p *Parker, msg []byte, timeout time.Duration) error {
	if err := w.attend(); err != nil {
		return err
	}
	if len(msg) > w.ring.whole || w.size >= 0 {
		if err := w.takes(len(msg)); err != nil {
			return err
		}
		return w.sendPieces(ctx, p, msg, timeout)
	}
	start, end := w.place(w.position, recordSize(uint64(len(msg))))
	if !w.fits(w.seen, end) {
		if err := w.await(ctx, p, end, &ringWait{callClock: within(timeout)}); err != nil {
			return err
		}
	}
	w.fill(w.position, start, recordMessage, uint32(len(msg)), msg)
	w.publish(end)
	return nil
}

// Post is the front of Send, of what needs no waiting, and of which nothing else has to be
// looked at or said: what most calls find. ok = it was sent; the caller then makes an atomic
// exchange, and calls Settle with the attention. Else nothing has changed, and Send decides.
func (w *RingWriter) Post(msg []byte) (attention uint32, ok bool) {
	attention, ok = w.calm()
	r, position, length := w.ring, w.position, uint64(len(msg))
	size, at := recordSize(length), r.at(position)
	if !ok || len(msg) > r.whole || w.size >= 0 || w.prefix != 0 || at+size > r.capacity ||
		!w.fits(w.seen, position+size) {
		return 0, false
	}
	r.put(at, recordMessage, uint32(length), msg)
	w.post(position + size)
	return attention, true
}

// takes refuses a message, or anything while something is reserved.
func (w *RingWriter) takes(length int) error {
	most := w.ring.seg.geometry.MessageMax
	switch {
	case w.size >= 0:
		return status.New(status.Invalid, "", "a message is reserved; commit or abort that first")
	case w.ring.bytes:
		return status.New(status.Unsupported, "", "this pipe carries bytes, not messages")
	case uint64(length) > uint64(most):
		return status.New(status.TooLarge, "", "the message has %d bytes; this %v takes up to %d (message_max)",
			length, w.ring.seg.geometry.Kind, most)
	}
	return nil
}

// place finds the place for a record of size bytes, to be put at position or behind
// what has to go before it.
func (w *RingWriter) place(position, size uint64) (start, end uint64) {
	if w.prefix != 0 && position == w.position {
		position += recordHeader
	}
	if left := w.ring.capacity - w.ring.at(position); left < size {
		position += left
	}
	return position, position + size
}

// fits reports whether there is room up to a position. The head may be from any time.
func (w *RingWriter) fits(head ringWord, end uint64) bool {
	return end-head.position() <= w.ring.capacity
}

// await waits until there is room up to a position.
func (w *RingWriter) await(ctx context.Context, p *Parker, end uint64, wait *ringWait) error {
	return w.until(ctx, p, wait, func(head ringWord) (bool, error) {
		if _, ok := w.ring.span(w.position, head.position()); !ok {
			return false, w.ring.corrupt(w.position, head.position())
		}
		w.seen = head
		if w.ring.pipe && head.over() {
			return false, head.closedBy(w.other)
		}
		return w.fits(head, end), nil
	})
}

// fill writes a record to a place for which there is room, and what has to go before it
// from position on. Nobody sees any of it before publish.
func (w *RingWriter) fill(position, start uint64, kind, length uint32, contents []byte) {
	if position != start {
		w.lead(position, start)
	}
	w.ring.put(w.ring.at(start), kind, length, contents)
}

// put writes a record to a place where its contents have room without a break.
func (r *ring) put(at uint64, kind, length uint32, contents []byte) {
	put64(r.record(at), makeRecord(kind, length))
	at += recordHeader
	storeBytes(r.data[at:at+uint64(len(contents))], contents)
}

// lead writes what goes before a record, from position on.
func (w *RingWriter) lead(position, start uint64) {
	if w.prefix != 0 && position == w.position {
		put64(w.ring.record(w.ring.at(position)), w.prefix)
		position += recordHeader
	}
	if position != start {
		put64(w.ring.record(w.ring.at(position)), makeRecord(recordPad, 0))
	}
}

// publish commits all that was filled up to a position.
func (w *RingWriter) publish(end uint64) {
	w.commit(makeRingWord(end))
	w.prefix = 0
}

// sendPieces sends a message that is too long for one record.
func (w *RingWriter) sendPieces(ctx context.Context, p *Parker, msg []byte, timeout time.Duration) error {
	size := w.ring.pieceSize()
	if timeout == 0 && !w.fitsPieces(uint64(len(msg))) {
		// What was not looked at yet may have room.
		head := ringWord(load64(&w.other.Word))
		if _, ok := w.ring.span(w.position, head.position()); !ok {
			return w.ring.corrupt(w.position, head.position())
		}
		if w.seen = head; !w.fitsPieces(uint64(len(msg))) {
			return status.WouldBlock
		}
	}
	wait := &ringWait{callClock: within(timeout)}
	for kind := recordFirst; len(msg) > 0; kind = recordRest {
		part := msg[:min(len(msg), int(size-recordHeader))]
		start, end := w.place(w.position, recordSize(uint64(len(part))))
		if kind != recordFirst {
			if err := w.attend(); err != nil {
				return err
			}
		}
		if !w.fits(w.seen, end) {
			wait.spun = false // the receiver is at it
			if err := w.await(ctx, p, end, wait); err != nil {
				return err
			}
		}
		w.fill(w.position, start, kind, uint32(len(msg)), part)
		w.publish(end)
		msg = msg[len(part):]
	}
	return nil
}

// fitsPieces reports whether all pieces of a message have room now.
func (w *RingWriter) fitsPieces(length uint64) bool {
	position, size := w.position, w.ring.pieceSize()
	for length > 0 {
		part := min(length, size-recordHeader)
		_, position = w.place(position, recordSize(part))
		if !w.fits(w.seen, position) {
			return false
		}
		length -= part
	}
	return true
}

// SendMany sends as many of msgs, from the first on, as have room at once, but for the
// first, for which it waits, and returns how many: they come one after the other, and are
// made known in one step. One that goes in pieces goes alone. Errors, which mean none, as
// of Send, and status.Invalid for no messages.
func (w *RingWriter) SendMany(ctx context.Context, p *Parker, msgs [][]byte, timeout time.Duration) (int, error) {
	if len(msgs) == 0 {
		return 0, status.New(status.Invalid, "", "no messages to send")
	}
	if len(msgs) == 1 || len(msgs[0]) > w.ring.whole {
		if err := w.Send(ctx, p, msgs[0], timeout); err != nil {
			return 0, err
		}
		return 1, nil
	}
	if err := w.attend(); err != nil {
		return 0, err
	}
	if w.size >= 0 {
		return 0, w.takes(0)
	}
	position, r := w.position, w.ring
	for n, msg := range msgs {
		if len(msg) > r.whole {
			w.publish(position)
			return n, nil
		}
		size := recordSize(uint64(len(msg)))
		start, end := position, position+size
		if w.prefix != 0 || r.at(start)+size > r.capacity {
			start, end = w.place(position, size)
		}
		if !w.fits(w.seen, end) {
			var wait ringWait
			if n == 0 {
				wait.timeout = timeout
			}
			err := w.await(ctx, p, end, &wait)
			if n > 0 && err == status.WouldBlock {
				w.publish(position)
				return n, nil
			}
			if err != nil {
				return 0, err
			}
		}
		if position != start {
			w.lead(position, start)
		}
		r.put(r.at(start), recordMessage, uint32(len(msg)), msg)
		position = end
	}
	w.publish(position)
	return len(msgs), nil
}

// Reserve waits for room for a message of up to size bytes, at most RingMessageMax, and
// returns the place to write it in; that begins at a multiple of 8. Commit sends it. Until
// then nobody sees anything of it, and the writer does nothing else. Errors as of Send.
func (w *RingWriter) Reserve(ctx context.Context, p *Parker, size uint32, timeout time.Duration) ([]byte, error) {
	if err := w.attend(); err != nil {
		return nil, err
	}
	if err := w.takes(int(size)); err != nil {
		return nil, err
	}
	if int(size) > w.ring.whole {
		return nil, status.New(status.TooLarge, "", "%d bytes to be reserved; in a ring of %d it must be up to %d",
			size, w.ring.capacity, w.ring.whole)
	}
	start, end := w.place(w.position, recordSize(uint64(size)))
	if !w.fits(w.seen, end) {
		if err := w.await(ctx, p, end, &ringWait{callClock: within(timeout)}); err != nil {
			return nil, err
		}
	}
	w.reserved, w.size = start, int(size)
	at := w.ring.at(start) + recordHeader
	return w.ring.data[at : at+uint64(size) : at+uint64(size)], nil
}

// Commit sends the first size bytes of what was reserved. Errors: status.Invalid
// (nothing is, or less), NotOwner, Removed, and of a pipe Ended and PeerDied, after which
// nothing is reserved any more.
func (w *RingWriter) Commit(size uint32) error {
	if w.size < 0 || int(size) > w.size {
		return status.New(status.Invalid, "", "%d bytes to commit, of %d that are reserved", size, max(w.size, 0))
	}
	w.size = -1
	if err := w.attend(); err != nil {
		return err
	}
	w.fill(w.position, w.reserved, recordMessage, size, nil)
	w.publish(w.reserved + recordSize(uint64(size)))
	return nil
}

// Abort gives up what was reserved. status.Invalid if nothing is.
func (w *RingWriter) Abort() error {
	if w.size < 0 {
		return status.New(status.Invalid, "", "nothing is reserved")
	}
	w.size = -1
	return nil
}

// Write sends the first bytes of b, as many as have room, at least one unless b is empty,
// and returns how many. Other errors: status.Unsupported (no pipe of bytes).
func (w *RingWriter) Write(ctx context.Context, p *Parker, b []byte, timeout time.Duration) (int, error) {
	if err := w.attend(); err != nil {
		return 0, err
	}
	if !w.ring.bytes {
		return 0, status.New(status.Unsupported, "", "this %v carries messages, not bytes", w.ring.seg.geometry.Kind)
	}
	if len(b) == 0 {
		return 0, nil
	}
	if !w.fits(w.seen, w.position+uint64(len(b))) {
		if err := w.await(ctx, p, w.position+1, &ringWait{callClock: within(timeout)}); err != nil {
			return 0, err
		}
	}
	n := int(min(uint64(len(b)), w.seen.position()+w.ring.capacity-w.position))
	at := w.ring.at(w.position)
	first := min(n, int(w.ring.capacity-at))
	storeBytes(w.ring.data[at:at+uint64(first)], b[:first])
	storeBytes(w.ring.data[:n-first], b[first:n])
	w.publish(w.position + uint64(n))
	return n, nil
}

// Waitable is room for half of the ring, or the end of it.
func (w *RingWriter) Waitable() Waitable {
	r := w.ring
	return w.waitable(func(tail, head ringWord) bool {
		used, ok := r.span(tail.position(), head.position())
		return !ok || used <= r.capacity/2 || r.pipe && head.over()
	})
}
