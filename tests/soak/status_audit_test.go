package soak

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// statusAudit wants every operation to end as one of its kind may end.
type statusAudit struct{ names []string }

func (a *statusAudit) check(r round) (complaints []string) {
	for _, c := range r {
		for i := range c.entries {
			e := &c.entries[i]
			if e.Return == 0 || e.OK() || e.Status == history.Skipped || mayEnd(e) {
				continue
			}
			complaints = append(complaints, fmt.Sprintf("%s: client %d: %v", a.names[e.Object], c.client, e))
		}
	}
	return complaints
}

func mayEnd(e *history.Entry) bool {
	switch e.Code() {
	case status.WouldBlock:
		return e.Timeout == 0
	case status.TimedOut:
		return e.Timeout > 0
	case status.NotOwner: // those who look at it say whether it is right
		switch e.Op {
		case history.OpUnlock, history.OpReadUnlock, history.OpMark, history.OpRelease, history.OpNotify:
			return true
		}
		return e.Object == stream // whose role was another's
	case status.Taken:
		return e.Op == history.OpClaim
	case status.Ended:
		return e.Op == history.OpRecv || e.Op == history.OpRecvMany
	case status.Deadlock:
		return e.Object == rwlock
	case status.Broken, status.PeerDied, status.OutcomeUnknown: // who was stopped
		return e.Op == history.OpArrive || e.Code() == status.PeerDied && (e.Op == history.OpRecv || e.Op == history.OpRecvMany)
	case status.Unsupported:
		return e.NotDone()
	}
	return false
}
