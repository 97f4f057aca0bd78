package main

import (
	"fmt"

	"github.com/shmd/shmd/tests/measure"
)

// pairs are measurements that belong together, round by round.
type pairs struct {
	rival, ours []float64
}

// ratio is ours to rival, taken within each pair, before anything is reduced.
func (p *pairs) ratio() measure.Spread {
	return measure.Ratios(p.ours, p.rival)
}

// interleave measures rival and ours in turn. The first pair warms up and is
// dropped.
func interleave(rounds int, rival, ours func() (float64, error)) (*pairs, error) {
	p := new(pairs)
	for round := range rounds + 1 {
		r, err := rival()
		if err != nil {
			return nil, fmt.Errorf("rival: %w", err)
		}
		o, err := ours()
		if err != nil {
			return nil, fmt.Errorf("ours: %w", err)
		}
		if round > 0 {
			p.rival, p.ours = append(p.rival, r), append(p.ours, o)
		}
	}
	return p, nil
}

// goLimit is how much longer Go may take than C.
const goLimit = 1.5

// trio measures a rival, the same in C and the same in Go in turn: C is held against the
// rival, at most limit times as long, and Go against C.
func (b *bench) trio(what string, limit float64, note string, rival, inC, inGo func() (float64, error)) error {
	steps := []func() (float64, error){rival, inC, inGo}
	took := make([][]float64, len(steps))
	for round := range b.rounds() + 1 {
		for i, step := range steps {
			ns, err := step()
			if err != nil {
				return err
			}
			if round > 0 { // the first one warms up
				took[i] = append(took[i], ns)
			}
		}
	}
	w := compared("C: "+what, "ns", &pairs{took[0], took[1]}, limit)
	w.Note = note
	b.report.add(w)
	w = compared("Go: "+what, "ns", &pairs{took[1], took[2]}, goLimit)
	w.Note = "against the same in C"
	b.report.add(w)
	return nil
}
