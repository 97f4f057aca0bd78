package soak

import (
	"fmt"
	"math"
	"slices"

	"github.com/shmd/shmd/tests/history"
)

// joinAudit audits the joins of a queue without dead letters: at some time in each there
// was no message in it for certain.
type joinAudit struct {
	name   string
	object uint16

	stays map[int64]*stay // by message
}

// stay is a time in which a message was in the queue, ready or leased, for certain.
type stay struct{ from, until int64 }

func (a *joinAudit) check(r round) (complaints []string) {
	unseen := int64(math.MaxInt64) // from here on a message may have been taken, and nobody knows which
	for _, c := range r {
		for i := range c.entries {
			if e := &c.entries[i]; e.Object == a.object && e.Op != history.OpJoin {
				a.begin(e)
			}
		}
	}
	for _, c := range r {
		for i := range c.entries {
			e := &c.entries[i]
			if e.Object != a.object {
				continue
			}
			a.end(e)
			if e.Unknown() && (e.Op == history.OpTake || e.Op == history.OpTakeMany) {
				unseen = min(unseen, e.Call)
			}
		}
	}
	all := make([]stay, 0, len(a.stays))
	for number, s := range a.stays {
		kept := s.until == math.MaxInt64
		if kept {
			s.until = unseen
		}
		all = append(all, *s)
		if !kept || unseen != math.MaxInt64 {
			delete(a.stays, number)
		}
	}
	slices.SortFunc(all, func(x, y stay) int {
		if x.from < y.from {
			return -1
		}
		return 1
	})
	for _, c := range r {
		for i := range c.entries {
			e := &c.entries[i]
			if e.Object == a.object && e.Op == history.OpJoin && e.OK() && covered(all, e.Call, e.Return) {
				complaints = append(complaints, fmt.Sprintf("%s: client %d joined when something was to be done: %v",
					a.name, c.client, e))
			}
		}
	}
	return complaints
}

// begin begins the stays of what was put.
func (a *joinAudit) begin(e *history.Entry) {
	put := func(number int64) { a.stays[number] = &stay{e.Return, math.MaxInt64} }
	switch {
	case !e.OK():
	case e.Op == history.OpPut || e.Op == history.OpCommit:
		put(e.Argument)
	case e.Op == history.OpPutMany:
		for _, number := range e.Batch() {
			put(number)
		}
	}
}

// end ends the stays of what was taken, or done, or may have been.
func (a *joinAudit) end(e *history.Entry) {
	gone := func(number int64) {
		if s := a.stays[number]; s != nil {
			s.until = min(s.until, e.Call)
		}
	}
	switch e.Op {
	case history.OpTake:
		if e.OK() {
			gone(e.Result)
		}
	case history.OpAck:
		if e.OK() || e.Unknown() {
			gone(e.Result)
		}
	case history.OpTakeMany:
		if e.OK() {
			for _, number := range e.Batch() {
				gone(number)
			}
		}
	case history.OpAckMany:
		for _, number := range e.Numbers[:min(e.Desired, history.BatchMax)] {
			gone(number)
		}
	}
}

// covered reports whether at each time between two there was a stay of those, which are
// in order.
func covered(all []stay, from, until int64) bool {
	for _, s := range all {
		if s.from > from {
			break
		}
		from = max(from, s.until)
	}
	return from > until
}
