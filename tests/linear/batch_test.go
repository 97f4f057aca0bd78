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
	one := *a
	one.Op = singles[a.Op]
	if a.Return != 0 && !a.OK() {
		return m.step(s, &one) // refused, as the first
	}
	numbers := a.Batch()
	if len(numbers) == 0 {
		return nil
	}
	states := []queueState{s}
	for i, number := range numbers {
		one.Argument, one.Result, one.Extra = number, number, a.Deliveries(i)
		var after []queueState
		for _, each := range states {
			for _, now := range m.step(each, &one) {
				if !slices.Contains(after, now) {
					after = append(after, now)
				}
			}
		}
		if states = after; a.Unknown() {
			next = append(next, states...)
		}
	}
	if a.Unknown() {
		return next
	}
	return states
}
