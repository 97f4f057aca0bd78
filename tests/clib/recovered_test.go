package clib

import (
	"context"
	"errors"
	"fmt"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// recover gives back what the victim held: a death is one recovery per segment,
// the array's before its mutex's. Twice, because the daemon may die in between.
func (im *images) recover() error {
	victim := shm.Victim{Owner: shm.OwnerWord(victimSeat, 1), PID: 7, UID: 8, NowNs: 9}
	if im.mutex != nil {
		victim.HeldForeign = im.mutex.HeldBy(im.holder(victimSeat).Word)
	}
	for range 2 {
		if _, done := im.object.Recover(victim); !done {
			return errors.New("recovery is not done")
		}
	}
	if im.mutex != nil {
		victim.Owner, victim.HeldForeign = im.holder(victimSeat).Word, false
		for range 2 {
			if _, done := im.mutex.Recover(victim); !done {
				return errors.New("recovery of the mutex is not done")
			}
		}
	}
	return nil
}

// checkRecovered recovers the image im, which began as start, and looks at it.
func checkRecovered(start, im *images) error {
	dead := im.holder(victimSeat).Word
	held := im.guarding().HeldBy(dead)
	if err := im.recover(); err != nil {
		return err
	}
	line := im.lockLine()
	seat := shm.SeatOf(dead)
	if im.guarding().HeldBy(dead) {
		return fmt.Errorf("the dead client still holds the lock: %#x", line.Word)
	}
	if im.guarding().Waiting(seat) != 0 || im.object.Waiting(victimSeat) != 0 {
		return errors.New("the dead client still waits")
	}
	if !im.lock().Status().Held && (line.Token != 0 || line.Depth != 0 || line.WriteDepth != 0) {
		return fmt.Errorf("private words of the dead are left: token %#x, depth %d", line.Token, line.Depth)
	}
	if held && (!im.lock().Status().Inconsistent || line.Death.Pid != 7) {
		return fmt.Errorf("no notice: word %#x, pid %d", line.Word, line.Death.Pid)
	}
	if im.object.Geometry().Kind.HasData() {
		object, begun := page(im.object), page(start.object)
		q := object.Sequence.Word
		if q&1 != 0 {
			return errors.New("the sequence is odd")
		}
		if object.Sequence.Writer != 0 || object.Lock.WriteDepth != 0 {
			return errors.New("a bracket of the dead is open")
		}
		if held && (q&2 == 0 || q>>2 < begun.Sequence.Word>>2) {
			return fmt.Errorf("the sequence %#x is not dirty, or went back", q)
		}
		if object.Change.Word>>1 == begun.Change.Word>>1 {
			return errors.New("the version has not moved")
		}
	}
	return im.use()
}

// checkMutexGone recovers an image whose mutex was destroyed before the death was
// noticed: the lock no longer tells that the victim was writing, only the array does.
func checkMutexGone(im *images) error {
	if im.mutex == nil {
		return nil
	}
	if !im.mutex.Remove() {
		return errors.New("the mutex was not destroyed")
	}
	writing := page(im.object).Sequence.Word&1 != 0
	if err := im.recover(); err != nil {
		return err
	}
	q := page(im.object).Sequence.Word
	if q&1 != 0 || writing && q&2 == 0 || page(im.object).Sequence.Writer != 0 {
		return fmt.Errorf("mutex destroyed: sequence %#x, writer %#x", q, page(im.object).Sequence.Writer)
	}
	return nil
}

// use does what a live client would do next.
func (im *images) use() error {
	me := im.access(liveSeat)
	data := im.object.Geometry().Kind.HasData()
	if im.object.Geometry().Flags.Has(shm.FlagLockNone) {
		return im.array().Store(0, 1)
	}
	l := im.lock()
	if !l.Holds(me.Holder) {
		_, err := l.TryLock(me.Holder)
		if l.Status().Poisoned {
			if !errors.Is(err, status.NotRecoverable) {
				return fmt.Errorf("a poisoned lock was taken: %v", err)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("lock: %w", err)
		}
	}
	if data {
		_, err := im.array().Write(context.Background(), nil, me, 0, make([]byte, 4*im.object.Geometry().Length), 0)
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := im.array().MarkConsistent(me); err != nil {
			return fmt.Errorf("mark consistent: %w", err)
		}
	}
	if err := l.MarkConsistent(me.Holder); err != nil {
		return fmt.Errorf("mark consistent: %w", err)
	}
	if err := l.Unlock(me.Holder); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	if data {
		size := 4 * im.object.Geometry().Length
		_, dirty, err := im.array().Snapshot(context.Background(), nil, im.access(4), 0, size/4, make([]byte, size), 0)
		if err != nil || dirty {
			return fmt.Errorf("snapshot: dirty %v, %w", dirty, err)
		}
	}
	return nil
}
