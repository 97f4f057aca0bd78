package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/shmd/shmd/tests/measure"
)

// results is one run, as it is kept.
type results struct {
	Machine  measure.Machine `json:"machine"`
	Revision string          `json:"revision"` // of shmd
	Begun    time.Time       `json:"begun"`
	Quick    bool            `json:"quick"`
	Rounds   int             `json:"rounds"`
	RoundMS  float64         `json:"round_ms"`
	Systems  []system        `json:"systems"`
	Cases    []*caseResult   `json:"cases"`
}

// system is an adapter, as it was in that run.
type system struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Kind  kind   `json:"kind"`
	// Described is the version, and how it was set; or Missing says why it was not there.
	Described string `json:"described,omitempty"`
	Missing   string `json:"missing,omitempty"`
}

// caseResult is one setting of a row.
type caseResult struct {
	Row     string    `json:"row"`
	Setting setting   `json:"setting"`
	Unit    string    `json:"unit"` // of one operation, or of what the row counts
	Floor   string    `json:"floor,omitempty"`
	Series  []*series `json:"series"`
}

// series is what one adapter took.
type series struct {
	ID         string    `json:"id"`
	Operations int       `json:"operations,omitempty"` // in a round, of each process
	Values     []float64 `json:"values,omitempty"`     // one for each round
	// Reason says why there are no values.
	Reason      string       `json:"reason,omitempty"`
	Unsupported bool         `json:"unsupported,omitempty"` // the system has not got that
	Never       bool         `json:"never,omitempty"`       // what was waited for did not happen within the limit
	Percentiles *percentiles `json:"percentiles,omitempty"`
	// Counts is further numbers, by their names: of idle also switches, processes and seconds, of who
	// never got there limit_s.
	Counts map[string]float64 `json:"counts,omitempty"`
	Note   string             `json:"note,omitempty"`
}

func (c *caseResult) add(a *adapter) *series {
	s := &series{ID: a.ID}
	c.Series = append(c.Series, s)
	return s
}

// of is the series of that adapter, if it has values.
func (c *caseResult) of(id string) *series {
	for _, s := range c.Series {
		if s.ID == id && len(s.Values) > 0 {
			return s
		}
	}
	return nil
}

// fail takes the values away: what went wrong once is not measured.
func (s *series) fail(err error) {
	var unsupported errUnsupported
	s.Unsupported = errors.As(err, &unsupported)
	s.Values, s.Reason = nil, err.Error()
}

// note keeps what went wrong after all values were there.
func (s *series) note(err error) {
	if err != nil {
		s.Note = "no latencies: " + err.Error()
	}
}

func (s *series) spread() measure.Spread { return measure.SpreadOf(s.Values) }

// ratio is how many times as long as that one this one takes, within rounds, if there is such
// a number.
func (s *series) ratio(to *series) (measure.Spread, bool) {
	if to == nil || len(s.Values) == 0 || len(s.Values) != len(to.Values) || slices.Contains(to.Values, 0) {
		return measure.Spread{}, false
	}
	return measure.Ratios(s.Values, to.Values), true
}

func (r *results) system(id string) *system {
	for i := range r.Systems {
		if r.Systems[i].ID == id {
			return &r.Systems[i]
		}
	}
	return nil
}

func (r *results) save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func loadResults(path string) (*results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(results)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
