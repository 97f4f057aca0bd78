package step

import (
	"errors"
	"fmt"

	"github.com/shmd/shmd/wire"
)

// semaphoreRules: no permit is lost or given twice. What the dead had of a plain one
// is gone; of one with undo it comes back.
type semaphoreRules struct {
	*stage
	undo  bool
	total int             // undo: permits that exist
	held  [peersCount]int // by the peers
	made  int             // plain: posted by peers since the scene began
}

func permits(undo bool) func(s *stage) rules {
	return func(s *stage) rules { return &semaphoreRules{stage: s, undo: undo} }
}

// look is what is available, and with undo what exists.
func (r *semaphoreRules) look() (available, total int, err error) {
	lines, held, err := r.segment.Semaphore()
	if held == nil {
		return int(lines.Word >> 1), 0, err
	}
	return int(lines.Available), int(lines.Total), err
}

// begin lets the holder have all permits but those that the scene begins with.
func (r *semaphoreRules) begin() error {
	available, total, err := r.look()
	if err != nil {
		return err
	}
	r.total = total
	p, surplus := r.peers[holder], available-r.scene.have
	switch {
	case r.undo && surplus > 0:
		r.held[holder] = surplus
		return r.want(p, fmt.Sprintf("semaphore acquire %d"+forever, surplus), "ok")
	case surplus < 0:
		return r.want(p, fmt.Sprintf("semaphore post %d", -surplus), "ok")
	}
	for ; surplus > 0; surplus-- {
		if err := r.want(p, "semaphore acquire 1"+forever, "ok"); err != nil {
			return err
		}
	}
	return nil
}

func (r *semaphoreRules) stopped(uint16) error { return nil }

func (r *semaphoreRules) offers() (bool, error) {
	lines, held, err := r.segment.Semaphore()
	if held == nil {
		return lines.Word>>1 > 0, err
	}
	enough := false // who wants many may sleep beside too few
	for _, p := range r.peers {
		var n uint32
		_, scanned := fmt.Sscanf(p.sleep, "semaphore acquire %d", &n)
		enough = enough || scanned == nil && lines.Available >= n
	}
	return enough, err
}

func (r *semaphoreRules) said(p *peer, line, answer string) error {
	if answer != "ok" {
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	var verb string
	var n int
	if _, err := fmt.Sscanf(line, "semaphore %s %d", &verb, &n); err != nil {
		return err
	}
	switch verb {
	case "acquire":
		r.held[p.index] += n
	case "release":
		r.held[p.index] -= n
		r.made += n
	case "post":
		r.made += n
	}
	return nil
}

// feed gives all back that the peers hold, and without undo one more.
func (r *semaphoreRules) feed() error {
	if !r.undo {
		if p := r.peers[holder]; p.sleep == "" {
			r.start(p, "semaphore post 1")
		}
		return nil
	}
	for i, p := range r.peers {
		if r.held[i] != 0 && p.sleep == "" {
			r.start(p, fmt.Sprintf("semaphore release %d", r.held[i]))
		}
	}
	return nil
}

func (r *semaphoreRules) verify(over bool) error {
	effect := 0
	if r.undo {
		if err := errors.Join(r.feed(), r.finish()); err != nil {
			return err
		}
		_, total, err := r.look()
		if err != nil {
			return err
		}
		effect = total - r.total // that nobody holds any of them is seen at rest
	} else {
		available, _, err := r.look()
		if err != nil {
			return err
		}
		effect = available + r.held[first] + r.held[second] - r.scene.have - r.made
	}
	if !r.scene.mayHave(effect) {
		return fmt.Errorf("%+d permits; the operation explains %+d", effect, r.scene.effects)
	}
	if over && len(r.scene.effects) == 1 && effect != r.scene.effects[0] {
		return fmt.Errorf("%+d permits after the operation, want %+d", effect, r.scene.effects)
	}
	return nil
}

func plainScenes() []*scene {
	const acquire, release, post = "semaphore acquire", "semaphore release", "semaphore post"
	p := props{kind: "semaphore", options: wire.CreateOptions{Initial: new(uint32(1))}, rules: permits(false)}
	one := sleeps(first, acquire+" 1"+forever)
	both := all(one, sleeps(second, acquire+" 1"+forever))
	more := says(holder, release+" 1")
	return p.with(
		scene{operation: acquire, situation: uncontended, have: 1, act: acquire + " 1" + forever, effects: []int{-1}},
		scene{operation: acquire, situation: refused, during: one, act: acquire + " 1" + try,
			answer: "error WOULD_BLOCK"},
		scene{operation: acquire, situation: timedOut, during: one, act: acquire + " 1" + shortly,
			answer: "error TIMED_OUT"},
		scene{operation: acquire, situation: woken, act: acquire + " 1" + forever, release: all(one, more),
			effects: []int{-1}},
		scene{operation: post, situation: uncontended, act: post + " 1", effects: []int{1}},
		scene{operation: post, situation: contended, during: both, act: post + " 1", effects: []int{1}},
		scene{operation: post + " 2", situation: contended, during: both, act: post + " 2", effects: []int{2}},
		scene{operation: release, situation: uncontended, act: release + " 1", effects: []int{1}},
		scene{operation: release, situation: contended, during: one, act: release + " 1", effects: []int{1}},
	)
}

func undoScenes() []*scene {
	const acquire, release, post = "semaphore acquire", "semaphore release", "semaphore post"
	const name = "undo "
	of := func(initial uint32) props {
		return props{kind: "semaphore", rules: permits(true),
			options: wire.CreateOptions{Initial: &initial, Undo: new(true)}}
	}
	var scenes []*scene
	for i, n := range []string{" 1", " 2"} {
		take, give := acquire+n, release+n
		one := sleeps(first, take+forever)
		mine := []string{take + forever}
		back := says(holder, give)
		scenes = append(scenes, of(uint32(i+1)).with(
			scene{operation: name + take, situation: uncontended, have: i + 1, act: take + forever},
			scene{operation: name + take, situation: refused, during: one, act: take + try,
				answer: "error WOULD_BLOCK"},
			scene{operation: name + take, situation: timedOut, during: one, act: take + shortly,
				answer: "error TIMED_OUT"},
			scene{operation: name + take, situation: woken, act: take + forever, release: all(one, back)},
			scene{operation: name + give, situation: uncontended, have: i + 1, before: mine, act: give},
			scene{operation: name + give, situation: contended, have: i + 1, before: mine,
				during: sleeps(first, acquire+" 1"+forever), act: give},
		)...)
	}
	return append(scenes, of(2).with(
		scene{operation: name + acquire + " 1", situation: contended, have: 1,
			during: sleeps(first, acquire+" 2"+forever), act: acquire + " 1" + forever},
		scene{operation: name + post, situation: uncontended, act: post + " 1", effects: []int{1}},
		scene{operation: name + post, situation: contended, act: post + " 1", effects: []int{1},
			during: all(sleeps(first, acquire+" 1"+forever), sleeps(second, acquire+" 1"+forever))},
	)...)
}
