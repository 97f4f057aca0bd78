package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/shmd/shmd/shm"
)

// kindOffset is where the part of page 0 begins that differs by kind.
const kindOffset = int64(0x100)

// The states of a queue's slot, as include/shmd_abi.h has them.
const (
	slotStateShift = 32
	slotFree       = 0
	slotWriting    = 1
	slotReady      = 2
	slotLeased     = 3
	slotDead       = 4
)

func slotState(d shm.QueueDesc) uint64 { return d.State >> slotStateShift & 0xf }

// read reads words of the segment at an offset, into a pointer or a slice.
func (s *Segment) read(offset int64, into any) error {
	return binary.Read(io.NewSectionReader(s.file, offset, int64(binary.Size(into))), binary.LittleEndian, into)
}

// alignLine is where the next cache line begins.
func alignLine(offset int64) int64 { return (offset + 63) &^ 63 }

// afterSeats is where what follows the seat cells begins.
func afterSeats(h *shm.Header) int64 {
	return alignLine(int64(h.SeatsOffsetBytes) + 4*(int64(h.SeatsMax)+1))
}

// semaphoreAtRest checks what a semaphore has of its own. The waiters bits may
// stay: a stray one costs a call and nothing else.
func (s *Segment) semaphoreAtRest(h *shm.Header, check func(ok bool, format string, args ...any)) error {
	lines, held, err := s.Semaphore()
	if err != nil {
		return err
	}
	check(lines.Latch == 0, "its latch is %#x: seat %d holds it", lines.Latch, shm.SeatOf(lines.Latch))
	if held == nil {
		check(uint64(lines.Word>>1) <= h.Length, "%d permits, at most %d", lines.Word>>1, h.Length)
		check(lines.Available == 0 && lines.Total == 0, "a plain one has %d permits available of %d",
			lines.Available, lines.Total)
	} else {
		for seat, c := range held {
			check(c.Permits == 0, "nobody in seat %d holds %d permits", seat, c.Permits)
		}
		check(lines.Word == 0, "with undo its word is %#x", lines.Word)
		check(uint64(lines.Total) <= h.Length, "%d permits, at most %d", lines.Total, h.Length)
		check(lines.Available == lines.Total, "nobody holds a permit, and %d of %d are available",
			lines.Available, lines.Total)
	}
	checkReserved(check, lines.Reserved0[:], lines.Reserved1[:], lines.Reserved2[:], lines.Reserved3[:])
	return nil
}

// queueAtRest checks what a queue has of its own: no slot is leased or being
// written, and all that is derived is what the slots' words say.
func (s *Segment) queueAtRest(h *shm.Header, check func(ok bool, format string, args ...any)) error {
	lines, descs, err := s.Queue()
	if err != nil {
		return err
	}
	size := int64(h.Length)
	readyRing, freeRing := make([]uint64, size), make([]uint64, size)
	ringAt := afterSeats(h)
	if err := errors.Join(s.read(ringAt, readyRing), s.read(ringAt+8*size, freeRing)); err != nil {
		return err
	}
	checkReserved(check, lines.Reserved0[:], lines.Reserved2[:], lines.Reserved3[:], lines.Reserved4[:])
	check(lines.Reserved1 == 0, "a reserved word is %#x", lines.Reserved1)
	check(lines.PutLatch == 0, "its put latch is %#x: seat %d holds it", lines.PutLatch, shm.SeatOf(lines.PutLatch))
	check(lines.TakeLatch == 0, "its take latch is %#x: seat %d holds it", lines.TakeLatch,
		shm.SeatOf(lines.TakeLatch))
	check(lines.LeasedCount == 0 && lines.WritingCount == 0, "nobody has %d leases and %d slots, it says",
		lines.LeasedCount, lines.WritingCount)

	var ready, free []uint32
	dead, highest := uint32(0), uint64(0)
	for i, d := range descs {
		switch state := slotState(d); state {
		case slotFree:
			if uint32(i) < lines.Fresh {
				free = append(free, uint32(i))
			}
		case slotReady:
			ready = append(ready, uint32(i))
		case slotDead:
			dead++
		default:
			check(false, "slot %d is in state %d, of seat %d", i, state, shm.SeatOf(uint32(d.State)))
		}
		check(uint64(d.Length) <= h.Shape[0], "slot %d has a message of %d bytes, at most %d", i, d.Length, h.Shape[0])
		used := slotState(d) != slotFree || d.Seq|d.Ticket != 0
		check(!used || uint32(i) < lines.Fresh, "slot %d was used, and %d is the first fresh one", i, lines.Fresh)
		highest = max(highest, d.Seq, d.Ticket)
	}
	slices.SortFunc(ready, func(a, b uint32) int { return int(int64(descs[a].Seq) - int64(descs[b].Seq)) })
	check(lines.NextSeq > highest, "its next number is %d, and %d was used", lines.NextSeq, highest)
	check(lines.DeadCount == dead, "%d dead letters, it says %d", dead, lines.DeadCount)

	listed := listedIn(readyRing, lines.ReadyHead, lines.ReadyTail)
	check(slices.Equal(listed, ready), "its ready ring is %d, by number it is %d", listed, ready)
	listed = listedIn(freeRing, lines.FreeHead, lines.FreeTail)
	slices.Sort(listed) // the order is history
	check(slices.Equal(listed, free), "its free ring holds %d, free are %d", listed, free)
	return nil
}

// listedIn are the slots of a ring from its head to its tail; what cannot be is a slot
// that is not there.
func listedIn(ring []uint64, head, tail uint64) (slots []uint32) {
	size := uint64(len(ring))
	n, place := uint32(tail>>32)-uint32(head>>32), uint64(uint32(head))
	if uint64(n) > size || place >= size || (place+uint64(n))%size != uint64(uint32(tail)) {
		return []uint32{math.MaxUint32}
	}
	for i := range n {
		entry := ring[(place+uint64(i))%size]
		if uint32(entry>>32) != uint32(head>>32)+i {
			return append(slots, math.MaxUint32)
		}
		slots = append(slots, uint32(entry)-1)
	}
	return slots
}

// checkReserved wants reserved bytes to be zero.
func checkReserved(check func(ok bool, format string, args ...any), reserved ...[]byte) {
	for _, r := range reserved {
		ok := !slices.ContainsFunc(r, func(b byte) bool { return b != 0 })
		check(ok, "reserved bytes are %s", fmt.Sprintf("% x", r))
	}
}
