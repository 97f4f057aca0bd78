package abi

import (
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

var background = context.Background()

func actor(seat uint16) shm.Actor { return shm.ClientActor(owner(seat).Word) }

// slots is the geometry of a queue of 4 messages of at most 60 bytes, which die
// after 2 deliveries. All but the slots lies in page 0.
func slots(sc scene) (shm.Geometry, error) {
	return shm.NewQueueGeometry(4, 64, 60, 2, sc.flags, shm.SeatsDefault)
}

// queueStates leaves one slot in each state: dead, leased by 2, ready, being written
// by 2; the ring has gone round.
func queueStates(t *testing.T, s *shm.Segment) {
	q := s.Queue()
	put := func(message string) { check(t, q.Put(background, nil, actor(1), []byte(message), 0)) }
	lease := func() shm.Lease {
		l, err := q.Lease(background, nil, actor(2), 0)
		check(t, err)
		return l
	}
	for _, message := range []string{"taken", "twice", "leased"} {
		put(message)
	}
	check(t, q.Ack(background, nil, actor(2), lease(), 0))
	for range 2 {
		check(t, q.Nack(background, nil, actor(2), lease(), 0))
	}
	put("ready")
	lease()
	_, err := q.Reserve(background, nil, actor(2), 0)
	check(t, err)
}

// timedSlots is slots with leases that end after a year.
func timedSlots(sc scene) (shm.Geometry, error) {
	return shm.NewTimedQueueGeometry(365*24*3600*1e9, 4, 64, 60, 2, sc.flags, shm.SeatsDefault)
}

// queueTimed leaves a lease with a deadline, and somebody who waits for its end, in vain.
func queueTimed(t *testing.T, s *shm.Segment) {
	q := s.Queue()
	check(t, q.Put(background, nil, actor(1), []byte("timed"), 0))
	_, err := q.Lease(background, nil, actor(2), 0)
	check(t, err)
	if err := q.Join(background, shm.NewParker(shm.ParkerOptions{}), actor(3), 1); err != status.TimedOut {
		t.Fatal(err)
	}
	// The clock that says when is not of the images.
	const deadline = createdNs
	field, _ := reflect.TypeOf(shm.QueueLines{}).FieldByName("ExpiryNs")
	expiry := constants()["KIND_OFFSET"] + uint64(field.Offset)
	for _, at := range []uint64{expiry, s.Geometry().DeadlineOffset} {
		if binary.LittleEndian.Uint64(s.Bytes()[at:]) == 0 {
			t.Fatalf("no deadline at %#x", at)
		}
		binary.LittleEndian.PutUint64(s.Bytes()[at:], deadline)
	}
}

// longSlots is slots with messages of up to 5000 bytes.
func longSlots(sc scene) (shm.Geometry, error) {
	return shm.NewQueueGeometry(4, 64, 5000, 2, sc.flags, shm.SeatsDefault)
}

// oneSide is side segment 7, for whichever slot.
type oneSide struct{ side *shm.Side }

func (o oneSide) Mapped(uint32, uint32) *shm.Side { return o.side }

func (o oneSide) Make(context.Context, shm.Reservation, uint32) (uint32, *shm.Side, error) {
	return 7, o.side, nil
}
func (o oneSide) Find(context.Context, uint32, uint32) (*shm.Side, error) { return o.side, nil }

// queueSides leaves a message in a side segment, one that fits its slot, and one in
// the slot where a side segment was in use before.
func queueSides(t *testing.T, s *shm.Segment) {
	q := s.Queue().WithSides(oneSide{shm.NewHeapSide(8192)})
	put := func(size int) { check(t, q.Put(background, nil, actor(1), make([]byte, size), 0)) }
	put(65)
	_, err := q.Take(background, nil, actor(2), nil, 0)
	check(t, err)
	put(64)
	put(5000)
	put(0)
}

// queueWaiters leaves both waiters bits, set in vain.
func queueWaiters(t *testing.T, s *shm.Segment) {
	q, p := s.Queue(), shm.NewParker(shm.ParkerOptions{})
	if _, err := q.Take(background, p, actor(3), nil, 1); err != status.TimedOut {
		t.Fatal(err)
	}
	for range 4 {
		_, err := q.Reserve(background, nil, actor(1), 0)
		check(t, err)
	}
	if err := q.Put(background, p, actor(3), nil, 1); err != status.TimedOut {
		t.Fatal(err)
	}
}

func shutDown(t *testing.T, s *shm.Segment) {
	check(t, s.Queue().Shutdown(background, nil, actor(1), 0))
}

// saidOfQueue is what the structs say, with the counts and the slots that are held
// as the queue's own methods tell them.
func saidOfQueue(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.QueueLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("queue.", reflect.ValueOf(lines))
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	g, c, counts := s.Geometry(), constants(), map[uint64]uint64{}
	for slot := range g.Length {
		var d shm.QueueDesc
		read(t, s, g.DescOffset+slot*uint64(reflect.TypeOf(d).Size()), &d)
		all = append(all, flatten(fmt.Sprintf("slot.%d.", slot), reflect.ValueOf(d))...)
		state := d.State & c["SLOT_STATE_MASK"] >> c["SLOT_STATE_SHIFT"]
		counts[state]++
		say(fmt.Sprintf("slot.%d.is", slot), state)
		say(fmt.Sprintf("slot.%d.deliveries", slot), d.State&c["SLOT_DELIVERIES_MASK"]>>c["SLOT_DELIVERIES_SHIFT"])
		say(fmt.Sprintf("slot.%d.owner", slot), d.State&c["OWNER_MASK"])
		if g.LeaseNs != 0 {
			var deadline uint64
			read(t, s, g.DeadlineOffset+8*slot, &deadline)
			say(fmt.Sprintf("slot.%d.deadline_ns", slot), deadline)
		}
	}
	held := uint64(0)
	for seat := range uint16(shm.SeatsDefault + 1) {
		held += uint64(len(s.Queue().Held(owner(seat).Word, 9)))
	}
	say("held", held)
	say("removed", bit(s.State() == shm.StateRemoved))
	if s.State() == shm.StateRemoved {
		return all
	}
	looked, err := s.Queue().Counts(background, nil, actor(4), 0)
	check(t, err)
	want := shm.QueueCounts{Free: uint32(counts[c["SLOT_FREE"]]), Writing: uint32(counts[c["SLOT_WRITING"]]),
		Ready: uint32(counts[c["SLOT_READY"]]), Leased: uint32(counts[c["SLOT_LEASED"]]),
		Dead: uint32(counts[c["SLOT_DEAD"]]), Closed: lines.Closed != 0}
	if looked != want {
		t.Errorf("the queue counts %+v, its slots say %+v", looked, want)
	}
	return all
}
