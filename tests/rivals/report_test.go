package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallResults has one rival that is faster in a case, one that hangs, and a floor.
func smallResults() *results {
	return &results{
		Rounds: 3, RoundMS: 100,
		Systems: []system{
			{ID: "word/C", Label: "words", Kind: floor}, {ID: "shmd/C", Label: "shmd", Kind: ours},
			{ID: "shmd-stream/C", Label: "shmd stream", Kind: ours}, {ID: "shmd/Go", Label: "shmd", Kind: ours},
			{ID: "other/C++", Label: "other", Kind: library}, {ID: "far/Go", Label: "far", Kind: server},
			{ID: "other-named/C++", Label: "other, named", Kind: library},
			{ID: "gone/C", Label: "gone", Kind: library, Missing: "not there: it is not"},
		},
		Cases: []*caseResult{
			{Row: "oneway", Unit: "ns", Floor: "word/C", Setting: setting{Placement: "across", SizeBytes: 8},
				Series: []*series{
					{ID: "word/C", Values: []float64{10, 20, 10}},
					{ID: "shmd/C", Values: []float64{40, 80, 40}},
					{ID: "shmd-stream/C", Values: []float64{20, 40, 20},
						Percentiles: &percentiles{P50: 21, P99: 22, P999: 2300}},
					{ID: "shmd/Go", Values: []float64{30, 60, 30}},
					{ID: "other/C++", Values: []float64{16, 32, 16}},
					{ID: "far/Go", Values: []float64{3000, 6000, 3000}},
				}},
			{Row: "oneway", Unit: "ns", Floor: "word/C", Setting: setting{Placement: "across", SizeBytes: 1 << 20},
				Series: []*series{
					{ID: "shmd/C", Values: []float64{1e6, 1e6, 1e6}},
					{ID: "other/C++", Values: []float64{5e6, 5e6, 5e6}},
					{ID: "far/Go", Reason: "cannot do that", Unsupported: true},
				}},
			{Row: "recovery", Unit: "ns", Setting: setting{Placement: "free"}, Series: []*series{
				{ID: "shmd/C", Values: []float64{2e5}},
				{ID: "other-named/C++", Reason: "never: nobody had it 10s after the kill", Never: true,
					Counts: map[string]float64{"limit_s": 10}},
			}},
		},
	}
}

func TestGoals(t *testing.T) {
	r := smallResults()
	goals := []goal{{"ours/C", "word/C", 1.7}, {"ours/C", "rivals", 1}, {"ours/Go", "ours/C", 1.5},
		{"ours/Go", "rivals", 1}, {"ours/Python", "rivals", 1}}
	var got []string
	for _, v := range r.verdicts(r.Cases[0], goals) {
		met := map[bool]string{true: "met", false: "missed"}[v.met()]
		got = append(got, v.who.ID+" "+v.against.ID+" "+digits(v.ratio.Median)+" "+met)
	}
	want := "shmd-stream/C word/C 2.00 missed, shmd-stream/C other/C++ 1.25 missed, shmd/Go shmd-stream/C 1.50 met, " +
		"shmd/Go far/Go 0.010 met"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q", got)
	}
}

func TestLossesAreNotHidden(t *testing.T) {
	r := smallResults()
	losses := r.losses()
	if len(losses) != 1 || losses[0].rival.ID != "other/C++" || losses[0].ratio.Median != 1.25 {
		t.Fatalf("%+v", losses)
	}
	if text := r.afterDeath("other/C++"); !strings.Contains(text, "not recover") {
		t.Errorf("after a death it %q", text)
	}
	if text := r.afterDeath("shmd/C"); !strings.Contains(text, "200 µs") {
		t.Errorf("after a death ours %q", text)
	}
}

func TestReport(t *testing.T) {
	table, err := loadTable(rowsJSON)
	if err != nil {
		t.Fatal(err)
	}
	rep := &report{table, smallResults(), t.TempDir(), "results.json"}
	image := filepath.Join(rep.dir, "images", "performance-oneway.svg")
	if err := errors.Join(os.MkdirAll(filepath.Dir(image), 0o755), os.WriteFile(image, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	text := rep.summary()
	for _, want := range []string{
		"| One way | ours/C to rivals | ≤ 1.00 | **1 of 2** | 0.200 | 1.25 | 8 B, across: shmd-stream/C to other/C++ |",
		"| One way | ours/Go to ours/C | ≤ 1.50 | 1 of 1 | 1.50 | 1.50 |",
		"| One way | 8 B, across | other (C++) | 1.25 x | 20.0 ns | 16.0 ns | does not recover from a killed owner " +
			"within 10 s |",
		"![One way](images/performance-oneway.svg)",
		"| across | 8 B | 1 MiB |",
		"| shmd (C) | 40.0 ns (4.00 floor) | **1.00 ms** |",
		"| other (C++) | **16.0 ns** (0.800 x) | 5.00 ms (5.00 x) |",
		"| far (Go), server | 3.00 µs (100 x) | - |",
		"| shmd stream (C) | 21.0 ns / 22.0 ns / 2.30 µs | - |",
		"| other, named (C++) | never within 10 s |",
		"- far/Go: cannot do that",
		"**not measured**: not there: it is not",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("performance.md lacks %q", want)
		}
	}
	if strings.Contains(text, "performance-recovery.svg") {
		t.Error("a picture that is not there is shown")
	}
	tables := rep.tables()
	for _, want := range []string{
		"## One way: 8 B, across",
		"| shmd-stream/C | 20.0 ns | 20.0 ns | 40.0 ns | 2.00, 2.00, 2.00 | 1.00, 1.00, 1.00 | 0 |",
	} {
		if !strings.Contains(tables, want) {
			t.Errorf("performance-tables.md lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestTexts(t *testing.T) {
	for ns, want := range map[float64]string{0.4521: "0.452 ns", 9.994: "9.99 ns", 12.34: "12.3 ns", 999.4: "999 ns",
		999.6: "1.00 µs", 123456: "123 µs", 2.5e6: "2.50 ms", 1e10: "10.0 s", 0: "0 ns"} {
		if got := nsText(ns); got != want {
			t.Errorf("%v: %q, want %q", ns, got, want)
		}
	}
	m := &markdown{head: []string{"a", "b"}}
	m.add("x|y", "1")
	if got := m.String(); got != "| a | b |\n|---|--:|\n| x/y | 1 |\n" {
		t.Errorf("%q", got)
	}
}

func TestNoRatioToNothing(t *testing.T) {
	zero, one := &series{Values: []float64{0}}, &series{Values: []float64{1}}
	for _, to := range []*series{zero, nil, {Values: []float64{1, 1}}, {}} {
		if got, has := one.ratio(to); has {
			t.Errorf("%+v", got)
		}
	}
	if got, has := zero.ratio(one); !has || got.Median != 0 {
		t.Errorf("%+v, %t", got, has)
	}
}

// What once failed is not measured, whatever came before.
func TestFailureTakesValues(t *testing.T) {
	s := &series{ID: "x/C", Values: []float64{1}}
	s.fail(errUnsupported("no"))
	if len(s.Values) != 0 || !s.Unsupported || s.Reason != "no" {
		t.Errorf("%+v", s)
	}
	if s.fail(errors.New("broke")); s.Unsupported {
		t.Error("a failure is taken for what a system cannot do")
	}
}

func TestLastLine(t *testing.T) {
	l := new(lastLines)
	for range 3 {
		if _, err := l.Write([]byte(strings.Repeat("x", 3000) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Write([]byte("why\n\n")); err != nil || l.last() != "why" {
		t.Errorf("%q", l.last())
	}
}

// Rounds of both trees have the same names, so that benchstat pairs them.
func TestBenchstat(t *testing.T) {
	r := &results{Cases: []*caseResult{{Row: "lock", Unit: "ns", Setting: setting{Placement: "across", Processes: 2},
		Series: []*series{{ID: "before:shmd/C", Operations: 9, Values: []float64{5, 6.5}},
			{ID: "shmd/C", Operations: 7, Values: []float64{4}}}}}}
	before, after := r.benchstat()
	want := "Benchmark/lock/2processes/across/shmd-C 9 5 ns/op\nBenchmark/lock/2processes/across/shmd-C 9 6.5 ns/op\n"
	if before != want || after != "Benchmark/lock/2processes/across/shmd-C 7 4 ns/op\n" {
		t.Errorf("%q %q", before, after)
	}
}
