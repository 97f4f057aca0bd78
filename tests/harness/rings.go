package harness

import "github.com/shmd/shmd/shm"

// Of the word of one side of a ring, as include/shmd_abi.h has it.
const (
	ringPositionShift = 3
	recordAlign       = 8
)

// Rings reads the words of a stream or a pipe.
func (s *Segment) Rings() (lines shm.RingLines, err error) {
	err = s.read(kindOffset, &lines)
	return lines, err
}

// ringsAtRest checks what a stream or a pipe has of its own: nobody has a role, and what
// lies in a ring fits it.
func (s *Segment) ringsAtRest(h *shm.Header, check func(ok bool, format string, args ...any)) error {
	lines, err := s.Rings()
	if err != nil {
		return err
	}
	for i, ring := range lines.Rings {
		for _, line := range []shm.RingLine{ring.Tail, ring.Head} {
			check(line.Owner == 0, "in ring %d a role is still of %#x", i, line.Owner)
			checkReserved(check, line.Reserved[:])
		}
		tail, head := ring.Tail.Word>>ringPositionShift, ring.Head.Word>>ringPositionShift
		check(tail-head <= h.Length, "ring %d is written to byte %d and read to byte %d", i, tail, head)
		if h.Flags&uint32(shm.FlagBytes) == 0 {
			check(tail%recordAlign == 0 && head%recordAlign == 0, "ring %d is written to byte %d and read to byte %d, "+
				"within records", i, tail, head)
		}
		if i > 0 && shm.Kind(h.Kind) == shm.KindStream {
			check(ring == shm.Ring{}, "a stream has nothing in the second ring, and there is %+v", ring)
		}
	}
	return nil
}

// rolesOf counts the roles of a stream, or the ends of a pipe, that a seat has.
func (s *Segment) rolesOf(seat uint16) (n uint32, err error) {
	lines, err := s.Rings()
	for _, ring := range lines.Rings {
		for _, line := range []shm.RingLine{ring.Tail, ring.Head} {
			if line.Owner != 0 && shm.SeatOf(line.Owner) == seat {
				n++
			}
		}
	}
	return n, err
}
