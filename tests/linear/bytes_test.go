package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// bytesMachine is a pipe of bytes. Which bytes they are the clients compare: it counts.
// A write or a read is done bit by bit, so that others may see any part of it between its
// beginning and its ending.
type bytesMachine struct{}

// bytesState is what goes each way, by the end that writes, and who has the ends.
type bytesState struct {
	ways [3]way
	pipeEnds
}

// way is one direction: what was written less what was read, by calls that have ended, and
// how many bytes the calls under way may have written and read.
type way struct{ level, writing, reading int64 }

func (bytesMachine) start() bytesState { return bytesState{} }

func (bytesMachine) end(s bytesState, a *action) bytesState {
	s.leave(a)
	return s
}

// split: what moved bytes did it bit by bit.
func (bytesMachine) split(e *history.Entry) bool {
	return (e.Op == history.OpWriteBytes || e.Op == history.OpReadBytes) && (e.OK() || e.Unknown())
}

func (bytesMachine) step(s bytesState, a *action) (next []bytesState) {
	ok := false
	mine, other, has := s.endsOf(a)
	writes := a.Op == history.OpWriteBytes
	w := &s.ways[other]
	if writes {
		w = &s.ways[mine]
	}
	switch {
	case a.Op == history.OpClaim || a.Op == history.OpRetire:
		ok = s.change(a)
	case !has:
		ok = a.Return != 0 && a.Code() == status.NotOwner
	case a.part == beginning:
		ok = w.begin(a, writes) && !(writes && s.over[other] != 0)
	case a.part == ending:
		ok = w.finish(a, writes)
	case a.refused() && writes:
		ok = w.level >= ringBytes && s.over[other] == 0
	case a.refused():
		ok = w.level <= 0 && s.mayBeOpen(other, a)
	case s.over[other].toldBy(a.Code()):
		if ok = writes || w.level <= 0; !writes {
			*w = way{} // what was being written is known now
		}
	}
	if ok {
		next = append(next, s)
	}
	return next
}

// begin begins to move bytes: so many as came of it, or all that were asked for.
func (w *way) begin(a *action, writes bool) bool {
	n := a.Result
	if a.Unknown() {
		n = int64(a.N)
	}
	if writes {
		w.writing = n
	} else {
		w.reading = n
	}
	return n >= 1 && n <= int64(a.N)
}

// finish is the end of a call that began: there must have been room, or bytes, at some time
// of it. What a killed client was doing has none.
func (w *way) finish(a *action, writes bool) bool {
	begun := w.reading
	if writes {
		begun = w.writing
		w.level, w.writing = w.level+a.Result, 0
	} else {
		w.level, w.reading = w.level-a.Result, 0
	}
	return !a.Unknown() && begun != 0 && w.level-w.reading <= ringBytes && w.level+w.writing >= 0
}

// bytesPhrase uses one end, the same for all of a script.
func bytesPhrase(w *writer) {
	w.claimEnd()
	for range 1 + w.IntN(6) {
		e := history.Entry{Op: history.OpReadBytes, N: 1 + w.Uint32N(1500), Timeout: w.Timeout()}
		if w.One(2) {
			e.Op = history.OpWriteBytes
		}
		w.Add(e)
	}
	w.leaveEnd()
}
