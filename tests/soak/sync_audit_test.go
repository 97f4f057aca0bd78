package soak

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// eventAudit audits an event with auto reset: each set ends at most one wait.
type eventAudit struct {
	name   string
	object uint16
	look   func() bool // whether it is set, when all are at rest

	set bool
}

func (a *eventAudit) check(r round) (complaints []string) {
	sets, waits := 0, 0
	if a.set {
		sets++
	}
	for _, c := range r {
		for i := range c.entries {
			e := &c.entries[i]
			switch {
			case e.Object != a.object:
			case e.Op == history.OpSignal && (e.OK() || e.Unknown()):
				sets++
			case e.Op == history.OpWait && e.OK():
				waits++
			}
		}
	}
	if a.set = a.look(); a.set {
		waits++
	}
	if waits > sets {
		complaints = append(complaints, fmt.Sprintf("%s: %d waits ended, or can, by %d sets", a.name, waits, sets))
	}
	return complaints
}

// barrierAudit audits a barrier: of each generation that passed all parties know it,
// each by its own index, but for those that died.
type barrierAudit struct {
	name    string
	object  uint16
	parties int
}

func (a *barrierAudit) check(r round) (complaints []string) {
	passed, unknown := make([]int, a.parties), 0
	for _, c := range r {
		for i := range c.entries {
			e := &c.entries[i]
			switch {
			case e.Object != a.object || e.Op != history.OpArrive:
			case e.OK() && e.Result < int64(a.parties):
				passed[e.Result]++
			case e.OK():
				complaints = append(complaints, fmt.Sprintf("%s: client %d: %v", a.name, c.client, e))
			case e.Unknown(), e.Code() == status.OutcomeUnknown:
				unknown++
			}
		}
	}
	for index := range passed {
		if passed[index]-passed[0] > unknown || passed[0]-passed[index] > unknown {
			complaints = append(complaints, fmt.Sprintf("%s: the parties passed %v times, by index; %d do not know",
				a.name, passed, unknown))
		}
	}
	return complaints
}
