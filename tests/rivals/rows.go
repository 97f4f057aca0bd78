package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

//go:embed rows.json
var rowsJSON []byte

// table is rows.json: what is compared, and at what.
type table struct {
	Adapters []adapter `json:"adapters"`
	Rows     []row     `json:"rows"`
}

// kind is what a system is to us.
type kind string

const (
	ours    kind = "ours"
	floor   kind = "floor"   // what cannot be undercut, and protects nothing
	library kind = "library" // works in shared memory, or through the kernel
	server  kind = "server"  // each operation goes to a server
)

// adapter is a program for one system in one language.
type adapter struct {
	ID        string   `json:"id"` // SYSTEM/LANGUAGE
	Label     string   `json:"label"`
	Kind      kind     `json:"kind"`
	Command   []string `json:"command"`
	Arguments []string `json:"arguments,omitempty"` // KEY=VALUE
	Server    []string `json:"server,omitempty"`    // PROGRAM, for those that need one
	Workloads []string `json:"workloads"`
	// Setup is the group of scripts/setup.sh that it needs.
	Setup string `json:"setup,omitempty"`

	tree string // source tree that it was built in, "" = this one
}

// language is the one that the adapter is written in.
func (a *adapter) language() string {
	_, language, _ := strings.Cut(a.ID, "/")
	return language
}

// row is a workload at some points of its parameters: all combinations.
type row struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Workload string `json:"workload"`
	// Placements are "across" (two processors), "one" (processor) and "free" (anywhere).
	Placements []string `json:"placements"`
	Processes  []int    `json:"processes,omitempty"` // that contend
	SizesBytes []int    `json:"sizes_bytes,omitempty"`
	Shapes     []string `json:"shapes,omitempty"` // PRODUCERSxCONSUMERS
	Batches    []int    `json:"batches,omitempty"`
	Waits      []string `json:"waits,omitempty"`
	Touch      []int    `json:"touch,omitempty"`
	Verify     bool     `json:"verify,omitempty"`
	Samples    bool     `json:"samples,omitempty"` // latencies of single operations, too
	// Adapters are the IDs of those that take part; none = all that have the workload.
	Adapters []string `json:"adapters,omitempty"`
	Floor    string   `json:"floor,omitempty"` // ID of an adapter
	Goals    []goal   `json:"goals,omitempty"`
	Quick    bool     `json:"quick,omitempty"` // is measured with QUICK=1, at the first of its points
}

// goal is what the median of the ratios within rounds should be at most.
type goal struct {
	Who     string  `json:"who"`     // ID, or ours/GROUP: the fastest of ours in that language
	Against string  `json:"against"` // the same, or "rivals": the fastest of those of the language, in C of all
	AtMost  float64 `json:"at_most"`
}

// setting is one point of a row.
type setting struct {
	Placement string `json:"placement"`
	Processes int    `json:"processes,omitempty"`
	SizeBytes int    `json:"size_bytes,omitempty"`
	Producers int    `json:"producers,omitempty"`
	Consumers int    `json:"consumers,omitempty"`
	Batch     int    `json:"batch,omitempty"`
	Wait      string `json:"wait,omitempty"`
	Untouched bool   `json:"untouched,omitempty"`
}

var (
	workloads = []string{"lock", "semaphore", "counter", "value", "roundtrip", "oneway", "attach", "recovery", "idle",
		"memory"}
	placements = []string{"across", "one", "free"}
	waits      = []string{"spin", "block"}
)

func loadTable(text []byte) (*table, error) {
	t := new(table)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(t); err != nil {
		return nil, err
	}
	return t, t.check()
}

func (t *table) adapter(id string) *adapter {
	i := slices.IndexFunc(t.Adapters, func(a adapter) bool { return a.ID == id })
	if i < 0 {
		return nil
	}
	return &t.Adapters[i]
}

func (t *table) row(id string) *row {
	i := slices.IndexFunc(t.Rows, func(r row) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &t.Rows[i]
}

func (t *table) check() error {
	var wrong []error
	for i := range t.Adapters {
		a := &t.Adapters[i]
		if t.adapter(a.ID) != a {
			wrong = append(wrong, fmt.Errorf("adapter %s is there twice", a.ID))
		}
		wrong = append(wrong, a.check())
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		if t.row(r.ID) != r {
			wrong = append(wrong, fmt.Errorf("row %s is there twice", r.ID))
		}
		wrong = append(wrong, t.checkRow(r))
	}
	return errors.Join(wrong...)
}

func (a *adapter) check() error {
	var wrong []error
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("adapter "+a.ID+": "+format, args...))
	}
	if a.language() == "" {
		say("the ID is not SYSTEM/LANGUAGE")
	}
	if !slices.Contains([]kind{ours, floor, library, server}, a.Kind) {
		say("no kind %q", a.Kind)
	}
	if len(a.Command) == 0 || a.Label == "" {
		say("no command or no label")
	}
	if a.Kind == server && len(a.Server) == 0 {
		say("no server")
	}
	for _, w := range a.Workloads {
		if !slices.Contains(workloads, w) {
			say("no workload %q", w)
		}
	}
	return errors.Join(wrong...)
}

func (t *table) checkRow(r *row) error {
	var wrong []error
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("row "+r.ID+": "+format, args...))
	}
	among := func(what string, values, all []string) {
		for _, v := range values {
			if !slices.Contains(all, v) {
				say("no %s %q", what, v)
			}
		}
	}
	among("workload", []string{r.Workload}, workloads)
	among("placement", r.Placements, placements)
	among("wait", r.Waits, waits)
	if len(r.Placements) == 0 {
		say("no placement")
	}
	ids := slices.Clone(r.Adapters)
	if r.Floor != "" {
		ids = append(ids, r.Floor)
	}
	for _, g := range r.Goals {
		for _, id := range []string{g.Who, g.Against} {
			if id != "rivals" && !strings.HasPrefix(id, "ours/") {
				ids = append(ids, id)
			}
		}
		if g.AtMost <= 0 {
			say("a goal of %v", g.AtMost)
		}
	}
	for _, id := range ids {
		if a := t.adapter(id); a == nil || !slices.Contains(a.Workloads, r.Workload) {
			say("no adapter %q for %s", id, r.Workload)
		}
	}
	for _, shape := range r.Shapes {
		if _, _, err := parseShape(shape); err != nil {
			say("%v", err)
		}
	}
	return errors.Join(wrong...)
}

func parseShape(text string) (producers, consumers int, err error) {
	n, err := fmt.Sscanf(text, "%dx%d", &producers, &consumers)
	if err != nil || n != 2 || producers < 1 || consumers < 1 {
		return 0, 0, fmt.Errorf("%q is not PRODUCERSxCONSUMERS", text)
	}
	return producers, consumers, nil
}

// entrants are the adapters that take part in the row, the floor first and then ours.
func (t *table) entrants(r *row) []*adapter {
	var all []*adapter
	for i := range t.Adapters {
		a := &t.Adapters[i]
		if !slices.Contains(a.Workloads, r.Workload) {
			continue
		}
		if len(r.Adapters) == 0 || slices.Contains(r.Adapters, a.ID) || a.ID == r.Floor {
			all = append(all, a)
		}
	}
	rank := []kind{floor, ours, library, server}
	slices.SortStableFunc(all, func(a, b *adapter) int {
		return slices.Index(rank, a.Kind) - slices.Index(rank, b.Kind)
	})
	return all
}

// settings are the points of the row: all combinations, or in a quick run the first one.
func (r *row) settings(quick bool) []setting {
	var all []setting
	for _, placement := range r.Placements {
		for _, processes := range orOne(r.Processes) {
			for _, shape := range orOne(r.Shapes) {
				for _, size := range orOne(r.SizesBytes) {
					for _, batch := range orOne(r.Batches) {
						for _, wait := range orOne(r.Waits) {
							for _, touch := range touches(r.Touch) {
								s := setting{placement, processes, size, 0, 0, batch, wait, touch == 0}
								if shape != "" {
									s.Producers, s.Consumers, _ = parseShape(shape) // table.check has
								}
								all = append(all, s)
							}
						}
					}
				}
			}
		}
	}
	if quick {
		all = all[:1]
	}
	return all
}

// orOne has at least the zero value.
func orOne[T any](values []T) []T {
	if len(values) == 0 {
		return make([]T, 1)
	}
	return values
}

func touches(values []int) []int {
	if len(values) == 0 {
		return []int{1}
	}
	return values
}

func (s setting) String() string {
	var words []string
	if s.Processes > 0 {
		words = append(words, processesText(s.Processes))
	}
	if s.Producers > 0 {
		words = append(words, fmt.Sprintf("%dx%d", s.Producers, s.Consumers))
	}
	if s.SizeBytes > 0 {
		words = append(words, sizeText(s.SizeBytes))
	}
	if s.Batch > 1 {
		words = append(words, fmt.Sprintf("batch %d", s.Batch))
	}
	if s.Wait != "" {
		words = append(words, s.Wait)
	}
	if s.Untouched {
		words = append(words, "untouched")
	}
	if s.Placement != "" {
		words = append(words, s.Placement)
	}
	return strings.Join(words, ", ")
}

func processesText(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

func sizeText(bytes int) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}
