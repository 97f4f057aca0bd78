package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// pipeMachine is a pipe; long = of messages that go in pieces, which have no room or have
// it for reasons that the model does not know.
type pipeMachine struct{ long bool }

// pipeState is what each end has sent, and who has the ends.
type pipeState struct {
	flows [3]flow // by the end that sends
	pipeEnds
}

// pipeEnds are who has the ends of a pipe, and how those are over that nobody has again.
type pipeEnds struct {
	holders [3]int
	over    [3]departure
	marking [3]int64 // until when the end may not be marked for who receives: it is second
}

// leave is the end of an actor.
func (s *pipeEnds) leave(a *action) {
	for end := history.EndA; end <= history.EndB; end++ {
		if s.holders[end] == a.actor {
			s.holders[end], s.over[end], s.marking[end] = 0, endOf(a), operationOf(a).Return
		}
	}
}

// endsOf are the actor's end and the other one; has = it has one.
func (s *pipeEnds) endsOf(a *action) (mine, other uint32, has bool) {
	mine = history.EndA
	if s.holders[mine] != a.actor {
		mine = history.EndB
	}
	return mine, history.EndA + history.EndB - mine, s.holders[mine] == a.actor
}

// mayBeOpen reports whether a receive may find that an end is not over.
func (s *pipeEnds) mayBeOpen(end uint32, a *action) bool {
	return s.over[end] == 0 || a.Call < s.marking[end]
}

// change claims or retires an end.
func (s *pipeEnds) change(a *action) bool {
	holder, over := s.holders[a.N], s.over[a.N]
	switch {
	case a.Op == history.OpRetire && holder == a.actor:
		s.holders[a.N], s.over[a.N], s.marking[a.N] = 0, closed, operationOf(a).Return
		return a.OK() || a.Unknown()
	case a.Op == history.OpRetire:
		return a.Code() == status.NotOwner || a.OK()
	case a.OK() || a.Unknown():
		s.holders[a.N] = a.actor
		return over == 0 && (holder == 0 || holder == a.actor)
	case a.Code() == status.Taken:
		return holder != 0 || over != 0 // which is marked before it is given up
	}
	return a.Code() == status.Ended && over != 0
}

func (pipeMachine) start() pipeState { return pipeState{} }

func (m pipeMachine) end(s pipeState, a *action) pipeState {
	s.leave(a)
	return s
}

func (m pipeMachine) step(s pipeState, a *action) (next []pipeState) {
	if a.Op == history.OpClaim || a.Op == history.OpRetire {
		if s.change(a) {
			next = append(next, s)
		}
		return next
	}
	mine, other, has := s.endsOf(a)
	receives := false
	switch a.Op {
	case history.OpRecv, history.OpRecvMany, history.OpPeek, history.OpAdvance:
		receives = true
	}
	switch {
	case !has:
		if code := a.Code(); a.Return != 0 && (code == status.NotOwner || code == status.Invalid) {
			next = append(next, s)
		}
	case receives:
		if s.flows[other].count == 0 {
			if a.refused() && s.mayBeOpen(other, a) || s.over[other].toldBy(a.Code()) {
				next = append(next, s)
			}
			return next
		}
		for _, f := range s.flows[other].recv(a) {
			got := s
			got.flows[other] = f
			next = append(next, got)
		}
	case s.over[other] != 0 && a.Op != history.OpAbort:
		if s.over[other].toldBy(a.Code()) {
			next = append(next, s)
		}
	default:
		for _, f := range s.flows[mine].send(a, m.long) {
			sent := s
			sent.flows[mine] = f
			next = append(next, sent)
		}
	}
	return next
}

// pipePhrase uses one end, the same for all of a script.
func pipePhrase(w *writer, messageMax uint32) {
	w.claimEnd()
	for range 1 + w.IntN(6) {
		w.transfer(w.One(2), messageMax)
	}
	w.leaveEnd()
}

func (w *writer) claimEnd() {
	if w.end == 0 {
		w.end = 1 + w.Uint32N(2)
	}
	w.Add(history.Entry{Op: history.OpClaim, N: w.end})
}

func (w *writer) leaveEnd() {
	if w.One(8) {
		w.Add(history.Entry{Op: history.OpRetire, N: w.end})
	}
	w.reopen(30)
}
