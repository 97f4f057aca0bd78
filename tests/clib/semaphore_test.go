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

// Store-prefix replay of the C library's semaphore, as replay_test.go does it for
// locks and data. Checked besides: after each prefix and the recovery, twice, of
// the dead client its permits are back, once; whole operations have happened or
// nothing; what others hold is theirs; both eventcounts have moved; and a live
// client can take every permit there is, and no more.

const permitsAtFirst, permitsMaximum = 2, 9

func semaphoreLines(s *shm.Segment) *shm.SemaphoreLines {
	return (*shm.SemaphoreLines)(unsafe.Pointer(&s.Bytes()[0x100]))
}

func actor(seat uint16) shm.Actor { return shm.ClientActor(shm.OwnerWord(seat, 1)) }

func announced(im *images) {
	lines := semaphoreLines(im.object)
	if im.object.Geometry().Flags.Has(shm.FlagUndo) {
		lines.One |= 1
		lines.Many |= 1
	} else {
		lines.Word |= 1
	}
}

// drained: another client has it all.
func drained(im *images) {
	for range permitsAtFirst {
		if err := im.object.Semaphore().AcquireWait(context.Background(), nil, actor(liveSeat), 1, 0); err != nil {
			panic(err)
		}
	}
}

func drainedAnnounced(im *images) { drained(im); announced(im) }

// olderLatch: the daemon died with the latch, between two stores. Another client
// has one permit.
func olderLatch(im *images) {
	if err := im.object.Semaphore().AcquireWait(context.Background(), nil, actor(liveSeat), 1, 0); err != nil {
		panic(err)
	}
	lines := semaphoreLines(im.object)
	lines.Latch = shm.OwnerWord(shm.SeatDaemon, 1) | 1<<31
	lines.Available = permitsAtFirst
	page(im.object).Header.DaemonEpoch = 2
}

// daemonLatch: the daemon of today has the latch.
func daemonLatch(im *images) { semaphoreLines(im.object).Latch = shm.OwnerWord(shm.SeatDaemon, 1) }

func scribbled(im *images) { semaphoreLines(im.object).Available = permitsMaximum + 1 }

var semaphoreScenarios = []scenario{
	{"plain acquire", shm.KindSemaphore, 0, 0, nil, "", "acquire acquire acquire=-2"},
	{"plain acquire beside waiters", shm.KindSemaphore, 0, 0, announced, "", "acquire"},
	{"plain release", shm.KindSemaphore, 0, 0, nil, "acquire", "release"},
	{"plain release with waiters", shm.KindSemaphore, 0, 0, drainedAnnounced, "", "release-2"},
	{"plain refusals", shm.KindSemaphore, 0, 0, nil, "",
		"acquire-2=-43 acquire-0=-20 release-0=-20 release-8=-49 post"},
	{"plain wait and give up", shm.KindSemaphore, 0, 0, drained, "", "wait=-3 post acquire"},
	{"plain destroyed", shm.KindSemaphore, 0, 0, destroyed, "", "acquire=-6 wait=-6 release=-6 post=-6"},

	{"acquire", shm.KindSemaphore, shm.FlagUndo, 0, nil, "", "acquire"},
	{"acquire all", shm.KindSemaphore, shm.FlagUndo, 0, nil, "", "acquire-2 acquire=-2"},
	{"release", shm.KindSemaphore, shm.FlagUndo, 0, nil, "acquire-2", "release release"},
	{"release with waiters", shm.KindSemaphore, shm.FlagUndo, 0, announced, "acquire-2", "release-2"},
	{"post", shm.KindSemaphore, shm.FlagUndo, 0, nil, "", "post-2"},
	{"post with waiters", shm.KindSemaphore, shm.FlagUndo, 0, drainedAnnounced, "", "post"},
	{"refusals", shm.KindSemaphore, shm.FlagUndo, 0, drained, "",
		"acquire-0=-20 acquire-10=-20 release=-32 release-0=-20 post-8=-49 post-0=-20 acquire-9=-2 acquire=-2"},
	{"wait for one and give up", shm.KindSemaphore, shm.FlagUndo, 0, drained, "", "wait=-3 post acquire"},
	{"wait for two and give up", shm.KindSemaphore, shm.FlagUndo, 0, drained, "", "wait-2=-3"},
	{"latch of an older daemon", shm.KindSemaphore, shm.FlagUndo, 0, olderLatch, "", "acquire-2=-2 acquire acquire=-2"},
	{"latch of this daemon", shm.KindSemaphore, shm.FlagUndo, 0, daemonLatch, "", "wait=-3"},
	{"scribbled", shm.KindSemaphore, shm.FlagUndo, 0, scribbled, "", "acquire=-42 release=-42 post=-42"},
	{"destroyed", shm.KindSemaphore, shm.FlagUndo, 0, destroyed, "", "acquire=-6 wait=-6 release=-6 post=-6"},
}

// runSemaphoreInGo does in Go what the C program does.
func runSemaphoreInGo(sc scenario, im *images) error {
	m, me, background := im.object.Semaphore(), actor(victimSeat), context.Background()
	parker := shm.NewParker(shm.ParkerOptions{})
	for word := range strings.FieldsSeq(sc.before + " " + sc.words) {
		word, want, found := strings.Cut(word, "=")
		if !found {
			want = "0"
		}
		n := uint32(1)
		verb, count, found := strings.Cut(word, "-")
		if found {
			if _, err := fmt.Sscan(count, &n); err != nil {
				return err
			}
		}
		var err error
		switch verb {
		case "acquire":
			err = m.AcquireWait(background, parker, me, n, 0)
		case "wait":
			err = m.AcquireWait(background, parker, me, n, time.Nanosecond)
		case "release":
			err = m.Release(background, parker, me, n, -1)
		case "post":
			err = m.Post(background, parker, me, n, -1)
		default:
			return fmt.Errorf("no such word: %s", word)
		}
		if code := fmt.Sprint(-int(status.Of(err))); code != want {
			return fmt.Errorf("%s in Go: %v, in C: %s", word, err, want)
		}
	}
	return nil
}

func TestSemaphorePrefixReplay(t *testing.T) {
	replay(t, semaphoreScenarios, 3, runSemaphoreInGo,
		func(t *testing.T, _ scenario, start, left *images) checkPrefix {
			return func(prefix string, im *images) {
				if err := checkSemaphore(start, im.clone(), left); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
		})
}

// checkSemaphore recovers the image im, which began as start and would have become
// left, and looks at it.
func checkSemaphore(start, im, left *images) error {
	m, undo := im.object.Semaphore(), im.object.Geometry().Flags.Has(shm.FlagUndo)
	page(im.object).Header.DaemonEpoch++ // the daemon is dead as well
	victim := shm.Victim{Owner: actor(victimSeat).Seat, PID: 7, UID: 8, NowNs: 9,
		Alive:  func(owner uint32) bool { return owner == actor(liveSeat).Seat },
		Daemon: shm.OwnerWord(shm.SeatDaemon, page(im.object).Header.DaemonEpoch)}
	for range 2 { // the daemon may die in between
		if _, done := im.object.Recover(victim); !done {
			return fmt.Errorf("recovery is not done")
		}
	}
	if im.object.Waiting(victimSeat) != 0 {
		return fmt.Errorf("the dead client still waits")
	}
	if im.object.State() == shm.StateRemoved {
		return nil
	}
	was, is, all := semaphoreLines(start.object), semaphoreLines(im.object), semaphoreLines(left.object)
	if undo {
		held := uint32(0)
		for seat := range uint16(shm.SeatsDefault + 1) {
			now := m.Permits(actor(seat).Seat).Held
			if then := start.object.Semaphore().Permits(actor(seat).Seat).Held; seat != victimSeat && now != then {
				return fmt.Errorf("seat %d held %d, and holds %d", seat, then, now)
			}
			held += now
		}
		switch {
		case m.Permits(actor(victimSeat).Seat).Held != 0:
			return fmt.Errorf("the dead client still holds permits")
		case is.Latch != 0:
			return fmt.Errorf("the latch is left as %#x", is.Latch)
		case is.Total < was.Total || is.Total > all.Total || is.Available != is.Total-held:
			return fmt.Errorf("%d available, %d held, %d in all", is.Available, held, is.Total)
		case is.One>>1 == was.One>>1 || is.Many>>1 == was.Many>>1:
			return fmt.Errorf("an eventcount has not moved: %#x, %#x", is.One, is.Many)
		}
	}
	me, background := actor(liveSeat), context.Background()
	if err := m.Post(background, nil, me, 1, -1); err != nil {
		return err
	}
	there := m.Permits(me.Seat).Available
	for range there {
		if err := m.AcquireWait(background, nil, me, 1, 0); err != nil {
			return err
		}
	}
	if err := m.AcquireWait(background, nil, me, 1, 0); err != status.WouldBlock {
		return fmt.Errorf("one more than %d: %v", there, err)
	}
	return m.Release(background, nil, me, there, -1)
}

// What shmd.h promises of semaphores.
func TestSemaphoreBehaviour(t *testing.T) { behaveTwice(t, "semaphores") }
