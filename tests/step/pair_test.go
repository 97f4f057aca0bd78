package step

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/shmd/shmd/wire"
)

// pair is two operations whose victims die together: the scene's own, and another.
type pair struct {
	*scene
	before2 []string // of the other
	act2    string
}

// errAsleep ends a step at a sleep.
var errAsleep = errors.New("asleep")

// playPair lets two victims die at each pair of boundaries of the two operations.
func (s *stage) playPair(p pair, first, second plan) {
	s.t.Helper()
	s.scene = p.scene
	err := s.prepare()
	if err == nil {
		err = s.eachPair(p, first, second)
		s.strike()
	}
	if err != nil {
		s.t.Fatalf("%s peers: %v: %v", s.flavour, p, err)
	}
}

func (s *stage) eachPair(p pair, first, second plan) error {
	v, err := instructions{}.take(s)
	if err == nil {
		_, err = s.die(v, math.MaxInt)
	}
	if err != nil {
		return err
	}
	route := v.trace
	for i, n := range first.choose(boundaries(route)) {
		// Whether the other waits for the first depends on where that one stands.
		trace, err := s.dieTwice(p, n, math.MaxInt, route, nil)
		if err != nil {
			return fmt.Errorf("killed at boundaries %d and the last: %w", n, err)
		}
		s.tally.saw(p.scene, len(trace))
		for _, m := range (plan{second.stride, second.offset + i}).choose(boundaries(trace)) {
			if _, err := s.dieTwice(p, n, m, route, trace); err != nil {
				return fmt.Errorf("killed at boundaries %d and %d: %w", n, m, err)
			}
		}
	}
	return nil
}

// dieTwice lets the one stand at its n-th boundary, the other at its m-th or where it
// sleeps, and kills both: the second one first, for an odd sum.
func (s *stage) dieTwice(p pair, n, m int, route, route2 []place) (trace []place, err error) {
	one, err := instructions{}.take(s)
	if err != nil {
		return nil, err
	}
	defer one.kill()
	two, err := instructions{}.take(s)
	if err != nil {
		return nil, err
	}
	defer two.kill()
	one.route, two.route = route, route2
	err = s.open()
	if err == nil {
		err = errors.Join(s.enter(one, p.before), s.enter(two, p.before2))
	}
	if err == nil {
		err = s.cue(p.during)
	}
	if err == nil {
		_, err = one.advance(p.act, n, nil)
	}
	if err == nil {
		_, err = two.advance(p.act2, m, func() error { return errAsleep })
	}
	if err != nil && !errors.Is(err, errAsleep) {
		return nil, err
	}
	if err := errors.Join(s.look(one, true), s.look(two, true)); err != nil {
		return nil, err
	}
	dead := []victim{one, two}
	if (n+m)%2 == 1 || s.sabotage != "" {
		dead = []victim{two, one}
	}
	for _, v := range dead {
		if err := s.bury(v); err != nil {
			return nil, err
		}
	}
	s.died = true
	return two.trace, s.hung(s.goOn(false, dead...))
}

// bury kills a victim; a sabotaged daemon has noticed that death before the next.
func (s *stage) bury(v victim) error {
	if s.sabotage == "" {
		v.kill()
		return nil
	}
	before, err := s.deaths()
	v.kill()
	for giveUp := deadline(); err == nil; {
		var after uint64
		if after, err = s.deaths(); after > before {
			return nil
		}
		if giveUp.passed() {
			return fmt.Errorf("the daemon does not notice the death of process %d", v.pid())
		}
	}
	return err
}

// deaths is how many the daemon has noticed.
func (s *stage) deaths() (uint64, error) {
	var st wire.Status
	err := s.ctl.Call(context.Background(), wire.MethodStatus, &st)
	return st.Deaths, err
}
