package linear

import "github.com/shmd/shmd/tests/history"

// valueMachine is one element; nobody holds it.
type valueMachine struct{}

func (valueMachine) start() int64                 { return 0 }
func (valueMachine) end(v int64, _ *action) int64 { return v }

func (valueMachine) step(v int64, a *action) []int64 {
	next := v
	switch a.Op {
	case history.OpLoad:
	case history.OpStore, history.OpExchange:
		next = a.Argument
	case history.OpAdd:
		next = v + a.Argument
	case history.OpCompareExchange:
		if v == a.Argument {
			next = a.Desired
		}
		if a.OK() && (a.Extra != 0) != (v == a.Argument) {
			return nil
		}
	default:
		return nil
	}
	if a.Return != 0 && !a.OK() || a.OK() && a.Op != history.OpStore && a.Result != v {
		return nil
	}
	return []int64{next}
}
