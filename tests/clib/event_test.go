package clib

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the C library's event, as replay_test.go does it for locks
// and data. Checked besides: after each prefix and the recovery of the dead client
// the event is set or not, as before or after the operation, nobody asleep was
// forgotten unless the operation was to wake, and live clients can use it.

const auto = shm.FlagAutoReset

func eventWord(s *shm.Segment) *uint32 {
	return &(*shm.EventLines)(unsafe.Pointer(&s.Bytes()[0x100])).Word
}

func eventSet(im *images) {
	if err := im.object.Event().Set(actor(liveSeat)); err != nil {
		panic(err)
	}
}

// eventAwaited: another client sleeps on it.
func eventAwaited(im *images) {
	if im.object.Geometry().Flags.Has(auto) {
		*eventWord(im.object) |= 1
	} else {
		*eventWord(im.object) |= 2
	}
}

// eventOld: the next set is of generation 0 again.
func eventOld(im *images) { *eventWord(im.object) = 0xfffffffc }

var eventScenarios = []scenario{
	{"set", shm.KindEvent, 0, 0, nil, "", "is-set set is-set=1 try set"},
	{"set with waiters", shm.KindEvent, 0, 0, eventAwaited, "", "set"},
	{"set of the last generation", shm.KindEvent, 0, 0, eventOld, "", "set reset set"},
	{"reset", shm.KindEvent, 0, 0, eventSet, "", "try reset try=-2 reset"},
	{"reset with waiters", shm.KindEvent, 0, 0, eventAwaited, "", "reset"},
	{"pulse", shm.KindEvent, 0, 0, nil, "", "pulse is-set try=-2"},
	{"pulse what is set", shm.KindEvent, 0, 0, eventSet, "", "pulse is-set"},
	{"pulse with waiters", shm.KindEvent, 0, 0, eventAwaited, "", "pulse"},
	{"wait and give up", shm.KindEvent, 0, 0, nil, "", "wait=-3 set wait"},
	{"destroyed", shm.KindEvent, 0, 0, destroyed, "", "set=-6 reset=-6 pulse=-6 try=-6 wait=-6 is-set=-6"},
	{"auto: set", shm.KindEvent, auto, 0, nil, "", "set set is-set=1"},
	{"auto: set with waiters", shm.KindEvent, auto, 0, eventAwaited, "", "set"},
	{"auto: take", shm.KindEvent, auto, 0, eventSet, "", "try is-set try=-2"},
	{"auto: reset", shm.KindEvent, auto, 0, eventSet, "", "reset try=-2 reset"},
	{"auto: reset with waiters", shm.KindEvent, auto, 0, eventAwaited, "", "reset"},
	{"auto: wait and give up", shm.KindEvent, auto, 0, nil, "", "wait=-3 set wait pulse=-43"},
	{"auto: destroyed", shm.KindEvent, auto, 0, destroyed, "", "set=-6 reset=-6 try=-6 wait=-6 is-set=-6"},
}

// runWords does in Go what the C program does, word by word.
func runWords(sc scenario, do func(word string) (int, error)) error {
	for word := range strings.FieldsSeq(sc.before + " " + sc.words) {
		word, want, found := strings.Cut(word, "=")
		if !found {
			want = "0"
		}
		got, err := do(word)
		if err != nil {
			got = -int(status.Of(err))
		}
		if fmt.Sprint(got) != want {
			return fmt.Errorf("%s in Go: %d, %v, in C: %s", word, got, err, want)
		}
	}
	return nil
}

func noWord(word string) error { return fmt.Errorf("no such word: %s", word) }

func runEventInGo(sc scenario, im *images) error {
	e, me, parker := im.object.Event(), actor(victimSeat), shm.NewParker(shm.ParkerOptions{})
	return runWords(sc, func(word string) (int, error) {
		switch word {
		case "set":
			return 0, e.Set(me)
		case "reset":
			return 0, e.Reset(me)
		case "pulse":
			return 0, e.Pulse(me)
		case "try":
			return 0, e.Wait(context.Background(), nil, me, 0)
		case "wait":
			return 0, e.Wait(context.Background(), parker, me, time.Nanosecond)
		case "is-set":
			set, err := e.IsSet()
			if set {
				return 1, err
			}
			return 0, err
		}
		return 0, noWord(word)
	})
}

func TestEventPrefixReplay(t *testing.T) {
	replay(t, eventScenarios, 2, runEventInGo,
		func(t *testing.T, _ scenario, start, left *images) checkPrefix {
			return func(prefix string, im *images) {
				if err := checkEvent(im.clone()); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
		})
}

// dead is the victim of every operation.
func dead() shm.Victim {
	return shm.Victim{Owner: actor(victimSeat).Seat, PID: 7, UID: 8, NowNs: 9, Died: true,
		Alive: func(owner uint32) bool { return owner == actor(liveSeat).Seat }}
}

// recoverDead recovers an object without a foreign lock, twice, because the daemon may
// die in between.
func recoverDead(s *shm.Segment) error {
	for range 2 {
		if _, done := s.Recover(dead()); !done {
			return fmt.Errorf("recovery is not done")
		}
	}
	if s.Waiting(victimSeat) != 0 {
		return fmt.Errorf("the dead client still waits")
	}
	return nil
}

func checkEvent(im *images) error {
	before := *eventWord(im.object)
	if err := recoverDead(im.object); err != nil {
		return err
	}
	e, me := im.object.Event(), actor(liveSeat)
	if *eventWord(im.object) != before {
		return fmt.Errorf("recovery changes the word %#x to %#x", before, *eventWord(im.object))
	}
	if im.object.State() == shm.StateRemoved {
		return nil
	}
	manual := !im.object.Geometry().Flags.Has(auto)
	if manual && before&3 == 3 || !manual && before>>1 > 1 {
		return fmt.Errorf("the word is %#x", before)
	}
	if err := e.Set(me); err != nil {
		return err
	}
	if err := e.Wait(context.Background(), nil, me, 0); err != nil {
		return fmt.Errorf("wait on what is set: %w", err)
	}
	if err := e.Reset(me); err != nil {
		return err
	}
	if err := e.Wait(context.Background(), nil, me, 0); err != status.WouldBlock {
		return fmt.Errorf("wait on what is not set: %v", err)
	}
	return nil
}

// What shmd.h promises of events.
func TestEventBehaviour(t *testing.T) { behaveTwice(t, "events") }
