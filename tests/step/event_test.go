package step

import (
	"fmt"
	"strings"

	"github.com/shmd/shmd/wire"
)

// Bits of an event's word.
const (
	eventSet             = 1
	eventGenerationShift = 2
)

// eventRules: whoever waited before a set or a pulse goes on; with auto reset each set
// ends one wait, and the set that ended a dead client's is gone.
type eventRules struct {
	*stage
	auto       bool
	generation uint32 // when the scene begins
	isSet      bool   // where the victim died
	moved      bool   // likewise: to another generation
	sets       int    // by peers since the scene began
	ended      int    // their waits
}

func events(auto bool) func(s *stage) rules {
	return func(s *stage) rules { return &eventRules{stage: s, auto: auto} }
}

// look tells whether it is set, and in which generation.
func (r *eventRules) look() (set bool, generation uint32, err error) {
	lines, err := r.segment.Event()
	if r.auto {
		return lines.Word>>1 > 0, 0, err
	}
	return lines.Word&eventSet != 0, lines.Word >> eventGenerationShift, err
}

func (r *eventRules) begin() error {
	lines := []string{"event reset"}
	if r.scene.have > 0 {
		lines = append(lines, "event set")
	}
	err := r.cue(does(holder, lines...))
	if err == nil {
		_, r.generation, err = r.look()
	}
	return err
}

func (r *eventRules) stopped(uint16) error {
	set, generation, err := r.look()
	r.isSet, r.moved = set, generation != r.generation
	return err
}

// offers: a generation that has moved on ends the waits of before, though it be reset.
func (r *eventRules) offers() (bool, error) {
	set, generation, err := r.look()
	return set || generation != r.generation, err
}

func (r *eventRules) said(p *peer, line, answer string) error {
	switch {
	case answer != "ok":
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	case line == "event set":
		r.sets++
	case strings.HasPrefix(line, "event wait"):
		r.ended++
	}
	return nil
}

func (r *eventRules) feed() error {
	if p := r.peers[holder]; p.sleep == "" {
		r.start(p, "event set")
	}
	return nil
}

func (r *eventRules) verify(over bool) error {
	set, _, err := r.look()
	if err != nil {
		return err
	}
	if r.auto {
		effect := count(set) + r.ended - r.scene.have - r.sets
		if !r.scene.mayHave(effect) || over && len(r.scene.effects) > 0 && effect == 0 {
			return fmt.Errorf("%+d sets; the operation explains %+d", effect, r.scene.effects)
		}
		return nil
	}
	if r.sets > 0 {
		return nil // whatever the victim did is behind that
	}
	act := r.scene.act
	was, became := r.scene.have > 0, r.scene.have > 0
	switch act {
	case "event set":
		became = true
	case "event reset":
		became = false
	}
	if r.isSet != became && (over || r.isSet != was) {
		return fmt.Errorf("after %q it is set: %v", act, r.isSet)
	}
	if moves := act == "event set" || act == "event pulse"; r.moved && !moves || over && moves && !r.moved {
		return fmt.Errorf("after %q its generation has moved on: %v", act, r.moved)
	}
	return nil
}

func eventScenes() []*scene {
	const set, reset, pulse, wait = "event set", "event reset", "event pulse", "event wait"
	one := sleeps(first, wait+forever)
	both := all(one, sleeps(second, wait+forever))
	waits := func(name string, gone ...int) []scene {
		return []scene{
			{operation: name + wait, situation: uncontended, have: 1, act: wait + forever, effects: gone},
			{operation: name + wait, situation: refused, during: one, act: wait + try, answer: "error WOULD_BLOCK"},
			{operation: name + wait, situation: timedOut, during: one, act: wait + shortly,
				answer: "error TIMED_OUT"},
			{operation: name + wait, situation: woken, act: wait + forever, release: all(one, says(holder, set)),
				effects: gone},
		}
	}
	manual := props{kind: "event", rules: events(false)}
	auto := props{kind: "event", options: wire.CreateOptions{AutoReset: new(true)}, rules: events(true)}
	return flat(
		manual.with(waits("")...),
		manual.with(
			scene{operation: set, situation: uncontended, act: set},
			scene{operation: set, situation: contended, during: both, act: set},
			scene{operation: reset, situation: uncontended, have: 1, act: reset},
			scene{operation: reset, situation: contended, during: one, act: reset},
			scene{operation: pulse, situation: uncontended, act: pulse},
			scene{operation: pulse, situation: contended, during: both, act: pulse},
		),
		auto.with(waits("auto ", -1)...),
		auto.with(
			scene{operation: "auto " + set, situation: uncontended, act: set, effects: []int{1}},
			scene{operation: "auto " + set, situation: contended, during: both, act: set, effects: []int{1}},
			scene{operation: "auto " + reset, situation: uncontended, have: 1, act: reset, effects: []int{-1}},
		),
	)
}
