package soak

import (
	"fmt"

	"github.com/shmd/shmd/tests/history"
)

// sumAudit audits elements to which ones are added: no addition is lost or made twice.
type sumAudit struct {
	name   string
	object uint16
	look   func(element int) int64 // when all are at rest

	base []int64
}

func (a *sumAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	low, high := make([]int64, len(a.base)), make([]int64, len(a.base))
	seen := make(map[[2]int64]bool)
	for _, c := range r {
		for i := range c.entries {
			e := &c.entries[i]
			if e.Object != a.object || e.Op != history.OpAdd {
				continue
			}
			low[e.N], high[e.N] = either(low[e.N], high[e.N], e.Argument, e)
			at := [2]int64{int64(e.N), e.Result}
			if e.OK() && seen[at] {
				complain("two additions to element %d found %d", e.N, e.Result)
			}
			seen[at] = seen[at] || e.OK()
		}
	}
	for i := range a.base {
		now := a.look(i)
		if added := now - a.base[i]; added < low[i] || added > high[i] {
			complain("element %d grew by %d, it must be %d to %d", i, added, low[i], high[i])
		}
		a.base[i] = now
	}
	return complaints
}
