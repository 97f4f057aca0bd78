package shm

import "sync/atomic"

// What a new daemon does with the segments of the one before it.

// Adopt makes the segment that of a daemon with a later epoch, which everybody may take
// the latches of earlier ones from.
func (s *Segment) Adopt(epoch uint32) { store32(&s.page.Header.DaemonEpoch, epoch) }

// DaemonHolds is the owner word by which a daemon before v.Daemon holds the lock or
// writes; 0 = it does not.
func (s *Segment) DaemonHolds(now uint32) uint32 {
	words := []uint32{ownerOf(atomic.LoadUint32(&s.page.Lock.Word))}
	if s.geometry.Kind.HasData() {
		words = append(words, atomic.LoadUint32(&s.page.Sequence.Writer)&ownerMask)
	}
	switch s.geometry.Kind {
	case KindValue, KindArray, KindMutex:
		for _, w := range words {
			if SeatOf(w) == SeatDaemon && w != now&ownerMask && !isRemoved(w) {
				return w
			}
		}
	}
	return 0
}

// RecoverDaemon gives back what a daemon that is gone held, which v.Owner names, and
// repeats every wake-up that may have died with it. As Recover, it may be repeated;
// false asks for that.
func (s *Segment) RecoverDaemon(v Victim) bool {
	switch s.geometry.Kind {
	case KindQueue:
		q := s.Queue()
		if q.inOperation() {
			_, done := q.recover(v)
			return done
		}
		q.alarmAll() // without a look at each slot, which would commit its memory
	case KindSemaphore:
		m := s.Semaphore()
		if m.undo != nil && s.LatchHolder() != SeatDaemon {
			m.undo.one.alarm()
			m.undo.many.alarm()
			return true
		}
		_, done := m.recover(v)
		return done
	case KindBarrier:
		s.Barrier().wakeAll()
	case KindRWLock:
		l := s.RWLock()
		for i := range l.cells[1:] {
			wakeCell(&l.cells[i+1].Word)
		}
		futexWakeN(l.word, futexAll)
	case KindEvent:
		_, done := s.Event().recover()
		return done
	case KindCondition:
		s.Condition(nil).Alarm()
	case KindStream, KindPipe:
		for i := range int(s.geometry.rings()) {
			s.ring(i).wakeAll()
		}
	default:
		_, done := s.recoverLock(v)
		return done
	}
	return true
}

// alarmAll wakes everybody who waits in the queue, to look again.
func (q *Queue) alarmAll() {
	q.notEmpty.alarm()
	q.notFull.alarm()
	q.idle.alarm()
}

// SettleCalls takes back what calls of the daemon before were in the middle of, for a
// client that has not mapped the segment: nobody else acts for it, and it was told of
// nothing. What is whole stays, and the client finds it among its holdings; so does a
// role at a stream or pipe that it was giving back. false asks to be called again.
func (s *Segment) SettleCalls(v Victim) bool {
	owner := v.Owner & ownerMask
	switch s.geometry.Kind {
	case KindRWLock:
		return s.RWLock().settle(v)
	case KindQueue:
		return s.Queue().settle(v)
	case KindValue, KindArray, KindMutex:
		lock := &s.page.Lock
		if !s.HeldBy(owner) || s.geometry.Flags.Has(FlagUnlockAny) || atomic.LoadUint64(&lock.Token) != 0 {
			return true
		}
		// On its way in, or out: with no thread behind it, nobody could unlock it.
		for range recoverTries {
			old := atomic.LoadUint32(&lock.Word)
			if ownerOf(old) != owner {
				return true
			}
			if cas32(&lock.Word, old, old&(ownerInconsistent|ownerWaiters)) {
				return wakeGently(&lock.Word)
			}
		}
		return false
	}
	return true
}

// settle lets a writer that is not inside for sure withdraw, and nobody wait to read.
func (l *RWLock) settle(v Victim) bool {
	seat := SeatOf(v.Owner)
	if seat == 0 || int(seat) >= len(l.cells) {
		return true
	}
	cell := &l.cells[seat].Word
	settled := setFor(cell, func(x uint32) uint32 { return x &^ readerWantMask })
	wakeCell(cell)
	w := atomic.LoadUint32(l.word)
	if writerOf(w) == v.Owner&rwlockOwnerMask && (w&rwlockHeld == 0 || load64(&l.lines.Token) == 0) {
		settled = setFor(l.word, func(w uint32) uint32 {
			if writerOf(w) != v.Owner&rwlockOwnerMask {
				return w
			}
			return w&(rwlockWaiters|rwlockInconsistent) | rwlockWanted
		}) && settled
		futexWakeN(l.word, futexAll)
	}
	return settled
}

// settle frees the slots that a call was writing to.
func (q *Queue) settle(v Victim) bool {
	if load32(&q.lines.WritingCount) == 0 {
		return true
	}
	if !q.stealBoth(&v) {
		return false
	}
	owner, came := v.Owner&ownerMask, false
	for slot := range q.size {
		if w := q.word(slot); w.owner() == owner && w.state() == slotWriting {
			q.rollBack(slot, load64(&q.descs[slot].Ticket))
			came = true
		}
	}
	q.rebuildOrCondemn()
	return q.finish(&v, came)
}

// Leads reports whether the client of an owner word acts for all at the barrier.
func (b *Barrier) Leads(owner uint32) bool { return b.led(b.load(), owner) }
