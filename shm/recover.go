package shm

import "sync/atomic"

// Victim is a dead client, as one object knows it.
type Victim struct {
	Owner uint32 // its 30 owner bits in this object
	PID   uint32
	UID   uint32
	NowNs int64 // CLOCK_REALTIME of the recovery
	// HeldForeign: it held the foreign lock that guards this object.
	HeldForeign bool
	// Orderly: it ended between two operations, so that nothing but what it holds
	// needs repair. If in doubt, false.
	Orderly bool
	// Died: it ended without saying so; the death of a barrier's party breaks that
	// only then.
	Died bool
	// Alive reports whether an owner word is a living client's; nil = nobody else
	// lives. Daemon is the daemon's own owner word, of this epoch. Both are for the
	// kinds with a latch, which recovery steals from the dead.
	Alive  func(owner uint32) bool
	Daemon uint32
}

// lives reports whether an owner word is a living client's; the victim's is not.
func (v *Victim) lives(owner uint32) bool {
	return owner != v.Owner&ownerMask && (!stealsFromAnyDead || v.Alive != nil && v.Alive(owner))
}

// recoverTries bounds every loop of recovery: a live client may flip a word for
// ever, and the daemon must not.
const recoverTries = 1000

// Recover gives back what the dead client held, run by the daemon only and one
// at a time per object. It is idempotent: the daemon may die inside it and run
// it again from the top. done = false asks to be called again later. The rules
// are the crash tables of the models in tests/models:
//
//	dead owner of the lock   private words reset, notice written, then the word
//	                         released with the inconsistent bit: the commit
//	dead writer              sequence even, advanced and dirty, in one store,
//	                         before the lock is released
//	anywhere else            nothing to undo
//	event                    the word is right after every prefix; all are woken, or
//	                         with auto reset one, who passes it on
//	condition                the word moves on without the mutex, and all are woken:
//	                         whoever was notified and died is nobody's wake-up
//	semaphore with undo      what it held is 0, in one store; the derived state is
//	                         built again under the latch, whoever dead had that
//	queue                    what it was writing is free, what it had leased is
//	                         ready again, or dead; each slot in one store, and
//	                         the derived state as above
//	party of a barrier       the generation is named in its cell, in one store, and
//	                         broken; then the cell is 0
//	reader of an rwlock      its cell is 0, in one store
//	writer of an rwlock      the private word reset, notice written, then the word
//	                         released with the wanted bit, and with the
//	                         inconsistent bit if it was inside
//	role at a ring           its word is marked, in one store, and then the role free
//	always                   wake-ups are repeated generously, because a wake
//	                         may have died with the client; and the version moves
//	                         on, unless the end was orderly
func (s *Segment) Recover(v Victim) (held, done bool) {
	if !s.itsTurn(v) {
		return false, false
	}
	switch s.geometry.Kind {
	case KindSemaphore:
		held, done = s.Semaphore().recover(v)
	case KindQueue:
		held, done = s.Queue().recover(v)
	case KindEvent:
		held, done = s.Event().recover()
	case KindCondition:
		held, done = s.Condition(nil).recover(v)
	case KindBarrier:
		held, done = s.Barrier().recover(v)
	case KindRWLock:
		held, done = s.RWLock().recover(v)
	case KindStream, KindPipe:
		held, done = s.recoverRings(v)
	default:
		held, done = s.recoverLock(v)
	}
	if c := s.seatCell(SeatOf(v.Owner)); done && c != nil && SeatOf(v.Owner) != SeatDaemon {
		store32(&c.Waiting, 0)
	}
	s.endTurn(v, done)
	return held, done
}

// recoverLock is the recovery of a value, array or mutex.
func (s *Segment) recoverLock(v Victim) (held, done bool) {
	owner := v.Owner & ownerMask
	lock := &s.page.Lock
	held = s.HeldBy(owner)
	changed := held || !v.Orderly && wakesAnyway
	if s.geometry.Kind.HasData() {
		foreign := s.geometry.Flags.Has(FlagLockForeign)
		writing := foreign && (v.HeldForeign || atomic.LoadUint32(&s.page.Sequence.Writer) == owner)
		if writing || !foreign && held {
			changed = true
			s.markDirty()
			if foreign {
				store32(&lock.WriteDepth, 0)
				store32(&s.page.Sequence.Writer, 0)
			}
		}
	}
	if held && !s.release(owner, v) {
		return true, false
	}
	if s.geometry.Kind.HasData() && changed {
		// The victim may have changed an element and died before its own bump.
		s.changes().alarm()
	}
	return held, !held && !wakesAnyway || wakeGently(&lock.Word)
}

// markDirty makes the sequence even, advances it and marks it dirty, in one
// store; a second run finds that done and leaves it.
func (s *Segment) markDirty() {
	word := &s.page.Sequence.Word
	if q := atomic.LoadUint64(word); q&sequenceOdd != 0 || q&sequenceDirty == 0 {
		store64(word, (q&^sequenceOdd+sequenceStep)|sequenceDirty)
	}
}

// release frees the lock of a dead owner, with the notice.
func (s *Segment) release(owner uint32, v Victim) bool {
	lock := &s.page.Lock
	store64(&lock.Token, 0)
	store32(&lock.Depth, 0)
	if !s.geometry.Flags.Has(FlagLockForeign) {
		store32(&lock.WriteDepth, 0)
	}
	lock.Death.record(&v)
	for range recoverTries {
		old := atomic.LoadUint32(&lock.Word)
		if ownerOf(old) != owner {
			return true // destroyed, or unlocked by another meanwhile
		}
		if cas32(&lock.Word, old, ownerInconsistent|old&ownerWaiters) {
			return true
		}
	}
	return false
}

// wakeGently makes sure that somebody will wake the next waiter of an owner word:
// an owner who sees the bit, or we.
func wakeGently(word *uint32) bool {
	for range recoverTries {
		old := atomic.LoadUint32(word)
		if isRemoved(old) || isFree(old) {
			futexWakeN(word, 1)
			return true
		}
		if hasWaiters(old) || cas32(word, old, old|ownerWaiters) {
			return true
		}
	}
	return false
}

// Remove destroys the object for everybody: the state first, then every word that
// somebody may sleep on changes, so that no wait can compare equal again (a lock's
// is taken over for ever), then all are woken. Idempotent; false asks to be called
// again.
func (s *Segment) Remove() bool {
	store32(&s.page.Header.State, uint32(StateRemoved))
	switch s.geometry.Kind {
	case KindSemaphore:
		return s.Semaphore().remove()
	case KindQueue:
		return s.Queue().remove()
	case KindEvent:
		return s.Event().remove()
	case KindCondition:
		return s.Condition(nil).remove()
	case KindBarrier:
		return s.Barrier().remove()
	case KindRWLock:
		return s.RWLock().remove()
	case KindStream, KindPipe:
		return s.removeRings()
	}
	return s.removeLock()
}

// removeLock takes over the lock of a value, array or mutex.
func (s *Segment) removeLock() bool {
	word := &s.page.Lock.Word
	taken := false
	for range recoverTries {
		old := atomic.LoadUint32(word)
		if isRemoved(old) || cas32(word, old, ownerRemoved|ownerWaiters|ownerInconsistent) {
			taken = true
			break
		}
	}
	futexWakeN(word, futexAll)
	if s.geometry.Kind.HasData() {
		s.changes().alarm()
	}
	return taken
}
