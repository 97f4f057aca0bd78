package step

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// victim is a client that dies in the middle of its operation.
type victim interface {
	pid() int
	do(line string) error
	advance(line string, n int, whileAsleep func() error) (over bool, err error)
	// end lets the operation, which is over, return, and tells its answer.
	end() (string, error)
	kill()
}

// die plays the scene with one victim up to its n-th boundary, kills it, and wants
// all others to go on. over: there are not so many.
func (s *stage) die(v victim, n int) (over bool, err error) {
	defer v.kill()
	if err := s.open(); err != nil {
		return false, err
	}
	if err := s.enter(v, s.scene.before); err != nil {
		return false, err
	}
	if err := s.cue(s.scene.during); err != nil {
		return false, err
	}
	var whileAsleep func() error
	if s.scene.situation == woken {
		whileAsleep = s.wakeVictim
	}
	if over, err = v.advance(s.scene.act, n, whileAsleep); err != nil {
		return over, err
	}
	if err := s.look(v, n > 0 && !over); err != nil {
		return over, err
	}
	if over {
		if err := s.returns(v); err != nil {
			return over, err
		}
	}
	v.kill()
	s.died = true
	// Every other time those who live go on before the daemon has noticed.
	if n%2 == 1 && s.sabotage == "" {
		if err := s.release(); err != nil {
			return over, err
		}
	}
	return over, s.goOn(over, v)
}

// open begins the scene.
func (s *stage) open() error {
	s.released, s.died, s.recovered = false, false, false
	s.rules = s.scene.rules(s)
	if err := s.rules.begin(); err != nil {
		return err
	}
	return s.cue(s.scene.setUp)
}

// enter lets a victim do what comes before its operation.
func (s *stage) enter(v victim, lines []string) error {
	for _, line := range lines {
		if err := v.do(line); err != nil {
			return err
		}
	}
	return nil
}

// look looks at what a victim holds where it dies.
func (s *stage) look(v victim, inside bool) error {
	name, segment := s.name, s.segment
	if s.mutex != nil {
		name, segment = s.mutexName(), s.mutex
	}
	seat, err := s.seatIn(name, v.pid())
	if err != nil {
		return err
	}
	holding, err := segment.Holding(seat)
	if err != nil {
		return err
	}
	s.tally.died(s.scene, holding, inside)
	return s.rules.stopped(seat)
}

// returns wants the victim's operation, which has ended, to have done what it should.
func (s *stage) returns(v victim) error {
	answer, err := v.end()
	if err == nil && answer != s.scene.answer && !strings.HasPrefix(answer, s.scene.answer+" ") {
		err = fmt.Errorf("the victim answers %q, want %q", answer, s.scene.answer)
	}
	return err
}

// release lets those who wait go on, once.
func (s *stage) release() error {
	if s.released {
		return nil
	}
	s.released = true
	return s.cue(s.scene.release)
}

// goOn wants every peer to finish, and the object to be right, after the deaths.
func (s *stage) goOn(over bool, dead ...victim) error {
	for _, v := range dead {
		if err := s.awaitRecovered(v.pid()); err != nil {
			return err
		}
	}
	s.recovered = true
	if err := s.release(); err != nil {
		return err
	}
	if err := s.finish(); err != nil {
		return err
	}
	if err := s.rules.verify(over); err != nil {
		return err
	}
	if s.scene.anew {
		return s.again()
	}
	if s.scene.joined {
		return nil
	}
	if s.mutex != nil {
		if err := s.mutex.AtRest(); err != nil {
			return err
		}
	}
	return s.segment.AtRest()
}

// wakeVictim lets the victim be woken. If another was faster, that one gives it back.
func (s *stage) wakeVictim() error {
	if !s.released {
		return s.release()
	}
	_, moved, err := s.listen()
	if err == nil && moved {
		err = s.rules.feed()
	}
	return err
}

// listen hears who of those that sleep has answered. asleep are the others.
func (s *stage) listen() (asleep []*peer, moved bool, err error) {
	for _, p := range s.peers {
		if p.sleep == "" {
			continue
		}
		answer := p.Poll()
		if answer == "" {
			asleep = append(asleep, p)
			continue
		}
		moved = true
		if err := s.heard(p, answer); err != nil {
			return nil, moved, err
		}
	}
	return asleep, moved, nil
}

// finish waits until nobody sleeps any more. Whoever sleeps for what is not there is
// given some.
func (s *stage) finish() error {
	for giveUp := deadline(); ; {
		asleep, moved, err := s.listen()
		if err != nil || len(asleep) == 0 {
			return err
		}
		if moved {
			continue
		}
		offers, err := s.rules.offers()
		if err == nil && !offers {
			var rightly bool
			if rightly, err = s.allAsleep(asleep); err == nil && rightly {
				err = s.rules.feed()
			}
		}
		if err != nil {
			return err
		}
		if offers && s.stuck(asleep...) || giveUp.passed() {
			return fmt.Errorf("%w: peer %d sleeps on in %q", errHung, asleep[0].index, asleep[0].sleep)
		}
	}
}

// allAsleep reports whether peers sleep.
func (s *stage) allAsleep(peers []*peer) (bool, error) {
	for _, p := range peers {
		asleep, err := s.asleep(p)
		if err != nil || !asleep {
			return false, err
		}
	}
	return true, nil
}

// hung counts a hang of a sabotaged run and makes everything anew.
func (s *stage) hung(err error) error {
	if s.sabotage == "" || !errors.Is(err, errHung) {
		return err
	}
	s.tally.hung(s.scene)
	s.recovered = false
	s.leave()
	for _, p := range s.peers {
		p.Kill()
	}
	s.peers = slices.Delete(s.peers, 0, len(s.peers))
	s.startPeers()
	return s.prepare()
}
