package step

import (
	"fmt"
	"slices"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// wordInconsistent is the bit of an owner word that says so.
const wordInconsistent = 1 << 30

// lockRules are those of a mutex, and of the lock of an array: the next owner is told
// of a death if, and only if, an owner died.
type lockRules struct {
	*stage
	keep  bool // nobody marks the state consistent
	owned bool // a notice is due
	told  int  // owners so far who were told
}

// locks makes the rules.
func locks(keep bool) func(s *stage) rules {
	return func(s *stage) rules { return &lockRules{stage: s, keep: keep} }
}

func (r *lockRules) begin() error { return nil }

// page is that of the lock.
func (r *lockRules) page() (*shm.Page, error) {
	if r.mutex != nil {
		return r.mutex.Page()
	}
	return r.segment.Page()
}

func (r *lockRules) stopped(seat uint16) error {
	page, err := r.page()
	if err != nil {
		return err
	}
	word := page.Lock.Word
	r.owned = r.owned || shm.SeatOf(word) == seat || word&wordInconsistent != 0
	return nil
}

func (r *lockRules) offers() (bool, error) {
	page, err := r.page()
	return err == nil && shm.SeatOf(page.Lock.Word) == 0, err
}

// said repairs and releases what a peer was given.
func (r *lockRules) said(p *peer, line, answer string) error {
	switch answer {
	case "ok":
	case "notice":
		r.told++
		if !r.keep {
			if err := r.want(p, r.scene.kind+" mark", "ok"); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	return r.want(p, r.scene.kind+" unlock", "ok")
}

func (r *lockRules) feed() error { return nil }

// verify lets everybody have the lock.
func (r *lockRules) verify(bool) error {
	line := r.scene.kind + " lock" + forever
	for _, p := range r.peers {
		answer, err := r.tell(p, line)
		if err == nil {
			err = r.said(p, line, answer)
		}
		if err != nil {
			return err
		}
	}
	if told := r.told > 0; told != r.owned || told && !r.keep && r.told != 1 {
		return fmt.Errorf("%d owners were told of a death; one is due: %v", r.told, r.owned)
	}
	return nil
}

// strictRules: whoever unlocks without repair poisons the lock.
type strictRules struct {
	lockRules
	poisoned bool
}

func (r *strictRules) stopped(uint16) error {
	page, err := r.segment.Page()
	r.poisoned = err == nil && page.Lock.Poisoned != 0
	return err
}

func (r *strictRules) said(p *peer, line, answer string) error {
	const refused = "error NOT_RECOVERABLE"
	if r.poisoned {
		if answer != refused {
			return fmt.Errorf("peer %d answers %q to %q, want %q", p.index, answer, line, refused)
		}
		return nil
	}
	return r.lockRules.said(p, line, answer)
}

func (r *strictRules) verify(over bool) error {
	if over && !r.poisoned {
		return fmt.Errorf("the lock is not poisoned")
	}
	answer, err := r.tell(r.peers[holder], "mutex lock"+forever)
	if err != nil {
		return err
	}
	return r.said(r.peers[holder], "mutex lock", answer)
}

// locking are the scenes of taking and releasing a lock.
func locking(kind string, p props) []*scene {
	lock, unlock := kind+" lock", kind+" unlock"
	held, free := does(holder, lock+forever), does(holder, unlock)
	one := sleeps(first, lock+forever)
	both := all(one, sleeps(second, lock+forever))
	return p.with(
		scene{operation: lock, situation: uncontended, act: lock + forever},
		scene{operation: lock, situation: refused, setUp: held, during: one, act: lock + try,
			answer: "error WOULD_BLOCK", release: free, onlyC: kind == "array"},
		scene{operation: lock, situation: timedOut, setUp: held, during: one, act: lock + shortly,
			answer: "error TIMED_OUT", release: free},
		scene{operation: lock, situation: woken, setUp: held, act: lock + forever, release: all(one, free)},
		scene{operation: unlock, situation: uncontended, before: []string{lock + forever}, act: unlock},
		scene{operation: unlock, situation: contended, before: []string{lock + forever}, during: both, act: unlock},
	)
}

func mutexScenes() []*scene {
	yes := new(true)
	lock, unlock := "mutex lock"+forever, "mutex unlock"
	held := []string{lock}
	twice := []string{lock, lock}
	one := sleeps(first, lock)
	plain := props{kind: "mutex", rules: locks(false)}
	recursive := props{kind: "mutex", options: wire.CreateOptions{Recursive: yes}, rules: locks(false)}
	spoilt := props{kind: "mutex", rules: locks(true)}
	strict := props{kind: "mutex", options: wire.CreateOptions{Strict: yes}, rules: func(s *stage) rules {
		return &strictRules{lockRules: lockRules{stage: s}}
	}}
	const again, oneLevel, mark = "mutex lock again", "mutex unlock a level", "mutex mark consistent"
	const poison = "mutex unlock, strict"
	return flat(
		locking("mutex", plain),
		recursive.with(
			scene{operation: again, situation: uncontended, before: held, act: lock},
			scene{operation: again, situation: contended, before: held, during: one, act: lock},
			scene{operation: oneLevel, situation: uncontended, before: twice, act: unlock},
			scene{operation: oneLevel, situation: contended, before: twice, during: one, act: unlock},
		),
		spoilt.with(
			scene{operation: mark, situation: uncontended, spoil: held, before: held, act: "mutex mark"},
			scene{operation: mark, situation: contended, spoil: held, before: held, during: one, act: "mutex mark"},
		),
		strict.with(
			scene{operation: poison, situation: uncontended, spoil: held, before: held, act: unlock, anew: true},
			scene{operation: poison, situation: contended, spoil: held, before: held, during: one, act: unlock,
				anew: true},
		),
	)
}

func flat(lists ...[]*scene) []*scene { return slices.Concat(lists...) }
