package crash

import (
	"errors"
	"fmt"

	"github.com/shmd/shmd/status"
)

// Traffic: producers put numbered messages into "jobs", a credit of the plain
// semaphore "credits" for each, and one more for those that are made in place,
// so that some sleep with a slot that they have reserved; consumers take them while they hold permits of
// the undo semaphore "permits". Both do it singly and in batches, of which the first
// messages may be done if somebody dies. What a consumer takes without a lease and dies
// with is lost; it books before how much that may be. All keep books in the array
// "journal", each entry one atomic addition, so that whoever dies leaves a true one.
// c/messenger.c does the same.
//
// The cells of the journal: what follows, then one for each message, then one for each
// consumer that was ever hired.
const (
	bookStop     = 0 // not 0 = producers end
	bookProgress = 1 // steps of everybody
	bookNext     = 2 // and on: the next number of each producer
	bookMessages = bookNext + producers
	bookTaking   = bookMessages + trafficMax // and on: what each consumer may have taken
	bookCells    = bookTaking + hiresMax

	producers   = 3
	consumers   = 4
	numbersEach = 1 << 21 // of each producer; in hours of `make chaos` none gets there
	trafficMax  = producers * numbersEach
	hiresMax    = 1 << 16
	batchSize   = 3

	// messageLong is more bytes than a queue copies under its latch.
	messageLong = 600

	permitsTotal = 3
)

// What is added to a message's cell.
const (
	entryIntent    int64 = 1 << 0  // it is about to be put
	entryFollows   int64 = 1 << 4  // behind the one before, in the same batch
	entryConfirmed int64 = 1 << 8  // it was put
	entryDelivered int64 = 1 << 16 // it was delivered, and is not acknowledged yet
	entryAcked     int64 = 1 << 32 // its acknowledgement succeeded
	entryMask      int64 = 0xffff
	confirmedMask  int64 = 0xff
	intentMask     int64 = 0xf
)

// entry is a message's cell, unpacked.
type entry struct{ intent, follows, confirmed, delivered, acked int64 }

func entryOf(cell int64) entry {
	return entry{cell & intentMask, cell / entryFollows & intentMask, cell / entryConfirmed & confirmedMask,
		cell / entryDelivered & entryMask, cell / entryAcked & entryMask}
}

// makeMessage is the message of a number: 8 bytes of it, and filling that
// depends on it. Every sixteenth is long.
func makeMessage(number int) []byte {
	length := 8 + number%40
	if number%16 == 0 {
		length = messageLong + number%40
	}
	m := make([]byte, length)
	for i := range m {
		m[i] = byte(number + i)
	}
	for i := range 8 {
		m[i] = byte(number >> (8 * i))
	}
	return m
}

// numberOf reads a message, and wants it whole.
func numberOf(m []byte) (int, error) {
	number := 0
	if len(m) >= 8 {
		for i := range 8 {
			number |= int(m[i]) << (8 * i)
		}
	}
	if number < 0 || number >= trafficMax || string(m) != string(makeMessage(number)) {
		return 0, fmt.Errorf("no producer made the message % x", m)
	}
	return number, nil
}

// traffic is a worker's open objects.
type traffic struct {
	jobs             pipe
	credits, permits gate
	journal          atoms
	taking           int            // the cell for what is being taken
	last             [producers]int // the highest number + 1 of each, of first deliveries
}

// labour produces or consumes until there is no more to do. hire is which of all workers
// this one is.
func labour(o opens, verb string, slot, hire int) error {
	t, err := openTraffic(o)
	fmt.Println("ok")
	if err != nil {
		return err
	}
	if verb == "produce" {
		err = t.produce(slot)
	} else {
		t.taking = bookTaking + hire
		err = t.consume(slot)
	}
	return errors.Join(err, t.jobs.close(), t.credits.close(), t.permits.close(), t.journal.close())
}

func openTraffic(o opens) (t *traffic, err error) {
	t = new(traffic)
	if t.jobs, err = o.pipe("jobs"); err != nil {
		return nil, err
	}
	if t.credits, err = o.gate("credits"); err != nil {
		return nil, err
	}
	if t.permits, err = o.gate("permits"); err != nil {
		return nil, err
	}
	t.journal, err = o.atoms("journal")
	return t, err
}

// book adds an entry for a message, and counts the step.
func (t *traffic) book(number int, what int64) (before entry, err error) {
	old, err := t.journal.add(bookMessages+number, what)
	if err == nil {
		_, err = t.journal.add(bookProgress, 1)
	}
	return entryOf(old), err
}

func (t *traffic) produce(slot int) error {
	for turn := 0; ; turn++ {
		if err := t.credits.acquire(1, -1); err != nil {
			return err
		}
		stop, err := t.journal.load(bookStop)
		if err != nil || stop != 0 {
			return err
		}
		if turn%3 == 2 {
			if err := t.putBatch(slot); err != nil {
				return err
			}
			continue
		}
		number, err := t.next(slot, 1)
		if err != nil {
			return err
		}
		intend := func() error {
			_, err := t.book(number, entryIntent)
			return err
		}
		if number%4 == 3 {
			err = t.jobs.putInPlace(makeMessage(number), func() error {
				if err := t.credits.acquire(1, -1); err != nil {
					return err
				}
				return intend()
			})
		} else if err = intend(); err == nil {
			err = t.jobs.put(makeMessage(number), -1)
		}
		if err != nil {
			return err
		}
		if _, err := t.book(number, entryConfirmed); err != nil {
			return err
		}
	}
}

// next is the first of so many numbers of a producer.
func (t *traffic) next(slot, count int) (number int, err error) {
	next, err := t.journal.add(bookNext+slot, int64(count))
	if err == nil && int(next)+count > numbersEach {
		err = fmt.Errorf("producer %d has no numbers left", slot)
	}
	return slot*numbersEach + int(next), err
}

// putBatch puts several messages at once; there is a credit for one already.
func (t *traffic) putBatch(slot int) error {
	for range batchSize - 1 {
		if err := t.credits.acquire(1, -1); err != nil {
			return err
		}
	}
	number, err := t.next(slot, batchSize)
	if err != nil {
		return err
	}
	messages := make([][]byte, batchSize)
	what := entryIntent
	for i := range messages {
		messages[i] = makeMessage(number + i)
		if _, err := t.book(number+i, what); err != nil {
			return err
		}
		what = entryIntent + entryFollows
	}
	for len(messages) > 0 {
		n, err := t.jobs.putMany(messages)
		if err != nil {
			return err
		}
		for range n {
			if _, err := t.book(number, entryConfirmed); err != nil {
				return err
			}
			number++
		}
		messages = messages[n:]
	}
	return nil
}

// consume takes one to three messages at a time.
func (t *traffic) consume(slot int) error {
	permits := uint32(1 + slot%2)
	for turn := 0; ; turn++ {
		if err := t.permits.acquire(permits, -1); err != nil {
			return err
		}
		ended, err := t.some(turn)
		if err = errors.Join(err, t.permits.release(permits)); err != nil || ended {
			return err
		}
	}
}

// some does with some messages what it is the turn of.
func (t *traffic) some(turn int) (ended bool, err error) {
	switch turn % 5 {
	case 3:
		err = t.leaseBatch(turn)
	case 4:
		err = t.takeBatch()
	default:
		return t.oneByOne(turn)
	}
	if errors.Is(err, status.Ended) {
		return true, nil
	}
	return false, err
}

// takeBatch takes messages for good.
func (t *traffic) takeBatch() error {
	if err := t.journal.store(t.taking, batchSize); err != nil {
		return err
	}
	messages, err := t.jobs.takeMany(batchSize)
	if err != nil {
		return errors.Join(err, t.journal.store(t.taking, 0))
	}
	for _, m := range messages {
		number, err := numberOf(m)
		if err != nil {
			return err
		}
		before, err := t.book(number, entryDelivered+entryAcked)
		if err != nil {
			return err
		}
		if before.intent != 1 || before.acked != 0 {
			return fmt.Errorf("message %d was taken, and was: %+v", number, before)
		}
	}
	return t.journal.store(t.taking, 0)
}

// leaseBatch leases messages together, and gives the last one back in every other turn.
func (t *traffic) leaseBatch(turn int) error {
	leases, err := t.jobs.leaseMany(batchSize)
	if err != nil {
		return err
	}
	numbers := make([]int, len(leases))
	for i, d := range leases {
		if err = t.delivered(d); err == nil {
			numbers[i], err = numberOf(d.message)
		}
		if err != nil {
			return err
		}
	}
	done := len(leases)
	if turn%2 == 1 {
		done--
	}
	if done > 0 {
		if n, err := t.jobs.ackMany(leases[:done]); err != nil || n != done {
			return fmt.Errorf("%d of %d leases were acknowledged: %w", n, done, err)
		}
	}
	for _, number := range numbers[:done] {
		if _, err := t.book(number, entryAcked); err != nil {
			return err
		}
	}
	if rest := leases[done:]; len(rest) > 0 {
		if n, err := t.jobs.nackMany(rest); err != nil || n != len(rest) {
			return fmt.Errorf("%d of %d leases were given back: %w", n, len(rest), err)
		}
	}
	return nil
}

func (t *traffic) oneByOne(turn int) (ended bool, err error) {
	var leases [3]delivery
	n := 0
	for ; n <= turn%len(leases); n++ {
		timeout := tryTime
		if n == 0 {
			timeout = -1
		}
		d, err := t.jobs.lease(timeout)
		if n > 0 && (errors.Is(err, status.TimedOut) || errors.Is(err, status.WouldBlock) ||
			errors.Is(err, status.Ended)) {
			break
		}
		if errors.Is(err, status.Ended) {
			return true, nil
		}
		if err == nil {
			err = t.delivered(d)
		}
		if err != nil {
			return false, err
		}
		leases[n] = d
	}
	for i, d := range leases[:n] {
		if i == 2 && turn%4 == 0 {
			if err := t.jobs.nack(d); err != nil {
				return false, err
			}
			continue
		}
		number, err := numberOf(d.message)
		if err == nil {
			err = t.jobs.ack(d)
		}
		if err == nil {
			_, err = t.book(number, entryAcked)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// delivered books a delivery, and wants it to be possible.
func (t *traffic) delivered(d delivery) error {
	number, err := numberOf(d.message)
	if err != nil {
		return err
	}
	before, err := t.book(number, entryDelivered)
	if err != nil {
		return err
	}
	switch {
	case before.intent != 1:
		return fmt.Errorf("message %d was never put: %+v", number, before)
	case before.acked != 0:
		return fmt.Errorf("message %d comes after its acknowledgement: %+v", number, before)
	case before.delivered >= int64(d.deliveries):
		return fmt.Errorf("message %d is in delivery %d, and had more: %+v", number, d.deliveries, before)
	}
	if d.deliveries == 1 {
		from := number / numbersEach
		if number < t.last[from] {
			return fmt.Errorf("message %d comes after %d of the same producer", number, t.last[from]-1)
		}
		t.last[from] = number + 1
	}
	return nil
}
