package soak

import (
	"fmt"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// audit checks the books of one round after the other and returns its complaints.
type audit interface{ check(r round) []string }

// lockAudit audits one lock: nobody had it beside its holder, and every death of a
// holder was told to all who came after, until one marked it consistent. Readers of an
// rwlock have it beside each other.
type lockAudit struct {
	name     string
	objects  []uint16 // through which it is locked
	marks    []uint16 // through which it is marked consistent
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
	shared      bool
	call        int64 // when it asked
	from, until int64
	noticed     bool
	told        int64 // deaths, as the notice told
	marked      bool
	died        bool  // it ended without an unlock
	killed      int64 // when; 0 = it was not
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
	var last, writer hold // which end last
	for i := range holds {
		h := &holds[i]
		before := &last
		if h.shared {
			before = &writer
		}
		if h.from < before.until {
			complain("client %d has it for %d ns while client %d does", h.client, before.until-h.from, before.client)
		}
		a.told(h, complain)
		if h.noticed && writer.killed > h.call && writer.until == last.until {
			a.takeover(h.from - writer.killed)
		}
		if h.until > last.until {
			last = *h
		}
		if !h.shared {
			writer = *h
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

// clerk finds the holds in what one client did.
type clerk struct {
	*lockAudit
	career
	complain func(string, ...any)
	holds    []hold
	depth    int   // how often it holds the lock
	reads    int   // how often it reads
	open     *hold // while depth > 0
	reading  *hold // while reads > 0
}

func (a *lockAudit) holds(c career, complain func(string, ...any)) []hold {
	k := &clerk{lockAudit: a, career: c, complain: complain}
	for i := range c.entries {
		e := &c.entries[i]
		if slices.Contains(a.objects, e.Object) && (e.Return == 0 || !e.NotDone()) {
			k.book(e)
		}
	}
	if c.death == nil && k.depth+k.reads > 0 {
		complain("client %d still has it", c.client)
	}
	if c.death != nil {
		if k.depth > 0 {
			k.open.died, k.open.killed = true, c.death.Killed
		}
		k.end(c.death.Killed)
	}
	return k.holds
}

// begin begins a hold.
func (k *clerk) begin(e *history.Entry, shared bool) *hold {
	return &hold{client: k.client, shared: shared, call: e.Call, from: e.Return,
		noticed: e.Code() == status.OwnerDied, told: e.Result}
}

// end ends what the client holds.
func (k *clerk) end(at int64) {
	if k.depth > 0 {
		k.depth = 0
		k.open.until = at
		k.holds = append(k.holds, *k.open)
	}
	if k.reads > 0 {
		k.reads = 0
		k.reading.until = at
		k.holds = append(k.holds, *k.reading)
	}
}

// doubt remembers that the client may have died with the lock.
func (k *clerk) doubt(e *history.Entry) {
	k.maybes++
	k.excuses = append(k.excuses, maybe{e.Call, k.death.Settled})
}

// wrong complains about how an operation came out.
func (k *clerk) wrong(e *history.Entry) {
	k.complain("client %d, which holds it %d times and reads %d times: %v", k.client, k.depth, k.reads, e)
}

func (k *clerk) book(e *history.Entry) {
	held := k.depth > 0
	switch e.Op {
	case history.OpLock:
		k.lock(e)
	case history.OpReadLock:
		switch {
		case e.OK() && !held:
			if k.reads++; k.reads == 1 {
				k.reading = k.begin(e, true)
			}
		case e.OK(), e.Code() == status.Deadlock && !held:
			k.wrong(e)
		}
	case history.OpWrite:
		if e.Unknown() && !held {
			k.doubt(e)
		}
	case history.OpUnlock:
		switch {
		case e.Unknown() && k.depth == 1:
			k.end(e.Call)
			k.doubt(e)
		case e.OK() && k.depth > 1:
			k.depth--
		case e.OK() && held:
			k.end(e.Call)
		case e.Return != 0 && (e.OK() || held):
			k.wrong(e)
		}
	case history.OpReadUnlock:
		switch {
		case k.reads > 1 && e.OK():
			k.reads--
		case k.reads == 1 && (e.OK() || e.Unknown()):
			k.end(e.Call)
		case e.Return != 0 && (e.OK() || k.reads > 0):
			k.wrong(e)
		}
	case history.OpWaitCondition:
		k.wait(e)
	case history.OpMark, history.OpNotify:
		if e.Return != 0 && e.OK() != held {
			k.wrong(e)
		}
		if e.Op == history.OpMark && e.OK() && held && slices.Contains(k.marks, e.Object) {
			k.open.marked = true
		}
	case history.OpClose:
		if held {
			k.open.died = true
		}
		k.end(e.Call)
	}
}

func (k *clerk) lock(e *history.Entry) {
	switch {
	case e.Unknown():
		if k.depth == 0 {
			k.doubt(e)
		}
	case e.Code() == status.Deadlock:
		if k.depth+k.reads == 0 {
			k.wrong(e)
		}
	case e.OK() && k.depth+k.reads == 0:
		k.open, k.depth = k.begin(e, false), 1
	case e.OK() && k.again:
		k.depth++
	case e.OK():
		k.wrong(e)
	}
}

// wait releases the lock for a while.
func (k *clerk) wait(e *history.Entry) {
	switch ended := e.OK() || e.Code() == status.TimedOut; {
	case e.Code() == status.WouldBlock && k.depth > 0: // a try releases nothing
	case e.Unknown():
		if k.depth > 0 {
			k.end(e.Call)
			k.doubt(e)
		}
	case ended != (k.depth > 0):
		k.wrong(e)
	case ended:
		k.end(e.Call)
		k.open, k.depth = k.begin(e, false), 1
	}
}
