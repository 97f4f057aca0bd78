package linear

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
)

// bytesMachine is a pipe of bytes. Which bytes they are the clients compare: it counts.
type bytesMachine struct{}

// bytesState is how many bytes lie in each direction, and who has the ends.
type bytesState struct {
	level [3]int64 // by the end that writes
	pipeEnds
}

func (bytesMachine) start() bytesState { return bytesState{} }

func (bytesMachine) end(s bytesState, a *action) bytesState {
	s.leave(a)
	return s
}

func (bytesMachine) step(s bytesState, a *action) (next []bytesState) {
	if a.Op == history.OpClaim || a.Op == history.OpRetire {
		if s.change(a) {
			next = append(next, s)
		}
		return next
	}
	mine, other, has := s.endsOf(a)
	way, most := mine, ringBytes-s.level[mine]
	if a.Op == history.OpReadBytes {
		way, most = other, s.level[other]
	}
	move := func(n int64) {
		moved := s
		if moved.level[way] += n; a.Op == history.OpReadBytes {
			moved.level[way] -= 2 * n
		}
		next = append(next, moved)
	}
	over := s.over[other] != 0 && (a.Op == history.OpWriteBytes || most == 0)
	switch {
	case !has:
		if a.Return != 0 && a.Code() == status.NotOwner {
			next = append(next, s)
		}
	case over:
		if s.over[other].toldBy(a.Code()) {
			next = append(next, s)
		}
	case a.Unknown():
		for n := int64(1); n <= min(int64(a.N), most); n++ {
			move(n)
		}
	case a.refused():
		if most == 0 {
			next = append(next, s)
		}
	case a.OK() && a.Result >= 1 && a.Result <= min(int64(a.N), most):
		move(a.Result)
	}
	return next
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
