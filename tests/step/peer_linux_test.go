package step

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/harness"
)

// flavour is the language of the peers.
type flavour string

const (
	inC  flavour = "C"
	inGo flavour = "Go"
)

// program is the path of a player.
func (f flavour) program(s *stage) string {
	if f == inC {
		return s.image.path
	}
	return harness.Program(s.t, "tests/step/player")
}

// peer is a player that lives on.
type peer struct {
	*harness.Process
	index     int
	seat      uint16 // in the object
	mutexSeat uint16 // in the mutex that it is bound to
	sleep     string // the line in which it sleeps; "" = none
	message   int    // queue: the number of what it puts
}

// errHung says that a live client will wait for ever.
var errHung = errors.New("a live client hangs")

func (s *stage) startPeers() {
	for i := range peersCount {
		cmd := exec.Command(s.flavour.program(s))
		cmd.Env = append(os.Environ(), "SHMD_SOCKET="+s.Socket)
		p := &peer{Process: harness.StartCmd(s.t, cmd), index: i}
		p.Expect("ok")
		s.peers = append(s.peers, p)
	}
}

// tell lets a peer do a line and returns the answer. After a death others may be awake
// and hold what it waits for: they are heard meanwhile.
func (s *stage) tell(p *peer, line string) (string, error) {
	p.Send(line)
	for giveUp := deadline(); ; {
		if answer, ok := p.Within(time.Millisecond); ok {
			return answer, nil
		}
		if s.died {
			if _, _, err := s.listen(); err != nil {
				return "", err
			}
		}
		if s.stuck(p) || giveUp.passed() {
			return "", fmt.Errorf("%w: peer %d does not end %q", errHung, p.index, line)
		}
	}
}

// want is tell that wants one answer.
func (s *stage) want(p *peer, line, want string) error {
	got, err := s.tell(p, line)
	if err == nil && got != want {
		err = fmt.Errorf("peer %d answers %q to %q, want %q", p.index, got, line, want)
	}
	return err
}

// cue lets peers do their lines.
func (s *stage) cue(cues []cue) error {
	for _, c := range cues {
		p := s.peers[c.peer]
		if c.starts {
			s.start(p, c.line)
			continue
		}
		if !c.sleeps {
			answer, err := s.tell(p, c.line)
			switch {
			case err != nil:
			case c.want == "":
				err = s.rules.said(p, c.line, answer)
			case answer != c.want:
				err = fmt.Errorf("peer %d answers %q to %q, want %q", p.index, answer, c.line, c.want)
			}
			if err != nil {
				return err
			}
			continue
		}
		s.start(p, c.line)
		if err := s.awaitAsleep(p); err != nil {
			return err
		}
	}
	return nil
}

// start lets a peer do a line in which it may sleep.
func (s *stage) start(p *peer, line string) {
	p.Send(line)
	p.sleep = line
}

// awaitAsleep waits until a peer sleeps. After a death it may be woken at once.
func (s *stage) awaitAsleep(p *peer) error {
	for giveUp := deadline(); ; {
		asleep, err := s.asleep(p)
		if err != nil || asleep {
			return err
		}
		answer := p.Poll()
		switch {
		case answer != "" && s.died:
			return s.heard(p, answer)
		case answer != "" || giveUp.passed():
			return fmt.Errorf("peer %d answers %q to %q and does not sleep", p.index, answer, p.sleep)
		}
	}
}

// heard deals with the answer of a peer that may have slept.
func (s *stage) heard(p *peer, answer string) error {
	line := p.sleep
	p.sleep = ""
	return s.rules.said(p, line, answer)
}

// asleep reports whether a peer sleeps in the object: in C the kernel says so, in Go
// the peer itself, a moment before.
func (s *stage) asleep(p *peer) (bool, error) {
	if s.flavour == inC {
		return inFutex(p.PID()), nil
	}
	n, err := s.segment.WaitingOf(p.seat)
	if err == nil && n == 0 && s.mutex != nil {
		n, err = s.mutex.WaitingOf(p.mutexSeat)
	}
	return n > 0, err
}

// deadline is the end of patience with the daemon: one that may not steal, and has not
// recovered a death by then, never will.
func (s *stage) deadline() watchdog {
	if strings.Contains(s.sabotage, stealsOwn) {
		return watchdog(time.Now().Add(500 * time.Millisecond))
	}
	return deadline()
}

// stuck reports, of a sabotaged daemon and peers in C, that nothing moves any more:
// the victim is recovered, those who are waited for sleep, and the others too or wait
// for a line, at two looks.
func (s *stage) stuck(waitedFor ...*peer) bool {
	if s.sabotage == "" || !s.recovered {
		return false
	}
	for range 2 {
		for _, p := range s.peers {
			idle := !slices.Contains(waitedFor, p) && inCall(p.PID(), unix.SYS_READ)
			if !idle && !inFutex(p.PID()) {
				return false
			}
		}
	}
	return true
}
