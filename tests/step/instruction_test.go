package step

import (
	"testing"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

func TestEveryInstruction(t *testing.T) {
	harness.NoLeaks(t)
	y := new(tally)
	t.Cleanup(func() { t.Logf("\n%v", y) })
	for _, f := range []flavour{inC, inGo} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, f, "", instructions{}, y)
			for _, sc := range lockScenes("mutex", wire.CreateOptions{}) {
				s.play(sc, plan{stride: 1})
			}
		})
	}
}
