package clib

import (
	"context"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the C library's barrier, as replay_test.go does it for locks
// and data. Checked besides: after each prefix and the recovery of the dead client its
// cell is 0 and it does not lead; the barrier is broken by its death if it was a party,
// and else not; and after a reset live clients can use it.

const parties = 2

func barrierWord(s *shm.Segment) *uint64 {
	return &(*shm.BarrierLines)(unsafe.Pointer(&s.Bytes()[0x100])).Word
}

func partyWord(s *shm.Segment, seat uint16) *uint64 {
	return &(*shm.BarrierCell)(unsafe.Pointer(&s.Bytes()[s.Geometry().CellsOffset+8*uint64(seat)])).Word
}

// arrived: another client has arrived, and waits.
func arrived(im *images) {
	*partyWord(im.object, liveSeat) = 1
	*barrierWord(im.object) += 1 << 2
}

// acting: all have arrived, and another client acts.
func acting(im *images) {
	arrived(im)
	r, err := im.object.Barrier().Arrive(context.Background(), nil, actor(liveSeat), 0, true)
	if err != nil || !r.Leader {
		panic(err)
	}
}

func abortedBarrier(im *images) {
	arrived(im)
	if err := im.object.Barrier().Abort(actor(liveSeat)); err != nil {
		panic(err)
	}
}

// brokenByDeath: a party, in another seat, died.
func brokenByDeath(im *images) {
	arrived(im)
	b := im.object.Barrier()
	if err := b.Declare(actor(foreignSeat)); err != nil {
		panic(err)
	}
	v := dead()
	v.Owner = actor(foreignSeat).Seat
	if _, done := im.object.Recover(v); !done {
		panic("not recovered")
	}
}

// lastGeneration: the next is 0 again; and the history is full.
func lastGeneration(im *images) { *barrierWord(im.object) |= 0xffff_5555_ffff_c000; arrived(im) }

// noPhase: somebody has scribbled.
func noPhase(im *images) { *barrierWord(im.object) |= 3 }

// tooMany: likewise.
func tooMany(im *images) { *barrierWord(im.object) |= parties << 2 }

var barrierScenarios = []scenario{
	{"arrive and time out", shm.KindBarrier, 0, 0, nil, "", "wait=-3 wait=-10 arrive=-10 abort"},
	{"arrive second and time out", shm.KindBarrier, 0, 0, nil, "arrive=-2", "wait=-3"},
	{"arrive last", shm.KindBarrier, 0, 0, arrived, "", "arrive arrive=-2"},
	{"arrive last of all", shm.KindBarrier, 0, 0, lastGeneration, "", "arrive"},
	{"act", shm.KindBarrier, 0, 0, arrived, "", "act act=-2"},
	{"act badly", shm.KindBarrier, 0, 0, arrived, "", "act-badly=-23 arrive=-10"},
	{"arrive during an action", shm.KindBarrier, 0, 0, acting, "", "arrive=-2 wait=-3 act=-2"},
	{"abort", shm.KindBarrier, 0, 0, arrived, "", "abort abort arrive=-10 reset"},
	{"abort an action", shm.KindBarrier, 0, 0, acting, "", "abort"},
	{"reset", shm.KindBarrier, 0, 0, arrived, "", "reset reset arrive=-2"},
	{"reset an action", shm.KindBarrier, 0, 0, acting, "", "reset"},
	{"reset what was aborted", shm.KindBarrier, 0, 0, abortedBarrier, "", "arrive=-10 reset"},
	{"reset what a death has broken", shm.KindBarrier, 0, 0, brokenByDeath, "", "arrive=-11 reset=1 reset"},
	{"destroyed", shm.KindBarrier, 0, 0, destroyed, "", "arrive=-6 wait=-6 act=-6 abort=-6 reset=-6"},
	{"no phase", shm.KindBarrier, 0, 0, noPhase, "", "arrive=-42 wait=-42 abort=-42 reset"},
	{"too many", shm.KindBarrier, 0, 0, tooMany, "", "arrive=-42 wait=-42 abort reset"},
}

func runBarrierInGo(sc scenario, im *images) error {
	b, me, background := im.object.Barrier(), actor(victimSeat), context.Background()
	parker := shm.NewParker(shm.ParkerOptions{})
	act := func(ok bool, result int) (int, error) {
		r, err := b.Arrive(background, parker, me, 0, true)
		if err == nil {
			err = b.Complete(me, r, ok)
		}
		return result, err
	}
	return runWords(sc, func(word string) (int, error) {
		switch word {
		case "arrive":
			_, err := b.Arrive(background, parker, me, 0, false)
			return 0, err
		case "wait":
			_, err := b.Arrive(background, parker, me, time.Nanosecond, false)
			return 0, err
		case "act":
			return act(true, 0)
		case "act-badly":
			return act(false, -int(status.OutOfRange))
		case "abort":
			return 0, b.Abort(me)
		case "reset":
			n, err := b.Reset(me)
			if n != nil {
				return 1, err
			}
			return 0, err
		}
		return 0, noWord(word)
	})
}

func TestBarrierPrefixReplay(t *testing.T) {
	replay(t, barrierScenarios, 2, runBarrierInGo,
		func(t *testing.T, _ scenario, start, left *images) checkPrefix {
			return func(prefix string, im *images) {
				if err := checkBarrier(im.clone()); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
		})
}

func checkBarrier(im *images) error {
	b := im.object.Barrier()
	was, party := b.Status(), *partyWord(im.object, victimSeat) != 0
	if err := recoverDead(im.object); err != nil {
		return err
	}
	if im.object.State() == shm.StateRemoved {
		return nil
	}
	is := b.Status()
	switch diedBefore, died := was.Reasons&shm.BrokenByDeath != 0, is.Reasons&shm.BrokenByDeath != 0; {
	case *partyWord(im.object, victimSeat) != 0:
		return fmt.Errorf("the dead client is a party")
	case *barrierWord(im.object)&3 == 1 && *barrierWord(im.object)>>2&0xfff == victimSeat:
		return fmt.Errorf("the dead client leads")
	case party && (!died || is.LastDeath.PID != 7):
		return fmt.Errorf("a party died, and the barrier is %+v", is)
	case !party && died != diedBefore:
		return fmt.Errorf("an observer died, and the barrier is %+v", is)
	}
	if _, err := b.Reset(actor(liveSeat)); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	arrived(im)
	if r, err := b.Arrive(context.Background(), nil, actor(foreignSeat), 0, false); err != nil || r.Index != 1 {
		return fmt.Errorf("arrive: %+v, %w", r, err)
	}
	return nil
}

// What shmd.h promises of barriers.
func TestBarrierBehaviour(t *testing.T) { behaveTwice(t, "barriers") }
