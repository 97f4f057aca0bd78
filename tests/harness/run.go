package harness

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Run is how a random test runs: what its environment says, PREFIX_SECONDS and
// PREFIX_SEED, and else a seed of its own.
type Run struct {
	Seed   uint64
	Length time.Duration // 0 = as long as it takes
}

// NewRun reads the environment and says how to repeat the run.
func NewRun(t testing.TB, prefix string) Run {
	t.Helper()
	r := Run{Seed: rand.Uint64()}
	var err error
	if text := os.Getenv(prefix + "_SEED"); text != "" {
		if r.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s_SEED: %v", prefix, err)
		}
	}
	if text := os.Getenv(prefix + "_SECONDS"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s_SECONDS: %v", prefix, err)
		}
		r.Length = time.Duration(seconds * float64(time.Second))
	}
	t.Logf("repeat with %s_SEED=%d", prefix, r.Seed)
	return r
}
