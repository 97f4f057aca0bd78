package shm

import (
	"context"

	"github.com/shmd/shmd/status"
)

// ring is a view of one direction of a stream or pipe: bytes from a producer to a
// consumer. Its words and who changes them when stand in include/shmd_abi.h, its crash
// rules in ring_recover.go; the protocol is tests/models/ring.pml.
//
// Orders. A commit stores the own word after everything that was written or read under
// the old one, and the other side loads that word before it reads or writes: release and
// acquire, for which any atomic store and load of Go will do. Committing and then loading
// attention, against adding to attention and then loading the word, wants sequential
// consistency of these four; Go's atomics have it on arm64 too (STLR and then LDAR of
// another word stay in order, and so do both after an adding LDADDAL or STLXR), and on
// amd64 the store is an exchange; or, of who takes turns with others and so makes an
// exchange anyway, a plain store before that one (post). The bytes and headers of records
// are plain stores (headers by put64, docs/decisions/0010 and 0011) which the commit follows.
type ring struct {
	seg        *Segment
	tail, head *RingLine // immutable; point into the segment, like data
	data       []byte
	capacity   uint64 // immutable; a power of two
	whole      int    // immutable; bytes of the longest message in one piece; -1 = carries bytes
	pipe       bool   // immutable
	bytes      bool   // immutable
}

// at is where the byte of a position lies.
func (r *ring) at(position uint64) uint64 { return position & (r.capacity - 1) }

// expect asks for the lines of a short record at a position, with the word that says
// whether it is there and not after it: they come from the same processor.
func (r *ring) expect(position uint64) {
	at := r.at(position) &^ (recordAlign - 1)
	expectWords(r.record(at), r.record(r.at(at+cacheLine)))
}

const cacheLine = 64

// span is how many bytes lie between two positions of which one came from shared
// memory. ok = they can be right.
func (r *ring) span(tail, head uint64) (n uint64, ok bool) {
	n = tail - head
	return n, n <= r.capacity && (r.bytes || n%recordAlign == 0)
}

// pieceSize is what a piece of a long message takes, with its header.
func (r *ring) pieceSize() uint64 { return r.capacity / recordPieces }

func (r *ring) wakeAll() {
	futexWakeN(futexWord32(&r.tail.Word), futexAll)
	futexWakeN(futexWord32(&r.head.Word), futexAll)
}

// closedBy is the error of a mark in the word of a side, of which line has the notice.
func (w ringWord) closedBy(line *RingLine) error {
	if uint64(w)&ringDied == 0 {
		return status.Ended
	}
	n := line.Death.notice()
	return status.New(status.PeerDied, "", "pid %d of uid %d, in seat %d", n.PID, n.UID, n.Seat)
}

// ringSide is what whoever has a role at a ring knows privately. Not safe for concurrent
// use.
type ringSide struct {
	ring       *ring
	own, other *RingLine
	owner      *uint32 // the word that names who has the role
	actor      Actor
	position   uint64   // of the own word
	seen       ringWord // the other side's word, as last loaded and found possible
	looked     uint32   // attention of the own line at the last look
	woken      uint32   // attention of the own line for which all were woken
	closed     bool
	spin       spinner
}

// begin starts with a role that was just claimed, from what the last one left.
func (s *ringSide) begin() error {
	s.position, s.seen = ringWord(load64(&s.own.Word)).position(), ringWord(load64(&s.other.Word))
	s.looked = load32(&s.own.Attention) - 1 // so that the first operation looks
	s.woken = s.looked                      // and the first commit wakes who sleeps already
	tail, head := s.position, s.seen.position()
	if s.own == s.ring.head {
		tail, head = head, tail
	}
	if _, ok := s.ring.span(tail, head); !ok || !s.ring.bytes && head%recordAlign != 0 {
		return s.ring.corrupt(tail, head)
	}
	return nil
}

func (r *ring) corrupt(tail, head uint64) error {
	return status.New(status.Corrupt, "", "written to byte %d, read to byte %d, in a ring of %d",
		tail, head, r.capacity)
}

// attend looks at everything, if there was a reason to since the last time. It comes
// first in every operation.
func (s *ringSide) attend() error {
	if s.quiet() {
		return nil
	}
	return s.look()
}

// quiet reports whether there was no reason to look at anything.
func (s *ringSide) quiet() bool { return load32(&s.own.Attention) == s.looked && !s.closed }

// calm is quiet of who also knows that nobody sleeps: then a commit need not tell anybody,
// if the attention is still the same after it.
func (s *ringSide) calm() (attention uint32, ok bool) {
	attention = load32(&s.own.Attention)
	return attention, attention == s.looked && attention == s.woken && !s.closed
}

// look finds out why an operation must not go on.
func (s *ringSide) look() error {
	attention := load32(&s.own.Attention)
	if s.closed || load32(s.owner) != s.actor.Seat {
		return orElse(s.ring.live(), status.NotOwner)
	}
	if s.ring.pipe && s.own == s.ring.tail {
		if w := ringWord(load64(&s.other.Word)); w.over() {
			return orElse(s.ring.live(), w.closedBy(s.other))
		}
	}
	if err := s.ring.live(); err != nil {
		return err
	}
	s.looked = attention
	return nil
}

// live is asked after a load of a word; pairs with remove.
func (r *ring) live() error {
	switch r.seg.State() {
	case StateLive:
		return nil
	case StateRemoved:
		return status.Removed
	}
	return errCorrupt
}

// commit makes what was written or read up to a position known.
func (s *ringSide) commit(word ringWord) {
	s.position = word.position()
	before := load32(&s.own.Attention)
	store64(&s.own.Word, uint64(word))
	if load32(&s.own.Attention) != s.woken { // pairs with ringWait.until
		s.wake(before)
	}
}

// post is commit of who was calm, and makes an atomic exchange of its own before it calls
// Settle: that keeps the store before the look at attention, as commit's does.
func (s *ringSide) post(position uint64) {
	s.position = position
	put64(&s.own.Word, uint64(makeRingWord(position)))
}

// Settle ends what Post or Fetch did with that attention, after an exchange. It looks at
// shared words only. Who was announced meanwhile is woken, and once more by the next
// commit, for what is remembered of wakes is not this call's any more.
func (s *ringSide) Settle(attention uint32) {
	if load32(&s.own.Attention) != attention { // pairs with ringWait.until
		s.wakeSleepers()
	}
}

// wakeSleepers is no part of what is inlined with Settle.
//
//go:noinline
func (s *ringSide) wakeSleepers() { futexWakeN(futexWord32(&s.own.Word), futexAll) }

// wake wakes all who sleep on the own word; before is the attention of before its store.
//
// Whoever announced before the store judged the word before it. Who did after it may have
// judged this one, and sleep in spite of the wake: that one is for the next commit.
func (s *ringSide) wake(before uint32) {
	s.woken = before
	s.wakeSleepers()
}

// ringWait is one call's wait for the other side.
type ringWait struct {
	callClock
	spun bool
}

// until waits until the other side's word is good, or an error says why it never will
// be. Errors: also status.WouldBlock, TimedOut, Cancelled, and those of look.
func (s *ringSide) until(ctx context.Context, p *Parker, wait *ringWait, good func(ringWord) (bool, error)) error {
	word := futexWord32(&s.other.Word)
	var leave error
	for {
		w := ringWord(load64(&s.other.Word))
		ok, reason := good(w)
		if ok {
			return nil
		}
		if err := s.look(); err != nil {
			return err
		}
		switch {
		case reason != nil:
			return reason
		case leave != nil:
			return leave
		case wait.timeout == 0:
			return status.WouldBlock
		case !wait.spun && !s.spin.skip():
			wait.spun = true
			s.spin.forActor(s.actor, word, func(low uint32) bool { return low != w.futex() })
			continue
		}
		deadline := wait.clock(ctx)
		add32(&s.other.Attention, 1) // pairs with commit
		if ringWord(load64(&s.other.Word)) != w || s.ring.seg.State() != StateLive {
			leave = endedBy(ctx, deadline)
			continue
		}
		leave = s.ring.seg.sleepFree(ctx, p, s.actor.Seat, word, w.futex(), deadline)
	}
}

// Close gives the role at a stream back: the other side finds the end after what was
// committed, and another client may claim the role. It may be repeated. A pipe is closed by
// PipeEnd.Close.
func (s *ringSide) Close() {
	if s.closed || s.ring.pipe {
		return
	}
	s.closed = true
	if load32(s.owner) != s.actor.Seat {
		return // taken by recovery
	}
	s.ring.end(s.own, ringClosed, nil)
	s.ring.wakeAll()
	cas32(s.owner, s.actor.Seat, 0) // last: the mark must not meet a successor
}

// RingStatus is a look at one direction that holds nothing still.
type RingStatus struct {
	Used      uint64  // bytes written and not read, with the headers of records
	Producer  uint32  // owner bits of the client; 0 = nobody
	Consumer  uint32  // likewise
	Closed    bool    // the producer ended behind the last message, in an orderly way
	Died      bool    // or died
	LastDeath *Notice // of a producer; nil = none yet
}

func (r *ring) status() RingStatus {
	head, tail := ringWord(load64(&r.head.Word)), ringWord(load64(&r.tail.Word))
	st := RingStatus{Producer: ownerOf(load32(&r.tail.Owner)), Consumer: ownerOf(load32(&r.head.Owner)),
		Closed: uint64(tail)&ringClosed != 0, Died: uint64(tail)&ringDied != 0}
	if used, ok := r.span(tail.position(), head.position()); ok {
		st.Used = used
	}
	if r.tail.Death.any() {
		st.LastDeath = r.tail.Death.notice()
	}
	return st
}

// ofRing waits until the other side's word lets an operation go on.
type ofRing struct {
	seatCounter
	ring       *ring
	own, other *RingLine
	owner      *uint32
	ready      func(own, other ringWord) bool
}

func (s *ringSide) waitable(ready func(own, other ringWord) bool) Waitable {
	return ofRing{seatCounter{s.ring.seg, s.actor.Seat}, s.ring, s.own, s.other, s.owner, ready}
}

func (w ofRing) arm(_ context.Context, _ *Parker, _ int64, announce bool) (sleep, bool, error) {
	own, other := ringWord(load64(&w.own.Word)), ringWord(load64(&w.other.Word))
	if w.ready(own, other) || w.gone() {
		return sleep{}, true, nil
	}
	if announce {
		add32(&w.other.Attention, 1)
	}
	// gone after the announcement; pairs with remove
	return sleep{word: futexWord32(&w.other.Word), expected: other.futex()}, w.gone(), nil
}

// gone reports whether a try would say why it never will succeed.
func (w ofRing) gone() bool { return w.ring.seg.State() != StateLive || load32(w.owner) != w.seat }

// pass: every wake is for all, so nothing is owed.
func (w ofRing) pass() {}
