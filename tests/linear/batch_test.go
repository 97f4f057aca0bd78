package linear

import (
	"slices"

	"github.com/shmd/shmd/tests/history"
)

// singles are the operations that batches are made of.
var singles = map[history.Op]history.Op{history.OpPutMany: history.OpPut, history.OpTakeMany: history.OpTake,
	history.OpLeaseMany: history.OpLease, history.OpAckMany: history.OpAck, history.OpNackMany: history.OpNack}

// batch is the same as its single operations, one after the other, with nobody in
// between; or, if its client was killed, the first of them.
func (m queueMachine) batch(s queueState, a *action) (next []queueState) {
	states := []queueState{s}
	parts := singlesOf(a)
	for i := range parts {
		var after []queueState
		for _, each := range states {
			for _, now := range m.step(each, &parts[i]) {
				if !slices.Contains(after, now) {
					after = append(after, now)
				}
			}
		}
		if states = after; a.Unknown() {
			next = append(next, states...)
		}
	}
	if a.Unknown() || len(parts) == 0 {
		return next
	}
	return states
}

// singlesOf are the operations of a batch, the first so many that were done, or may have
// been; and one that was refused, if it says that one was.
func singlesOf(a *action) (all []action) {
	one := *a
	one.Op = singles[a.Op]
	refused := a.Return != 0 && !a.OK()
	numbers := a.Batch()
	if refused && (a.Op == history.OpAckMany || a.Op == history.OpNackMany) {
		numbers = a.Numbers[:a.Result+1] // the last one is that
	} else if refused {
		return []action{one}
	}
	for i, number := range numbers {
		one.Argument, one.Result, one.Extra = number, number, a.Deliveries(i)
		if one.Status = 0; refused && i == len(numbers)-1 {
			one.Status = a.Status
		}
		all = append(all, one)
	}
	return all
}
