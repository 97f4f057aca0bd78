package soak

import (
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

// shortSeed is that of the short run that is part of every test: whoever breaks it
// can repeat it.
const (
	shortSeed   = 1
	shortLength = 12 * time.Second
	progressAt  = 10 * time.Second
)

// TestSoak plays rounds, half of the time with the daemon's fallbacks.
func TestSoak(t *testing.T) {
	run := harness.NewRun(t, "SHMD_SOAK", harness.Run{Seed: shortSeed, Length: shortLength})
	for i, d := range []struct {
		name  string
		flags []string
	}{{"kernel", nil}, {"fallbacks", []string{"--without=peerpidfd,futex_waitv,noexec_seal"}}} {
		t.Run(d.name, func(t *testing.T) {
			tally := newTally(t)
			s := newStage(t, rand.New(rand.NewPCG(run.Seed, uint64(i))), d.flags, tally)
			start := time.Now()
			said := start
			for time.Since(start) < run.Length/2 && !t.Failed() {
				s.play()
				if time.Since(said) >= progressAt {
					said = time.Now()
					t.Logf("%3.0f s: %s", time.Since(start).Seconds(), tally.line())
				}
			}
			if !t.Failed() {
				s.finish()
			}
			t.Log(tally.report())
		})
		if t.Failed() {
			return
		}
	}
}
