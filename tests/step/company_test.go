package step

import (
	"fmt"
	"math"
)

// company is a kind of victims.
type company interface {
	fmt.Stringer
	program(s *stage) (path string, env []string)
	play(s *stage, p plan) error
}

// instructions are C players that die before each of their instructions.
type instructions struct{}

func (instructions) String() string { return "C" }

func (instructions) program(s *stage) (string, []string) { return s.image.path, nil }

func (instructions) take(s *stage) (*stepped, error) {
	p, err := s.pool.take()
	if err != nil {
		return nil, err
	}
	v, err := seize(p, s.image)
	if err != nil {
		p.kill()
	}
	return v, err
}

func (c instructions) play(s *stage, p plan) error {
	v, err := c.take(s)
	if err != nil {
		return err
	}
	if _, err := s.die(v, math.MaxInt); err != nil { // at its end, as the survey
		if err = s.hung(err); err != nil {
			return fmt.Errorf("after the operation: %w", err)
		}
	}
	s.tally.saw(s.scene, len(v.trace))
	route := v.trace
	for _, n := range p.choose(boundaries(route)) {
		v, err := c.take(s)
		if err != nil {
			return err
		}
		v.route = route
		if _, err := s.die(v, n); err != nil {
			if err = s.hung(err); err != nil {
				return fmt.Errorf("killed %v, boundary %d: %w", v.where, n, err)
			}
		}
	}
	return nil
}
