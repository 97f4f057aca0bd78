package shm

import "github.com/shmd/shmd/status"

// Pipe connects two ends, 0 and 1, each of which sends and receives: messages, or with
// FlagBytes bytes. A client claims an end, once: when it has closed it, or died, the end
// stays so for ever. The other reads what is left and is then told, by every receive:
// status.Ended, or PeerDied. What it sends is refused with the same at once.
type Pipe struct{ rings [2]*ring }

// Pipe returns a view of the pipe. Preconditions: the kind is KindPipe.
func (s *Segment) Pipe() *Pipe { return &Pipe{[2]*ring{s.ring(0), s.ring(1)}} }

// PipeEnd is one end of a pipe. Its two directions may be used at the same time, each by
// one caller at a time.
type PipeEnd struct {
	Index int
	W     *RingWriter
	R     *RingReader
	pipe  *Pipe
}

// AnyEnd claims whichever end is free.
const AnyEnd = -1

// Claim makes a's client an end: 0, 1 or AnyEnd. One that it has already it may claim
// again; the new state takes the place of the last. Errors: status.Taken, Ended (the end
// was closed, or its client died), Removed, Corrupt, Permission (read-only mapping),
// Invalid (no such end, or seat).
func (p *Pipe) Claim(a Actor, end int) (*PipeEnd, error) {
	switch end {
	case 0, 1:
		return p.claim(a, end)
	case AnyEnd:
	default:
		return nil, status.New(status.Invalid, "", "end %d of a pipe; it has 0 and 1", end)
	}
	var reason error = status.Ended
	for i, r := range p.rings {
		if load32(&r.tail.Owner) != 0 {
			reason = status.Taken
			continue
		}
		e, err := p.claim(a, i)
		switch status.Of(err) {
		case status.OK:
			return e, nil
		case status.Taken:
			reason = err
		case status.Ended:
		default:
			return nil, err
		}
	}
	return nil, reason
}

func (p *Pipe) claim(a Actor, end int) (*PipeEnd, error) {
	out, in := p.rings[end], p.rings[1-end]
	owner := &out.tail.Owner
	if ringWord(load64(&out.tail.Word)).over() { // who ended it may still be named
		return nil, orElse(out.live(), status.Ended)
	}
	if err := out.claim(a, owner); err != nil {
		return nil, err
	}
	e := &PipeEnd{Index: end, W: newRingWriter(out, a, owner), R: newRingReader(in, a, owner), pipe: p}
	err := orElse(e.W.begin(), e.R.begin())
	if ringWord(load64(&out.tail.Word)).over() { // between the two looks
		err = orElse(out.live(), status.Ended)
	}
	if err != nil {
		cas32(owner, a.Seat, 0)
		return nil, err
	}
	return e, nil
}

// Close ends both directions. It may be repeated, but not while either is in use.
func (e *PipeEnd) Close() {
	owner, seat := e.W.owner, e.W.actor.Seat
	if e.W.closed {
		return
	}
	e.W.closed, e.R.closed = true, true
	if load32(owner) != seat {
		return // taken by recovery
	}
	e.R.ring.end(e.R.own, ringClosed, nil)
	e.W.ring.end(e.W.own, ringClosed, nil)
	e.R.ring.wakeAll()
	e.W.ring.wakeAll()
	cas32(owner, seat, 0) // last: nobody may claim an end that is half marked
}

// Status looks at the direction from an end to the other.
func (p *Pipe) Status(end int) RingStatus {
	st := p.rings[end].status()
	st.Consumer = ownerOf(load32(&p.rings[1-end].tail.Owner))
	return st
}
