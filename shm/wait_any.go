package shm

import (
	"context"
	"time"

	"github.com/shmd/shmd/status"
)

// Waitable is something on an object that WaitAny waits for: until a try may
// succeed, or would say why it never will.
//
// It never takes anything. So each way out of a wait in which a wake may have been
// consumed owes what a waiter owes that leaves: either the word is announced again,
// or pass hands the wake on (tests/models: NO_DUTY of mutex.pml and semaphore.pml).
type Waitable interface {
	// arm looks; ready = a try may succeed. If not, and announce is true, a waiter
	// is announced and s is what to sleep on. After an error nothing is announced.
	arm(ctx context.Context, p *Parker, deadline int64, announce bool) (s sleep, ready bool, err error)
	// pass wakes whoever would have got the wake that this waiter may have consumed.
	pass()
	// counts the waiter in (+1) or out (-1), for stat.
	count(delta uint32)
}

// sleep is a futex wait to be: while *word is expected.
type sleep struct {
	word     *uint32
	expected uint32
	until    int64 // look again then, though nobody wakes; absolute CLOCK_MONOTONIC in ns, 0 = never
}

// WaitAny waits until a try on one of the items may succeed, and returns its index,
// the lowest if there are several; by the time of the try another may have been
// faster. timeout: negative = for ever, 0 = a look, which may be status.WouldBlock.
// Other errors: TimedOut, Cancelled, Invalid (no items, or too many), and what an
// item refuses: Permission (read-only mapping), Corrupt, Busy (the daemon's only, as of
// a latch). That an object was
// destroyed is not an error here: the try says so.
func WaitAny(ctx context.Context, p *Parker, items []Waitable, timeout time.Duration) (int, error) {
	if len(items) == 0 || len(items) > WaitAnyMax {
		return 0, status.New(status.Invalid, "", "%d items to wait for; it must be 1 to %d", len(items), WaitAnyMax)
	}
	deadline := int64(0)
	if timeout != 0 {
		deadline = deadlineWithin(ctx, timeout)
	}
	sleeps := make([]sleep, len(items))
	for slept := false; ; slept = true {
		for i, item := range items {
			s, ready, err := item.arm(ctx, p, deadline, timeout != 0)
			if ready || err != nil {
				if slept { // those before it were armed again
					passAll(items[i:])
				}
				return i, err
			}
			sleeps[i] = s
		}
		if timeout == 0 {
			return 0, status.WouldBlock
		}
		for _, item := range items {
			item.count(1)
		}
		until := earliestOf(sleeps, deadline)
		w := p.waitAny(ctx, sleeps, until)
		for _, item := range items {
			item.count(^uint32(0))
		}
		switch {
		case w == cancelled:
			passAll(items)
			return 0, endOf(ctx)
		case w == expired && until == deadline || deadline != 0 && monotonicNs() >= deadline:
			// A last look: what has come in time is not missed.
			for i, item := range items {
				_, ready, err := item.arm(ctx, p, deadline, false)
				if ready || err != nil && status.Of(err) != status.Busy {
					passAll(items)
					return i, err
				}
			}
			passAll(items)
			return 0, status.TimedOut
		}
	}
}

// earliestOf is the deadline, or when one of the items must be looked at before it.
func earliestOf(sleeps []sleep, deadline int64) int64 {
	for _, s := range sleeps {
		if s.until != 0 && (deadline == 0 || s.until < deadline) {
			deadline = s.until
		}
	}
	return deadline
}

// WaitAnyMax bounds the items of one WaitAny.
const WaitAnyMax = 1024

func passAll(items []Waitable) {
	for _, item := range items {
		item.pass()
	}
}

// seatCounter counts a waiter of a seat.
type seatCounter struct {
	seg  *Segment
	seat uint32 // owner bits
}

func (c seatCounter) count(delta uint32) { c.seg.announce(c.seat, delta) }

// ofLock waits until a lock is free.
type ofLock struct {
	seatCounter
	lock *Lock
}

// Waitable is the lock becoming free, for the client of an owner word.
func (l *Lock) Waitable(owner uint32) Waitable { return ofLock{seatCounter{l.seg, owner}, l} }

func (w ofLock) arm(_ context.Context, _ *Parker, _ int64, announce bool) (sleep, bool, error) {
	word := &w.lock.line.Word
	if w.lock.seg.readOnly {
		return sleep{}, false, status.Permission
	}
	for {
		old := load32(word)
		switch {
		case isFree(old), isRemoved(old):
			return sleep{}, true, nil
		case !announce || hasWaiters(old) || cas32(word, old, old|ownerWaiters):
			return sleep{word: word, expected: old | ownerWaiters}, false, nil
		}
	}
}

func (w ofLock) pass() { wakeGently(&w.lock.line.Word) }

// ofPermit waits until a semaphore has a permit.
type ofPermit struct {
	seatCounter
	semaphore *Semaphore
	actor     Actor
}

// Waitable is a permit that can be acquired.
func (m *Semaphore) Waitable(a Actor) Waitable { return ofPermit{seatCounter{m.seg, a.Seat}, m, a} }

func (w ofPermit) arm(ctx context.Context, p *Parker, deadline int64, announce bool) (sleep, bool, error) {
	if err := w.semaphore.check(w.actor, 1); err != nil {
		return sleep{}, false, err
	}
	if w.semaphore.undo != nil {
		return w.semaphore.undo.arm(ctx, p, w.actor, deadline, announce)
	}
	s, ready := w.semaphore.plain.arm(announce)
	return s, ready, nil
}

// arm is Waitable's for one permit.
func (w *permitWord) arm(announce bool) (s sleep, ready bool) {
	for {
		x := load32(w.word)
		if x >= semaphoreStep { // removed, too
			return sleep{}, true
		}
		if !announce || x == semaphoreWaiters || cas32(w.word, x, semaphoreWaiters) {
			return sleep{word: w.word, expected: semaphoreWaiters}, false
		}
	}
}

func (w ofPermit) pass() {
	if w.semaphore.undo != nil {
		w.semaphore.undo.one.wake(1)
		return
	}
	w.semaphore.plain.pass()
}

// arm looks for one permit under the latch.
func (u *permitPool) arm(ctx context.Context, p *Parker, a Actor, deadline int64, announce bool) (sleep, bool, error) {
	b, err := u.enter(ctx, p, a, deadline, !announce)
	switch {
	case err == status.Removed:
		return sleep{}, true, nil
	case err != nil:
		return sleep{}, false, err
	}
	var s sleep
	if b.available == 0 && announce {
		s = u.one.sleeper()
	}
	if err := u.latch.Unlatch(a.Latcher); err != nil {
		return s, false, err
	}
	// After the announcement; pairs with remove.
	return s, b.available > 0 || u.seg.State() == StateRemoved, nil
}

// sleeper announces and returns what to sleep on, as announce does.
func (e eventcount) sleeper() sleep {
	return sleep{word: futexWord32(e.word), expected: uint32(e.announce())}
}

// ofEvent waits until an event is set, or with manual reset was pulsed.
type ofEvent struct {
	seatCounter
	event *Event
	first uint32 // the word when the wait began; manual reset only
}

// Waitable is the event being set, or, with manual reset, having been set since.
func (e *Event) Waitable(a Actor) Waitable {
	return ofEvent{seatCounter{e.seg, a.Seat}, e, load32(e.word)}
}

func (w ofEvent) arm(_ context.Context, _ *Parker, _ int64, announce bool) (sleep, bool, error) {
	if err := w.seg.admits(w.seat); err != nil {
		return sleep{}, false, err
	}
	if w.event.auto != nil {
		s, ready := w.event.auto.arm(announce)
		return s, ready, nil
	}
	word := w.event.word
	for {
		x := load32(word)
		if eventOver(x, w.first) { // removed, too
			return sleep{}, true, nil
		}
		if !announce || x&eventWaiters != 0 || cas32(word, x, x|eventWaiters) {
			return sleep{word: word, expected: x | eventWaiters}, false, nil
		}
	}
}

// pass: with manual reset whoever clears the bit wakes all, so nothing is owed.
func (w ofEvent) pass() {
	if w.event.auto != nil {
		w.event.auto.pass()
	}
}

// ofReading waits until a reader would be let in.
type ofReading struct {
	seatCounter
	lock *RWLock
}

// WaitableRead is the rwlock letting readers in. Unlike a reader that waits, it does
// not hold back writers. There is no such thing for writers.
func (l *RWLock) WaitableRead(owner uint32) Waitable {
	return ofReading{seatCounter{l.seg, owner}, l}
}

func (w ofReading) arm(_ context.Context, _ *Parker, _ int64, announce bool) (sleep, bool, error) {
	if err := w.seg.admits(w.seat); err != nil {
		return sleep{}, false, err
	}
	word := w.lock.word
	for {
		x := load32(word)
		if rwlockGone(x) || !keepsOut(x) {
			return sleep{}, true, nil
		}
		if !announce || x&rwlockWaiters != 0 || cas32(word, x, x|rwlockWaiters) {
			return sleep{word: word, expected: x | rwlockWaiters}, false, nil
		}
	}
}

// pass: whoever clears the bit wakes all, so nothing is owed.
func (w ofReading) pass() {}

// ofQueue waits for a message or for a slot.
type ofQueue struct {
	seatCounter
	wait queueWait // whose timeout says for ever: it only looks
}

// WaitableTake is a message that can be taken, or the end of the queue.
func (q *Queue) WaitableTake(a Actor) Waitable {
	return ofQueue{seatCounter{q.seg, a.Seat}, q.waitForMessage(a, -1)}
}

// WaitablePut is a slot that can be put into, or the end of the queue.
func (q *Queue) WaitablePut(a Actor) Waitable {
	return ofQueue{seatCounter{q.seg, a.Seat}, q.waitForSlot(a, -1)}
}

func (w ofQueue) arm(ctx context.Context, p *Parker, deadline int64, announce bool) (sleep, bool, error) {
	q, wait := w.wait.q, w.wait
	wait.deadline, wait.timed = deadline, true
	if !announce {
		wait.timeout = 0 // a look
	}
	err := wait.enter(ctx, p)
	switch {
	case err == status.Removed:
		return sleep{}, true, nil
	case err != nil:
		return sleep{}, false, err
	}
	if wait.goal == forMessage {
		wait.endLeases()
	}
	ready := wait.mayEnd()
	var s sleep
	if !ready && announce {
		var announced uint64
		announced, ready = wait.announce()
		s = sleep{word: futexWord32(wait.ec.word), expected: uint32(announced), until: wait.until}
	}
	if err := wait.unlatch(); err != nil {
		return s, false, err
	}
	return s, ready || q.seg.State() != StateLive, nil // after the announcement; pairs with remove
}

func (w ofQueue) pass() { w.wait.ec.wake(1) }

// ofChange waits until the version of a value or array differs from one.
type ofChange struct {
	seatCounter
	version uint64
}

// WaitableChange is a version other than the given one.
func (a *Array) WaitableChange(owner uint32, version uint64) Waitable {
	return ofChange{seatCounter{a.seg, owner}, version}
}

func (w ofChange) arm(_ context.Context, _ *Parker, _ int64, announce bool) (sleep, bool, error) {
	if w.seg.readOnly {
		return sleep{}, false, status.Permission
	}
	changes := w.seg.changes()
	for {
		c := changes.load()
		if eventcountOf(c) != w.version || w.seg.State() == StateRemoved { // the state after the word
			return sleep{}, true, nil
		}
		if !announce {
			return sleep{}, false, nil
		}
		if announced, ok := changes.announceAt(c); ok {
			return sleep{word: futexWord32(changes.word), expected: uint32(announced)}, false, nil
		}
	}
}

// pass: whoever clears the bit wakes all, so nothing is owed.
func (w ofChange) pass() {}
