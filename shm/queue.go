package shm

import (
	"context"
	"slices"
	"time"

	"github.com/shmd/shmd/status"
)

// Queue is a bounded queue of messages between many producers and consumers: a
// pool of slots under a latch. One word per slot says what the slot is
// (queue_slot.go); the ready ring, the free stack and the counts are derived from
// these words, and are rebuilt from them after a death (queue_recover.go).
//
//	put      FREE -> READY, or reserve FREE -> WRITING and commit WRITING -> READY
//	take     READY -> FREE, or lease READY -> LEASED and ack LEASED -> FREE
//	nack, death of the lessee, end of the lease time
//	                             LEASED -> READY, or DEAD after enough deliveries
//
// Every message has a number, in the order of the commits, which it keeps when it
// comes back; the ready ring is in the order of the numbers. So the messages of
// one producer are taken in its order, and what comes back comes first.
//
// A message that is longer than a slot lies in a side segment of the slot
// (queue_side.go).
//
// A message is bytes here. That those of a queue without FlagRaw are one msgpack
// value each is checked by whoever puts them (wire.ValidateContent).
//
// Errors that any method may return: status.Removed, Corrupt (words of the queue
// cannot be right; nothing was overrun), Permission (read-only mapping), Invalid
// (an actor without a seat), and while it waits for others who are at the queue
// TimedOut, Cancelled, and WouldBlock if timeout is 0. After an error nothing has
// changed. timeout: negative = for ever, 0 = not at all.
//
// Several messages may be put, taken, leased or given back at once (queue_batch.go).
//
// The waiting is tests/models/eventcount.pml, the whole queue.pml and
// queue_batch.pml. Safe for
// concurrent use.
type Queue struct {
	seg      *Segment
	lines    *QueueLines // immutable; points into the segment, like all slices
	latch    *Latch
	notEmpty eventcount // those who want a message
	notFull  eventcount // those who want a slot
	idle     eventcount // those who want no message to be ready or leased
	ready    []uint32
	free     []uint32
	descs    []QueueDesc
	leases   leaseTimes // none if its deadlines are nil
	size     uint32     // immutable; slots
	sides    Sides      // immutable once used; nil = none
	spin     spinner
	takers   gate // those of this view who sleep for a message
	putters  gate // ... for a slot
}

// queueGate is how many goroutines of one view sleep in the kernel for the same. More
// wait for one of these to be done: what comes may be for any of them, and the parker
// stirs all who share a thread.
const queueGate = 8

// errCorrupt means that derived or authoritative words cannot be right.
var errCorrupt error = status.Corrupt

// copyMax is how many bytes are copied under the latch; longer messages are worth
// two latch sections, so that others need not wait for the copying.
const copyMax = 512

// queueWait is one call's wait for a message or for a slot.
type queueWait struct {
	q        *Queue
	actor    Actor
	ec       eventcount
	gate     gate    // nil = none
	level    *uint32 // the derived count that is 0 while there is nothing
	timeout  time.Duration
	deadline int64 // absolute CLOCK_MONOTONIC in ns, 0 = none
	timed    bool  // deadline is set
	spun     bool
	duty     bool   // a wake may have been consumed
	inside   bool   // of the gate
	idled    bool   // this latch section found the queue idle: wake those who wait for that
	revived  uint32 // messages that came back in it: wake as many
	until    int64  // a lease may be over then, look again; as deadline
}

func (q *Queue) waitForMessage(a Actor, timeout time.Duration) queueWait {
	return queueWait{q: q, actor: a, ec: q.notEmpty, gate: q.takers, level: &q.lines.ReadyCount, timeout: timeout}
}

func (q *Queue) waitForSlot(a Actor, timeout time.Duration) queueWait {
	return queueWait{q: q, actor: a, ec: q.notFull, gate: q.putters, level: &q.lines.FreeCount, timeout: timeout}
}

// clock starts the timeout, late: most calls never look at a clock.
func (w *queueWait) clock(ctx context.Context) int64 {
	if !w.timed && w.timeout != 0 {
		w.deadline, w.timed = deadlineWithin(ctx, w.timeout), true
	}
	return w.deadline
}

// idleLooks bounds the looks at a queue that somebody is at.
const idleLooks = 32

// Empty is a look without the latch, for who tries again and again, and so keeps the
// latch, and its line, from nobody: true = there is no message, a take would block, and
// nobody is at the queue who is about to change that. The count comes first: whoever was
// about to change it still has the latch afterwards, or is done, and it was true. Who has
// no reason to think that the queue is empty takes at once: a look fetches the line once
// more.
func (q *Queue) Empty() bool {
	for range idleLooks {
		n := load32(&q.lines.ReadyCount)
		if load32(q.latch.word) == 0 {
			return n == 0 && load32(&q.lines.Closed) == 0 && q.seg.State() == StateLive && !q.seg.readOnly &&
				!q.leasesMayEnd()
		}
		pause(1)
	}
	return false
}

// enter takes the latch and sees to what a dead holder left. After an error the
// latch is free and no duty is left.
func (w *queueWait) enter(ctx context.Context, p *Parker) error {
	q, a := w.q, w.actor
	if err := q.seg.admits(a.Seat); err != nil {
		return err
	}
	stolen, err := q.latch.TryLatch(a.Latcher)
	if err != nil {
		if stolen, err = q.latch.enterSlowly(ctx, p, a, w.clock(ctx), w.timeout == 0); err != nil {
			return w.passOn(err)
		}
	}
	switch q.seg.State() {
	case StateLive:
	case StateRemoved:
		return w.leave(status.Removed)
	default:
		return w.leave(errCorrupt)
	}
	if stolen && !q.rebuild() {
		return w.leave(errCorrupt)
	}
	return nil
}

// passOn ends the wait; it wakes another if this call may have eaten its wake.
func (w *queueWait) passOn(reason error) error {
	w.exit()
	if w.duty {
		w.duty = false
		w.ec.wake(1)
	}
	return reason
}

// leave ends a latch section without having taken what w waits for.
func (w *queueWait) leave(reason error) error {
	return w.passOn(orElse(w.unlatch(), reason))
}

// unlatch ends a latch section, and does what it owes to others.
func (w *queueWait) unlatch() error {
	err := w.q.unlatch(w.actor)
	w.wakeOthers()
	return err
}

func (w *queueWait) wakeOthers() {
	if w.revived != 0 || w.idled {
		w.wakeTheseOthers()
	}
}

func (w *queueWait) wakeTheseOthers() {
	if w.revived != 0 {
		w.q.notEmpty.wake(int(w.revived))
	}
	if w.idled {
		w.q.idle.wake(futexAll)
	}
	w.revived, w.idled = 0, false
}

// exit lets another goroutine wait in our place.
func (w *queueWait) exit() {
	if w.inside {
		w.inside = false
		w.gate.leave()
	}
}

// waitOutside ends a latch section that found nothing, of one for whom the gate has no
// room: it has not slept yet, so it owes nobody a wake.
func (w *queueWait) waitOutside(ctx context.Context) error {
	if err := w.unlatch(); err != nil {
		return err
	}
	seg, seat := w.q.seg, w.actor.Seat
	seg.announce(seat, 1)
	err := w.gate.enter(ctx, w.clock(ctx))
	seg.announce(seat, ^uint32(0))
	w.inside = err == nil
	return err
}

// unlatch gives the latch back; a latch that is not ours any more was scribbled on.
func (q *Queue) unlatch(a Actor) error {
	if q.latch.Unlatch(a.Latcher) != nil {
		return errCorrupt
	}
	return nil
}

// sleep ends a latch section that found nothing. nil = enter and look again.
func (w *queueWait) sleep(ctx context.Context, p *Parker) error {
	q := w.q
	if w.timeout == 0 {
		return w.leave(status.WouldBlock)
	}
	if !w.spun && !w.duty {
		w.spun = true
		if err := w.unlatch(); err != nil {
			return w.passOn(err)
		}
		q.spin.until(w.level, func(level uint32) bool { return level != 0 })
		return nil
	}
	if w.gate != nil && !w.inside {
		if w.inside = w.gate.tryEnter(); !w.inside {
			return w.waitOutside(ctx)
		}
	}
	announced := w.ec.announce() // does what a duty owes: others sleep on a set bit again
	w.duty = false
	if err := w.unlatch(); err != nil {
		return w.passOn(err)
	}
	if q.seg.State() != StateLive { // after the announcement; pairs with remove and recover
		return nil // enter says why
	}
	q.seg.announce(w.actor.Seat, 1)
	deadline := w.clock(ctx)
	early := w.until != 0 && (deadline == 0 || w.until < deadline)
	if early {
		deadline = w.until
	}
	duty, err := w.ec.sleep(ctx, p, announced, deadline)
	q.seg.announce(w.actor.Seat, ^uint32(0))
	w.duty = duty
	if early && err == status.TimedOut {
		return nil // not the call's: a lease may be over
	}
	if err != nil {
		w.exit()
	}
	return err
}

// finish ends a latch section that took what w waits for and signalled `signalled`
// (its due wake). The due of w itself: more for others = pass the wake on.
func (w *queueWait) finish(signalled eventcount, due bool) error {
	return w.finishMany(signalled, due, 1)
}

// finishMany is finish after `many` at once, each of which is enough for one waiter.
func (w *queueWait) finishMany(signalled eventcount, due bool, many int) error {
	own := w.duty && w.ec.settle(load32(w.level) != 0)
	if w.q.endsJoins() {
		w.idled = true
	}
	err := w.q.unlatch(w.actor)
	w.exit()
	w.wakeOthers()
	if due {
		signalled.wake(many)
	}
	if own {
		w.ec.wake(1)
	}
	return err
}

// Put appends a copy of msg. Other errors: status.WouldBlock and TimedOut if the
// queue stays full, Ended after Shutdown, TooLarge beyond MessageMax, and for a
// message longer than a slot those of Sides.Make.
func (q *Queue) Put(ctx context.Context, p *Parker, a Actor, msg []byte, timeout time.Duration) error {
	if err := q.fits(uint64(len(msg))); err != nil {
		return err
	}
	if len(msg) > copyMax || len(msg) > int(q.seg.geometry.SlotSize) {
		r, err := q.ReserveSize(ctx, p, a, uint32(len(msg)), timeout)
		if err != nil {
			return err
		}
		storeBytes(q.Buffer(r), msg)
		// Not to be given up any more: nobody else could free the slot.
		return q.Commit(context.WithoutCancel(ctx), p, a, r, uint32(len(msg)), -1)
	}
	w := q.waitForSlot(a, timeout)
	for {
		slot, ok, err := w.slot(ctx, p)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := q.fill(slot, msg); err != nil {
			return w.leave(err)
		}
		return w.finish(q.notEmpty, q.notEmpty.signal())
	}
}

// fill makes the slot that topFree found a message that fits it, with the latch held.
// notEmpty.signal comes after it.
func (q *Queue) fill(slot uint32, msg []byte) error {
	number, err := q.nextNumber()
	if err != nil || !q.roomReady() {
		return errCorrupt
	}
	q.popFree()
	storeBytes(q.slotData(slot), msg)
	q.publish(slot, number, place{length: uint32(len(msg))})
	return nil
}

// fits refuses a message that is too long.
func (q *Queue) fits(length uint64) error {
	if length > uint64(q.seg.geometry.MessageMax) {
		return status.New(status.TooLarge, "", "the message has %d bytes; this queue takes up to %d (message_max)",
			length, q.seg.geometry.MessageMax)
	}
	return nil
}

// slot enters and finds the free slot for a new message; then the latch is held.
// ok = false: slept, look again.
func (w *queueWait) slot(ctx context.Context, p *Parker) (slot uint32, ok bool, err error) {
	if err := w.enter(ctx, p); err != nil {
		return 0, false, err
	}
	q := w.q
	if load32(&q.lines.Closed) != 0 {
		return 0, false, w.leave(status.Ended)
	}
	slot, ok, err = q.topFree()
	if err != nil {
		return 0, false, w.leave(err)
	}
	if !ok {
		return 0, false, w.sleep(ctx, p)
	}
	return slot, true, nil
}

// publish makes a filled slot a message; nextNumber and roomReady come before it, and
// notEmpty.signal after it.
func (q *Queue) publish(slot uint32, number uint64, at place) {
	d := &q.descs[slot]
	put64(&q.lines.NextSeq, number+1)
	put64(&d.Seq, number)
	put32(&d.Length, at.length)
	put32(&d.Side, at.side)
	q.set(slot, makeSlot(slotReady, 0, 0)) // the commit
	q.pushReady(slot)
}

// Take removes the first message and returns dst with it appended: a lease and its
// ack at once, so a message that a client took and did not finish before it died
// is gone. Other errors: status.WouldBlock and TimedOut if the queue stays empty,
// and Ended if it is empty after Shutdown; for a message longer than a slot those of
// Sides.Find, which then stays. Messages of at most 512 bytes are taken in one step;
// a longer one is leased meanwhile.
func (q *Queue) Take(ctx context.Context, p *Parker, a Actor, dst []byte, timeout time.Duration) ([]byte, error) {
	dst = slices.Grow(dst, int(min(copyMax, q.seg.geometry.MessageMax))) // no allocation under the latch
	w := q.waitForMessage(a, timeout)
	for {
		m, ok, err := w.message(ctx, p)
		if err != nil {
			return dst, err
		}
		if !ok {
			continue
		}
		if !m.short() {
			return q.takeLong(ctx, p, &w, m, dst)
		}
		if !q.roomFree() {
			return dst, w.leave(errCorrupt)
		}
		dst = q.takeShort(&m, dst)
		return dst, w.finish(q.notFull, q.notFull.signal())
	}
}

// short reports whether the message is worth no second latch section.
func (m *readyMessage) short() bool { return m.side == 0 && m.length <= copyMax }

// takeShort appends a short message that firstReady found, and frees its slot, with the
// latch held. roomFree comes before it, notFull.signal after it.
func (q *Queue) takeShort(m *readyMessage, dst []byte) []byte {
	dst = append(dst, q.slotData(m.slot)[:m.length]...)
	q.popReady()
	q.set(m.slot, makeSlot(slotFree, 0, 0)) // the commit
	q.pushFree(m.slot)
	return dst
}

// takeLong takes the message that w found by a lease, and ends its latch section.
func (q *Queue) takeLong(ctx context.Context, p *Parker, w *queueWait, m readyMessage, dst []byte) ([]byte, error) {
	l, err := q.deliver(w, m, LeaseNsMax) // copying may take its time
	if err == nil {
		l, err = q.findSide(ctx, p, w.actor, l)
	}
	if err != nil {
		return dst, err
	}
	whole := q.AppendMessage(dst, l)
	if err := q.Ack(context.WithoutCancel(ctx), p, w.actor, l, -1); err != nil {
		return dst, err
	}
	return whole, nil
}

// message enters and finds the message that is next; then the latch is held.
// ok = false: slept, look again.
func (w *queueWait) message(ctx context.Context, p *Parker) (m readyMessage, ok bool, err error) {
	if err := w.enter(ctx, p); err != nil {
		return m, false, err
	}
	q := w.q
	w.endLeases()
	m, ok, err = q.firstReady()
	switch {
	case err != nil:
		return m, false, w.leave(err)
	case ok:
		return m, true, nil
	case load32(&q.lines.Closed) != 0:
		return m, false, w.leave(status.Ended)
	}
	return m, false, w.sleep(ctx, p)
}

// Shutdown ends the puts, for ever: those that wait or come later get status.Ended.
// Takes and leases go on until no message is ready, and then get it too; messages
// that are leased, and slots that are reserved, may still become ready. It may be
// repeated.
func (q *Queue) Shutdown(ctx context.Context, p *Parker, a Actor, timeout time.Duration) error {
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return err
	}
	store32(&q.lines.Closed, 1) // the commit
	err := q.unlatch(a)
	q.notEmpty.alarm()
	q.notFull.alarm()
	return err
}

// QueueCounts are how many slots are in each state: they add up to the size, but
// for slots that a scribbler ruined.
type QueueCounts struct {
	Ready   uint32 // messages to be taken
	Leased  uint32 // messages that clients have and not acknowledged
	Writing uint32 // reserved, not committed
	Free    uint32
	Dead    uint32 // dead letters
	Closed  bool   // Shutdown was called
}

// Counts is one consistent look.
func (q *Queue) Counts(ctx context.Context, p *Parker, a Actor, timeout time.Duration) (QueueCounts, error) {
	w := q.waitForMessage(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return QueueCounts{}, err
	}
	w.endLeases()
	l := q.lines
	c := QueueCounts{Ready: load32(&l.ReadyCount), Leased: load32(&l.LeasedCount), Writing: load32(&l.WritingCount),
		Free: load32(&l.FreeCount), Dead: load32(&l.DeadCount), Closed: load32(&l.Closed) != 0}
	for _, n := range []uint32{c.Ready, c.Leased, c.Writing, c.Free, c.Dead} {
		if n > q.size {
			return QueueCounts{}, w.leave(errCorrupt)
		}
	}
	return c, w.leave(nil)
}
