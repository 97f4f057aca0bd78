package main

import (
	"encoding/binary"
	"testing"
)

func TestParseDone(t *testing.T) {
	got, err := parseDone("done 12 begin=3 end=15 sum=18446744073709551615 more=x")
	if err != nil || got != (outcome{12, 3, 15, 1<<64 - 1, true}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "done", "done x", "ready", "done 1 begin=x", "done 1 sum=-1"} {
		if got, err := parseDone(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestTookAll(t *testing.T) {
	for _, c := range []struct {
		outcomes []outcome
		want     int64
	}{
		{[]outcome{{tookNS: 5}}, 5},
		{[]outcome{{tookNS: 5, beginNS: 10, endNS: 15}, {tookNS: 3, beginNS: 20, endNS: 23}}, 13},
		{[]outcome{{tookNS: 5, beginNS: 10, endNS: 15}, {tookNS: 7}}, 7}, // not all say when
		{[]outcome{{tookNS: 7}, {tookNS: 5, beginNS: 10, endNS: 15}}, 7},
	} {
		if got := tookAll(c.outcomes); got != c.want {
			t.Errorf("%+v: %d", c.outcomes, got)
		}
	}
}

// What was lost or came twice shows in the sums, if all sides have them.
func TestSumsAreCompared(t *testing.T) {
	s := &session{row: &row{Workload: "oneway"}}
	doing := []*process{{role: "put"}, {role: "put"}, {role: "take"}}
	sum := func(n uint64) outcome { return outcome{sum: n, hasSum: true} }
	for _, c := range []struct {
		outcomes []outcome
		good     bool
	}{
		{[]outcome{sum(3), sum(4), sum(7)}, true},
		{[]outcome{sum(3), sum(4), sum(8)}, false},
		{[]outcome{sum(3), sum(4), {}}, true},
	} {
		if err := s.compareSums(doing, c.outcomes); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.outcomes, err)
		}
	}
}

func TestShares(t *testing.T) {
	s := &session{row: &row{Workload: "oneway"}, setting: setting{Producers: 4, Consumers: 2, Batch: 8}}
	if step := s.granularity(); step != 16 {
		t.Errorf("step %d", step)
	}
	if n := s.share(&process{role: "take"}, 16); n != 32 {
		t.Errorf("each consumer takes %d", n)
	}
	if n := s.share(&process{role: "put"}, 16); n != 16 || s.firsts() != 4 {
		t.Errorf("each of %d producers puts %d", s.firsts(), n)
	}
	for n, want := range map[float64]int{0.5: 16, 16: 16, 47.9: 32, 1e30: operationsMax} {
		if got := roundTo(n, 16); got != want {
			t.Errorf("%v: %d", n, got)
		}
	}
}

func TestPercentilesOfSamples(t *testing.T) {
	var samples []byte
	for i := range uint64(1000) {
		samples = binary.LittleEndian.AppendUint64(samples, i+1)
	}
	p, err := percentilesOf(samples)
	if err != nil || *p != (percentiles{500, 990, 999, 1000}) {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range [][]byte{nil, samples[:7]} {
		if _, err := percentilesOf(bad); err == nil {
			t.Errorf("%d bytes are samples", len(bad))
		}
	}
}

func TestReady(t *testing.T) {
	p := new(process)
	if err := p.parseReady("ready pids=12,34"); err != nil || len(p.pids) != 2 || p.pids[1] != 34 {
		t.Errorf("%v, %v", p.pids, err)
	}
	if err := p.parseReady("unsupported has no locks"); err != errUnsupported("has no locks") {
		t.Error(err)
	}
	for _, bad := range []string{"", "done 1", "ready pids=x"} {
		if p.parseReady(bad) == nil {
			t.Errorf("%q is ready", bad)
		}
	}
}
