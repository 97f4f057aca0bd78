package linear

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// parcelsMax bounds what lies in a ring that is modelled.
const parcelsMax = 96

// parcel is a message in a ring, or the end of a producer behind its last one.
type parcel struct {
	number int32
	bytes  uint16 // with its header
	end    departure
}

// departure is how a producer ended; two that ended with no message between them are told of
// as one, which may be as either.
type departure uint8

const (
	closed departure = 1 << iota
	bereft
)

// toldBy reports whether a status tells of such an end.
func (e departure) toldBy(code status.Code) bool {
	return e&closed != 0 && code == status.Ended || e&bereft != 0 && code == status.PeerDied
}

// endOf is the end of an actor.
func endOf(a *action) departure {
	if a.Op == history.OpClose {
		return closed
	}
	return bereft
}

// flow is one direction: what lies in a ring.
type flow struct {
	parcels [parcelsMax]parcel
	count   int
}

// String tells its messages, and the ends.
func (f flow) String() string {
	text := "parcels"
	for _, p := range f.parcels[:f.count] {
		if p.end != 0 {
			text += fmt.Sprintf(" end %b,", p.end)
		} else {
			text += fmt.Sprintf(" %d,", p.number)
		}
	}
	return text
}

// ringBytes are the bytes of a ring that is modelled; ringMost those of its longest record.
const (
	ringBytes = 4096
	ringMost  = 1000
)

func (f *flow) used() int {
	sum := 0
	for _, p := range f.parcels[:f.count] {
		sum += int(p.bytes)
	}
	return sum
}

func (f *flow) push(p parcel) bool {
	if f.count == parcelsMax {
		return false
	}
	f.parcels[f.count] = p
	f.count++
	return true
}

func (f *flow) pop() (p parcel) {
	p = f.parcels[0]
	copy(f.parcels[:f.count], f.parcels[1:f.count])
	f.count--
	f.parcels[f.count] = parcel{}
	return p
}

// recordBytes are those of an entry's message with its header.
func recordBytes(e *history.Entry) int { return 8 + (int(e.N)+7)/8*8 }

// send returns the flows that a send may lead to. long: the message may go in pieces.
func (f flow) send(a *action, long bool) (next []flow) {
	need := recordBytes(&a.Entry)
	if a.refused() {
		// Before a record the end of the ring may be left empty, if it does not fit there;
		// so it may be before one that lies in it. And the end of a producer takes its place.
		if long || f.used()+ringMost+2*need+64 > ringBytes {
			next = append(next, f)
		}
		return next
	}
	if a.Return != 0 && !a.OK() {
		return nil
	}
	numbers := []int64{a.Argument}
	switch a.Op {
	case history.OpReserve: // which nobody sees
		if long || f.used()+need <= ringBytes {
			next = append(next, f)
		}
		return next
	case history.OpAbort:
		return append(next, f)
	case history.OpSendMany:
		numbers = a.Batch()
	}
	for i, number := range numbers {
		if !long && f.used()+need > ringBytes || !f.push(parcel{number: int32(number), bytes: uint16(need)}) {
			break
		}
		if a.Unknown() || i == len(numbers)-1 {
			next = append(next, f) // the first of a batch, if it is not known how many
		}
	}
	return next
}

// recv returns the flows that a receive of messages may lead to, when such lie there.
func (f flow) recv(a *action) (next []flow) {
	switch {
	case a.Unknown() && a.Op == history.OpPeek:
		return nil
	case a.Op == history.OpAdvance: // in one step
		return f.take(a.Numbers[:a.Desired])
	case a.Unknown():
		for n := max(a.Desired, 1); n > 0 && f.count > 0 && f.parcels[0].end == 0; n-- {
			f.pop()
			next = append(next, f)
		}
		return next
	}
	numbers := []int64{a.Result}
	if a.Op != history.OpRecv {
		numbers = a.Batch()
	}
	if !a.OK() || len(numbers) == 0 {
		return nil
	}
	taken := f.take(numbers)
	if a.Op == history.OpPeek && taken != nil {
		return []flow{f}
	}
	return taken
}

// take receives the messages of some numbers, which must be the first.
func (f flow) take(numbers []int64) []flow {
	for _, number := range numbers {
		if f.count == 0 || f.parcels[0].end != 0 || f.pop().number != int32(number) {
			return nil
		}
	}
	return []flow{f}
}

// streamMachine is a stream.
type streamMachine struct{}

type streamState struct {
	flow
	holders [3]int  // by role; 0 = nobody
	late    [3]bool // nobody, and the last one's claim may still be seen: it is given up last
	told    bool    // the last thing that was received is an end
}

func (streamMachine) start() streamState { return streamState{} }

func (m streamMachine) end(s streamState, a *action) streamState {
	for role := history.RoleProducer; role <= history.RoleConsumer; role++ {
		if s.holders[role] == a.actor {
			s.give(role, endOf(a))
		}
	}
	return s
}

// give ends a role.
func (s *streamState) give(role uint32, how departure) {
	s.holders[role], s.late[role] = 0, true
	switch {
	case role != history.RoleProducer:
	case s.count > 0 && s.parcels[s.count-1].end != 0:
		s.parcels[s.count-1].end |= how
	case s.count > 0 || !s.told:
		s.push(parcel{end: how, bytes: 8})
	}
}

func (m streamMachine) step(s streamState, a *action) (next []streamState) {
	ok := false
	switch a.Op {
	case history.OpClaim:
		ok = s.claim(a)
	case history.OpRetire:
		if mine := s.holders[a.N] == a.actor; mine {
			ok = a.OK() || a.Unknown()
			s.give(a.N, closed)
		} else {
			ok = a.Code() == status.NotOwner || a.OK()
		}
	case history.OpSend, history.OpSendMany, history.OpReserve, history.OpCommit, history.OpAbort:
		if s.holders[history.RoleProducer] != a.actor {
			ok = a.Return != 0 && a.Code() == status.NotOwner
			break
		}
		for _, f := range s.send(a, false) {
			sent := s
			sent.flow = f
			next = append(next, sent)
		}
		return next
	case history.OpRecv, history.OpRecvMany, history.OpPeek, history.OpAdvance:
		return m.recv(s, a)
	}
	if !ok {
		return nil
	}
	return []streamState{s}
}

func (s *streamState) claim(a *action) bool {
	holder := s.holders[a.N]
	switch {
	case a.OK() || a.Unknown():
		s.holders[a.N], s.late[a.N] = a.actor, false
		return holder == 0 || holder == a.actor
	case a.Code() == status.Taken:
		return holder != 0 && holder != a.actor || holder == 0 && s.late[a.N]
	}
	return false
}

func (m streamMachine) recv(s streamState, a *action) (next []streamState) {
	switch {
	case s.holders[history.RoleConsumer] != a.actor:
		if a.Return != 0 && a.Code() == status.NotOwner {
			next = append(next, s)
		}
	case s.count == 0:
		if a.refused() {
			next = append(next, s)
		}
	case s.parcels[0].end != 0:
		if a.Unknown() || s.parcels[0].end.toldBy(a.Code()) {
			s.pop()
			s.told = true
			next = append(next, s)
		}
	default:
		for _, f := range s.flow.recv(a) {
			got := s
			got.flow, got.told = f, s.told && a.Op == history.OpPeek
			next = append(next, got)
		}
	}
	return next
}

// streamPhrase takes a role and sends or receives in it.
func streamPhrase(w *writer) {
	role := 1 + w.Uint32N(2)
	w.Add(history.Entry{Op: history.OpClaim, N: role})
	for range 1 + w.IntN(6) {
		w.transfer(role == history.RoleProducer, ringMost-8)
	}
	if !w.One(3) {
		w.Add(history.Entry{Op: history.OpRetire, N: role})
	}
	w.reopen(10)
}

// transfer sends or receives, now and then in place.
func (w *writer) transfer(sends bool, messageMax uint32) {
	if w.One(3) {
		w.inPlace(sends)
		return
	}
	e := history.Entry{Op: history.OpRecv, Timeout: w.Timeout(), Desired: 1 + w.Int64N(history.BatchMax)}
	many := w.One(4)
	switch {
	case sends:
		e.N, e.Argument = 8+w.Uint32N(messageMax-7), *w.numbers+1
		if e.Op = history.OpSend; many {
			e.Op = history.OpSendMany
		}
		*w.numbers += history.BatchMax
	case many:
		e.Op = history.OpRecvMany
	default:
		e.Desired = 0
	}
	w.Add(e)
}

// inPlace makes a message in the ring, or does not; or looks at what comes, and receives
// it, or does not.
func (w *writer) inPlace(sends bool) {
	if sends {
		*w.numbers++
		w.reserve(history.Entry{Op: history.OpReserve, N: 8 + w.Uint32N(ringMost-15), Argument: *w.numbers,
			Timeout: w.Timeout()})
		return
	}
	for range 1 + w.IntN(2) {
		timeout := max(w.Timeout(), 1000) // there is no try in every language
		w.Add(history.Entry{Op: history.OpPeek, Timeout: timeout, Desired: 1 + w.Int64N(history.BatchMax)})
	}
	if !w.One(4) {
		w.Add(history.Entry{Op: history.OpAdvance, Desired: 1 + w.Int64N(history.BatchMax)})
	}
}
