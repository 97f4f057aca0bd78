package shm

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// Barrier holds its parties until all have arrived, again and again. A party is a
// client that arrived once, or was declared one; if it dies, the barrier breaks for
// the others. A barrier also breaks by a party's timeout or cancellation, by Abort
// and by an action that failed, and stays broken until Reset.
//
// The protocol is tests/models/barrier.pml; crash rules stand in recover.go. Safe
// for concurrent use; each arrival counts, also of threads of one client.
type Barrier struct {
	seg     *Segment
	lines   *BarrierLines // immutable; points into the segment
	cells   []BarrierCell // immutable; points into the segment; by seat
	parties uint32        // immutable
	spin    spinner
}

// Barrier returns a view of the barrier.
func (s *Segment) Barrier() *Barrier {
	return &Barrier{seg: s, lines: kindLines[BarrierLines](s), cells: kindCells[BarrierCell](s),
		parties: uint32(s.geometry.Length)}
}

// Arrival is one arrival at a barrier.
type Arrival struct {
	// Index is how many of its generation had arrived before.
	Index uint32
	// Leader: all have arrived, and wait until this one has acted and calls Complete.
	Leader     bool
	generation uint64
}

// BarrierStatus is a look at a barrier that holds nothing still.
type BarrierStatus struct {
	Parties    uint32
	Waiting    uint32 // arrived, while more are missing; else 0
	Acting     bool   // all have arrived, and one of them acts
	Broken     bool
	Reasons    BarrierReasons // of a broken one
	Generation uint64         // so far, filled and broken ones
	LastDeath  *Notice        // of a party; nil = none yet
}

// BarrierReasons are why a barrier is broken.
type BarrierReasons uint32

// The reasons.
const (
	BrokenByTimeout BarrierReasons = barrierByTimeout
	BrokenByAbort   BarrierReasons = barrierByAbort
	BrokenByDeath   BarrierReasons = barrierByDeath
	BrokenByAction  BarrierReasons = barrierByAction
)

// Names lists the reasons as on the wire.
func (r BarrierReasons) Names() []string {
	names := []string{}
	for i, name := range []string{"timeout", "abort", "death", "action"} {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String lists the reasons, for people.
func (r BarrierReasons) String() string {
	if names := r.Names(); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return "nothing known"
}

// Status looks at the barrier.
func (b *Barrier) Status() BarrierStatus {
	w := b.load()
	st := BarrierStatus{Parties: b.parties, Generation: w.generation()}
	switch w.phase() {
	case barrierFill:
		st.Waiting = min(w.field(), b.parties)
	case barrierAction:
		st.Acting = true
	case barrierBroken:
		st.Broken, st.Reasons = true, BarrierReasons(w.field())
	}
	if b.lines.Death.any() {
		st.LastDeath = b.lines.Death.notice()
	}
	return st
}

func (b *Barrier) load() barrierWord { return barrierWord(atomic.LoadUint64(&b.lines.Word)) }

// move is the one step of every protocol; pairs with load.
func (b *Barrier) move(old, new barrierWord) bool {
	return cas64(&b.lines.Word, uint64(old), uint64(new))
}

// release is move with a wake for all who wait for it.
func (b *Barrier) release(old, new barrierWord) bool {
	if !b.move(old, new) {
		return false
	}
	b.wakeAll()
	return true
}

func (b *Barrier) wakeAll() { futexWakeN(futexWord32(&b.lines.Word), futexAll) }

// removed is asked after a load of the word; pairs with remove.
func (b *Barrier) removed() bool { return b.seg.State() == StateRemoved }

// Declare makes a's client a party that has yet to arrive. Errors: Permission,
// Invalid, Removed.
func (b *Barrier) Declare(a Actor) error {
	if err := b.seg.admits(a.Seat); err != nil {
		return err
	}
	if b.removed() {
		return status.Removed
	}
	return b.join(a.Seat)
}

// join makes a client a party, before its first arrival. status.Corrupt: its death is
// charged, so this is a call that the daemon still runs for it, or somebody scribbled.
func (b *Barrier) join(owner uint32) error {
	cell := &b.cells[SeatOf(owner)].Word
	for range recoverTries { // a thread of the same client may be faster
		switch party := atomic.LoadUint64(cell); {
		case party == partyParty:
			return nil
		case party&partyCharged != 0:
			return errCorrupt
		case cas64(cell, party, partyParty):
			return nil
		}
	}
	return errCorrupt
}

// Arrive arrives and waits up to timeout until all parties have: negative = for
// ever, 0 = only if this is the last arrival, else status.WouldBlock with nothing
// changed. With act the last to arrive is made Leader at once, and the others wait
// until it calls Complete.
//
// A timeout or ctx's deadline (status.TimedOut) and a cancellation
// (status.Cancelled) break the barrier for the others, unless the arrival came
// while the parties before were acting and did not count yet. Other errors:
// Broken and PeerDied, which stay until Reset; OutcomeUnknown, when more
// generations have ended since than the barrier remembers; Removed, Permission
// (read-only mapping), Invalid (no such seat), Corrupt.
func (b *Barrier) Arrive(ctx context.Context, p *Parker, a Actor, timeout time.Duration, act bool) (Arrival, error) {
	if err := b.seg.admits(a.Seat); err != nil {
		return Arrival{}, err
	}
	try, deadline := timeout == 0, deadlineWithin(ctx, timeout)
	for {
		w := b.load()
		if b.removed() {
			return Arrival{}, status.Removed
		}
		switch index := w.field(); {
		case w.phase() == barrierBroken:
			return Arrival{}, b.brokenBy(w.field())
		case w.phase() == barrierAction:
			// Full: this arrival belongs to the next generation.
			if try {
				return Arrival{}, status.WouldBlock
			}
			if err := b.sleep(ctx, p, a, w, deadline); err != nil {
				return Arrival{}, err
			}
		case w.phase() != barrierFill || index >= b.parties:
			return Arrival{}, b.corrupt(w)
		case index+1 < b.parties:
			if try {
				return Arrival{}, status.WouldBlock
			}
			if err := b.join(a.Seat); err != nil {
				return Arrival{}, err
			}
			if b.move(w, w.in(barrierFill, index+1)) {
				if err := b.await(ctx, p, a, w.generation(), deadline); err != nil {
					return Arrival{}, err
				}
				return Arrival{Index: index, generation: w.generation()}, nil
			}
		default:
			if err := b.join(a.Seat); err != nil {
				return Arrival{}, err
			}
			r := Arrival{Index: index, Leader: act, generation: w.generation()}
			if act && b.move(w, w.in(barrierAction, uint32(SeatOf(a.Seat)))) ||
				!act && b.release(w, w.next(barrierWasOK)) {
				return r, nil
			}
		}
	}
}

// await waits for the end of generation g, in which this client has arrived.
func (b *Barrier) await(ctx context.Context, p *Parker, a Actor, g uint64, deadline int64) error {
	b.spin.until(futexWord32(&b.lines.Word), func(low uint32) bool {
		w := barrierWord(low)
		return w.phase() == barrierBroken || w.generation() != g&(1<<barrierGenerationLowBits-1)
	})
	var leave error
	for {
		w := b.load()
		if since := w.since(g); since != 0 {
			return b.ended(w, since)
		}
		switch {
		case b.removed():
			return status.Removed
		case w.phase() == barrierBroken:
			return b.brokenBy(w.field())
		case w.phase() != barrierFill && w.phase() != barrierAction:
			return b.corrupt(w)
		case leave == nil:
			leave = b.sleep(ctx, p, a, w, deadline)
			continue
		}
		reason := uint32(barrierByAbort)
		if leave == status.TimedOut {
			reason = barrierByTimeout
		}
		if b.release(w, w.broken(reason)) {
			return leave
		}
	}
}

// sleep sleeps once on a word, after a look at the state.
func (b *Barrier) sleep(ctx context.Context, p *Parker, a Actor, w barrierWord, deadline int64) error {
	return b.seg.sleepFree(ctx, p, a.Seat, futexWord32(&b.lines.Word), w.futex(), deadline)
}

// Complete ends the generation that r leads: with ok the others are released, else
// the barrier is broken by the failed action. Errors: status.Broken and PeerDied,
// when the generation was broken or reset meanwhile, although the action ran;
// NotOwner, when r does not lead; Removed, Permission, Invalid.
func (b *Barrier) Complete(a Actor, r Arrival, ok bool) error {
	w, done, err := b.endAction(a, ok, func(w barrierWord) bool { return r.Leader && w.since(r.generation) == 0 })
	if done || err != nil {
		return err
	}
	since := w.since(r.generation)
	if r.Leader && since == 0 && w.phase() == barrierBroken {
		return b.brokenBy(w.field())
	}
	if r.Leader && since != 0 {
		err = b.ended(w, since)
	}
	return orElse(err, status.NotOwner) // also when it is complete already
}

// CompleteCurrent is Complete for who does not remember its Arrival: it ends the
// generation in which a's client leads. status.NotOwner if there is none.
func (b *Barrier) CompleteCurrent(a Actor, ok bool) error {
	w, done, err := b.endAction(a, ok, func(barrierWord) bool { return true })
	switch {
	case done || err != nil:
		return err
	case w.phase() == barrierBroken:
		return b.brokenBy(w.field())
	}
	return status.NotOwner
}

// endAction ends the action that a's client runs, if it runs one of a generation
// that is meant; else it returns the word that says otherwise.
func (b *Barrier) endAction(a Actor, ok bool, meant func(barrierWord) bool) (w barrierWord, done bool, err error) {
	if err := b.seg.admits(a.Seat); err != nil {
		return 0, false, err
	}
	for {
		w := b.load()
		if b.removed() {
			return w, false, status.Removed
		}
		if !b.led(w, a.Seat) || !meant(w) {
			return w, false, nil
		}
		end := w.broken(barrierByAction)
		if ok {
			end = w.next(barrierWasOK)
		}
		if b.release(w, end) {
			return w, true, nil
		}
	}
}

// led reports whether the seat of an owner acts for all.
func (b *Barrier) led(w barrierWord, owner uint32) bool {
	return w.phase() == barrierAction && w.field() == uint32(SeatOf(owner))
}

// Abort breaks the barrier until Reset, if it is not broken yet: who waits, acts or
// arrives is told status.Broken. Errors: Removed, Permission, Invalid, Corrupt.
func (b *Barrier) Abort(a Actor) error {
	if err := b.seg.admits(a.Seat); err != nil {
		return err
	}
	for {
		w := b.load()
		switch {
		case b.removed():
			return status.Removed
		case w.phase() == barrierBroken:
			return nil
		case w.phase() != barrierFill && w.phase() != barrierAction:
			return b.corrupt(w)
		case b.release(w, w.broken(barrierByAbort)):
			return nil
		}
	}
}

// Reset begins the next generation, whatever became of the current one: who waits
// in that is told status.Broken. A notice means that it was broken by a death.
// Errors: Removed, Permission, Invalid.
func (b *Barrier) Reset(a Actor) (*Notice, error) {
	if err := b.seg.admits(a.Seat); err != nil {
		return nil, err
	}
	for {
		w := b.load()
		if b.removed() {
			return nil, status.Removed
		}
		died, outcome := w.phase() == barrierBroken && w.field()&barrierByDeath != 0, uint64(barrierWasBad)
		if died {
			outcome = barrierWasDeath
		}
		if !b.release(w, w.next(outcome)) {
			continue
		}
		if died {
			return b.lines.Death.notice(), nil
		}
		return nil, nil
	}
}

// ended says how a generation ended that was since ago.
func (b *Barrier) ended(w barrierWord, since uint64) error {
	if since > barrierHistoryLength {
		return status.New(status.OutcomeUnknown, "", "%d generations have ended since; the last %d are remembered",
			since, barrierHistoryLength)
	}
	switch w.outcome(since) {
	case barrierWasOK:
		return nil
	case barrierWasDeath:
		return b.brokenBy(barrierByDeath)
	}
	return status.New(status.Broken, "", "it was reset before all parties had arrived and acted")
}

// brokenBy is the error of a broken barrier.
func (b *Barrier) brokenBy(reasons uint32) error {
	if reasons&barrierByDeath == 0 {
		return status.New(status.Broken, "", "by %s; reset it", BarrierReasons(reasons))
	}
	n := b.lines.Death.notice()
	return status.New(status.PeerDied, "", "pid %d of uid %d, in seat %d; reset the barrier", n.PID, n.UID, n.Seat)
}

func (b *Barrier) corrupt(w barrierWord) error {
	return status.New(status.Corrupt, "", "phase %d with %d arrived of %d; reset the barrier",
		w.phase(), w.field(), b.parties)
}
