//go:build shmd_replay

package shm

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the condition and of its mutex together. Properties, for every
// operation of a dying client, every prefix of its stores, and every prefix of the stores
// that the recovery of both objects makes after that (the daemon dies too):
//
//  1. the mutex is not the dead client's, its private words are those of its owner, and
//     whoever takes it gets the notice if the client died holding it;
//  2. the count of the condition has moved, so that no sleep that began before the death
//     compares equal;
//  3. the seat of the dead counts no sleepers;
//  4. a live client can lock, wait, notify and unlock, and leaves no bit behind; or a strict
//     mutex that was poisoned says so.

type conditionCase struct {
	name    string
	flags   Flags // of the mutex
	prepare func(b bound)
	op      func(b bound)
}

func conditionCases() []conditionCase {
	a, o := actor(victimSeat), owner(victimSeat, 0)
	lock := func(b bound) { must(second(b.l.TryLock(o))) }
	inherit := func(b bound) {
		must(second(b.l.TryLock(owner(3, 0))))
		b.l.seg.Recover(victimOf(3))
		lock(b)
	}
	armed := func(b bound) { lock(b); b.c.ec.announce() }
	wait := func(ctx func(b bound) context.Context, want status.Code) func(b bound) {
		return func(b bound) {
			if _, err := b.c.Wait(ctx(b), background, b.p, a, o, 1); status.Of(err) != want {
				panic(err)
			}
		}
	}
	quiet := func(bound) context.Context { return background }
	giveUp := wait(quiet, status.TimedOut)
	cancelled := func(b bound) {
		_, err := b.c.Wait(notified(b), background, b.p, a, o, -1)
		if err != status.Cancelled {
			panic(err)
		}
	}
	notify := func(n int) func(b bound) { return func(b bound) { must(b.c.Notify(a, o, n)) } }
	return []conditionCase{
		{"announce and give up", 0, lock, giveUp},
		{"give up beside waiters", 0, armed, giveUp},
		{"give up, deeper", FlagRecursive, func(b bound) { lock(b); lock(b); lock(b) }, giveUp},
		{"give up, unlock_any", FlagUnlockAny, lock, giveUp},
		{"give up, inconsistent", 0, inherit, giveUp},
		{"poison", FlagStrict, inherit, wait(quiet, status.NotRecoverable)},
		{"cancelled and notified", 0, lock, cancelled},
		{"cancelled and notified, deeper", FlagRecursive, func(b bound) { lock(b); lock(b) }, cancelled},
		{"cancelled and notified, unlock_any", FlagUnlockAny, lock, cancelled},
		{"notify", 0, armed, notify(1)},
		{"notify all", 0, armed, notify(futexAll)},
		{"notify, unlock_any", FlagUnlockAny, armed, notify(2)},
		{"the daemon's wait for a client", 0, lock, func(b bound) {
			_, err := b.c.Wait(background, background, b.p, forClient(victimSeat), o, 1)
			if err != status.TimedOut {
				panic(err)
			}
		}},
		{"lock, wait, notify, unlock", 0, nil, func(b bound) {
			lock(b)
			giveUp(b)
			notify(1)(b)
			must(b.l.Unlock(o))
		}},
	}
}

// boundTo is the view that a client of two segments has.
func boundTo(segments []*Segment) bound {
	l := segments[1].Lock()
	return bound{segments[0].Condition(l), l, NewParker(ParkerOptions{})}
}

func cloneAll(segments []*Segment) (c []*Segment) {
	for _, s := range segments {
		c = append(c, clone(s))
	}
	return c
}

func TestConditionPrefixReplay(t *testing.T) {
	images := 0
	for _, c := range conditionCases() {
		t.Run(c.name, func(t *testing.T) {
			b := newCondition(t, c.flags, ParkerOptions{})
			start := []*Segment{b.c.seg, b.l.seg}
			if c.prepare != nil {
				c.prepare(b)
			}
			whole := cloneAll(start)
			stores := recordStoresIn(whole, func() { c.op(boundTo(whole)) })
			if len(stores) == 0 {
				t.Fatal("the operation stores nothing: the log is broken")
			}
			counts := []uint64{b.c.ec.load()}
			for k := range len(stores) + 1 {
				image := cloneAll(start)
				for _, repeat := range stores[:k] {
					repeat(image)
				}
				counts = append(counts, boundTo(image).c.ec.load())
				full := cloneAll(image)
				recovering := recordStoresIn(full, func() {
					if err := recoverBound(full); err != nil {
						t.Errorf("prefix %d of %d: %v", k, len(stores), err)
					}
				})
				for j := range len(recovering) + 1 {
					again := cloneAll(image)
					for _, repeat := range recovering[:j] {
						repeat(again)
					}
					err := recoverBound(again)
					if err == nil {
						err = checkCondition(counts, image, again)
					}
					if err != nil {
						t.Errorf("prefix %d of %d, recovery prefix %d of %d: %v",
							k, len(stores), j, len(recovering), err)
					}
					images++
				}
			}
		})
	}
	t.Logf("%d images recovered", images)
}

// recoverBound recovers both objects, as the daemon does.
func recoverBound(segments []*Segment) error {
	v := victimOf(victimSeat, liveSeat)
	v.HeldForeign = segments[1].HeldBy(v.Owner)
	for _, s := range segments {
		if _, done := s.Recover(v); !done {
			return fmt.Errorf("the %v is not recovered", s.geometry.Kind)
		}
	}
	return nil
}

// checkCondition looks at recovered segments, whose client died in the state of image. The
// word of the condition had these values until then.
func checkCondition(counts []uint64, image, segments []*Segment) error {
	dead, b := client(victimSeat), boundTo(segments)
	line := b.l.line
	if b.l.seg.HeldBy(dead) {
		return fmt.Errorf("the dead client still holds the mutex: %#x", line.Word)
	}
	if isFree(line.Word) && (line.Token != 0 || line.Depth != 0) {
		return fmt.Errorf("private words of the dead are left: token %#x, depth %d", line.Token, line.Depth)
	}
	if image[1].HeldBy(dead) && (!isInconsistent(line.Word) || line.Death.Pid != 7) {
		return fmt.Errorf("no notice: word %#x, pid %d", line.Word, line.Death.Pid)
	}
	if n := segments[0].Waiting(victimSeat) + segments[1].Waiting(victimSeat); n != 0 {
		return fmt.Errorf("%d of the dead wait", n)
	}
	for _, was := range counts {
		if eventcountOf(was) == eventcountOf(b.c.ec.load()) {
			return fmt.Errorf("the count has not moved: %#x, %#x", was, b.c.ec.load())
		}
	}
	return useCondition(b)
}

// useCondition does what a live client would do next.
func useCondition(b bound) error {
	me, o := actor(liveSeat), owner(liveSeat, 0)
	_, err := b.l.TryLock(o)
	if b.l.strict && atomic.LoadUint32(&b.l.line.Poisoned) != 0 {
		if err != status.NotRecoverable {
			return fmt.Errorf("lock of a poisoned mutex: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	must(b.l.MarkConsistent(o))
	if n, err := b.c.Wait(background, background, b.p, me, o, 1); n != nil || err != status.TimedOut {
		return fmt.Errorf("wait: notice %v, %w", n, err)
	}
	if err := b.c.Notify(me, o, futexAll); err != nil || b.c.Waiters() {
		return fmt.Errorf("notify: waiters %v, %w", b.c.Waiters(), err)
	}
	if err := b.l.Unlock(o); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	if word := b.l.line.Word; word != 0 {
		return fmt.Errorf("the mutex is left as %#x", word)
	}
	return nil
}
