package shm

import (
	"context"
	"slices"
	"time"

	"github.com/shmd/shmd/status"
)

// Queue is a bounded queue of messages between many producers and consumers: a
// pool of slots, and a latch for each side, so that the two meet only at the messages.
// One word per slot says what the slot is (queue_slot.go), and its state which side has
// it; the rings through which slots go from side to side (queue_ring.go) and the counts
// are derived from these words, and are rebuilt from them after a death
// (queue_recover.go).
//
//	the producers' latch   FREE and WRITING slots: put, reserve, commit, abort, shutdown
//	the consumers' latch   READY, LEASED and DEAD ones: take, lease, ack, nack, dead letters
//	both                   counts, and a rebuild
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
// The waiting is tests/models/eventcount_sides.pml, the whole queue.pml and
// queue_batch.pml. Safe for concurrent use.
type Queue struct {
	seg       *Segment
	lines     *QueueLines // immutable; points into the segment, like all slices
	putLatch  *Latch      // the producers'
	takeLatch *Latch      // the consumers'
	notEmpty  eventcount  // those who want a message
	notFull   eventcount  // those who want a slot
	idle      eventcount  // those who want no message to be ready or leased
	ready     []uint64
	free      []uint64
	descs     []QueueDesc
	data      []byte     // the slots
	slotSize  uint64     // immutable; bytes from slot to slot
	room      uint32     // immutable; bytes of a slot that a message may use
	size      uint32     // immutable; slots
	leases    leaseTimes // none if its deadlines are nil
	sides     Sides      // immutable once used; nil = none
	spin      spinner
	takers    gate // those of this view who sleep for a message
	putters   gate // ... for a slot
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

// Empty is a look without a latch, for who tries again and again, and so keeps the
// latch, and its line, from nobody: true = there was no message, a take would have
// blocked. While the head stays it is the first message whose entry it finds, or none.
func (q *Queue) Empty() bool {
	l := q.lines
	head := load64(&l.ReadyHead)
	q.expectMessage(position(head))
	return !q.mayTake() && load64(&l.ReadyHead) == head && load32(&l.Closed) == 0 &&
		q.seg.State() == StateLive && !q.seg.readOnly && !q.leasesMayEnd()
}

// Put appends a copy of msg. Other errors: status.WouldBlock and TimedOut if the
// queue stays full, Ended after Shutdown, TooLarge beyond MessageMax, and for a
// message longer than a slot those of Sides.Make.
func (q *Queue) Put(ctx context.Context, p *Parker, a Actor, msg []byte, timeout time.Duration) error {
	if done, err := q.putAtOnce(a, msg); done {
		return err
	}
	if err := q.fits(uint64(len(msg))); err != nil {
		return err
	}
	if len(msg) > copyMax || len(msg) > int(q.seg.geometry.SlotSize) {
		r, err := q.ReserveSize(ctx, p, a, uint32(len(msg)), timeout)
		if err != nil {
			return err
		}
		storeBytes(q.Buffer(r), msg)
		// Not to be given up any more, whatever ctx says: nobody else could free the slot.
		return Unfinished(q.Commit(context.Background(), p, a, r, uint32(len(msg)), -1))
	}
	w := q.waitForSlot(a, timeout)
	f, err := w.slot(ctx, p)
	if err != nil {
		return err
	}
	if err := q.fill(f, msg); err != nil {
		return w.leave(err)
	}
	return w.finish(q.notEmpty)
}

// putAtOnce is Put where nothing is in the way. done = false: nothing has happened; the
// long way says what it is.
func (q *Queue) putAtOnce(a Actor, msg []byte) (done bool, err error) {
	if len(msg) > copyMax || len(msg) > int(q.room) || !q.seg.lets(a.Seat) ||
		!cas32(q.putLatch.word, 0, a.Latcher) {
		return false, nil
	}
	if load32(&q.lines.Closed) == 0 && q.seg.State() == StateLive {
		f, ok, e := q.topFree()
		done = ok && e == nil && q.fill(f, msg) == nil
	}
	err = q.unlatch(q.putLatch, a)
	if done {
		q.notEmpty.tell(1)
	}
	return done, err
}

// fill makes the slot that topFree found a message that fits it, with the latch held.
// notEmpty.tell comes after it.
func (q *Queue) fill(f freeSlot, msg []byte) error {
	number, err := q.nextNumber()
	tail, ok := q.readPosition(&q.lines.ReadyTail)
	if err != nil || !ok {
		return errCorrupt
	}
	storeBytes(q.slotData(f.slot), msg)
	q.publish(f.slot, number, uint32(len(msg)), 0)
	q.popFree(f)
	q.pushReady(tail, f.slot)
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

// publish makes a filled slot a message; nextNumber comes before it, pushReady and
// notEmpty.tell after it. side is what the slot has now, 0 = what it had.
func (q *Queue) publish(slot uint32, number uint64, length, side uint32) {
	d := &q.descs[slot]
	put64(&q.lines.NextSeq, number+1)
	put64(&d.Seq, number)
	put32(&d.Length, length)
	if side != 0 && load32(&d.Side) != side {
		put32(&d.Side, side)
	}
	q.set(slot, makeSlot(slotReady, 0, 0)) // the commit
}

// Take removes the first message and returns dst with it appended: a lease and its
// ack at once, so a message that a client took and did not finish before it died
// is gone. Other errors: status.WouldBlock and TimedOut if the queue stays empty,
// and Ended if it is empty after Shutdown; for a message longer than a slot those of
// Sides.Find, which then stays. Messages of at most 512 bytes are taken in one step;
// a longer one is leased meanwhile.
func (q *Queue) Take(ctx context.Context, p *Parker, a Actor, dst []byte, timeout time.Duration) ([]byte, error) {
	dst, done, err := q.takeAtOnce(a, dst)
	if done {
		return dst, err
	}
	dst = slices.Grow(dst, int(min(copyMax, q.room))) // no allocation under the latch
	w := q.waitForMessage(a, timeout)
	m, err := w.message(ctx, p)
	if err != nil {
		return dst, err
	}
	if !m.short() {
		return q.takeLong(ctx, p, &w, m, dst)
	}
	tail, ok := q.readPosition(&q.lines.FreeTail)
	if !ok {
		return dst, w.leave(errCorrupt)
	}
	dst = q.takeShort(&m, tail, dst)
	return dst, w.finish(q.notFull)
}

// takeAtOnce is Take where nothing is in the way; as putAtOnce.
func (q *Queue) takeAtOnce(a Actor, dst []byte) (whole []byte, done bool, err error) {
	l := q.lines
	if cap(dst)-len(dst) < int(min(copyMax, q.room)) { // no allocation under the latch
		dst = slices.Grow(dst, q.firstLength())
	}
	if !q.seg.lets(a.Seat) || !cas32(q.takeLatch.word, 0, a.Latcher) {
		return dst, false, nil
	}
	idled := false
	if q.seg.State() == StateLive && (q.leases.deadlines == nil || load32(&l.LeasedCount) == 0) {
		m, ok, e := q.firstReady()
		tail, sound := q.readPosition(&l.FreeTail)
		if ok && e == nil && sound && m.short() && int(m.length) <= cap(dst)-len(dst) {
			dst, done = q.takeShort(&m, tail, dst), true
			idled = q.endsJoins()
		}
	}
	err = q.unlatch(q.takeLatch, a)
	if done {
		q.notFull.tell(1)
	}
	if idled {
		q.idle.wake(futexAll)
	}
	return dst, done, err
}

// firstLength is how long the first message is, if it is short: a hint, for it is a look
// without the latch.
func (q *Queue) firstLength() int {
	if slot, ok := q.slotNamedAt(position(load64(&q.lines.ReadyHead))); ok {
		return int(min(load32(&q.descs[slot].Length), copyMax))
	}
	return 0
}

// short reports whether the message is worth no second latch section.
func (m *readyMessage) short() bool { return m.side == 0 && m.length <= copyMax }

// takeShort appends a short message that firstReady found, and frees its slot, with the
// latch held. readPosition of the tail comes before it, notFull.tell after it.
func (q *Queue) takeShort(m *readyMessage, tail position, dst []byte) []byte {
	dst = append(dst, q.slotData(m.slot)[:m.length]...)
	q.set(m.slot, makeSlot(slotFree, 0, 0)) // the commit
	q.popReady(m)
	q.pushFree(tail, m.slot)
	return dst
}

// takeLong takes the message that w found by a lease, and ends its latch section.
func (q *Queue) takeLong(ctx context.Context, p *Parker, w *queueWait, m readyMessage, dst []byte) ([]byte, error) {
	l, err := q.deliver(ctx, p, w, m, LeaseNsMax) // copying may take its time
	if err != nil {
		return dst, err
	}
	whole := q.AppendMessage(dst, l)
	if err := q.Ack(context.Background(), p, w.actor, l, -1); err != nil { // as Commit in Put
		return dst, Unfinished(err)
	}
	return whole, nil
}

// Shutdown ends the puts, for ever: those that wait or come later get status.Ended.
// Takes and leases go on until no message is ready, and then get it too; messages
// that are leased, and slots that are reserved, may still become ready. It may be
// repeated.
func (q *Queue) Shutdown(ctx context.Context, p *Parker, a Actor, timeout time.Duration) error {
	w := q.waitForSlot(a, timeout)
	if err := w.enter(ctx, p); err != nil {
		return err
	}
	store32(&q.lines.Closed, 1) // the commit
	err := w.unlatch()
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
	if err := w.enterBoth(ctx, p); err != nil {
		return QueueCounts{}, err
	}
	w.endLeases()
	l := q.lines
	c := QueueCounts{Ready: between(&l.ReadyHead, &l.ReadyTail), Leased: load32(&l.LeasedCount),
		Writing: load32(&l.WritingCount), Free: between(&l.FreeHead, &l.FreeTail) + q.size - load32(&l.Fresh),
		Dead: load32(&l.DeadCount), Closed: load32(&l.Closed) != 0}
	if err := w.leaveBoth(); err != nil {
		return QueueCounts{}, err
	}
	for _, n := range []uint32{c.Ready, c.Leased, c.Writing, c.Free, c.Dead} {
		if n > q.size {
			return QueueCounts{}, errCorrupt
		}
	}
	return c, nil
}
