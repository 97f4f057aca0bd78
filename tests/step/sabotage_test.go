package step

import (
	"slices"
	"testing"
)

// What recovery can leave out: see shm/sabotage_on.go.
const (
	withoutWakes = "wake"
	inOrder      = "order"
	stealsOwn    = "steal"
)

// TestWithoutWakes: if recovery wakes only for what came back, clients hang. Were it
// not so, the steps would prove nothing.
func TestWithoutWakes(t *testing.T) {
	y := new(tally)
	s := newStage(t, inC, withoutWakes, instructions{}, y)
	scenes := slices.DeleteFunc(mutexScenes(), func(sc *scene) bool {
		lost := sc.operation == "mutex lock" && sc.situation == woken ||
			sc.operation == "mutex unlock" && sc.situation == contended
		return !lost
	})
	for _, sc := range scenes {
		s.play(sc, plan{stride: 1})
	}
	t.Logf("\n%v", y)
	for _, name := range y.list {
		if y.rows[name].hangs == 0 {
			t.Errorf("%s: nobody hangs", name)
		}
	}
}

// TestStealsOwnOnly: if recovery takes the deaths in order and a latch only from the
// client whose death it recovers, two deaths at once end it. In order alone they do
// not; nor does the other alone here, because a death that cannot be recovered yet
// holds up no other.
func TestStealsOwnOnly(t *testing.T) {
	for _, sabotage := range []string{inOrder, inOrder + "," + stealsOwn} {
		y := new(tally)
		s := newStage(t, inC, sabotage, instructions{}, y)
		s.playPair(undoPairs()[0], plan{stride: 10}, plan{stride: 40})
		t.Logf("\n%v", y)
		if hangs := y.hangs(); (hangs > 0) != (sabotage != inOrder) {
			t.Errorf("recovery sabotaged by %s: %d hangs", sabotage, hangs)
		}
		s.Kill()
	}
}
