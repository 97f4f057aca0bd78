package shm

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"testing"
)

// Partners in different languages spin alike, or one sleeps while the other spins.
func TestSpinnerHasTheNumbersOfC(t *testing.T) {
	for file, numbers := range map[string]map[string]uint32{
		"spin.h": {
			"SHMDI_SPIN_USUAL_MASK": spinUsualMask, "SHMDI_SPIN_MISS": spinMiss,
			"SHMDI_SPIN_MISSES_MASK": spinMissesMask, "SHMDI_SPIN_LEVEL_SHIFT": spinLevelShift,
			"SHMDI_SPIN_LEVEL_MASK": spinLevelMask, "SHMDI_SPIN_LEVEL_MAX": spinLevelMax,
			"SHMDI_SPIN_ALONE": spinAlone, "SHMDI_SPIN_LEAST": spinLeast, "SHMDI_SPIN_PROBE": spinProbe,
			"SHMDI_SPIN_PATIENCE": spinPatience, "SHMDI_SPIN_PROBE_AFTER": spinProbeAfter,
		},
		"lock.c":     {"SPIN_MAX": spinMax, "PAUSES_MAX": lockPausesMax},
		"internal.h": {"SHMDI_LOOK_SELDOM": latchLookSeldom, "SHMDI_LOOK_OFTEN": latchLookOften},
	} {
		text, err := os.ReadFile("../clients/c/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range numbers {
			line := regexp.MustCompile(`(?m)^#define ` + name + `\s+(\w+?)u?\b`).FindSubmatch(text)
			if line == nil {
				t.Errorf("%s does not define %s", file, name)
				continue
			}
			var got uint32
			if _, err := fmt.Sscan(string(line[1]), &got); err != nil || got != want {
				t.Errorf("%s: %s is %s (%v), here %d", file, name, line[1], err, want)
			}
		}
	}
}

// Who has been helped is patient once; then what is usual counts, until a probe.
func TestSpinnerIsPatientOnceAndProbesSeldom(t *testing.T) {
	if spinUseless() || !spinMayProbe() {
		t.Skip("it needs two processors")
	}
	var s spinner
	if got := s.limit(); got != spinLeast {
		t.Fatalf("%d turns at first, want %d", got, spinLeast)
	}
	for range 3 {
		s.learn(0, s.limit()) // helped at once
		if got := s.limit(); got != spinPatience {
			t.Fatalf("%d turns after a spin that helped, want %d", got, spinPatience)
		}
	}
	for level := uint32(0); level <= spinLevelMax+1; level++ {
		after := spinProbeAfter << min(level, spinLevelMax)
		for miss := range after {
			if got := s.limit(); miss > 0 && got > spinMax {
				t.Fatalf("%d turns after %d misses, level %d, want at most %d", got, miss, level, spinMax)
			}
			s.learn(s.limit(), s.limit())
		}
		if got := s.limit(); got != spinProbe {
			t.Fatalf("%d turns after %d misses, level %d, want the %d of a probe", got, after, level, spinProbe)
		}
		s.learn(spinProbe, spinProbe)
	}
	s.learn(spinLeast, spinProbe)
	if got := s.limit(); got != spinPatience {
		t.Fatalf("%d turns after a probe that helped, want %d", got, spinPatience)
	}
}

// Who waits for what is held for a moment only takes so many turns, whatever has helped
// lately, but where nobody else can run.
func TestSpinnerTakesAtLeast(t *testing.T) {
	if spinUseless() {
		t.Skip("it needs two processors")
	}
	looks := uint32(0)
	held := func() bool { looks++; return false }
	var s spinner
	s.poll(held, 100, 1, 1)
	if looks != 100 {
		t.Errorf("%d looks, want 100", looks)
	}
	looks = 0
	s.state.Store(spinAlone)
	s.poll(held, 100, 1, 1)
	if looks > 1 {
		t.Errorf("%d looks alone on a processor, want 1 at most", looks)
	}
}

// With one processor for goroutines, of several, nobody probes, and who has spun in vain for
// some times hardly spins: those for whom it waits may run elsewhere, or wait for it.
func TestSpinnerNeverProbesOnOneProcessor(t *testing.T) {
	if spinUseless() {
		t.Skip("it needs two processors")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var s spinner
	for range spinProbeAfter {
		limit := s.limit()
		if limit > spinMax {
			t.Fatalf("%d turns, want at most %d", limit, spinMax)
		}
		s.learn(limit, limit)
	}
	if got := s.limit(); got != 1 {
		t.Errorf("%d turns after %d in vain, want 1", got, spinProbeAfter)
	}
	s.learn(1, 1)
	if !s.skip() {
		t.Error("it does not skip a spin then")
	}
}
