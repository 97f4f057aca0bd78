package measure

import (
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{3, 1, 2}, Spread{1, 2, 3}},
		{[]float64{4, 1, 3, 2}, Spread{1, 2.5, 4}},
	} {
		if got := SpreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, c := range []struct {
		sorted []float64
		p      int
		want   float64
	}{
		{hundred, 500, 50}, {hundred, 990, 99}, {hundred, 1000, 100}, {hundred, 0, 1},
		{hundred, 985, 99}, {hundred[:30], 990, 30}, {hundred[:1], 500, 1}, {hundred[:3], 500, 2},
	} {
		if got := Percentile(c.sorted, c.p); got != c.want {
			t.Errorf("p%d of %d: %v, want %v", c.p, len(c.sorted), got, c.want)
		}
	}
}

// The ratio is taken within pairs: here each is 2, though the medians' is not.
func TestRatiosWithinPairs(t *testing.T) {
	ours, theirs := []float64{2, 20, 200, 2, 20}, []float64{1, 10, 100, 1, 1}
	if got := Ratios(ours, theirs); got != (Spread{2, 2, 20}) {
		t.Errorf("%+v", got)
	}
}
