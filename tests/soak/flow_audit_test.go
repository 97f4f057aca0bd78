package soak

import (
	"fmt"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// flowAudit audits a pipe of bytes that is new in each round: an end belongs to one
// client, once; the other reads what it wrote, which the clients compare byte by byte,
// none that was not begun to be written by then, and all of it before it is told of the
// end, for ever and as what it was.
type flowAudit struct {
	name   string
	object uint16
}

func (a *flowAudit) check(r round) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, a.name+": "+fmt.Sprintf(format, args...))
	}
	if ends, ok := endsOf(r, a.object, complain); ok {
		a.way(ends[history.EndA], ends[history.EndB], complain)
		a.way(ends[history.EndB], ends[history.EndA], complain)
	}
	return complaints
}

// way checks what went from one end to the other.
func (a *flowAudit) way(from, to []*tenure, complain func(string, ...any)) {
	var writes []*history.Entry
	for _, t := range from {
		for _, e := range t.moved {
			if e.Op == history.OpWriteBytes {
				writes = append(writes, e)
			}
		}
	}
	refused(from, to, complain)
	over := false
	for _, t := range to {
		for _, e := range t.moved {
			if e.Op != history.OpReadBytes || e.Return == 0 {
				continue
			}
			sure, most := written(writes, e.Return)
			code := e.Code()
			switch {
			case e.OK() && (over || e.Argument+e.Result > most):
				complain("client %d: %v; %d bytes had been written, at most", t.client, e, most)
			case code != status.Ended && code != status.PeerDied:
			case !endedSo(from, code):
				complain("client %d was told %q, and the other end had not ended so", t.client, code.Name())
			case e.Argument < sure:
				complain("client %d was told of the end: %v; %d bytes were written", t.client, e, sure)
			default:
				over = true
			}
		}
	}
}

// written is how many bytes were written for certain, and how many at most by a time.
func written(writes []*history.Entry, by int64) (sure, most int64) {
	for _, e := range writes {
		switch {
		case e.OK():
			sure += e.Result
			if e.Call < by {
				most += e.Result
			}
		case e.Unknown() && e.Call < by:
			most += int64(e.N)
		}
	}
	return sure, most
}
