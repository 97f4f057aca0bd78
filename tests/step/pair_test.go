package step

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/shmd/shmd/wire"
)

// pair is two operations whose victims die together: the scene's own, and another.
type pair struct {
	*scene
	act2 string
}

// errAsleep ends a step at a sleep.
var errAsleep = errors.New("asleep")

// playPair lets two victims die at each pair of boundaries of the two operations.
func (s *stage) playPair(p pair, first, second plan) {
	s.t.Helper()
	s.scene = p.scene
	err := s.prepare()
	if err == nil {
		err = s.eachPair(p, first, second)
		s.strike()
	}
	if err != nil {
		s.t.Fatalf("%s peers: %v: %v", s.flavour, p, err)
	}
}

func (s *stage) eachPair(p pair, first, second plan) error {
	v, err := instructions{}.take(s)
	if err == nil {
		_, err = s.die(v, math.MaxInt)
	}
	if err != nil {
		return err
	}
	for i, n := range first.choose(boundaries(v.trace)) {
		// Whether the other waits for the first depends on where that one stands.
		trace, err := s.dieTwice(p, n, math.MaxInt)
		if err != nil {
			return fmt.Errorf("killed at boundaries %d and the last: %w", n, err)
		}
		s.tally.saw(p.scene, len(trace))
		for _, m := range (plan{second.stride, second.offset + i}).choose(boundaries(trace)) {
			if _, err := s.dieTwice(p, n, m); err != nil {
				return fmt.Errorf("killed at boundaries %d and %d: %w", n, m, err)
			}
		}
	}
	return nil
}

// dieTwice lets the one stand at its n-th boundary, the other at its m-th or where it
// sleeps, and kills both: the second one first, for an odd sum.
func (s *stage) dieTwice(p pair, n, m int) (trace []place, err error) {
	one, err := instructions{}.take(s)
	if err != nil {
		return nil, err
	}
	defer one.kill()
	two, err := instructions{}.take(s)
	if err != nil {
		return nil, err
	}
	defer two.kill()
	err = s.open()
	if err == nil {
		err = s.enter(one, p.before)
	}
	if err == nil {
		err = s.cue(p.during)
	}
	if err == nil {
		_, err = one.advance(p.act, n, nil)
	}
	if err == nil {
		_, err = two.advance(p.act2, m, func() error { return errAsleep })
	}
	if err != nil && !errors.Is(err, errAsleep) {
		return nil, err
	}
	if err := errors.Join(s.look(one, true), s.look(two, true)); err != nil {
		return nil, err
	}
	dead := []victim{one, two}
	if (n+m)%2 == 1 || s.sabotage != "" {
		dead = []victim{two, one}
	}
	for _, v := range dead {
		if err := s.bury(v); err != nil {
			return nil, err
		}
	}
	s.died = true
	return two.trace, s.hung(s.goOn(false, dead...))
}

// bury kills a victim; a sabotaged daemon has noticed that death before the next.
func (s *stage) bury(v victim) error {
	if s.sabotage == "" {
		v.kill()
		return nil
	}
	before, err := s.deaths()
	v.kill()
	for giveUp := deadline(); err == nil; {
		var after uint64
		if after, err = s.deaths(); after > before {
			return nil
		}
		if giveUp.passed() {
			return fmt.Errorf("the daemon does not notice the death of process %d", v.pid())
		}
	}
	return err
}

// deaths is how many the daemon has noticed.
func (s *stage) deaths() (uint64, error) {
	var st wire.Status
	err := s.ctl.Call(context.Background(), wire.MethodStatus, &st)
	return st.Deaths, err
}

func mutexPairs() []pair {
	const lock, unlock = "mutex lock" + forever, "mutex unlock"
	p := props{"mutex", wire.CreateOptions{}, locks(false)}
	scenes := p.with(
		scene{operation: "mutex lock, lock", act: lock},
		scene{operation: "mutex unlock, lock", before: []string{lock}, during: sleeps(first, lock), act: unlock},
	)
	return pairs(scenes, lock, lock)
}

func plainPairs() []pair {
	const acquire, post = "semaphore acquire 1" + forever, "semaphore post 1"
	p := props{"semaphore", wire.CreateOptions{}, permits(false)}
	scenes := p.with(
		scene{operation: "semaphore post, acquire", during: sleeps(first, acquire), act: post, effects: []int{1}},
		scene{operation: "semaphore acquire, acquire", have: 1, act: acquire, effects: []int{-1}},
	)
	return pairs(scenes, acquire, acquire)
}

func undoPairs() []pair {
	const acquire, release = "semaphore acquire 1" + forever, "semaphore release 1"
	p := props{"semaphore", wire.CreateOptions{Undo: new(true), Initial: new(uint32(1))}, permits(true)}
	scenes := p.with(
		scene{operation: "undo acquire, acquire", have: 1, act: acquire},
		scene{operation: "undo release, acquire", have: 1, before: []string{acquire}, during: sleeps(first, acquire),
			act: release},
	)
	return pairs(scenes, acquire, acquire)
}

func queuePairs() []pair {
	const put, take, lease, ack = "queue put" + forever, "queue take" + forever, "queue lease" + forever, "queue ack"
	made := []string{fmt.Sprintf("queue make %d %d", mine, shortMessage)}
	p := props{"queue", queueOptions(64), messages(shortMessage)}
	scenes := p.with(
		scene{operation: "queue put, take", before: made, during: sleeps(first, take), act: put, effects: []int{1}},
		scene{operation: "queue ack, lease", have: 1, before: []string{lease}, during: sleeps(first, take), act: ack,
			effects: []int{-1}},
	)
	return pairs(scenes, take, lease)
}

// pairs adds the other operations.
func pairs(scenes []*scene, others ...string) []pair {
	all := make([]pair, 0, len(scenes))
	for i, sc := range scenes {
		sc.situation = "together"
		all = append(all, pair{scene: sc, act2: others[i]})
	}
	return all
}
