package shm

import (
	"context"
	"math"
	"testing"
	"time"
)

// A timeout beyond the end of the clock is none.
func TestDeadlineBeyondTheClock(t *testing.T) {
	if d := deadlineAfter(math.MaxInt64); d != 0 {
		t.Errorf("deadline %d, want none", d)
	}
	far, cancel := context.WithDeadline(background, time.Now().Add(math.MaxInt64))
	defer cancel()
	if d := deadlineWithin(far, math.MaxInt64); d != 0 {
		t.Errorf("deadline %d, want none", d)
	}
	if d := deadlineWithin(far, time.Hour); d == 0 || d > monotonicNs()+int64(time.Hour) {
		t.Errorf("deadline %d, want within the hour", d)
	}
}
