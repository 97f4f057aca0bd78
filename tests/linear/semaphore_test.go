package linear

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// semaphoreMachine is a semaphore of initial permits and at most maximum.
type semaphoreMachine struct {
	initial, maximum uint32
	undo             bool
}

// semaphoreState is how many permits there are, and with undo who holds some of them.
type semaphoreState struct {
	total uint32 // with undo those that are held, too
	held  [actorsMax]uint32
}

func (s *semaphoreState) available() uint32 {
	left := s.total
	for _, n := range s.held {
		left -= n
	}
	return left
}

// String tells who holds what.
func (s semaphoreState) String() string {
	text := fmt.Sprintf("%d available", s.available())
	for actor, n := range s.held {
		if n != 0 {
			text += fmt.Sprintf(", actor %d holds %d", actor, n)
		}
	}
	return text
}

func (m semaphoreMachine) start() semaphoreState { return semaphoreState{total: m.initial} }

func (m semaphoreMachine) end(s semaphoreState, a *action) semaphoreState {
	s.held[a.actor] = 0
	return s
}

func (m semaphoreMachine) step(s semaphoreState, a *action) []semaphoreState {
	next, ok := s, m.undo && a.outwaited()
	if ok {
		return []semaphoreState{s}
	}
	switch a.Op {
	case history.OpAcquire:
		next, ok = m.acquire(s, a)
	case history.OpRelease:
		next, ok = m.release(s, a)
	case history.OpPost:
		next, ok = m.post(s, a)
	case history.OpPermits:
		ok = a.Unknown() || a.OK() && uint32(a.Result) == s.available() && a.Extra == s.held[a.actor]
	}
	if !ok {
		return nil
	}
	return []semaphoreState{next}
}

func (m semaphoreMachine) acquire(s semaphoreState, a *action) (semaphoreState, bool) {
	enough := s.available() >= a.N
	if a.Unknown() || a.OK() {
		if m.undo {
			s.held[a.actor] += a.N
		} else {
			s.total -= a.N
		}
		return s, enough
	}
	return s, a.refused() && !enough
}

func (m semaphoreMachine) release(s semaphoreState, a *action) (semaphoreState, bool) {
	if !m.undo {
		return m.post(s, a)
	}
	holds := s.held[a.actor] >= a.N
	if a.Unknown() || a.OK() {
		s.held[a.actor] -= a.N
		return s, holds
	}
	return s, a.Code() == status.NotOwner && !holds
}

func (m semaphoreMachine) post(s semaphoreState, a *action) (semaphoreState, bool) {
	room := m.maximum-s.total >= a.N
	if a.Unknown() || a.OK() {
		s.total += a.N
		return s, room
	}
	return s, a.Code() == status.Overflow && !room
}
