package soak

import (
	"fmt"
	"slices"

	"github.com/shmd/shmd/wire"
)

// producerShift is where a message's number has that of its producer.
const producerShift = 40

// queueAudit audits a queue: every message that was put comes out, once, unless who
// had it gave it back, closed the queue or died, or had it for longer than its time;
// deliveries are counted; and who gets messages of one producer for the first time gets
// them in order.
type queueAudit struct {
	name     string
	object   uint16
	mortal   bool               // there are dead letters: the count starts anew when they are redelivered
	time     int64              // of leases, in ns; 0 = they do not end
	look     func() wire.Counts // when all are at rest
	takeover func(ns int64)

	messages map[int64]*message // that may be in the queue
	taken    int64              // takes that may have happened
	got      int64              // gets that may have counted a delivery that nobody saw
}

// message is one that may be in the queue.
type message struct {
	put        int64 // when its put began
	sure       bool  // it was put
	deliveries int64 // so far
	done       bool  // taken or acknowledged
	doubt      bool  // it may have been acknowledged
	history    []*delivery
	blurred    []*delivery
}

// late are the deliveries that may have been before another, and returned after it.
func (m *message) late(d *delivery) (n int64) {
	for _, b := range m.blurred {
		if b.call < d.from && b.from > d.from {
			n++
		}
	}
	return n
}

// delivery is a time in which a client had a message, for certain.
type delivery struct {
	client      int
	number      int64
	call        int64 // when it asked
	from, until int64 // until 0 = it still has it
	earliest    int64 // when its time may be over, if leases end by time
	count       int64 // as it was told; 0 = it was not
	dead        bool  // as a dead letter
	done        bool
	doubt       bool  // its acknowledgement may have happened
	killed      int64 // when, if that was the end
}

func (a *queueAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	var all []*delivery
	for _, c := range r {
		all = append(all, a.lessee(c, complain)...)
	}
	slices.SortStableFunc(all, func(x, y *delivery) int { return int(x.from - y.from) })
	first := make(map[[2]int64]int64) // the last first delivery, by consumer and producer
	for _, d := range all {
		if m := a.messages[d.number]; m != nil && a.blurred(d) {
			m.blurred = append(m.blurred, d)
		}
	}
	for _, d := range all {
		a.delivered(d, first, complain)
	}
	a.count(complain)
	return complaints
}

// delivered checks a delivery, the next one of all.
func (a *queueAudit) delivered(d *delivery, first map[[2]int64]int64, complain func(string, ...any)) {
	m := a.messages[d.number]
	if m == nil || m.put > d.from {
		complain("client %d got message %d, which nobody had put", d.client, d.number)
		return
	}
	if a.blurred(d) {
		// It may be over already, and others may have had it: it says nothing of them.
		m.deliveries, m.sure = max(m.deliveries, d.count), true
		m.done, m.doubt = m.done || d.done, m.doubt || d.doubt
		return
	}
	if m.done {
		complain("client %d got message %d after it was taken or acknowledged", d.client, d.number)
	}
	if n := len(m.history); n > 0 {
		last := m.history[n-1]
		if last.until == 0 || last.until > d.from {
			complain("client %d got message %d while client %d had it", d.client, d.number, last.client)
		}
		if last.killed > d.call {
			a.takeover(d.from - last.killed)
		}
	}
	if d.count != 0 && !d.dead && !a.mortal && (d.count <= m.deliveries || d.count > m.deliveries+1+a.got+m.late(d)) {
		complain("client %d got message %d in delivery %d; it had %d", d.client, d.number, d.count, m.deliveries)
	}
	if d.count == 1 && !a.mortal {
		from := [2]int64{int64(d.client), d.number >> producerShift}
		if first[from] > d.number {
			complain("client %d got message %d of a producer after %d", d.client, d.number, first[from])
		}
		first[from] = d.number
	}
	m.history = append(m.history, d)
	m.sure, m.done, m.doubt = true, d.done, d.doubt
	m.deliveries = max(m.deliveries, d.count)
}

// count compares what must be in the queue with what is, and forgets what is gone.
func (a *queueAudit) count(complain func(string, ...any)) {
	sure, doubtful := int64(0), int64(0)
	for number, m := range a.messages {
		m.history, m.blurred = nil, nil
		switch {
		case m.done:
			delete(a.messages, number)
		case m.doubt || !m.sure:
			doubtful++
		default:
			sure++
		}
	}
	now := a.look()
	if now.Leased != 0 || now.Writing != 0 {
		complain("all are at rest, and %d messages are leased, %d slots reserved", now.Leased, now.Writing)
	}
	n := int64(now.Ready) + int64(now.Dead)
	if n < sure-a.taken || n > sure+doubtful {
		complain("%d messages are in it, there must be %d to %d", n, sure-a.taken, sure+doubtful)
	}
	if n == 0 {
		clear(a.messages)
		a.taken, a.got = 0, 0
	}
}
