package main

import (
	"errors"
	"testing"

	"github.com/shmd/shmd/tests/measure"
)

func TestInterleave(t *testing.T) {
	var order string
	n := 0.0
	timed := func(who string) func() (float64, error) {
		return func() (float64, error) { order += who; n++; return n, nil }
	}
	p, err := interleave(2, timed("r"), timed("o"))
	if err != nil || order != "rororo" {
		t.Fatalf("order %s, %v", order, err)
	}
	theirs, ours := measure.Spread{Min: 3, Median: 4, Max: 5}, measure.Spread{Min: 4, Median: 5, Max: 6}
	if measure.SpreadOf(p.rival) != theirs || measure.SpreadOf(p.ours) != ours {
		t.Errorf("the first pair is not dropped: %v, %v", p.rival, p.ours)
	}
	fails := func() (float64, error) { return 0, errors.New("no") }
	if _, err := interleave(2, timed("r"), fails); err == nil {
		t.Error("a measurement that fails is not reported")
	}
}
