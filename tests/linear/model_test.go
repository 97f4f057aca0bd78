package linear

import (
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// actorsMax bounds the actors of a history. An actor is what holds things in an
// object: a client between opening and closing it.
const actorsMax = 64

// action is one step of a history on one object.
type action struct {
	history.Entry
	actor int
	part  part
	end   bool  // what the actor holds comes back: it was recovered, or closed the object
	until int64 // until when it took effect, if that is later than its return; 0 = it is not
	// repeated: an ack of a lease that was over, whose message its client has acknowledged
	// in a later delivery.
	repeated bool
	over     []leaseID // which it must find over
}

// leaseID is one delivery of a message.
type leaseID struct {
	number     int64
	deliveries uint32
}

// part is which part of an operation an action is. Most happen at one moment. Others
// begin to be seen by others at one moment and come to their end at a later one: two
// actions of the same call, in this order.
type part uint8

const (
	whole part = iota
	beginning
	ending
)

// inParts makes two actions of one whose operation has two parts. split nil = none has.
func inParts(a *action, split func(*history.Entry) bool) []*action {
	if a.end || split == nil || !split(&a.Entry) {
		return []*action{a}
	}
	rest := *a
	a.part, rest.part = beginning, ending
	return []*action{a, &rest}
}

// refused reports whether it could not be done at the time it was tried.
func (a *action) refused() bool { return a.Code() == status.WouldBlock || a.Code() == status.TimedOut }

// outwaited reports whether the time was up. Where there is a latch that says nothing
// about the object: it may have been up before the latch was free.
func (a *action) outwaited() bool { return a.Code() == status.TimedOut }

func (a *action) String() string {
	if a.end {
		return fmt.Sprintf("actor %d ends", a.actor)
	}
	return [...]string{whole: "", beginning: "begin ", ending: "end "}[a.part] + a.Entry.String()
}

// machine is a sequential model of one object; S is compared by ==.
type machine[S comparable] interface {
	start() S
	// step returns the states that an action may lead to: none if it cannot have come
	// out as it did. If its outcome is unknown, those that doing it may lead to.
	step(s S, a *action) []S
	// end is the state when nothing is the actor's any more, because it died, or closed
	// the object: OpClose.
	end(s S, a *action) S
}

// world is a machine's state among the living and the dead.
type world[S comparable] struct {
	state S
	ended uint64 // bit per actor
}

// String tells the state, and which actors have ended.
func (w world[S]) String() string { return fmt.Sprintf("%+v; ended %b", w.state, w.ended) }

// modelOf is the machine as Porcupine has it.
func modelOf[S comparable](m machine[S]) porcupine.Model {
	step := func(state, input, _ any) []any {
		w, a := state.(world[S]), input.(*action)
		ended := w.ended&(1<<a.actor) != 0
		switch {
		case a.end:
			ends := []any{world[S]{m.end(w.state, a), w.ended | 1<<a.actor}}
			if a.Op == history.OpClose && a.Unknown() { // killed in it: it may have died first
				died := action{Entry: history.Entry{Call: a.Call, Return: a.until}, actor: a.actor, end: true}
				ends = append(ends, world[S]{m.end(w.state, &died), w.ended | 1<<a.actor})
			}
			return ends
		case a.Unknown() && ended:
			return []any{w}
		case ended:
			return nil // it returned, hence it was before
		}
		var next []any
		if a.Unknown() {
			next = append(next, w)
		}
		for _, s := range m.step(w.state, a) {
			next = append(next, world[S]{s, w.ended})
		}
		return next
	}
	model := porcupine.NondeterministicModel{
		Init:              func() []any { return []any{world[S]{state: m.start()}} },
		Step:              step,
		DescribeOperation: func(input, _ any) string { return input.(*action).String() },
		DescribeState:     func(state any) string { return fmt.Sprint(state) },
	}
	return model.ToModel()
}

// operationOf is an action as Porcupine has it. Clients are lanes of its picture:
// recoveries have their own.
func operationOf(a *action) porcupine.Operation {
	op := porcupine.Operation{ClientId: a.actor, Input: a, Call: a.Call, Return: a.Return}
	if a.Return == 0 {
		op.Return = math.MaxInt64
	}
	if a.until != 0 {
		op.Return = a.until
	}
	if a.end {
		op.ClientId = a.actor + actorsMax
	}
	return op
}

func operations(actions []*action) []porcupine.Operation {
	ops := make([]porcupine.Operation, 0, len(actions))
	for _, a := range actions {
		ops = append(ops, operationOf(a))
	}
	return ops
}
