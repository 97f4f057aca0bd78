package soak

import (
	"fmt"
	"math"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// streamAudit audits a stream that is empty, and nobody's, between rounds: one client at
// a time has each role; what producers sent is received in its order, each once, without
// a gap; the end of each producer is told behind its last message, and as what it was.
// Whoever was killed may have received what it asked for last.
type streamAudit struct {
	name   string
	object uint16
}

// tenure is a time in which a client has a role.
type tenure struct {
	client int
	from   int64 // when its claim returned
	until  int64 // when its end began
	ended  bool  // in an orderly way
	died   bool  // both if it was killed on its way
	maybe  bool  // its claim never returned
	sent   []parcel
	got    []receipt
	gone   []status.Code    // what it was told of the other end of a pipe when it sent
	moved  []*history.Entry // of a pipe of bytes
}

// parcel is a message that was sent, or may have been.
type parcel struct {
	number int64
	sure   bool
	of     int // the tenure, by the order of all
}

// receipt is one that a consumer had: a message, an end, or it is not known what; or it
// was shown the message that comes next.
type receipt struct {
	number int64
	shown  bool
	end    status.Code
	lost   int64 // how many at most may have been received that nobody saw
}

func (a *streamAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	var producers, consumers []*tenure
	for _, c := range r {
		producers = append(producers, tenures(c, a.object, history.RoleProducer)...)
		consumers = append(consumers, tenures(c, a.object, history.RoleConsumer)...)
	}
	inOrder(producers, "producer", complain)
	inOrder(consumers, "consumer", complain)
	var sent []parcel
	for i, p := range producers {
		for _, m := range p.sent {
			m.of = i
			sent = append(sent, m)
		}
	}
	var got []receipt
	for _, c := range consumers {
		got = append(got, c.got...)
	}
	match(producers, sent, got, complain)
	return complaints
}

// inOrder sorts tenures, of which no two are at the same time.
func inOrder(tenures []*tenure, role string, complain func(string, ...any)) {
	slices.SortFunc(tenures, func(x, y *tenure) int { return int(x.from - y.from) })
	var last *tenure
	for _, next := range tenures {
		if next.maybe {
			continue
		}
		if last != nil && next.from < last.until {
			complain("client %d became the %s while client %d was", next.client, role, last.client)
		}
		last = next
	}
}

// tenures are those of a client in a role.
func tenures(c career, object uint16, role uint32) (all []*tenure) {
	var now *tenure
	end := func(e *history.Entry) {
		if now != nil {
			now.until, now.ended = e.Call, true
			now.died = e.Unknown()
			now = nil
		}
	}
	for i := range c.entries {
		e := &c.entries[i]
		if e.Object != object {
			continue
		}
		switch e.Op {
		case history.OpClaim:
			// One that never returned may be a tenure that nobody knows of: its end is told.
			if e.N == role && (e.OK() || e.Unknown()) {
				now = &tenure{client: c.client, from: e.Return, until: math.MaxInt64}
				if e.Unknown() {
					now.from, now.maybe = e.Call, true
				}
				all = append(all, now)
			}
		case history.OpRetire:
			if e.N == role {
				end(e)
			}
		case history.OpClose:
			end(e)
		default:
			if now != nil {
				now.book(e)
			}
		}
	}
	if now != nil && c.death != nil {
		now.until, now.died = c.death.Killed, true
	}
	return all
}

// book books what somebody sent or received.
func (n *tenure) book(e *history.Entry) {
	switch e.Op {
	case history.OpSend, history.OpSendMany, history.OpReserve, history.OpCommit, history.OpWriteBytes:
		if code := e.Code(); e.Return != 0 && (code == status.Ended || code == status.PeerDied) {
			n.gone = append(n.gone, code)
		}
	}
	switch e.Op {
	case history.OpWriteBytes, history.OpReadBytes:
		n.moved = append(n.moved, e)
	case history.OpSend, history.OpCommit:
		if e.OK() || e.Unknown() {
			n.sent = append(n.sent, parcel{number: e.Argument, sure: e.OK()})
		}
	case history.OpSendMany:
		for _, number := range e.Batch() {
			n.sent = append(n.sent, parcel{number: number, sure: e.OK()})
		}
	case history.OpRecv, history.OpRecvMany, history.OpPeek, history.OpAdvance:
		switch {
		case e.Unknown() && e.Op == history.OpPeek: // an end may be told
			n.got = append(n.got, receipt{lost: 1})
		case e.Unknown():
			n.got = append(n.got, receipt{lost: max(e.Desired, 1)})
		case e.OK() && e.Op == history.OpPeek:
			n.got = append(n.got, receipt{number: e.Numbers[0], shown: true})
		case e.OK() && e.Op == history.OpRecv:
			n.got = append(n.got, receipt{number: e.Result})
		case e.OK():
			for _, number := range e.Batch() {
				n.got = append(n.got, receipt{number: number})
			}
		case e.Code() == status.Ended || e.Code() == status.PeerDied:
			n.got = append(n.got, receipt{end: e.Code()})
		}
	}
}

// match goes through what was received, and what was sent beside it.
func match(producers []*tenure, sent []parcel, got []receipt, complain func(string, ...any)) {
	next := 0              // of sent
	lost := int64(0)       // receipts since the last message that nobody saw
	last := -1             // the tenure that the last message is of
	seen := 0              // unseen receipts since that, whatever they were
	var told []status.Code // ends since that
	shown := int64(0)      // what comes next, as somebody saw; 0 = it is not known
	skip := func(to int) {
		for _, m := range sent[next:to] {
			if !m.sure {
				continue
			}
			if lost--; lost < 0 {
				complain("message %d was never received", m.number)
			}
		}
	}
	// ends checks what was told before a message of a tenure, or at last.
	ends := func(of int) {
		if len(told) > 1+seen || last == of && len(told) > 0 {
			complain("%v was told behind the messages of one producer, before those of tenure %d", told, of)
		}
		if len(told) == 0 && last != of && last >= 0 {
			if lost--; lost < 0 {
				complain("the end of client %d behind message %d was not told",
					producers[last].client, sent[next-1].number)
			}
		}
		for _, code := range told {
			if !endedSo(producers[max(last, 0):of], code) {
				complain("%v was told behind message %v, and nobody ended so", code, number(sent, next-1))
			}
		}
		told, lost, seen = nil, 0, 0
	}
	for _, r := range got {
		switch {
		case r.lost != 0:
			lost += r.lost
			seen++
			shown = 0
		case r.shown:
			if shown != 0 && r.number != shown {
				complain("message %d was shown as the next one, after %d", r.number, shown)
			}
			shown = r.number
		case r.end != 0:
			if shown != 0 {
				complain("message %d was shown as the next one, and then the end of its producer told", shown)
			}
			told = append(told, r.end)
		default:
			i := slices.IndexFunc(sent[next:], func(m parcel) bool { return m.number == r.number })
			if i < 0 || shown != 0 && r.number != shown {
				complain("message %d was received, which is none of those that come next", r.number)
				continue
			}
			shown = 0
			skip(next + i)
			ends(sent[next+i].of)
			next, last = next+i+1, sent[next+i].of
		}
	}
	skip(len(sent))
	ends(len(producers))
}

// number is that of a message, or that there was none.
func number(sent []parcel, i int) any {
	if i < 0 {
		return "none"
	}
	return sent[i].number
}
