package linear

import (
	"math"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// opExpire is the end of a lease by time. Nobody does it, so it is in no script: it is an
// action of the one who has the lease, on the message Result in its delivery Extra. It may
// happen once the time can be over, and must have happened when somebody who looks began
// after it was over for certain, or saw what came of it.
const opExpire history.Op = 1000

// term is what is known of one lease.
type term struct {
	lease            action
	number           int64
	deliveries       uint32
	earliest, latest int64 // when its time can be over, and is
	seen             int64 // it was over by then; 0 = nobody saw that
	ended            bool  // or never was: it was acknowledged or given back
	uncertain        bool  // or what the client does for it is not known
	gone             bool
}

// acknowledgement is an ack that counted, of a lease or once more.
type acknowledgement struct {
	actor         int
	number        int64
	deliveries    uint32
	called, ended int64
}

// acknowledgements are those of all actions; also of leases that nobody knows, for they ended
// before their call did.
func acknowledgements(actions []*action) (acks []acknowledgement) {
	for _, a := range actions {
		switch {
		case a.end || a.Return == 0:
		case a.Op == history.OpAck && a.OK():
			acks = append(acks, acknowledgement{a.actor, a.Result, a.Extra, a.Call, a.Return})
		case a.Op == history.OpAckMany:
			for i, number := range a.Numbers[:min(max(a.Result, 0), history.BatchMax)] {
				acks = append(acks, acknowledgement{a.actor, number, a.Deliveries(i), a.Call, a.Return})
			}
		}
	}
	return acks
}

// again reports whether its client has acknowledged a later delivery of the message: then
// this ack is that one once more.
func (k acknowledgement) again(all []acknowledgement) bool {
	return slices.ContainsFunc(all, func(o acknowledgement) bool {
		return o.actor == k.actor && o.number == k.number && o.deliveries > k.deliveries && o.called < k.ended
	})
}

// expiries adds the ends by time to the actions of a queue whose leases take so many ns.
func expiries(actions []*action, ns int64) []*action {
	var terms []*term
	acks := acknowledgements(actions)
	for _, a := range actions {
		terms = append(terms, begun(a, ns)...)
		a.repeated = slices.ContainsFunc(acknowledgements([]*action{a}), func(k acknowledgement) bool {
			return k.again(acks)
		})
	}
	for _, t := range slices.Backward(terms) { // of a message the later ones first
		for _, a := range actions {
			// A client that is being killed goes on for a moment: its end may begin before the call.
			if a.actor == t.lease.actor && (a.end || a.Call > t.lease.Call) {
				t.own(a, acks)
			}
		}
	}
	for _, t := range terms {
		for _, a := range actions {
			t.watch(a, terms)
		}
		if t.ended {
			continue
		}
		e := &action{Entry: history.Entry{Op: opExpire, Call: t.earliest, Result: t.number, Extra: t.deliveries},
			actor: t.lease.actor, until: math.MaxInt64}
		if t.seen != 0 && !t.gone && !t.uncertain {
			e.until, e.Return = 0, max(t.seen, t.earliest)
		}
		actions = append(actions, e)
	}
	return actions
}

// begun are the leases that an action has given, or may have: then their number is 0.
func begun(a *action, ns int64) (terms []*term) {
	switch {
	case a.end || a.Op != history.OpLease && a.Op != history.OpLeaseMany:
	case a.Unknown():
		for range max(a.Desired, 1) {
			terms = append(terms, &term{lease: *a, earliest: a.Call + ns, latest: math.MaxInt64, uncertain: true})
		}
	case a.OK() && a.Op == history.OpLease:
		terms = append(terms, &term{lease: *a, number: a.Result, deliveries: a.Extra, earliest: a.Call + ns,
			latest: a.Return + ns})
	case a.OK():
		for i, number := range a.Batch() {
			terms = append(terms, &term{lease: *a, number: number, deliveries: a.Deliveries(i), earliest: a.Call + ns,
				latest: a.Return + ns})
		}
	}
	return terms
}

// own books what the one who has the lease did later.
func (t *term) own(a *action, acks []acknowledgement) {
	if a.end {
		t.gone = true
		return
	}
	for i, number := range a.Numbers[:] {
		switch a.Op {
		case history.OpAck, history.OpNack, history.OpExtend:
			if i == 0 && a.Result == t.number && a.Extra == t.deliveries {
				t.told(a, a.Code(), acks)
			}
		case history.OpAckMany, history.OpNackMany:
			code := status.OK
			if a.Return != 0 && int64(i) == a.Result {
				code = a.Code()
			}
			if int64(i) < a.Desired && (a.Unknown() || int64(i) <= a.Result) && number == t.number &&
				a.Deliveries(i) == t.deliveries {
				t.told(a, code, acks)
			}
		}
	}
}

// told books what an operation on the lease says about it.
func (t *term) told(a *action, code status.Code, acks []acknowledgement) {
	switch {
	case a.Unknown():
		t.uncertain = true
		if a.Op == history.OpExtend {
			t.earliest, t.latest = min(t.earliest, a.Call+a.Argument), math.MaxInt64
		}
	case code == status.NotOwner:
		t.see(a.Return)
	case code != status.OK:
	case a.Op == history.OpExtend:
		t.earliest, t.latest = a.Call+a.Argument, a.Return+a.Argument
	case a.Op != history.OpNack && a.Op != history.OpNackMany &&
		(acknowledgement{t.lease.actor, t.number, t.deliveries, a.Call, a.Return}).again(acks):
	default:
		t.ended = true
	}
}

func (t *term) see(at int64) {
	if t.seen == 0 || at < t.seen {
		t.seen = at
	}
}

// watch books what others, or a look, say about the lease.
func (t *term) watch(a *action, terms []*term) {
	if a.Return == 0 || a.end || t.number == 0 {
		return
	}
	if looks(a) && a.Call > t.latest {
		a.over = append(a.over, leaseID{t.number, t.deliveries})
		t.see(a.Return)
	}
	if a.Call <= t.lease.Call {
		return
	}
	switch {
	case !a.OK():
	case a.Op == history.OpTake && a.Result == t.number:
		t.seeUnlessLater(a, terms)
	case a.Op == history.OpLease && a.Result == t.number && a.Extra == t.deliveries+1:
		t.see(a.Return)
	case a.Op == history.OpTakeMany || a.Op == history.OpLeaseMany:
		for i, number := range a.Batch() {
			if number != t.number {
				continue
			}
			if a.Op == history.OpTakeMany {
				t.seeUnlessLater(a, terms)
			} else if a.Deliveries(i) == t.deliveries+1 {
				t.see(a.Return)
			}
		}
	}
}

// seeUnlessLater is for who took the message, after this delivery or a later one.
func (t *term) seeUnlessLater(a *action, terms []*term) {
	for _, o := range terms {
		if o.number == t.number && o.deliveries > t.deliveries {
			return
		}
	}
	t.see(a.Return)
}

// looks reports whether an operation ends the leases that are over.
func looks(a *action) bool {
	if !a.OK() && a.Code() != status.WouldBlock {
		return false
	}
	switch a.Op {
	case history.OpTake, history.OpTakeMany, history.OpLease, history.OpLeaseMany, history.OpCounts, history.OpJoin:
		return true
	}
	return false
}

// findsOver reports whether the leases are over that an action must find so.
func (s *queueState) findsOver(a *action) bool {
	for _, id := range a.over {
		for _, x := range s.slots[:s.count] {
			if x.state == leased && int64(x.number) == id.number && uint32(x.deliveries) == id.deliveries {
				return false
			}
		}
	}
	return true
}

// expire ends a lease by time.
func (m queueMachine) expire(s queueState, a *action) (next []queueState) {
	for i, x := range s.slots[:s.count] {
		if x.state != leased || x.actor != int8(a.actor) ||
			a.Result != 0 && (int64(x.number) != a.Result || uint32(x.deliveries) != a.Extra) {
			continue
		}
		ended := s
		m.giveBack(&ended.slots[i])
		next = append(next, ended)
	}
	return next
}
