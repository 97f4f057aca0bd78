package linear

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/tests/history"
)

func TestMain(m *testing.M) {
	history.Main()
	os.Exit(m.Run())
}

// TestLinearizable plays episodes with two subjects each.
func TestLinearizable(t *testing.T) {
	run := harness.NewRun(t, "SHMD_LINEAR", harness.Run{Seed: rand.Uint64(), Length: 10 * time.Second})
	s := newStage(t)
	total, kills := 0, 0
	checked := make(map[string]int)
	end := time.Now().Add(run.Length)
	for i := 0; time.Now().Before(end) && !t.Failed(); i++ {
		random := rand.New(rand.NewPCG(run.Seed, uint64(i)))
		one, other := subjects[i%len(subjects)], subjects[random.IntN(len(subjects))]
		e := s.play(fmt.Sprintf("episode%d", i), random, []subject{one, other})
		for i, actions := range e.actions {
			checked[e.subjects[i].name] += len(actions)
			total += len(actions)
		}
		kills += e.kills
	}
	t.Logf("%d operations in order, %d kills: %v", total, kills, checked)
}
