package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// conditionMachine is a condition with its mutex. A wait has two parts: it releases
// the mutex, and it has it again. When it ends is not modelled, for it may end without
// a cause; that it does end is the soak's business.
type conditionMachine struct{}

type conditionState struct {
	mutex   mutexState
	waiting [actorsMax]bool
}

func splitCondition(e *history.Entry) bool {
	return e.Op == history.OpWaitCondition && e.Code() != status.NotOwner && e.Code() != status.WouldBlock
}

func (conditionMachine) start() conditionState { return conditionState{} }

func (conditionMachine) end(s conditionState, a *action) conditionState {
	s.mutex, s.waiting[a.actor] = mutexMachine{}.end(s.mutex, a), false
	return s
}

func (conditionMachine) step(s conditionState, a *action) []conditionState {
	m := mutexMachine{}
	ok := false
	switch a.Op {
	case history.OpNotify:
		ok = rightly(a, m.mine(s.mutex, a))
	case history.OpWaitCondition:
		ok = s.wait(m, a)
	default:
		next := m.step(s.mutex, a)
		if ok = len(next) > 0; ok {
			s.mutex = next[0]
		}
	}
	if !ok {
		return nil
	}
	return []conditionState{s}
}

func (s *conditionState) wait(m mutexMachine, a *action) bool {
	switch {
	case a.part == beginning:
		mine := m.mine(s.mutex, a)
		s.mutex.held, s.mutex.owner, s.waiting[a.actor] = false, 0, true
		return mine
	case a.part == whole && a.Code() == status.WouldBlock:
		return m.mine(s.mutex, a)
	case a.part == whole:
		return rightly(a, m.mine(s.mutex, a))
	}
	waited := s.waiting[a.actor]
	s.waiting[a.actor] = false
	noticed := a.Code() == status.OwnerDied
	rightly := noticed == s.mutex.inconsistent && (!noticed || a.Result == s.mutex.deaths)
	if !waited || s.mutex.held || !rightly && !a.Unknown() {
		return false
	}
	s.mutex.held, s.mutex.owner = true, a.actor
	return a.Unknown() || a.OK() || a.Code() == status.TimedOut
}
