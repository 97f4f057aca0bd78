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
			if e.Return == 0 || e.OK() || e.Status == history.Skipped || mayEnd(e) || mayBeOver(e) {
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
		return e.Object == stream || isPipe(e.Object) || // whose role was another's
			e.Object == timed && ends(e)
	case status.Taken:
		return e.Op == history.OpClaim
	case status.Ended:
		return transfers(e) && (isPipe(e.Object) || receives(e)) || isPipe(e.Object) && e.Op == history.OpClaim
	case status.Deadlock:
		return e.Object == rwlock
	case status.PeerDied:
		return e.Op == history.OpArrive || transfers(e) && (isPipe(e.Object) || receives(e))
	case status.Broken, status.OutcomeUnknown: // who was stopped
		return e.Op == history.OpArrive
	case status.Unsupported:
		return e.NotDone()
	}
	return false
}

// mayBeOver reports whether a lease may have ended before the call that gave it did: then
// another message may lie where it was, or nowhere.
func mayBeOver(e *history.Entry) bool {
	gives := e.Op == history.OpLease || e.Op == history.OpLeaseMany
	return e.Object == timed && gives && e.Return-e.Call >= int64(leaseTime) &&
		(e.Status == history.Broken || e.Code() == status.NotOwner)
}

func isPipe(object uint16) bool { return object == pipe || object == flow }

// ends reports whether an operation is about a lease that the client has.
func ends(e *history.Entry) bool {
	switch e.Op {
	case history.OpAck, history.OpNack, history.OpAckMany, history.OpNackMany, history.OpExtend:
		return true
	}
	return false
}

// receives and transfers are about streams and pipes.
func receives(e *history.Entry) bool {
	switch e.Op {
	case history.OpRecv, history.OpRecvMany, history.OpPeek, history.OpReadBytes:
		return true
	}
	return false
}

func transfers(e *history.Entry) bool { return receives(e) || sends(e) }

// sends is true also of what makes a message in a queue.
func sends(e *history.Entry) bool {
	switch e.Op {
	case history.OpSend, history.OpSendMany, history.OpReserve, history.OpCommit, history.OpWriteBytes:
		return true
	}
	return false
}
