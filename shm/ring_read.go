package shm

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// RingReader is the consumer of a stream, or the receiving half of a pipe's end. Not
// safe for concurrent use: whoever has it serialises its calls.
//
// Errors that any operation may return: status.NotOwner (the role was given back or
// lost), Removed, Corrupt (words of the ring cannot be right; nothing was overrun), Ended
// (the producer ended, and nothing is left) and PeerDied (likewise, by its death); while it
// waits TimedOut, Cancelled, and WouldBlock if timeout is 0. After an error nothing was
// taken. timeout: negative = for ever, 0 = not at all.
type RingReader struct {
	ringSide
	// Limit bounds the bytes of a message that arrives in pieces, for which the reader
	// needs memory of its own; 0 = MessageMax. A longer one is refused with
	// status.TooLarge, and stays.
	Limit uint32

	ended   bool     // the end at this position was reported
	partial []byte   // of a message in pieces
	left    uint32   // bytes of it that are to come
	gather  uint32   // pauses of a patient Fetch
	peeked  []uint64 // what to advance to for each message that was peeked and not taken

	assembled atomic.Bool // partial is a whole message; also read by a Waitable
}

func newRingReader(r *ring, a Actor, owner *uint32) *RingReader {
	return &RingReader{
		ringSide: ringSide{ring: r, own: r.head, other: r.tail, owner: owner, actor: a},
		gather:   gatherMin,
	}
}

// Empty is a look for who tries again and again: true = Recv would block, and has nothing
// else to say. It is only about shared words, so that it may be called beside whatever else
// is called.
func (r *RingReader) Empty() bool {
	head := ringWord(load64(&r.own.Word))
	r.ring.expect(head.position())
	return !r.has(head, ringWord(load64(&r.other.Word))) &&
		load32(r.owner) == r.actor.Seat && r.ring.seg.State() == StateLive
}

// has reports whether the words say that there is something, or the end.
func (r *RingReader) has(head, tail ringWord) bool {
	return head.position() != tail.position() || r.assembled.Load() ||
		tail.over() && (r.ring.pipe || !head.ended())
}

// Recv takes the next message and returns dst with it appended. Other errors:
// status.Unsupported (a pipe of bytes).
func (r *RingReader) Recv(ctx context.Context, p *Parker, dst []byte, timeout time.Duration) ([]byte, error) {
	if err := r.attend(); err != nil {
		return dst, err
	}
	msg, end, err := r.next(ctx, p, timeout)
	if err == nil {
		dst = append(dst, msg...)
		r.take(end)
	}
	return dst, err
}

// Fetched says what Fetch did.
type Fetched uint8

const (
	// FetchedOne: a message; the caller makes an atomic exchange, and calls Settle.
	FetchedOne Fetched = iota
	// FetchedNone: nothing has changed; what has to be looked at or said Recv knows.
	FetchedNone
	// FetchedEmpty is FetchedNone where there was nothing behind the last message.
	FetchedEmpty
)

// Pauses before a look at a tail: at least less than what a message takes from one processor
// to another, at most as long as some dozen messages take.
const (
	gatherMin = 3
	gatherMax = 32
)

// Fetch is the front of Recv, as Post is that of Send. It is patient where Recv would wait:
// before it looks at a tail that may have just moved it lets a producer that is at it commit
// some more, from whom each look takes the line of the tail. Longer the next time, if more
// than one message was there; who waits for an answer finds one.
func (r *RingReader) Fetch(dst []byte, patient bool) (whole []byte, attention uint32, what Fetched) {
	attention, ok := r.calm()
	if !ok || r.partial != nil {
		return dst, 0, FetchedNone
	}
	gathered := r.position == r.seen.position()
	if gathered {
		if patient {
			pause(r.gather)
		}
		if !r.see() {
			return dst, 0, FetchedEmpty
		}
	}
	at := r.ring.at(r.position) // as message does it, without a call
	size, length, ok := r.ring.measureMessage(load64(r.ring.record(at)), at, r.seen.position()-r.position)
	if !ok {
		return dst, 0, FetchedNone
	}
	at += recordHeader
	dst = appendBytes(dst, r.ring.data[at:at+length])
	r.post(r.position + size)
	if gathered {
		r.learnToGather()
	}
	r.ended, r.peeked = false, r.peeked[:0]
	return dst, attention, FetchedOne
}

func (r *RingReader) learnToGather() {
	if r.position == r.seen.position() {
		r.gather = gatherMin
	} else {
		r.gather = min(2*r.gather, gatherMax)
	}
}

// see looks at how far the producer is, if nothing is known to be there. True = something is.
func (r *RingReader) see() bool {
	r.ring.expect(r.position)
	tail := ringWord(load64(&r.other.Word))
	if _, ok := r.ring.span(tail.position(), r.position); !ok || r.ring.bytes {
		return false
	}
	r.seen = tail
	return r.position != tail.position()
}

// first is the next message if that is the next record, in one piece, as it lies in the
// ring, and where it ends.
func (r *RingReader) first() (msg []byte, end uint64, ok bool) {
	if r.position == r.seen.position() && !r.see() || r.partial != nil {
		return nil, 0, false
	}
	return r.message(r.position)
}

// message is first for the record at a position that is not the tail's.
func (r *RingReader) message(position uint64) (msg []byte, end uint64, ok bool) {
	at := r.ring.at(position)
	size, length, ok := r.ring.measureMessage(load64(r.ring.record(at)), at, r.seen.position()-position)
	if !ok {
		return nil, 0, false
	}
	at += recordHeader
	return r.ring.data[at : at+length : at+length], position + size, true
}

// take commits that everything up to a position was taken.
func (r *RingReader) take(end uint64) {
	r.drop()
	if end != r.position {
		r.commit(makeRingWord(end))
	}
	r.ended, r.peeked = false, r.peeked[:0]
}

// drop forgets what there is of a message in pieces.
func (r *RingReader) drop() {
	if r.partial != nil {
		r.partial, r.left = nil, 0
		r.assembled.Store(false)
	}
}

// next waits for the next message and returns it, in the ring or as a private copy if it
// came in pieces, and what to take it with. It goes over all other records.
func (r *RingReader) next(ctx context.Context, p *Parker, timeout time.Duration) ([]byte, uint64, error) {
	if r.ring.bytes {
		return nil, 0, status.New(status.Unsupported, "", "this pipe carries bytes, not messages")
	}
	wait := ringWait{callClock: within(timeout)}
	for round := 0; ; round++ {
		for r.position != r.seen.position() && !r.assembled.Load() {
			if r.partial == nil {
				if msg, end, ok := r.message(r.position); ok {
					return msg, end, nil
				}
			}
			if err := r.pass(); err != nil {
				return nil, 0, err
			}
		}
		if r.assembled.Load() {
			return r.partial, r.position, nil
		}
		// A try looks once at how far the producer is, and judges what it saw then: whoever
		// begins one message after the other, and ends none, does not hold it up.
		if timeout == 0 && round > 0 {
			err := r.look()
			if err == nil {
				err = r.endedAt(r.seen)
			}
			return nil, 0, orElse(err, status.WouldBlock)
		}
		if round > 0 {
			if err := endedBy(ctx, wait.clock(ctx)); err != nil {
				return nil, 0, err
			}
		}
		wait.spun = wait.spun && r.left == 0 // in the middle of a message its sender is at it
		if err := r.more(ctx, p, &wait); err != nil {
			return nil, 0, err
		}
	}
}

// more waits until something lies behind what was seen. It reports the end.
func (r *RingReader) more(ctx context.Context, p *Parker, wait *ringWait) error {
	var over ringWord
	err := r.until(ctx, p, wait, func(tail ringWord) (bool, error) {
		n, ok := r.ring.span(tail.position(), r.position)
		switch {
		case !ok:
			return false, r.ring.corrupt(tail.position(), r.position)
		case n != 0:
			r.seen = tail
			return true, nil
		case tail.over() && (r.ring.pipe || !r.ended):
			over = tail
			return false, tail.closedBy(r.other)
		}
		return false, nil
	})
	if over != 0 && (status.Of(err) == status.Ended || status.Of(err) == status.PeerDied) {
		return r.endedAt(over)
	}
	return err
}

// endedAt reports the end that a tail tells of with nothing before it, a stream's once;
// nil = it tells of none.
func (r *RingReader) endedAt(tail ringWord) error {
	if !tail.over() || !r.ring.pipe && r.ended {
		return nil
	}
	r.drop()
	if !r.ring.pipe {
		r.ended = true
		r.commit(makeRingWord(r.position) | ringWord(ringEnded))
	}
	return tail.closedBy(r.other)
}

// pass goes over a record that is no message in one piece.
func (r *RingReader) pass() error {
	at := r.ring.at(r.position)
	record := load64(r.ring.record(at))
	length, kind := uint32(record), uint32(record>>32)
	if kind == recordMessage && r.partial != nil { // the message before was given up
		r.drop()
		return nil
	}
	size, piece, ok := r.ring.measure(record, at, r.seen.position()-r.position)
	if !ok {
		return r.malformed(record)
	}
	switch kind {
	case recordFirst:
		if limit := orDefault(r.Limit, r.ring.seg.geometry.MessageMax); length > limit {
			return status.New(status.TooLarge, "", "the next message has %d bytes; there is room for %d", length, limit)
		}
		r.partial, r.left = make([]byte, 0, length), length
	case recordRest:
		if r.partial == nil { // its first pieces went with a reader that is gone
			piece = 0
		} else if r.left != length {
			return r.malformed(record)
		}
	}
	if piece != 0 {
		at += recordHeader
		r.partial = append(r.partial, r.ring.data[at:at+piece]...)
		r.left -= uint32(piece)
		r.assembled.Store(r.left == 0)
	}
	told := r.ended
	r.ended = false
	r.commit(makeRingWord(r.position + size))
	if kind == recordEnd && !told {
		return ringWord(length).closedBy(r.other)
	}
	return nil
}

// measure is what a record that is no message in one piece takes, and how much of a
// message it has, at a place from which so many bytes were committed; ok = it can be.
func (r *ring) measure(record, at, available uint64) (size, piece uint64, ok bool) {
	length := uint64(uint32(record))
	size = recordHeader
	switch uint32(record >> 32) {
	case recordPad:
		size = r.capacity - at
	case recordEnd:
		if r.pipe {
			return 0, 0, false
		}
	case recordFirst, recordRest:
		piece = min(length, r.pieceSize()-recordHeader)
		size = recordSize(piece)
		if !r.pipe || length == 0 || length > uint64(r.seg.geometry.MessageMax) {
			return 0, 0, false
		}
	default:
		return 0, 0, false
	}
	return size, piece, size <= available && size <= r.capacity-at
}

// measureMessage is measure for a message in one piece, of so many bytes.
func (r *ring) measureMessage(record, at, available uint64) (size, length uint64, ok bool) {
	length = uint64(uint32(record))
	size = recordSize(length)
	return size, length, uint32(record>>32) == recordMessage && length <= uint64(r.whole) && size <= available &&
		size <= r.capacity-at
}

func orDefault(n, or uint32) uint32 {
	if n == 0 {
		return or
	}
	return n
}

func (r *RingReader) malformed(record uint64) error {
	return status.New(status.Corrupt, "", "at byte %d lies a record of type %d and %d bytes, which cannot be",
		r.position, record>>32, uint32(record))
}

// Peek waits for the next message and returns it as it lies in the ring; one that came in
// pieces, as a private copy. Advance(1) takes it; without that the next call finds it again.
// It is valid until then, but whoever may write the object may change it. Errors as of Recv.
func (r *RingReader) Peek(ctx context.Context, p *Parker, timeout time.Duration) ([]byte, error) {
	if err := r.attend(); err != nil {
		return nil, err
	}
	msg, end, ok := r.first()
	if !ok {
		var err error
		if msg, end, err = r.next(ctx, p, timeout); err != nil {
			return nil, err
		}
	}
	r.peeked = append(r.peeked[:0], end)
	return msg, nil
}

// PeekMany is Peek for up to most messages: it waits for the first, and returns dst with
// it and those behind it appended that are there already. Advance(n) takes the first n.
func (r *RingReader) PeekMany(ctx context.Context, p *Parker, dst [][]byte, most int,
	timeout time.Duration) ([][]byte, error) {
	if most < 1 {
		return dst, status.New(status.Invalid, "", "%d messages wanted; it must be at least 1", most)
	}
	msg, err := r.Peek(ctx, p, timeout)
	if err != nil {
		return dst, err
	}
	dst = append(dst, msg)
	for position := r.peeked[0]; len(r.peeked) < most && position != r.seen.position() && r.partial == nil; {
		msg, end, ok := r.message(position)
		if !ok {
			at := r.ring.at(position)
			if load64(r.ring.record(at))>>32 != uint64(recordPad) || r.ring.capacity-at >= r.seen.position()-position {
				break
			}
			position += r.ring.capacity - at
			continue
		}
		dst, r.peeked = append(dst, msg), append(r.peeked, end)
		position = end
	}
	return dst, nil
}

// Advance takes the first n messages that were peeked, in one step; those behind them
// stay peeked. Errors: status.Invalid (fewer were), NotOwner, Removed.
func (r *RingReader) Advance(n int) error {
	if n < 0 || n > len(r.peeked) {
		return status.New(status.Invalid, "", "%d messages to take, of %d that were peeked", n, len(r.peeked))
	}
	if n == 0 {
		return nil
	}
	if err := r.attend(); err != nil {
		return err
	}
	rest := slices.Delete(r.peeked, 0, n-1)
	r.take(rest[0])
	r.peeked = slices.Delete(rest, 0, 1)
	return nil
}

// Read takes the bytes that are there, as many as b holds, at least one unless b is
// empty, and returns how many. Other errors: status.Unsupported (no pipe of bytes).
func (r *RingReader) Read(ctx context.Context, p *Parker, b []byte, timeout time.Duration) (int, error) {
	if err := r.attend(); err != nil {
		return 0, err
	}
	if !r.ring.bytes {
		return 0, status.New(status.Unsupported, "", "this %v carries messages, not bytes", r.ring.seg.geometry.Kind)
	}
	if len(b) == 0 {
		return 0, nil
	}
	if r.seen.position()-r.position < uint64(len(b)) {
		if err := r.more(ctx, p, &ringWait{callClock: within(timeout)}); err != nil {
			return 0, err
		}
	}
	n := int(min(uint64(len(b)), r.seen.position()-r.position))
	at := r.ring.at(r.position)
	first := copy(b[:n], r.ring.data[at:])
	copy(b[first:n], r.ring.data)
	r.commit(makeRingWord(r.position + uint64(n)))
	return n, nil
}

// Waitable is something to be received, or the end. Of a message in pieces the first
// piece is enough, and nothing that was peeked counts as taken.
func (r *RingReader) Waitable() Waitable { return r.waitable(r.has) }
