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
}

func TestEveryInstruction(t *testing.T) {
	harness.NoLeaks(t)
	y := new(tally)
	t.Cleanup(func() { t.Logf("\n%v", y) })
	for _, f := range []flavour{inC, inGo} {
		for _, g := range groups {
			t.Run(g.name+" "+string(f), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, f, "", instructions{}, y)
				for i, sc := range g.scenes() {
					s.play(sc, plan{stride: 30, offset: 7 * i})
				}
			})
		}
	}
}

// TestEveryStore kills Go clients after each of their stores.
func TestEveryStore(t *testing.T) {
	harness.NoLeaks(t)
	y := new(tally)
	t.Cleanup(func() { t.Logf("\n%v", y) })
	for i, f := range []flavour{inC, inGo} {
		for _, g := range groups {
			t.Run(g.name+" "+string(f), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, f, "", stores{fmt.Sprint(i + 1)}, y)
				for _, sc := range g.scenes() {
					s.play(sc, plan{stride: 1})
				}
			})
		}
	}
}
