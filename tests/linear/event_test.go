package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// eventMachine is an event. A wait for one with manual reset has two parts: what was
// set or pulsed in between has ended it, even if it is not set any more. A try has
// one, and so has a wait that ran out of time: it was not set when that began.
type eventMachine struct{ auto bool }

type eventState struct {
	set     bool
	times   uint16            // it was set or pulsed so often
	waiting [actorsMax]uint16 // 1 + times when the wait began; 0 = none
}

func (m eventMachine) split(e *history.Entry) bool {
	return !m.auto && e.Op == history.OpWait && e.OK() && e.Timeout != 0
}

func (m eventMachine) start() eventState { return eventState{} }

func (m eventMachine) end(s eventState, a *action) eventState {
	s.waiting[a.actor] = 0
	return s
}

func (m eventMachine) step(s eventState, a *action) []eventState {
	ok := a.Unknown() || a.OK()
	switch a.Op {
	case history.OpSignal:
		if !s.set {
			s.set = true
			s.times++
		}
	case history.OpReset:
		s.set = false
	case history.OpPulse:
		s.set = false
		s.times++
	case history.OpIsSet:
		ok = ok && (a.Unknown() || (a.Result != 0) == s.set)
	case history.OpWait:
		ok = m.wait(&s, a)
	}
	if !ok {
		return nil
	}
	return []eventState{s}
}

func (m eventMachine) wait(s *eventState, a *action) bool {
	began := &s.waiting[a.actor]
	switch {
	case a.Code() == status.WouldBlock, a.Code() == status.TimedOut:
		return !s.set
	case !a.OK() && !a.Unknown():
		return false
	case m.auto:
		was := s.set
		s.set = false
		return was
	case a.part == beginning:
		*began = 1 + s.times
		return true
	case a.part == ending:
		ended := *began != 0 && (s.set || *began != 1+s.times)
		*began = 0
		return ended
	}
	return s.set || a.Unknown()
}
