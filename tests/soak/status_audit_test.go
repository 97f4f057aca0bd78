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
		return e.Object == stream || e.Object == pipe // whose role was another's
	case status.Taken:
		return e.Op == history.OpClaim
	case status.Ended:
		return transfers(e) && (e.Object == pipe || receives(e)) || e.Object == pipe && e.Op == history.OpClaim
	case status.Deadlock:
		return e.Object == rwlock
	case status.PeerDied:
		return e.Op == history.OpArrive || transfers(e) && (e.Object == pipe || receives(e))
	case status.Broken, status.OutcomeUnknown: // who was stopped
		return e.Op == history.OpArrive
	case status.Unsupported:
		return e.NotDone()
	}
	return false
}

// receives and transfers are about streams and pipes.
func receives(e *history.Entry) bool { return e.Op == history.OpRecv || e.Op == history.OpRecvMany }
func transfers(e *history.Entry) bool {
	return receives(e) || e.Op == history.OpSend || e.Op == history.OpSendMany
}
