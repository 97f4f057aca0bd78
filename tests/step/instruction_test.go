package step

import (
	"fmt"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// groups are the scenes, by what is played on one stage.
var groups = []struct {
	name   string
	scenes func() []*scene
}{
	{"mutex", mutexScenes},
	{"value", valueScenes},
	{"array", arrayScenes},
	{"semaphore", plainScenes},
	{"undo", undoScenes},
	{"queue", queueScenes},
	{"event", eventScenes},
	{"condition", conditionScenes},
	{"barrier", barrierScenes},
	{"rwlock", rwlockScenes},
	{"stream", streamScenes},
	{"pipe", pipeScenes},
}

func allScenes() []*scene {
	var all []*scene
	for _, g := range groups {
		all = append(all, g.scenes()...)
	}
	return all
}

// TestEveryInstruction kills C clients before every instruction of every operation,
// in every situation, with peers in C and in Go. The short form takes a few, and one
// sort of peers for each.
func TestEveryInstruction(t *testing.T) {
	harness.NoLeaks(t)
	stride, full := everyOr(t, 40)
	y := newTally(allScenes()...)
	t.Cleanup(func() { t.Logf("killed at each instruction\n%v", y) })
	for turn, f := range []flavour{inC, inGo} {
		for _, g := range groups {
			t.Run(g.name+" "+string(f), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, f, "", instructions{}, y)
				for i, sc := range g.scenes() {
					if full || i%2 == turn {
						s.play(sc, plan{stride, 7 * i})
					}
				}
			})
		}
	}
}

// TestEveryPair kills two C clients at once, at every pair of instructions. The pairs
// that are long are never taken all.
func TestEveryPair(t *testing.T) {
	harness.NoLeaks(t)
	stride, _ := everyOr(t, 12)
	y := newTally()
	t.Cleanup(func() { t.Logf("killed in pairs, at each pair of instructions\n%v", y) })
	for _, g := range []struct {
		name  string
		pairs func() []pair
		more  int // how much coarser
	}{
		{"mutex", mutexPairs, 1},
		{"semaphore", plainPairs, 1},
		{"undo", undoPairs, 5},
		{"queue", queuePairs, 7},
		{"stream", streamPairs, 4},
		{"pipe", pipePairs, 4},
	} {
		for i, p := range g.pairs() {
			t.Run(p.operation, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, inC, "", instructions{}, y)
				s.playPair(p, plan{stride * g.more, 5 * i}, plan{stride * g.more, 0})
			})
		}
	}
}

// TestEveryStore kills Go clients after every store of every operation.
func TestEveryStore(t *testing.T) {
	harness.NoLeaks(t)
	stride, full := everyOr(t, 3)
	y := newTally(allScenes()...)
	t.Cleanup(func() { t.Logf("killed after each store\n%v", y) })
	for turn, f := range []flavour{inC, inGo} {
		for processors := 1; processors <= 2; processors++ {
			for _, g := range groups {
				t.Run(fmt.Sprintf("%s %s %d", g.name, f, processors), func(t *testing.T) {
					t.Parallel()
					s := newStage(t, f, "", stores{processors}, y)
					for i, sc := range g.scenes() {
						if full || (i+processors)%2 == turn {
							s.play(sc, plan{stride, i})
						}
					}
				})
			}
		}
	}
}
