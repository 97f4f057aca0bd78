package linear

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// slotsMax bounds the slots of a queue that is modelled.
const slotsMax = 128

// queueMachine is a queue. A message that is longer than copyMax is put in two steps
// and taken in two: others may find the queue full before it is there, and free
// again after it is gone, and who joins waits for it until then. The model has one
// step: give such a queue so many slots that it is never full; a join that is refused
// says nothing. And who runs out of time while the memory of a message is
// looked for has leased it and given it back, two steps again: only try there.
type queueMachine struct {
	size          int
	deliveriesMax uint8 // 0 = no limit
	long          bool
}

type slotState uint8

const (
	ready slotState = iota
	leased
	dead
)

// slot is a message in the queue.
type slot struct {
	number     int32
	actor      int8 // whose lease
	state      slotState
	deliveries uint8
}

// queueState is the messages in the order of their commits, and the slots that are
// reserved.
type queueState struct {
	slots   [slotsMax]slot
	count   int
	writing [actorsMax]uint8
}

// String tells its messages: number, deliveries, and whose lease or dead.
func (s queueState) String() string {
	text := fmt.Sprintf("%d reserved, messages", s.written())
	for _, x := range s.slots[:s.count] {
		text += fmt.Sprintf(" %d:%d", x.number, x.deliveries)
		switch x.state {
		case leased:
			text += fmt.Sprintf(" of actor %d,", x.actor)
		case dead:
			text += " dead,"
		default:
			text += ","
		}
	}
	return text
}

func (m queueMachine) start() queueState { return queueState{} }

func (m queueMachine) end(s queueState, a *action) queueState {
	s.writing[a.actor] = 0
	for i := range s.slots[:s.count] {
		if s.slots[i].state == leased && s.slots[i].actor == int8(a.actor) {
			m.giveBack(&s.slots[i])
		}
	}
	return s
}

// giveBack ends a lease without an acknowledgement.
func (m queueMachine) giveBack(x *slot) {
	x.state, x.actor = ready, 0
	if m.deliveriesMax != 0 && x.deliveries >= m.deliveriesMax {
		x.state = dead
	}
}

// first is the index of the first message in a state, -1 if there is none.
func (s *queueState) first(state slotState) int {
	for i := range s.slots[:s.count] {
		if s.slots[i].state == state {
			return i
		}
	}
	return -1
}

// leasedBy is the index of the message that an action is about, if the actor has it in
// that delivery, or it is not said which.
func (s *queueState) leasedBy(actor int, a *action) int {
	for i, x := range s.slots[:s.count] {
		if x.state == leased && x.actor == int8(actor) && int64(x.number) == a.Result &&
			(a.Extra == 0 || uint32(x.deliveries) == a.Extra) {
			return i
		}
	}
	return -1
}

func (s *queueState) append(number int64) {
	s.slots[s.count] = slot{number: int32(number)}
	s.count++
}

func (s *queueState) remove(i int) {
	copy(s.slots[i:s.count], s.slots[i+1:s.count])
	s.count--
	s.slots[s.count] = slot{}
}

func (s *queueState) written() int {
	sum := 0
	for _, n := range s.writing {
		sum += int(n)
	}
	return sum
}

func (s *queueState) in(state slotState) int {
	n := 0
	for _, x := range s.slots[:s.count] {
		if x.state == state {
			n++
		}
	}
	return n
}

func (m queueMachine) step(s queueState, a *action) []queueState {
	if !s.findsOver(a) {
		return nil
	}
	if a.outwaited() {
		return []queueState{s}
	}
	ok := false
	switch a.Op {
	case opExpire:
		return m.expire(s, a)
	case history.OpJoin:
		idle := s.in(ready)+s.in(leased) == 0
		ok = a.OK() && idle || a.refused() && (!idle || m.long)
	case history.OpExtend:
		held := s.leasedBy(a.actor, a) >= 0
		ok = a.OK() && held || a.Code() == status.NotOwner && !held
	case history.OpPutMany, history.OpTakeMany, history.OpLeaseMany, history.OpAckMany, history.OpNackMany:
		return m.batch(s, a)
	case history.OpPut, history.OpReserve:
		room := s.count+s.written() < m.size
		switch {
		case a.refused():
			ok = !room
		case a.Op == history.OpPut && room:
			s.append(a.Argument)
			ok = a.OK() || a.Unknown()
		case room:
			s.writing[a.actor]++
			ok = a.OK() || a.Unknown()
		}
	case history.OpCommit, history.OpAbort:
		if s.writing[a.actor] > 0 {
			s.writing[a.actor]--
			if a.Op == history.OpCommit {
				s.append(a.Argument)
			}
			ok = a.OK() || a.Unknown()
		}
	case history.OpTake, history.OpLease, history.OpTakeDead:
		return m.get(s, a)
	case history.OpAck, history.OpNack:
		ok = m.endLease(&s, a)
	case history.OpRedeliver:
		n := 0
		for i := range s.slots[:s.count] {
			if s.slots[i].state == dead {
				s.slots[i].state, s.slots[i].deliveries = ready, 0
				n++
			}
		}
		ok = a.Unknown() || a.OK() && a.Result == int64(n)
	case history.OpCounts:
		r, l, w, d := a.Counts()
		ok = a.Unknown() || a.OK() && r == s.in(ready) && l == s.in(leased) && w == s.written() && d == s.in(dead) &&
			int(a.Extra) == m.size-s.count-s.written()
	}
	if !ok {
		return nil
	}
	return []queueState{s}
}

// get takes or leases the first message, or leases the oldest dead letter.
func (m queueMachine) get(s queueState, a *action) []queueState {
	from := ready
	if a.Op == history.OpTakeDead {
		from = dead
	}
	i := s.first(from)
	if i < 0 {
		if a.refused() {
			return []queueState{s}
		}
		return nil
	}
	x := &s.slots[i]
	if a.Return != 0 && (!a.OK() || a.Result != int64(x.number)) {
		return nil
	}
	gone := s
	gone.remove(i)
	if a.Op == history.OpTake && a.OK() {
		return []queueState{gone}
	}
	if a.Op != history.OpTakeDead {
		x.deliveries++
	}
	x.state, x.actor = leased, int8(a.actor)
	if a.OK() {
		if a.Extra != uint32(x.deliveries) {
			return nil
		}
		return []queueState{s}
	}
	// A take of a long message is a lease before it is gone. And what the daemon got
	// for a client that is gone, it may give back before the recovery.
	returned := s
	m.giveBack(&returned.slots[i])
	if a.Op == history.OpTake {
		return []queueState{gone, s}
	}
	return []queueState{s, returned}
}

func (m queueMachine) endLease(s *queueState, a *action) bool {
	i := s.leasedBy(a.actor, a)
	if i < 0 { // of a batch one may be repeated, and the next refused
		return a.Return != 0 && a.Code() == status.NotOwner || a.OK() && a.repeated
	}
	if a.Op == history.OpAck {
		s.remove(i)
	} else {
		m.giveBack(&s.slots[i])
	}
	return a.OK() || a.Unknown()
}
