package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// mutexMachine is a mutex.
type mutexMachine struct{ recursive, unlockAny, strict bool }

type mutexState struct {
	held         bool
	owner        int
	depth        int // further locks by the owner
	inconsistent bool
	poisoned     bool
	deaths       int64
}

func (m mutexMachine) start() mutexState { return mutexState{} }

// end gives the lock of its owner back, with the notice.
func (m mutexMachine) end(s mutexState, a *action) mutexState {
	if s.held && s.owner == a.actor {
		s.held, s.owner, s.depth, s.inconsistent = false, 0, 0, true
		s.deaths++
	}
	return s
}

func (m mutexMachine) step(s mutexState, a *action) []mutexState {
	var next mutexState
	var ok bool
	switch a.Op {
	case history.OpLock:
		next, ok = m.lock(s, a)
	case history.OpUnlock:
		next, ok = m.unlock(s, a)
	case history.OpMark:
		next, ok = m.mark(s, a)
	}
	if !ok {
		return nil
	}
	return []mutexState{next}
}

// mine reports whether the actor may do what the holder may.
func (m mutexMachine) mine(s mutexState, a *action) bool {
	return s.held && (s.owner == a.actor || m.unlockAny)
}

func (m mutexMachine) lock(s mutexState, a *action) (mutexState, bool) {
	again := s.held && s.owner == a.actor && !m.unlockAny
	if a.Unknown() || a.OK() {
		noticed := a.Code() == status.OwnerDied
		if a.OK() && (noticed != s.inconsistent || noticed && a.Result != s.deaths) {
			return s, false
		}
		if !s.held && !s.poisoned {
			s.held, s.owner = true, a.actor
			return s, true
		}
		s.depth++
		return s, again && m.recursive
	}
	switch {
	case a.refused():
		// Whoever is told that it is not recoverable had it for an instant.
		return s, s.held && !again || s.poisoned
	case a.Code() == status.Deadlock:
		return s, again && !m.recursive
	case a.Code() == status.NotRecoverable:
		return s, !s.held && s.poisoned
	}
	return s, false
}

func (m mutexMachine) unlock(s mutexState, a *action) (mutexState, bool) {
	mine := m.mine(s, a)
	if a.Unknown() || a.OK() {
		if s.depth > 0 {
			s.depth--
			return s, mine
		}
		s.held, s.owner = false, 0
		s.poisoned = s.poisoned || m.strict && s.inconsistent
		return s, mine
	}
	return s, a.Code() == status.NotOwner && !mine
}

func (m mutexMachine) mark(s mutexState, a *action) (mutexState, bool) {
	mine := m.mine(s, a)
	if a.Unknown() || a.OK() {
		s.inconsistent = false
		return s, mine
	}
	return s, a.Code() == status.NotOwner && !mine
}
