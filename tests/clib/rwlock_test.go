package clib

import (
	"context"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/shm"
)

// Store-prefix replay of the C library's rwlock, as replay_test.go does it for locks
// and data. Checked besides: after each prefix and the recovery of the dead client its
// cell is 0 and it does not write; the notice is there if it was a writer inside; the
// turn of readers is not lost; and live clients can read and write, in this order.

const (
	rwlockWaiters      = 1 << 31
	rwlockInconsistent = 1 << 30
	rwlockHeld         = 1 << 29
	rwlockWanted       = 1 << 27
	rwlockOwner        = 1<<27 - 1
)

func rwlockLines(s *shm.Segment) *shm.RWLockLines {
	return (*shm.RWLockLines)(unsafe.Pointer(&s.Bytes()[0x100]))
}

func readerWord(s *shm.Segment, seat uint16) *uint32 {
	return &(*shm.ReaderCell)(unsafe.Pointer(&s.Bytes()[s.Geometry().CellsOffset+64*uint64(seat)])).Word
}

func rwlockBits(bits uint32) func(*images) {
	return func(im *images) { rwlockLines(im.object).Word |= bits }
}

// readByOther, wantedByOther, readerWord-wise: another client is inside, or waits.
func readByOther(im *images) { *readerWord(im.object, liveSeat) = 1 }
func wantedByOther(im *images) {
	*readerWord(im.object, liveSeat) = 1 << 16
	rwlockBits(rwlockWanted)(im)
}

func writtenByOther(im *images) {
	me := shm.MakeRWOwner(actor(liveSeat).Seat, 0)
	if _, err := im.object.RWLock().WriteLock(context.Background(), nil, me, 0); err != nil {
		panic(err)
	}
}

// crowded: as many threads of the victim as there may be are inside.
func crowded(im *images) { *readerWord(im.object, victimSeat) = 0xffff }

var rwlockScenarios = []scenario{
	{"read", shm.KindRWLock, 0, 0, nil, "", "read"},
	{"read again", shm.KindRWLock, 0, 0, nil, "read", "read read"},
	{"read unlock", shm.KindRWLock, 0, 0, nil, "read read", "read-unlock read-unlock read-unlock=-32"},
	{"read after a death", shm.KindRWLock, 0, 0, rwlockBits(rwlockInconsistent), "", "read=1 read=1 read-unlock"},
	{"read beside wants", shm.KindRWLock, 0, 0, wantedByOther, "", "read read-unlock"},
	{"read, and give up", shm.KindRWLock, 0, 0, writtenByOther, "", "read=-2 wait-read=-3"},
	{"read too often", shm.KindRWLock, 0, 0, crowded, "", "read=-49"},
	{"write what is read", shm.KindRWLock, 0, 0, nil, "read", "write=-33 wait-write=-33 write-unlock=-32 mark=-32"},
	{"write", shm.KindRWLock, 0, 0, nil, "", "write read=-33 wait-read=-33 write=-33 wait-write=-33"},
	{"write with waiters, after a death", shm.KindRWLock, 0, 0, rwlockBits(rwlockInconsistent | rwlockWaiters), "",
		"write=1"},
	{"write, preparing", shm.KindRWLock, 0, 0, rwlockBits(rwlockWanted), "", "write"},
	{"write unlock", shm.KindRWLock, 0, 0, nil, "write", "write-unlock write-unlock=-32"},
	{"write unlock, not repaired", shm.KindRWLock, 0, 0, rwlockBits(rwlockInconsistent), "write=1",
		"write-unlock read=1"},
	{"mark consistent", shm.KindRWLock, 0, 0, rwlockBits(rwlockInconsistent), "write=1", "mark mark write-unlock read"},
	{"write beside a reader", shm.KindRWLock, 0, 0, readByOther, "", "write=-2 wait-write=-3"},
	{"write beside a want", shm.KindRWLock, 0, 0, wantedByOther, "", "write=-2 wait-write=-3"},
	{"write beside a writer", shm.KindRWLock, 0, 0, writtenByOther, "", "write=-2 wait-write=-3"},
	{"destroyed", shm.KindRWLock, 0, 0, destroyed, "", "read=-6 wait-read=-6 read-unlock=-6 write=-6 wait-write=-6 " +
		"write-unlock=-6 mark=-6"},
}

func runRWLockInGo(sc scenario, im *images) error {
	l, me, background := im.object.RWLock(), shm.MakeRWOwner(actor(victimSeat).Seat, 0), context.Background()
	parker := shm.NewParker(shm.ParkerOptions{})
	told := func(n *shm.Notice, err error) (int, error) {
		if n != nil {
			return 1, err
		}
		return 0, err
	}
	return runWords(sc, func(word string) (int, error) {
		switch word {
		case "read":
			return told(l.ReadLock(background, nil, me, 0))
		case "wait-read":
			return told(l.ReadLock(background, parker, me, time.Nanosecond))
		case "read-unlock":
			return 0, l.ReadUnlock(me)
		case "write":
			return told(l.WriteLock(background, nil, me, 0))
		case "wait-write":
			return told(l.WriteLock(background, parker, me, time.Nanosecond))
		case "write-unlock":
			return 0, l.WriteUnlock(me)
		case "mark":
			return 0, l.MarkConsistent(me)
		}
		return 0, noWord(word)
	})
}

func TestRWLockPrefixReplay(t *testing.T) {
	replay(t, rwlockScenarios, 2, runRWLockInGo,
		func(t *testing.T, _ scenario, start, left *images) checkPrefix {
			return func(prefix string, im *images) {
				if err := checkRWLock(start, im.clone()); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
		})
}

// checkRWLock recovers the image im, which began as start, and looks at it.
func checkRWLock(start, im *images) error {
	mine := actor(victimSeat).Seat & rwlockOwner
	lines, was := rwlockLines(im.object), rwlockLines(im.object).Word
	owned, inside := was&rwlockOwner == mine, was&rwlockOwner == mine && was&rwlockHeld != 0
	if err := recoverDead(im.object); err != nil {
		return err
	}
	if im.object.State() == shm.StateRemoved {
		return nil
	}
	is := lines.Word
	switch {
	case *readerWord(im.object, victimSeat) != 0 || is&rwlockOwner == mine:
		return fmt.Errorf("the dead client is inside: %#x", is)
	case is&rwlockOwner == 0 && lines.Token != 0:
		return fmt.Errorf("the token %#x is left", lines.Token)
	case owned && is&rwlockWanted == 0:
		return fmt.Errorf("the turn of readers is lost: %#x", is)
	case inside && (is&rwlockInconsistent == 0 || lines.Death.Pid != 7):
		return fmt.Errorf("no notice of the writer's death: %#x, pid %d", is, lines.Death.Pid)
	case *readerWord(im.object, liveSeat) != *readerWord(start.object, liveSeat):
		return fmt.Errorf("readers of a living client have changed")
	case is&rwlockOwner != 0 || *readerWord(im.object, liveSeat) != 0:
		return nil // a living client is inside
	}
	l, me, background := im.object.RWLock(), shm.MakeRWOwner(actor(liveSeat).Seat, 0), context.Background()
	n, err := l.ReadLock(background, nil, me, 0)
	if err != nil || (n != nil) != (is&rwlockInconsistent != 0) {
		return fmt.Errorf("read: %v, %w", n, err)
	}
	if err := l.ReadUnlock(me); err != nil {
		return fmt.Errorf("read unlock: %w", err)
	}
	if _, err := l.WriteLock(background, nil, me, 0); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := l.MarkConsistent(me); err != nil {
		return fmt.Errorf("mark consistent: %w", err)
	}
	return l.WriteUnlock(me)
}

// What shmd.h promises of rwlocks.
func TestRWLockBehaviour(t *testing.T) { behaveTwice(t, "rwlocks") }
