package shm

import "sync/atomic"

// recover breaks the barrier for the others when a party has died: exactly one
// generation, which the party's cell names before it is broken, so that whoever
// runs this again finds what is done. One death of a barrier is recovered after the
// other.
func (b *Barrier) recover(v Victim) (held, done bool) {
	seat := SeatOf(v.Owner)
	if seat == 0 || int(seat) >= len(b.cells) {
		return false, true
	}
	cell := &b.cells[seat].Word
	held, done = b.breakFor(cell, v)
	if done {
		store64(cell, 0)
	}
	return held, done
}

// PartyDied breaks the barrier as recovery does, ahead of it: for a client that died
// while it waits here through the daemon, whose wait ends by that. Not done = recovery
// will do it. The cell stays charged: calls of the dead are still under way, which must
// not make it a party again, and recovery finds the death charged.
func (b *Barrier) PartyDied(v Victim) (broke, done bool) {
	return b.breakFor(&b.cells[SeatOf(v.Owner)].Word, v)
}

// breakFor breaks what the end of a client breaks, and wakes all.
func (b *Barrier) breakFor(cell *uint64, v Victim) (broke, done bool) {
	defer func() {
		if broke || wakesAnyway {
			b.wakeAll() // a wake may have died with the client
		}
	}()
	for range recoverTries {
		w, party := b.load(), atomic.LoadUint64(cell)
		switch {
		case party == 0, party&partyCharged == 0 && !v.Died:
			// An observer, or the end was orderly. Yet nobody else ends its action.
			if !b.led(w, v.Owner) || b.move(w, w.broken(barrierByAbort)) {
				return b.led(w, v.Owner), true
			}
			continue
		case party&partyCharged == 0:
			b.lines.Death.record(&v) // before anybody can see its effect
			store64(cell, charge(w.generation()))
			continue
		}
		since := w.since(partyGeneration(party))
		switch {
		case since == 0 && w.phase() == barrierBroken && w.field()&barrierByDeath != 0,
			since != 0 && since <= barrierHistoryLength && w.outcome(since) == barrierWasDeath:
			return broke, true
		case since != 0: // it ended before; this one is as good
			store64(cell, charge(w.generation()))
		default:
			broke = b.move(w, w.broken(barrierByDeath)) || broke
		}
	}
	return broke, false
}

// remove breaks the barrier for ever; the state is stored already, at which
// everybody looks after the word.
func (b *Barrier) remove() bool {
	done := false
	for range recoverTries {
		w := b.load()
		if done = b.move(w, w.broken(barrierByAbort)); done {
			break
		}
	}
	b.wakeAll()
	return done
}
