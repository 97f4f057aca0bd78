package main

import (
	"errors"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{3, 1, 2}, spread{1, 2, 3}},
		{[]float64{4, 1, 3, 2}, spread{1, 2.5, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
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
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("p%d of %d: %v, want %v", c.p, len(c.sorted), got, c.want)
		}
	}
}

// The ratio is taken within pairs: here each is 2, though the medians' is not.
func TestRatioWithinPairs(t *testing.T) {
	p := pairs{rival: []float64{1, 10, 100, 1, 1}, ours: []float64{2, 20, 200, 2, 20}}
	if got := p.ratio(); got != (spread{2, 2, 20}) {
		t.Errorf("%+v", got)
	}
}

func TestInterleave(t *testing.T) {
	var order string
	n := 0.0
	measure := func(who string) func() (float64, error) {
		return func() (float64, error) { order += who; n++; return n, nil }
	}
	p, err := interleave(2, measure("r"), measure("o"))
	if err != nil || order != "rororo" {
		t.Fatalf("order %s, %v", order, err)
	}
	if spreadOf(p.rival) != (spread{3, 4, 5}) || spreadOf(p.ours) != (spread{4, 5, 6}) {
		t.Errorf("the first pair is not dropped: %v, %v", p.rival, p.ours)
	}
	fails := func() (float64, error) { return 0, errors.New("no") }
	if _, err := interleave(2, measure("r"), fails); err == nil {
		t.Error("a measurement that fails is not reported")
	}
}
