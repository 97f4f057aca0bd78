package shm

import "github.com/shmd/shmd/status"

// Stream carries messages one way, from one producer to one consumer, through a ring.
// Both are roles that a client claims and retires, or loses by its death; then another
// may claim it, and goes on where the last one ended. The consumer is told of each
// producer that ended, once, after its last message: by status.Ended, or PeerDied if it
// died. Two that ended with no message between them are told of as one. A producer waits
// for room whether there is a consumer or not.
type Stream struct{ ring *ring }

// Stream returns a view of the stream. Preconditions: the kind is KindStream.
func (s *Segment) Stream() *Stream { return &Stream{s.ring(0)} }

// ClaimProducer makes a's client the producer; if it is already, the new writer takes the
// place of its last one. Errors: status.Taken, Removed, Corrupt, Permission (read-only
// mapping), Invalid (no such seat).
func (s *Stream) ClaimProducer(a Actor) (*RingWriter, error) {
	r := s.ring
	if err := r.claim(a, &r.tail.Owner); err != nil {
		return nil, err
	}
	w := newRingWriter(r, a, &r.tail.Owner)
	if err := w.begin(); err != nil {
		cas32(&r.tail.Owner, a.Seat, 0)
		return nil, err
	}
	if marks := load64(&r.tail.Word) & ringOver; marks != 0 {
		w.prefix = makeRecord(recordEnd, uint32(marks))
	}
	return w, nil
}

// ClaimConsumer is ClaimProducer for the consumer.
func (s *Stream) ClaimConsumer(a Actor) (*RingReader, error) {
	r := s.ring
	if err := r.claim(a, &r.head.Owner); err != nil {
		return nil, err
	}
	reader := newRingReader(r, a, &r.head.Owner)
	if err := reader.begin(); err != nil {
		cas32(&r.head.Owner, a.Seat, 0)
		return nil, err
	}
	reader.ended = ringWord(and64(&r.head.Word, ^ringOver)).ended()
	return reader, nil
}

// claim takes a role for a's client.
func (r *ring) claim(a Actor, owner *uint32) error {
	if err := r.seg.admits(a.Seat); err != nil {
		return err
	}
	if err := r.live(); err != nil {
		return err
	}
	if !cas32(owner, 0, a.Seat) && load32(owner) != a.Seat {
		return status.Taken
	}
	if err := r.live(); err != nil { // after the claim; pairs with remove
		cas32(owner, a.Seat, 0)
		return err
	}
	return nil
}

// Status looks at the stream.
func (s *Stream) Status() RingStatus { return s.ring.status() }
