package soak

import (
	"fmt"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// audit checks the books of one round after the other and returns its complaints.
type audit interface{ check(r round) []string }

// lockAudit audits one lock: no two held it at once, and every death of a holder was
// told to all who came after, until one marked it consistent.
type lockAudit struct {
	name     string
	objects  []uint16 // through which it is locked; the first is the one that is marked
	again    bool     // recursive
	takeover func(ns int64)

	inconsistent bool
	deaths       int64   // of holders, for certain
	maybes       int64   // of clients that may have held it
	excuses      []maybe // those that may not have shown yet
}

// hold is a time in which a client had the lock, for certain.
type hold struct {
	client      int
	call        int64 // when it asked
	from, until int64
	noticed     bool
	told        int64 // deaths, as the notice told
	marked      bool
	died        bool  // it ended without an unlock
	killed      int64 // when; 0 = it was closed
}

// maybe is a death of who may have held the lock.
type maybe struct{ from, settled int64 }

func (a *lockAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	var holds []hold
	for _, c := range r {
		holds = append(holds, a.holds(c, complain)...)
	}
	slices.SortFunc(holds, func(x, y hold) int { return int(x.from - y.from) })
	for i := range holds {
		h := &holds[i]
		if i > 0 && h.from < holds[i-1].until {
			complain("client %d has it for %d ns while client %d does", h.client, holds[i-1].until-h.from,
				holds[i-1].client)
		}
		a.told(h, complain)
		if i > 0 && h.noticed && holds[i-1].killed > h.call && a.takeover != nil {
			a.takeover(h.from - holds[i-1].killed)
		}
	}
	return complaints
}

// told checks the notice of a hold, and goes on to its end.
func (a *lockAudit) told(h *hold, complain func(string, ...any)) {
	switch {
	case a.inconsistent && !h.noticed:
		complain("client %d was not told of a death", h.client)
	case !a.inconsistent && h.noticed:
		i := slices.IndexFunc(a.excuses, func(m maybe) bool { return m.from < h.from })
		if i < 0 {
			complain("client %d was told of a death that was none", h.client)
		} else {
			a.excuses = slices.Delete(a.excuses, i, i+1)
		}
	}
	if h.noticed && (h.told < a.deaths || h.told > a.deaths+a.maybes) {
		complain("client %d was told of %d deaths; there were %d, and maybe %d more", h.client, h.told, a.deaths,
			a.maybes)
	}
	// Who came after a recovery would have seen it.
	a.excuses = slices.DeleteFunc(a.excuses, func(m maybe) bool { return m.settled < h.call })
	a.inconsistent = h.noticed && !h.marked || h.died
	if h.died {
		a.deaths++
	}
}

// holds finds the holds in what a client did.
func (a *lockAudit) holds(c career, complain func(string, ...any)) (holds []hold) {
	depth := 0
	open := func() *hold { return &holds[len(holds)-1] }
	doubt := func(e *history.Entry) {
		a.maybes++
		a.excuses = append(a.excuses, maybe{e.Call, c.death.Settled})
	}
	for i := range c.entries {
		e := &c.entries[i]
		if !slices.Contains(a.objects, e.Object) || e.NotDone() && e.Return != 0 {
			continue
		}
		switch e.Op {
		case history.OpLock:
			if e.Unknown() && depth == 0 {
				doubt(e)
			} else if e.OK() && depth == 0 {
				holds = append(holds, hold{client: c.client, call: e.Call, from: e.Return,
					noticed: e.Code() == status.OwnerDied, told: e.Result})
				depth++
			} else if e.OK() {
				if depth++; !a.again {
					complain("client %d has locked twice: %v", c.client, e)
				}
			}
		case history.OpWrite:
			if e.Unknown() && depth == 0 {
				doubt(e)
			}
		case history.OpUnlock:
			switch {
			case e.Unknown() && depth == 1:
				open().until = e.Call
				depth = 0
				doubt(e)
			case e.OK() && depth > 0:
				if depth--; depth == 0 {
					open().until = e.Call
				}
			case e.OK(), e.Code() == status.NotOwner && depth > 0:
				complain("client %d, which held it %d times: %v", c.client, depth, e)
			}
		case history.OpMark:
			if e.OK() && depth > 0 {
				open().marked = open().marked || e.Object == a.objects[0]
			} else if e.Return != 0 && (depth > 0) != e.OK() {
				complain("client %d, which held it %d times: %v", c.client, depth, e)
			}
		case history.OpClose:
			if depth > 0 {
				open().until, open().died = e.Call, true
				depth = 0
			}
		}
	}
	if depth > 0 {
		if c.death == nil {
			complain("client %d still has it", c.client)
			return holds[:len(holds)-1]
		}
		open().until, open().died, open().killed = c.death.Killed, true, c.death.Killed
	}
	return holds
}
