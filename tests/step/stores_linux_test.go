package step

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/harness"
)

// stores are Go players that die after each of their stores.
type stores struct{ processors int }

func (c stores) String() string { return fmt.Sprintf("Go, GOMAXPROCS=%d,", c.processors) }

func (c stores) program(s *stage) (string, []string) {
	return harness.Program(s.t, "tests/step/player-crash"), []string{fmt.Sprintf("GOMAXPROCS=%d", c.processors)}
}

// play lets each die after one store more than the one before, until one lives.
func (c stores) play(s *stage, p plan) error {
	if s.scene.onlyC {
		return nil
	}
	for n := p.offset % p.stride; ; n += p.stride {
		process, err := s.pool.take()
		if err != nil {
			return err
		}
		over, err := s.die(&storing{process: process, stage: s}, n)
		if err != nil {
			return fmt.Errorf("killed after %d stores: %w", n, err)
		}
		if over {
			s.tally.saw(s.scene, n)
			return nil
		}
	}
}

// storing is a Go player that stops after one of its stores.
type storing struct {
	*process
	*stage
	partial, answer string
}

func (v *storing) advance(line string, n int, whileAsleep func() error) (over bool, err error) {
	seat, err := v.seatIn(v.name, v.id)
	if err != nil {
		return false, err
	}
	if err := v.send(fmt.Sprintf("crash %d %s", n, line)); err != nil {
		return false, err
	}
	for giveUp := deadline(); ; {
		var ws unix.WaitStatus
		got, err := unix.Wait4(v.id, &ws, unix.WUNTRACED|unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, fmt.Errorf("wait for process %d: %w", v.id, err)
		case got == v.id && ws.Stopped():
			return false, nil
		case got == v.id:
			v.gone = true
			return false, fmt.Errorf("process %d does not stop: wait status %#x", v.id, int(ws))
		case giveUp.passed():
			return false, fmt.Errorf("the victim, process %d, neither stops nor ends", v.id)
		}
		if over, err := v.answers(); over || err != nil {
			return over, err
		}
		if whileAsleep == nil {
			continue
		}
		waiting, err := v.segment.WaitingOf(seat)
		// Once released it may sleep for the mutex of a condition, which is another object, and
		// which a peer has that was woken too.
		if err == nil && (waiting > 0 || v.released) {
			err = whileAsleep()
		}
		if err != nil {
			return false, err
		}
	}
}

// answers reports whether it has answered.
func (v *storing) answers() (bool, error) {
	const glance = 100 * time.Microsecond
	if err := v.stdout.SetReadDeadline(time.Now().Add(glance)); err != nil {
		return false, err
	}
	text, err := v.lines.ReadString('\n')
	v.partial += text
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	v.answer = strings.TrimSuffix(v.partial, "\n")
	return err == nil, err
}

func (v *storing) end() (string, error) { return v.answer, nil }
