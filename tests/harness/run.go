package harness

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Run is how a random test runs, as its environment says: PREFIX_SECONDS and
// PREFIX_SEED.
type Run struct {
	Seed   uint64
	Length time.Duration
}

// NewRun reads the environment and says how to repeat the run. short is the run that
// is part of every test, of which nobody has said how long it shall be; the others
// have a new seed if they are given none.
func NewRun(t testing.TB, prefix string, short Run) Run {
	t.Helper()
	r := short
	var err error
	if text := os.Getenv(prefix + "_SECONDS"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s_SECONDS: %v", prefix, err)
		}
		r = Run{Seed: rand.Uint64(), Length: time.Duration(seconds * float64(time.Second))}
	}
	if text := os.Getenv(prefix + "_SEED"); text != "" {
		if r.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s_SEED: %v", prefix, err)
		}
	}
	t.Logf("repeat with %s_SEED=%d", prefix, r.Seed)
	return r
}
