package soak

import (
	"fmt"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

// permitAudit audits a semaphore: permits are conserved, with undo no more are held at
// once than there are, and all of the dead's are back.
type permitAudit struct {
	name   string
	object uint16
	undo   bool
	look   func() wire.Permits // when all are at rest

	base int64 // how many there are; with undo nobody holds any
}

// change is some permits more or less in somebody's hands.
type change struct{ at, n int64 }

func (a *permitAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	low, high := a.base, a.base // how many there can be now
	posted := int64(0)
	var changes []change
	for _, c := range r {
		held := int64(0)
		move := func(at, n int64) {
			held += n
			changes = append(changes, change{at, n})
		}
		for i := range c.entries {
			e := &c.entries[i]
			if e.Object != a.object {
				continue
			}
			n := int64(e.N)
			switch {
			case e.Op == history.OpClose && e.Call != 0 && !e.NotDone() && a.undo:
				move(e.Call, -held)
			case e.Op == history.OpAcquire && a.undo:
				if e.OK() {
					move(e.Return, n)
				}
			case e.Op == history.OpAcquire:
				low, high = either(low, high, -n, e)
			case e.Op == history.OpRelease && a.undo:
				if e.Return != 0 && e.OK() != (held >= n) {
					complain("client %d, which holds %d: %v", c.client, held, e)
				} else if held >= n {
					move(e.Call, -n)
				}
			case e.Op == history.OpRelease, e.Op == history.OpPost:
				low, high = either(low, high, n, e)
				posted += n
			}
			if e.Return != 0 && e.Code() == status.Overflow {
				complain("%v", e)
			}
		}
		if held != 0 && a.undo {
			if c.death == nil {
				complain("client %d still holds %d", c.client, held)
			} else {
				move(c.death.Killed, -held)
			}
		}
	}
	slices.SortFunc(changes, func(x, y change) int {
		if x.at == y.at {
			return int(x.n - y.n)
		}
		return int(x.at - y.at)
	})
	sum := int64(0)
	for _, c := range changes {
		if sum += c.n; sum > a.base+posted {
			complain("%d are held, of %d", sum, a.base+posted)
		}
	}
	now := a.look()
	if n := int64(now.Available); n < low || n > high {
		complain("%d are available, there must be %d to %d", n, low, high)
	}
	if a.undo && now.Total != now.Available {
		complain("nobody holds any, and %d of %d are available", now.Available, now.Total)
	}
	a.base = int64(now.Available)
	return complaints
}

// either adds what an entry has changed, or may have changed, to the bounds.
func either(low, high, n int64, e *history.Entry) (int64, int64) {
	switch {
	case e.OK():
		return low + n, high + n
	case e.Unknown():
		return low + min(n, 0), high + max(n, 0)
	}
	return low, high
}
