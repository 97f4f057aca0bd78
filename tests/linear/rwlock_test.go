package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// rwlockMachine is a reader-writer lock. To lock it has two parts, for who wants it
// is seen: a writer who waits for readers keeps later ones out, and a reader who looks
// whether it may come in may keep a writer out that gives up then. Each of two may keep
// the other out.
type rwlockMachine struct{}

type rwlockState struct {
	writing      bool
	writer       int
	readers      [actorsMax]uint8
	wants        [actorsMax]bool
	met          [actorsMax]bool // who wants: another has wanted at the same time
	inconsistent bool
	deaths       int64
}

func splitRWLock(e *history.Entry) bool {
	return (e.Op == history.OpLock || e.Op == history.OpReadLock) && e.Code() != status.Deadlock
}

func (rwlockMachine) start() rwlockState { return rwlockState{} }

func (rwlockMachine) end(s rwlockState, a *action) rwlockState {
	s.readers[a.actor], s.wants[a.actor], s.met[a.actor] = 0, false, false
	if s.writing && s.writer == a.actor {
		s.writing, s.writer, s.inconsistent = false, 0, true
		s.deaths++
	}
	return s
}

func (m rwlockMachine) step(s rwlockState, a *action) []rwlockState {
	ok := false
	switch a.Op {
	case history.OpLock, history.OpReadLock:
		ok = m.lock(&s, a)
	case history.OpReadUnlock:
		ok = rightly(a, s.readers[a.actor] > 0)
		if ok && s.readers[a.actor] > 0 {
			s.readers[a.actor]--
		}
	case history.OpUnlock, history.OpMark:
		mine := s.writing && s.writer == a.actor
		ok = rightly(a, mine)
		if ok && mine && a.Op == history.OpUnlock {
			s.writing, s.writer = false, 0
		} else if ok && mine {
			s.inconsistent = false
		}
	}
	if !ok {
		return nil
	}
	return []rwlockState{s}
}

// rightly reports whether what only a holder may do came out as it must.
func rightly(a *action, holds bool) bool {
	if a.Unknown() || a.OK() {
		return holds
	}
	return a.Code() == status.NotOwner && !holds
}

func (m rwlockMachine) lock(s *rwlockState, a *action) bool {
	mine := s.writing && s.writer == a.actor
	if a.Code() == status.Deadlock {
		return mine || a.Op == history.OpLock && s.readers[a.actor] > 0
	}
	if a.part == beginning {
		s.want(a.actor)
		return true
	}
	if !s.wants[a.actor] {
		return false
	}
	met, readers := s.met[a.actor], s.readByOthers(a.actor)
	s.wants[a.actor], s.met[a.actor] = false, false
	if a.refused() {
		again := a.Op == history.OpReadLock && s.readers[a.actor] > 0
		return !again && (s.writing || met || a.Op == history.OpLock && readers)
	}
	noticed := a.Code() == status.OwnerDied
	if !a.Unknown() && (!a.OK() || noticed != s.inconsistent || noticed && a.Result != s.deaths) {
		return false
	}
	if a.Op == history.OpReadLock {
		s.readers[a.actor]++
		return !s.writing
	}
	free := !s.writing && !readers && s.readers[a.actor] == 0
	s.writing, s.writer = true, a.actor
	return free
}

// want begins to lock.
func (s *rwlockState) want(actor int) {
	for i, wants := range s.wants {
		if wants {
			s.met[i], s.met[actor] = true, true
		}
	}
	s.wants[actor] = true
}

// readByOthers reports whether another actor reads.
func (s *rwlockState) readByOthers(actor int) bool {
	for i, reads := range s.readers {
		if i != actor && reads > 0 {
			return true
		}
	}
	return false
}
