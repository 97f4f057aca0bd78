package step

import (
	"fmt"
	"strings"

	"github.com/shmd/shmd/wire"
)

// Bits of a barrier's word.
const (
	barrierPhaseMask  = 3
	barrierFill       = 0
	barrierFieldShift = 2
	barrierFieldMask  = 0xfff
	barrierByDeath    = 4
)

// barrierRules: a round ends for all of its parties in the same way, and in none of
// them does a client wait for one that is dead.
type barrierRules struct {
	*stage
	opened, broke int // waits of the peers, by how they ended
	indices       map[string]bool
}

func barriers(s *stage) rules { return &barrierRules{stage: s, indices: make(map[string]bool)} }

func (r *barrierRules) begin() error { return nil }

func (r *barrierRules) stopped(uint16) error { return nil }

func (r *barrierRules) look() (phase, field int, err error) {
	lines, _, err := r.segment.Barrier()
	return int(lines.Word & barrierPhaseMask), int(lines.Word >> barrierFieldShift & barrierFieldMask), err
}

// offers: those who sleep are not those who have arrived in the round that is filled.
func (r *barrierRules) offers() (bool, error) {
	phase, field, err := r.look()
	asleep := 0
	for _, p := range r.peers {
		asleep += count(p.sleep != "")
	}
	return phase != barrierFill || field != asleep, err
}

func (r *barrierRules) said(p *peer, line, answer string) error {
	switch index, ok := strings.CutPrefix(answer, "ok "); {
	case ok && !r.indices[index]:
		r.indices[index] = true
		r.opened++
	case answer == "error PEER_DIED", answer == "error BROKEN":
		r.broke++
	default:
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	return nil
}

// feed lets one more arrive, for those who wait.
func (r *barrierRules) feed() error {
	if _, field, err := r.look(); field == 0 || err != nil {
		return err
	}
	for _, p := range r.peers {
		if p.sleep == "" {
			r.start(p, "barrier wait"+forever)
			return nil
		}
	}
	return nil
}

// verify makes the barrier whole, and lets all arrive.
func (r *barrierRules) verify(bool) error {
	if r.opened > 0 && r.broke > 0 {
		return fmt.Errorf("it opened for %d peers and was broken for %d", r.opened, r.broke)
	}
	phase, field, err := r.look()
	if err != nil {
		return err
	}
	want := "ok"
	if phase != barrierFill && field&barrierByDeath != 0 {
		want = "notice"
	}
	if err := r.want(r.peers[holder], "barrier reset", want); err != nil {
		return err
	}
	clear(r.indices)
	r.opened = 0
	for _, p := range r.peers {
		r.start(p, "barrier wait"+forever)
	}
	if err := r.finish(); err != nil {
		return err
	}
	if r.opened != len(r.peers) {
		return fmt.Errorf("after a reset it opens for %d of %d", r.opened, len(r.peers))
	}
	return nil
}

func barrierScenes() []*scene {
	const wait, action, abort, reset = "barrier wait", "barrier action", "barrier abort", "barrier reset"
	p := props{kind: "barrier", options: wire.CreateOptions{Parties: new(uint32(peersCount))}, rules: barriers,
		joined: true}
	one := sleeps(first, wait+forever)
	both := all(one, sleeps(second, wait+forever))
	return p.with(
		scene{operation: wait, situation: contended, during: both, act: wait + forever, answer: "ok 2"},
		scene{operation: wait, situation: refused, during: one, act: wait + try, answer: "error WOULD_BLOCK"},
		scene{operation: wait, situation: timedOut, during: one, act: wait + shortly, answer: "error TIMED_OUT"},
		scene{operation: wait, situation: woken, act: wait + forever, answer: "ok 0",
			release: all(one, starts(holder, wait+forever))},
		scene{operation: action, situation: contended, during: both, act: action + forever, answer: "ok 2"},
		scene{operation: abort, situation: uncontended, act: abort},
		scene{operation: abort, situation: contended, during: both, act: abort},
		scene{operation: reset, situation: uncontended, act: reset},
		scene{operation: reset, situation: contended, during: both, act: reset},
	)
}
