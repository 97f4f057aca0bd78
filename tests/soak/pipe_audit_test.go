package soak

import (
	"fmt"
	"slices"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// pipeAudit audits a pipe that is new in each round: an end belongs to one client, once;
// what it sent is received by the other end in its order, each once, without a gap, and
// then its end, for ever and as what it was; who sends to an end is told that it is gone
// only if it is.
type pipeAudit struct {
	name   string
	object uint16
}

func (a *pipeAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	if ends, ok := endsOf(r, a.object, complain); ok {
		a.way(ends[history.EndA], ends[history.EndB], complain)
		a.way(ends[history.EndB], ends[history.EndA], complain)
	}
	return complaints
}

// endsOf are the tenures of each end of a pipe; ok = each had one client at most.
func endsOf(r round, object uint16, complain func(string, ...any)) (ends [3][]*tenure, ok bool) {
	for end := history.EndA; end <= history.EndB; end++ {
		had := 0
		for _, c := range r {
			ends[end] = append(ends[end], tenures(c, object, end)...)
		}
		for _, t := range ends[end] {
			if !t.maybe {
				had++
			}
		}
		if had > 1 {
			complain("%d clients had end %d", had, end)
			return ends, false
		}
	}
	return ends, true
}

// refused checks what those who sent were told of the other end.
func refused(from, to []*tenure, complain func(string, ...any)) {
	for _, t := range from {
		for _, code := range t.gone {
			if !endedSo(to, code) {
				complain("client %d was told %q when it sent, and the other end had not ended so",
					t.client, code.Name())
			}
		}
	}
}

// way checks what went from one end to the other.
func (a *pipeAudit) way(from, to []*tenure, complain func(string, ...any)) {
	var sent []parcel
	var got []receipt
	for _, t := range from {
		sent = append(sent, t.sent...)
	}
	refused(from, to, complain)
	for _, t := range to {
		got = append(got, t.got...)
	}
	next, lost, over := 0, int64(0), false
	shown := int64(0) // what comes next, as somebody saw; 0 = it is not known
	skip := func(to int) {
		for _, m := range sent[next:to] {
			if m.sure {
				if lost--; lost < 0 {
					complain("message %d was never received", m.number)
				}
			}
		}
		next = to
	}
	for _, r := range got {
		switch {
		case r.lost != 0:
			lost += r.lost
			shown = 0
		case r.shown:
			if over || shown != 0 && r.number != shown {
				complain("message %d was shown as the next one, after %d", r.number, shown)
			}
			shown = r.number
		case r.end != 0:
			if shown != 0 {
				complain("message %d was shown as the next one, and then the end told", shown)
			}
			if !endedSo(from, r.end) {
				complain("%q was told, and the other end had not ended so", r.end.Name())
			}
			skip(len(sent))
			over = true
		default:
			i := slices.IndexFunc(sent[next:], func(m parcel) bool { return m.number == r.number })
			if i < 0 || over || shown != 0 && r.number != shown {
				complain("message %d was received, which is none of those that come next", r.number)
				continue
			}
			shown = 0
			skip(next + i)
			next++
		}
	}
}

// endedSo reports whether one of those ended as a status says.
func endedSo(tenures []*tenure, code status.Code) bool {
	return slices.ContainsFunc(tenures, func(t *tenure) bool {
		return t.maybe || t.died && code == status.PeerDied || t.ended && code == status.Ended
	})
}
