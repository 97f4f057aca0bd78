package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/shmd/shmd/tests/measure"
)

// row is one measurement with its goal.
type row struct {
	Part  string          `json:"part"`
	Name  string          `json:"name"`
	Unit  string          `json:"unit"`
	Ours  measure.Spread  `json:"ours"`
	Rival *measure.Spread `json:"rival,omitempty"`
	Ratio *measure.Spread `json:"ratio,omitempty"`
	// Percentiles are there for latencies.
	P50  *float64 `json:"p50,omitempty"`
	P90  *float64 `json:"p90,omitempty"`
	P99  *float64 `json:"p99,omitempty"`
	P999 *float64 `json:"p99_9,omitempty"`
	Goal string   `json:"goal,omitempty"`
	Met  *bool    `json:"met,omitempty"`
	Note string   `json:"note,omitempty"`
}

// report collects the rows, and prints them as they come if live is set.
type report struct {
	Machine measure.Machine `json:"machine"`
	Quick   bool            `json:"quick"`
	Rows    []row           `json:"rows"`

	live io.Writer
	part string
}

func (r *report) begin(p part) {
	r.part = p.name
	if r.live != nil {
		fmt.Fprintf(r.live, "\n%s: %s\n", p.name, p.what)
	}
}

func (r *report) add(w row) {
	w.Part = r.part
	r.Rows = append(r.Rows, w)
	if r.live == nil {
		return
	}
	fmt.Fprintf(r.live, "  %-34s %s %s\n", w.Name, w.Ours, w.Unit)
	if w.Rival != nil {
		fmt.Fprintf(r.live, "  %34s %s %s\n", "against", *w.Rival, w.Unit)
	}
	if w.Ratio != nil {
		fmt.Fprintf(r.live, "  %34s %s x\n", "ratio", *w.Ratio)
	}
	if text := w.percentiles(); text != "" {
		fmt.Fprintf(r.live, "  %34s%s %s\n", "", text, w.Unit)
	}
	if w.Met != nil {
		verdict := "MISSED"
		if *w.Met {
			verdict = "met"
		}
		fmt.Fprintf(r.live, "  %34s %s: %s\n", "goal", w.Goal, verdict)
	}
	if w.Note != "" {
		fmt.Fprintf(r.live, "  %34s %s\n", "note", w.Note)
	}
}

// percentiles are those that the row has.
func (w *row) percentiles() (text string) {
	for _, p := range []struct {
		name  string
		value *float64
	}{{"p50", w.P50}, {"p90", w.P90}, {"p99", w.P99}, {"p99.9", w.P999}} {
		if p.value != nil {
			text += fmt.Sprintf(" %9.4g %s", *p.value, p.name)
		}
	}
	return text
}

// conclude counts the goals.
func (r *report) conclude() {
	met, missed := 0, 0
	for _, w := range r.Rows {
		switch {
		case w.Met == nil:
		case *w.Met:
			met++
		default:
			missed++
		}
	}
	fmt.Fprintf(r.live, "\n%d goals met, %d missed\n", met, missed)
}

// compared is the row of pairs whose ratio should be at most the limit; 0 = no goal.
func compared(name, unit string, p *pairs, limit float64) row {
	ours, rival, ratio := measure.SpreadOf(p.ours), measure.SpreadOf(p.rival), p.ratio()
	w := row{Name: name, Unit: unit, Ours: ours, Rival: &rival, Ratio: &ratio}
	if limit > 0 {
		met := ratio.Median <= limit
		w.Goal, w.Met = fmt.Sprintf("at most %.2f x (median of the ratios)", limit), &met
	}
	return w
}

// single is the row of one series.
func single(name, unit string, values []float64, goal string, met bool) row {
	return row{Name: name, Unit: unit, Ours: measure.SpreadOf(values), Goal: goal, Met: &met}
}

func (r *report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
