package linear

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// partiesAll is how many parties the barrier has.
const partiesAll = 3

// barrierMachine is a barrier. To arrive has two parts: the arrival, and its outcome,
// which is that of the generation in which it arrived.
type barrierMachine struct{ parties uint8 }

// verdict is how a generation ended.
type verdict uint8

const (
	passed verdict = iota + 1
	spoiled
	bereaved // by a death
)

// The reasons of a barrier that is broken, as in shmd.h.
const (
	byTimeout uint32 = 1 << iota
	byAbort
	byDeath
)

// arrival is an actor's, until it has its outcome.
type arrival struct {
	here       bool
	counted    bool // it found the barrier whole
	died       bool // it found it broken by a death
	index      uint8
	generation uint16
}

// remembered is of how many generations a barrier knows the outcome.
const remembered = 8

// generationsMax bounds those of a history.
const generationsMax = 256

type barrierState struct {
	generation uint16
	arrived    uint8
	broken     bool
	reasons    uint32
	party      [actorsMax]bool
	arrivals   [actorsMax]arrival
	verdicts   [generationsMax]verdict
}

func splitBarrier(e *history.Entry) bool {
	return e.Op == history.OpArrive && e.Code() != status.WouldBlock
}

// String tells where the barrier stands.
func (s barrierState) String() string {
	return fmt.Sprintf("generation %d, %d arrived, broken %v by %b, parties %v", s.generation, s.arrived, s.broken,
		s.reasons, s.party)
}

func (barrierMachine) start() barrierState { return barrierState{} }

// end breaks the barrier if a party died.
func (m barrierMachine) end(s barrierState, a *action) barrierState {
	if s.party[a.actor] && a.Op != history.OpClose {
		s.breaks(byDeath)
	}
	s.party[a.actor], s.arrivals[a.actor] = false, arrival{}
	return s
}

func (s *barrierState) breaks(reason uint32) {
	s.broken = true
	s.reasons |= reason
}

func (s *barrierState) next(v verdict) bool {
	if s.generation == generationsMax-1 {
		return false
	}
	s.verdicts[s.generation] = v
	s.generation++
	s.arrived, s.broken, s.reasons = 0, false, 0
	return true
}

func (m barrierMachine) step(s barrierState, a *action) []barrierState {
	ok := a.Unknown() || a.OK()
	switch a.Op {
	case history.OpArrive:
		switch a.part {
		case whole: // a try: WOULD_BLOCK
			ok = !s.broken && s.arrived+1 < m.parties
		case beginning:
			return m.arrive(s, a)
		case ending:
			return m.outcome(s, a)
		}
	case history.OpBreak:
		if !s.broken {
			s.breaks(byAbort)
		}
	case history.OpReset:
		died := s.reasons&byDeath != 0
		ok = ok && (a.Unknown() || (a.Code() == status.OwnerDied) == died)
		v := spoiled
		if died {
			v = bereaved
		}
		ok = s.next(v) && ok
	case history.OpState:
		waiting, broken, reasons := a.State()
		arrived := int(s.arrived)
		if s.broken {
			arrived = 0
		}
		ok = ok && (a.Unknown() || waiting == arrived && broken == s.broken && reasons == s.reasons &&
			a.Extra == uint32(s.generation))
	}
	if !ok {
		return nil
	}
	return []barrierState{s}
}

// arrive counts an arrival, unless the barrier is broken. An actor is a party before
// it has arrived, so that it may have become one in vain.
func (m barrierMachine) arrive(s barrierState, a *action) (next []barrierState) {
	s.arrivals[a.actor] = arrival{here: true, counted: !s.broken, index: s.arrived, generation: s.generation,
		died: s.reasons&byDeath != 0}
	joined := s
	joined.party[a.actor] = true
	if s.broken {
		return []barrierState{s, joined}
	}
	if a.Unknown() {
		nowhere := joined
		nowhere.arrivals[a.actor] = arrival{}
		next = append(next, nowhere)
	}
	if joined.arrived++; joined.arrived == m.parties && !joined.next(passed) {
		return nil
	}
	return append(next, joined)
}

// outcome is what an arrival led to.
func (m barrierMachine) outcome(s barrierState, a *action) []barrierState {
	mine := s.arrivals[a.actor]
	s.arrivals[a.actor] = arrival{}
	now := s.generation == mine.generation
	over := s.verdicts[mine.generation]
	ok := false
	switch {
	case !mine.here:
	case a.Unknown():
		if now && !s.broken { // whoever waits for it may have run out of time, or of a client
			timedOut, cancelled := s, s
			timedOut.breaks(byTimeout)
			cancelled.breaks(byAbort)
			return []barrierState{s, timedOut, cancelled}
		}
		ok = true
	case !mine.counted:
		ok = a.Code() == status.Broken && !mine.died || a.Code() == status.PeerDied && mine.died
	case a.Code() == status.OutcomeUnknown:
		ok = s.generation > mine.generation+remembered
	case a.OK():
		ok = over == passed && a.Result == int64(mine.index)
	case a.Code() == status.TimedOut:
		ok = now && !s.broken
		s.breaks(byTimeout)
	case a.Code() == status.PeerDied:
		ok = now && s.reasons&byDeath != 0 || over == bereaved
	case a.Code() == status.Broken:
		ok = now && s.broken && s.reasons&byDeath == 0 || over == spoiled
	}
	if !ok {
		return nil
	}
	return []barrierState{s}
}
