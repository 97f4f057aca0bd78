package step

import (
	"fmt"
	"math"
)

// plan says at which boundaries victims die.
type plan struct {
	stride int // at every stride-th of those that count; 1 = at each
	offset int // the first of them
}

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
		return fmt.Errorf("after the operation: %w", err)
	}
	s.tally.saw(s.scene, len(v.trace))
	for _, n := range p.choose(boundaries(v.trace)) {
		v, err := c.take(s)
		if err != nil {
			return err
		}
		if _, err := s.die(v, n); err != nil {
			if err = s.hung(err); err != nil {
				return fmt.Errorf("killed %v, boundary %d: %w", v.where, n, err)
			}
		}
	}
	return nil
}

// boundaries are the places of a trace where a death may differ from another: all,
// but that an instruction which is repeated (a spin, a copy by bytes) counts at its
// first three passes, and then at each power of two.
func boundaries(trace []place) []int {
	passes := make(map[place]int)
	var chosen []int
	for i, where := range trace {
		passes[where]++
		if n := passes[where]; n <= 3 || n&(n-1) == 0 {
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// choose takes every stride-th.
func (p plan) choose(of []int) []int {
	var chosen []int
	for i := p.offset % p.stride; i < len(of); i += p.stride {
		chosen = append(chosen, of[i])
	}
	return chosen
}
