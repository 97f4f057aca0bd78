package clib

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/shm"
)

// Store-prefix replay of the C library's condition, as replay_test.go does it for
// locks, with its checks of the mutex. Checked besides: after each prefix and the
// recovery of the dead client the word has moved, so that whoever waits is woken.

func conditionWord(s *shm.Segment) *uint64 {
	return &(*shm.ConditionLines)(unsafe.Pointer(&s.Bytes()[0x100])).Word
}

// awaited: another client waits for it.
func awaited(im *images) { *conditionWord(im.object) |= 1 }

// removedAlone: the condition is destroyed, and its mutex is not.
func removedAlone(im *images) {
	if !im.object.Remove() {
		panic("not destroyed")
	}
}

var conditionScenarios = []scenario{
	{"wait and give up", shm.KindCondition, foreign, 0, nil, "lock", "wait=-3 unlock"},
	{"wait, held twice", shm.KindCondition, foreign, shm.FlagRecursive, nil, "lock lock", "wait=-3 unlock unlock"},
	{"wait beside waiters", shm.KindCondition, foreign, 0, both(awaited, lockWaiters), "lock", "wait=-3"},
	{"wait, unlock_any", shm.KindCondition, foreign, shm.FlagUnlockAny, nil, "lock", "wait=-3 unlock"},
	{"wait after a death", shm.KindCondition, foreign, 0, inconsistent, "lock=1", "wait=1 mark wait=-3"},
	{"wait, strict", shm.KindCondition, foreign, shm.FlagStrict, inconsistent, "lock=1", "mark wait=-3"},
	{"wait, strict and not repaired", shm.KindCondition, foreign, shm.FlagStrict, inconsistent, "lock=1",
		"wait=-8 unlock=-32 lock=-8"},
	{"try", shm.KindCondition, foreign, 0, nil, "lock", "try=-2 unlock"},
	{"notify nobody", shm.KindCondition, foreign, 0, nil, "lock", "notify notify-all notify-none=-20"},
	{"notify", shm.KindCondition, foreign, 0, awaited, "lock", "notify notify"},
	{"notify all", shm.KindCondition, foreign, 0, awaited, "lock", "notify-all unlock"},
	{"notify, unlock_any", shm.KindCondition, foreign, shm.FlagUnlockAny, awaited, "lock", "notify"},
	{"not held", shm.KindCondition, foreign, 0, heldByOther, "",
		"wait=-32 notify=-32 notify-all=-32 try=-32 unlock=-32"},
	{"destroyed", shm.KindCondition, foreign, 0, removedAlone, "", "wait=-6 notify=-6 lock=-6"},
	{"mutex destroyed", shm.KindCondition, foreign, 0, destroyed, "", "wait=-6 notify=-6 lock=-6 unlock=-6"},
}

func both(first, second func(*images)) func(*images) {
	return func(im *images) { first(im); second(im) }
}

func runConditionInGo(sc scenario, im *images) error {
	lock := im.lock()
	c, me, holder := im.object.Condition(lock), actor(victimSeat), im.holder(victimSeat)
	parker, background := shm.NewParker(shm.ParkerOptions{}), context.Background()
	told := func(n *shm.Notice, err error) (int, error) {
		if n != nil { // C tells the notice in place of how the wait ended
			return 1, nil
		}
		return 0, err
	}
	return runWords(sc, func(word string) (int, error) {
		switch word {
		case "lock":
			if im.object.State() == shm.StateRemoved {
				return -6, nil // a Lock does not know it
			}
			return told(lock.TryLock(holder))
		case "unlock":
			return 0, lock.Unlock(holder)
		case "mark":
			return 0, lock.MarkConsistent(holder)
		case "try":
			return told(c.Wait(background, background, parker, me, holder, 0))
		case "wait":
			return told(c.Wait(background, background, parker, me, holder, 50*time.Millisecond))
		case "notify":
			return 0, c.Notify(me, holder, 1)
		case "notify-all":
			return 0, c.Notify(me, holder, math.MaxInt32)
		case "notify-none":
			return 0, c.Notify(me, holder, 0)
		}
		return 0, noWord(word)
	})
}

func TestConditionPrefixReplay(t *testing.T) {
	replay(t, conditionScenarios, 3, runConditionInGo,
		func(t *testing.T, _ scenario, start, left *images) checkPrefix {
			return func(prefix string, im *images) {
				if err := checkCondition(im.clone()); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
		})
}

func checkCondition(im *images) error {
	before := *conditionWord(im.object)
	if im.lock().Status().Removed {
		return im.recover()
	}
	if err := checkRecovered(im, im); err != nil { // nothing of the start is looked at without data
		return err
	}
	if im.object.State() == shm.StateRemoved {
		return nil
	}
	if *conditionWord(im.object)>>1 == before>>1 {
		return fmt.Errorf("the word %#x has not moved: nobody wakes who waits", before)
	}
	if im.lock().Status().Poisoned {
		return nil
	}
	lock, holder := im.lock(), im.holder(liveSeat)
	if _, err := lock.TryLock(holder); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := im.object.Condition(lock).Notify(actor(liveSeat), holder, 1); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if *conditionWord(im.object)&1 != 0 {
		return fmt.Errorf("notified nobody, and the waiters bit is left")
	}
	return lock.Unlock(holder)
}

// What shmd.h promises of conditions.
func TestConditionBehaviour(t *testing.T) { behaveTwice(t, "conditions") }
