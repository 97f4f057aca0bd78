package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/shmd/shmd/tests/history"
)

// tally counts what happened in a run.
type tally struct {
	t           *testing.T
	done        map[history.Op]int // operations that returned and did it
	refused     int                // that returned and did not
	unknown     int                // that were in flight when their client was killed
	kills       int
	stops       int
	lulls       int
	reliefs     int
	drains      int
	recoveries  uint64
	lockTimes   *hdrhistogram.Histogram // from SIGKILL to who waited for the lock, in ns
	leaseTimes  *hdrhistogram.Histogram // from SIGKILL to who waited for a message and got the dead one's
	outOfBounds int                     // times that no histogram holds
}

const takeoverMax = int64(10 * time.Minute)

func newTally(t *testing.T) *tally {
	return &tally{t: t, done: make(map[history.Op]int), lockTimes: hdrhistogram.New(1000, takeoverMax, 3),
		leaseTimes: hdrhistogram.New(1000, takeoverMax, 3)}
}

func (y *tally) locks(ns int64)    { y.record(y.lockTimes, ns) }
func (y *tally) messages(ns int64) { y.record(y.leaseTimes, ns) }

func (y *tally) record(h *hdrhistogram.Histogram, ns int64) {
	if err := h.RecordValue(ns); err != nil {
		y.outOfBounds++
	}
}

// count counts the operations of a round.
func (y *tally) count(r round) {
	for _, c := range r {
		for i := range c.entries {
			switch e := &c.entries[i]; {
			case e.Unknown():
				y.unknown++
			case e.OK():
				y.done[e.Op]++
			case !e.NotDone():
				y.refused++
			}
		}
	}
}

// line is the run so far, in a line.
func (y *tally) line() string {
	sum := 0
	for op, n := range y.done {
		if op != history.OpPause {
			sum += n
		}
	}
	return fmt.Sprintf("%d operations and %d refused, %d kills (%d in the middle of one), %d stops, %d forks, "+
		"%d lulls, %d reliefs, %d drains, %d recoveries that gave something back", sum, y.refused, y.kills, y.unknown,
		y.stops, y.done[history.OpFork], y.lulls, y.reliefs, y.drains, y.recoveries)
}

// report is the run in full.
func (y *tally) report() string {
	var b strings.Builder
	b.WriteString(y.line() + "\n")
	for _, op := range slices.Sorted(maps.Keys(y.done)) {
		fmt.Fprintf(&b, "  %-18v %9d\n", op, y.done[op])
	}
	describe(&b, "from SIGKILL to the next owner of the lock, who waited", y.lockTimes)
	describe(&b, "from SIGKILL to the next delivery, to who waited", y.leaseTimes)
	if y.outOfBounds > 0 {
		fmt.Fprintf(&b, "%d times out of bounds\n", y.outOfBounds)
	}
	return b.String()
}

// describe draws a histogram: a line for each factor of two.
func describe(b *strings.Builder, what string, h *hdrhistogram.Histogram) {
	fmt.Fprintf(b, "%s: %d", what, h.TotalCount())
	if h.TotalCount() == 0 {
		b.WriteString("\n")
		return
	}
	for _, q := range []float64{50, 90, 99, 99.9, 100} {
		fmt.Fprintf(b, ", p%v %v", q, time.Duration(h.ValueAtQuantile(q)).Round(time.Microsecond))
	}
	b.WriteString("\n")
	bars := make(map[int]int64)
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			bars[powerOf(bar.From)] += bar.Count
		}
	}
	most := slices.Max(slices.Collect(maps.Values(bars)))
	for _, p := range slices.Sorted(maps.Keys(bars)) {
		fmt.Fprintf(b, "  %10v %7d %s\n", time.Duration(1<<p), bars[p],
			strings.Repeat("#", int((bars[p]*50+most-1)/most)))
	}
}

// powerOf is the power of two that is not above ns.
func powerOf(ns int64) (p int) {
	for ns > 1 {
		ns >>= 1
		p++
	}
	return p
}
