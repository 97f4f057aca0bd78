package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shmd/shmd/tests/measure"
)

// groupOf is the language that an adapter is compared within: what is neither Go nor Python
// counts as C.
func groupOf(id string) string {
	_, language, _ := strings.Cut(id, "/")
	if language == "Go" || language == "Python" {
		return language
	}
	return "C"
}

// fastest is the series with the least median among those that match.
func (c *caseResult) fastest(matches func(s *series) bool) *series {
	var best *series
	for _, s := range c.Series {
		if len(s.Values) == 0 || !matches(s) {
			continue
		}
		if best == nil || s.spread().Median < best.spread().Median {
			best = s
		}
	}
	return best
}

// ours is the fastest of ours in that group.
func (r *results) ours(c *caseResult, group string) *series {
	return c.fastest(func(s *series) bool { return r.kindOf(s.ID) == ours && groupOf(s.ID) == group })
}

// rival is the fastest of what a user of that language would take instead; in C, of all.
func (r *results) rival(c *caseResult, group string) *series {
	return c.fastest(func(s *series) bool {
		k := r.kindOf(s.ID)
		return (k == library || k == server) && (group == "C" || groupOf(s.ID) == group)
	})
}

func (r *results) kindOf(id string) kind {
	if s := r.system(id); s != nil {
		return s.Kind
	}
	return ""
}

// party is a side of a goal.
func (r *results) party(c *caseResult, name, group string) *series {
	if name == "rivals" {
		return r.rival(c, group)
	}
	if of, isOurs := strings.CutPrefix(name, "ours/"); isOurs {
		return r.ours(c, of)
	}
	return c.of(name)
}

// verdict is what became of a goal at one setting.
type verdict struct {
	goal         goal
	who, against *series
	ratio        measure.Spread
}

func (v *verdict) met() bool { return v.ratio.Median <= v.goal.AtMost }

// verdicts are those of the goals of the row that can be judged in this case.
func (r *results) verdicts(c *caseResult, goals []goal) []verdict {
	var all []verdict
	for _, g := range goals {
		who := r.party(c, g.Who, "")
		if who == nil {
			continue
		}
		against := r.party(c, g.Against, groupOf(who.ID))
		ratio, has := who.ratio(against)
		if has {
			all = append(all, verdict{g, who, against, ratio})
		}
	}
	return all
}

// loss is a rival that was faster than all of ours of its group.
type loss struct {
	c     *caseResult
	rival *series
	ours  *series
	ratio measure.Spread // ours to the rival's
}

// losses are all of them, the worst first.
func (r *results) losses() []loss {
	var all []loss
	for _, c := range r.Cases {
		if c.Unit == "ticks" { // too few to be compared
			continue
		}
		for _, s := range c.Series {
			if k := r.kindOf(s.ID); k != library && k != server {
				continue
			}
			own := r.ours(c, groupOf(s.ID))
			if own == nil {
				continue
			}
			if ratio, has := own.ratio(s); has && ratio.Median > 1 {
				all = append(all, loss{c, s, own, ratio})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b loss) int { return cmp.Compare(b.ratio.Median, a.ratio.Median) })
	return all
}

// afterDeath says what the system did when an owner was killed, "" if that was not measured.
func (r *results) afterDeath(id string) string {
	base := systemOf(id)
	for _, c := range r.Cases {
		if c.Row != "recovery" {
			continue
		}
		for _, s := range c.Series {
			if systemOf(s.ID) != base {
				continue
			}
			switch {
			case s.Never:
				return fmt.Sprintf("does not recover from a killed owner within %g s", s.Counts["limit_s"])
			case len(s.Values) > 0:
				return "recovers from a killed owner in " + nsText(s.spread().Median)
			case s.Unsupported:
				return "has no owners"
			}
		}
	}
	return ""
}

// systemOf is SYSTEM of SYSTEM-MODE/LANGUAGE.
func systemOf(id string) string {
	system, _, _ := strings.Cut(id, "/")
	system, _, _ = strings.Cut(system, "-")
	return system
}
