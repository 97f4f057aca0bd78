package step

import (
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

var pairGroups = []struct {
	name  string
	pairs func() []pair
}{
	{"mutex", mutexPairs},
	{"semaphore", plainPairs},
	{"undo", undoPairs},
	{"queue", queuePairs},
}

// TestEveryPair kills two clients at once, at each pair of instructions.
func TestEveryPair(t *testing.T) {
	harness.NoLeaks(t)
	y := new(tally)
	t.Cleanup(func() { t.Logf("\n%v", y) })
	for _, g := range pairGroups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, inC, "", instructions{}, y)
			for _, p := range g.pairs() {
				s.playPair(p, plan{stride: 10}, plan{stride: 10})
			}
		})
	}
}
