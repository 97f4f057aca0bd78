package step

import (
	"fmt"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// Locks: of a mutex, and of an array, which has the same.

// wordInconsistent is the bit of an owner word that says so.
const wordInconsistent = 1 << 30

// lockRules: the next owner is told of a death if, and only if, an owner died.
type lockRules struct {
	*stage
	kind  string
	keep  bool // nobody marks the state consistent
	told  int  // owners so far who were told
	owned bool // a notice is due
}

func rulesOfLock(kind string, keep bool) func(s *stage) rules {
	return func(s *stage) rules { return &lockRules{stage: s, kind: kind, keep: keep} }
}

func (r *lockRules) stopped(seat uint16) error {
	page, err := r.segment.Page()
	if err != nil {
		return err
	}
	r.owned = shm.SeatOf(page.Lock.Word) == seat || page.Lock.Word&wordInconsistent != 0
	return nil
}

func (r *lockRules) offers() (bool, error) {
	page, err := r.segment.Page()
	return err == nil && shm.SeatOf(page.Lock.Word) == 0, err
}

func (r *lockRules) awake(p *peer, line, answer string) error {
	switch answer {
	case "ok":
	case "notice":
		r.told++
		if !r.keep {
			if err := r.want(p, r.kind+" mark", "ok"); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	return r.want(p, r.kind+" unlock", "ok")
}

func (r *lockRules) feed() error { return nil }

func (r *lockRules) verify(bool) error {
	due := 0
	for _, p := range r.peers {
		answer, err := r.tell(p, r.kind+" lock"+forever)
		if err == nil {
			err = r.awake(p, r.kind+" lock", answer)
		}
		if err != nil {
			return err
		}
		due++
	}
	if told := r.told > 0; told != r.owned || told && !r.keep && r.told != 1 {
		return fmt.Errorf("%d owners were told of a death; one is due: %v", r.told, r.owned)
	}
	return nil
}

// lockScenes are those of taking and releasing a lock.
func lockScenes(kind string, options wire.CreateOptions) []*scene {
	lock, unlock := kind+" lock", kind+" unlock"
	base := scene{kind: kind, options: options, rules: rulesOfLock(kind, false), answer: "ok"}
	take, give := base, base
	take.operation, take.act = lock, lock+forever
	give.operation, give.act, give.before = unlock, unlock, []string{lock + forever}
	held := does(holder, lock+forever)
	waits := sleeps(first, lock+forever)
	also := sleeps(second, lock+forever)
	return variants(
		variant{take, func(s *scene) { s.situation = uncontended }},
		variant{take, func(s *scene) {
			s.situation, s.act, s.answer = contended, lock+try, "error WOULD_BLOCK"
			s.setUp, s.during, s.release = held, waits, does(holder, unlock)
		}},
		variant{take, func(s *scene) {
			s.situation, s.act, s.answer = timedOut, lock+shortly, "error TIMED_OUT"
			s.setUp, s.during, s.release = held, waits, does(holder, unlock)
		}},
		variant{take, func(s *scene) {
			s.situation, s.setUp = woken, held
			s.release = all(waits, does(holder, unlock))
		}},
		variant{give, func(s *scene) { s.situation = uncontended }},
		variant{give, func(s *scene) { s.situation, s.during = contended, all(waits, also) }},
	)
}

// variant is a scene that differs from another.
type variant struct {
	base   scene
	change func(s *scene)
}

func variants(of ...variant) []*scene {
	scenes := make([]*scene, 0, len(of))
	for _, v := range of {
		s := v.base
		v.change(&s)
		scenes = append(scenes, &s)
	}
	return scenes
}
