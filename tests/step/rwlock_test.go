package step

import (
	"fmt"
	"strings"

	"github.com/shmd/shmd/shm"
)

// Bits of an rwlock's words.
const (
	rwlockHeld       = 1 << 29
	readerActiveMask = 0xffff
)

// rwlockRules: readers and writers are told of a death if, and only if, a writer died
// inside.
type rwlockRules struct {
	*stage
	keep  bool // nobody marks the state consistent
	owned bool // a notice is due
	told  bool
}

func rwlocks(keep bool) func(s *stage) rules {
	return func(s *stage) rules { return &rwlockRules{stage: s, keep: keep} }
}

func (r *rwlockRules) begin() error { return nil }

func (r *rwlockRules) stopped(seat uint16) error {
	lines, _, err := r.segment.RWLock()
	inside := shm.SeatOf(lines.Word) == seat && lines.Word&rwlockHeld != 0
	r.owned = r.owned || inside || lines.Word&wordInconsistent != 0
	return err
}

// offers: nobody is inside; a writer outside may be one who sleeps.
func (r *rwlockRules) offers() (bool, error) {
	lines, cells, err := r.segment.RWLock()
	for _, c := range cells {
		if c.Word&readerActiveMask != 0 {
			return false, err
		}
	}
	return lines.Word&rwlockHeld == 0, err
}

// said repairs, if it can, and leaves what a peer was let into.
func (r *rwlockRules) said(p *peer, line, answer string) error {
	writes := strings.HasPrefix(line, "rwlock write")
	switch answer {
	case "ok":
	case "notice":
		r.told = true
		if writes && !r.keep {
			if err := r.want(p, "rwlock mark", "ok"); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	if writes {
		return r.want(p, "rwlock unwrite", "ok")
	}
	return r.want(p, "rwlock unread", "ok")
}

func (r *rwlockRules) feed() error { return nil }

// verify lets everybody in.
func (r *rwlockRules) verify(bool) error {
	for _, c := range []struct {
		peer int
		line string
	}{{first, "rwlock read"}, {holder, "rwlock write"}, {second, "rwlock write"}} {
		answer, err := r.tell(r.peers[c.peer], c.line+forever)
		if err == nil {
			err = r.said(r.peers[c.peer], c.line, answer)
		}
		if err != nil {
			return err
		}
	}
	if r.told != r.owned {
		return fmt.Errorf("somebody was told of a death: %v; one is due: %v", r.told, r.owned)
	}
	return nil
}

func rwlockScenes() []*scene {
	const read, write = "rwlock read" + forever, "rwlock write" + forever
	const unread, unwrite, mark = "rwlock unread", "rwlock unwrite", "rwlock mark"
	plain := props{kind: "rwlock", rules: rwlocks(false)}
	spoilt := props{kind: "rwlock", rules: rwlocks(true)}
	reads, writes := does(holder, read), does(holder, write)
	endRead, endWrite := does(holder, unread), does(holder, unwrite)
	oneWrites, oneReads, alsoWrites := sleeps(first, write), sleeps(first, read), sleeps(second, write)
	reader, writer := []string{read}, []string{write}
	const behind = ", behind a writer"
	return flat(plain.with(
		scene{operation: "rwlock read", situation: uncontended, act: read},
		scene{operation: "rwlock read", situation: refused, setUp: writes, during: oneReads, act: "rwlock read" + try,
			answer: "error WOULD_BLOCK", release: endWrite},
		scene{operation: "rwlock read", situation: timedOut, setUp: writes, during: oneReads,
			act: "rwlock read" + shortly, answer: "error TIMED_OUT", release: endWrite},
		scene{operation: "rwlock read", situation: woken, setUp: writes, act: read, release: all(oneReads, endWrite)},
		scene{operation: "rwlock read" + behind, situation: woken, setUp: reads, during: oneWrites, act: read,
			release: endRead},
		scene{operation: "rwlock read again", situation: contended, before: reader, during: oneWrites, act: read},
		scene{operation: unread, situation: uncontended, before: reader, act: unread},
		scene{operation: unread, situation: contended, before: reader, during: oneWrites, act: unread},
		scene{operation: "rwlock write", situation: uncontended, act: write},
		scene{operation: "rwlock write", situation: refused, setUp: reads, during: oneWrites,
			act: "rwlock write" + try, answer: "error WOULD_BLOCK", release: endRead},
		scene{operation: "rwlock write", situation: timedOut, setUp: reads, during: oneWrites,
			act: "rwlock write" + shortly, answer: "error TIMED_OUT", release: endRead},
		scene{operation: "rwlock write", situation: woken, setUp: reads, act: write, release: all(oneWrites, endRead)},
		scene{operation: "rwlock write" + behind, situation: woken, setUp: writes, act: write,
			release: all(oneWrites, endWrite)},
		scene{operation: unwrite, situation: uncontended, before: writer, act: unwrite},
		scene{operation: unwrite, situation: contended, before: writer, during: all(oneReads, alsoWrites),
			act: unwrite},
	), spoilt.with(
		scene{operation: mark, situation: uncontended, spoil: writer, before: writer, act: mark},
		scene{operation: mark, situation: contended, spoil: writer, before: writer, during: oneReads, act: mark},
	))
}
