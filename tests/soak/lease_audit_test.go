package soak

import (
	"math"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// lessee finds in what one client did with a queue what it put, and what it got for how
// long. A lease ends by time not before the earliest moment at which its time can be over,
// and never for who is told that his ack counted.
type lessee struct {
	*queueAudit
	career
	complain func(string, ...any)
	open     []*delivery // that it has
	left     []*delivery // that it has, and will not end
	got      []*delivery
	strange  int // leases whose messages were overwritten before it could look
}

// lessee books what a client put, and returns what it got.
func (a *queueAudit) lessee(c career, complain func(string, ...any)) []*delivery {
	l := &lessee{queueAudit: a, career: c, complain: complain}
	for i := range c.entries {
		if e := &c.entries[i]; e.Object == a.object && (e.Return == 0 || !e.NotDone()) {
			l.book(e)
		}
	}
	for _, d := range l.open {
		if c.death == nil {
			complain("client %d still has message %d", c.client, d.number)
			continue
		}
		d.killed = c.death.Killed
	}
	if c.death != nil {
		l.leaveAll(c.death.Killed)
	}
	return l.got
}

// blurred reports whether it is not known whether a delivery was over when it returned.
func (a *queueAudit) blurred(d *delivery) bool { return a.time != 0 && d.from-d.call >= a.time }

func (l *lessee) book(e *history.Entry) {
	switch e.Op {
	case history.OpPut, history.OpCommit:
		if e.OK() || e.Unknown() {
			l.messages[e.Argument] = &message{put: e.Call, sure: e.OK()}
		}
	case history.OpPutMany:
		for _, number := range e.Batch() {
			l.messages[number] = &message{put: e.Call, sure: e.OK()}
		}
	case history.OpTake, history.OpTakeMany, history.OpLease, history.OpLeaseMany, history.OpTakeDead:
		l.get(e)
	case history.OpAck, history.OpNack, history.OpExtend, history.OpForget:
		l.end(e, e.Result, e.Extra, e.Code())
	case history.OpAckMany, history.OpNackMany:
		l.endMany(e)
	case history.OpClose:
		l.leaveAll(e.Call)
	}
}

// get books what came.
func (l *lessee) get(e *history.Entry) {
	many := max(e.Desired, 1)
	if !e.OK() {
		if e.Unknown() || e.Code() == status.TimedOut {
			l.queueAudit.got += many
		}
		if e.Unknown() && (e.Op == history.OpTake || e.Op == history.OpTakeMany) {
			l.taken += many
		}
		if e.Status == history.Broken { // statusAudit says whether it may be
			l.queueAudit.got += many
			l.strange += int(many)
		}
		return
	}
	numbers := []int64{e.Result}
	if e.Op == history.OpTakeMany || e.Op == history.OpLeaseMany {
		numbers = e.Batch()
	}
	for i, number := range numbers {
		d := &delivery{client: l.client, number: number, call: e.Call, from: e.Return, earliest: math.MaxInt64}
		switch e.Op {
		case history.OpTake, history.OpTakeMany:
			d.until, d.done = e.Return, true
		case history.OpLeaseMany:
			d.count = int64(e.Deliveries(i))
		default:
			d.count, d.dead = int64(e.Extra), e.Op == history.OpTakeDead
		}
		if !d.done {
			if l.time != 0 {
				d.earliest = e.Call + l.time
			}
			l.open = append(l.open, d)
		}
		l.got = append(l.got, d)
	}
}

// leave ends a lease without a word, at a time at the latest.
func (l *lessee) leave(d *delivery, at int64) { d.until = min(at, d.earliest) }

// leaveAll is for who closes the queue, or dies.
func (l *lessee) leaveAll(at int64) {
	for _, d := range append(l.open, l.left...) {
		l.leave(d, at)
	}
	l.open, l.left = nil, nil
}

// end books what became of a lease on a message, of that delivery or 0 for any, by what
// the client was told.
func (l *lessee) end(e *history.Entry, number int64, count uint32, code status.Code) {
	if e.Unknown() && number == 0 {
		return // killed when it had found that there is nothing to end
	}
	i := slices.IndexFunc(l.open, func(d *delivery) bool {
		return d.number == number && (count == 0 || d.count == int64(count))
	})
	if i < 0 {
		if l.strange--; l.strange < 0 || code != status.NotOwner && e.Op != history.OpForget {
			l.complain("client %d: %v", l.client, e)
		}
		return
	}
	d := l.open[i]
	if e.Op != history.OpExtend {
		l.open = slices.Delete(l.open, i, i+1)
	}
	acks := e.Op == history.OpAck || e.Op == history.OpAckMany
	switch {
	case e.Unknown():
		d.doubt = acks
		if e.Op == history.OpExtend {
			d.earliest = min(d.earliest, e.Call+e.Argument)
			return
		}
		l.leave(d, e.Call)
	case code == status.NotOwner && e.Return >= d.earliest:
		l.leave(d, e.Return)
	case code != status.OK:
		l.complain("client %d, whose lease on message %d had time left: %v", l.client, number, e)
	case e.Op == history.OpForget:
		l.leave(d, math.MaxInt64)
		l.left = append(l.left, d)
	case e.Op == history.OpExtend:
		d.earliest = e.Call + e.Argument
	case acks && l.doneBefore(d):
		l.leave(d, e.Return) // the ack of a later delivery, once more
	default:
		d.until, d.done = e.Call, acks
	}
}

// doneBefore reports whether the client has acknowledged another delivery of a message.
func (l *lessee) doneBefore(d *delivery) bool {
	return slices.ContainsFunc(l.got, func(o *delivery) bool { return o != d && o.number == d.number && o.done })
}

// endMany books what became of the oldest leases: of the first ones what was asked for,
// the next one was not the client's any more, and the rest is left to its time.
func (l *lessee) endMany(e *history.Entry) {
	if e.Return != 0 && (e.OK() != (e.Result == e.Desired) || !e.OK() && e.Code() != status.NotOwner) {
		l.complain("client %d: %v", l.client, e)
		return
	}
	for i, number := range e.Numbers[:min(e.Desired, history.BatchMax)] {
		switch count := e.Deliveries(i); {
		case e.Unknown() || int64(i) < e.Result:
			l.end(e, number, count, status.OK)
		case int64(i) == e.Result:
			l.end(e, number, count, status.NotOwner)
		default:
			forgotten := history.Entry{Op: history.OpForget, Call: e.Call, Return: e.Return}
			l.end(&forgotten, number, count, status.OK)
		}
	}
}
