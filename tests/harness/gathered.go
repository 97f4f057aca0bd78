package harness

import "github.com/shmd/shmd/shm"

// Bits of the words of an event, a barrier, a party and an rwlock, as
// include/shmd_abi.h has them.
const (
	eventSet         = 0x1
	eventWaiters     = 0x2
	barrierPhaseMask = 0x3
	barrierFieldMask = 0x3ffc
	barrierFill      = 0
	barrierBroken    = 2
	rwlockOwnerMask  = 0x07ffffff
	rwlockHeld       = 0x20000000
	readerActiveMask = 0xffff
)

// eventAtRest checks what an event has of its own. A stray waiters bit costs a call
// and nothing else.
func (s *Segment) eventAtRest(h *shm.Header, check func(ok bool, format string, args ...any)) error {
	lines, err := s.Event()
	if err != nil {
		return err
	}
	if h.Flags&uint32(shm.FlagAutoReset) != 0 {
		check(lines.Word>>1 <= 1, "it is set %d times", lines.Word>>1)
	} else {
		check(lines.Word&(eventSet|eventWaiters) != eventSet|eventWaiters, "its word %#x is set, and somebody waits",
			lines.Word)
	}
	checkReserved(check, lines.Reserved[:])
	return nil
}

// conditionAtRest checks what a condition has of its own: any count, with a stray
// waiters bit or not.
func (s *Segment) conditionAtRest(_ *shm.Header, check func(ok bool, format string, args ...any)) error {
	var lines shm.ConditionLines
	if err := s.read(kindOffset, &lines); err != nil {
		return err
	}
	checkReserved(check, lines.Reserved[:])
	return nil
}

// barrierAtRest checks what a barrier has of its own: nobody has arrived or acts, and
// nobody is a party.
func (s *Segment) barrierAtRest(_ *shm.Header, check func(ok bool, format string, args ...any)) error {
	lines, cells, err := s.Barrier()
	if err != nil {
		return err
	}
	for seat, c := range cells {
		check(c.Word == 0, "nobody in seat %d is a party, with the word %#x", seat, c.Word)
	}
	switch phase := lines.Word & barrierPhaseMask; phase {
	case barrierFill:
		check(lines.Word&barrierFieldMask == 0, "nobody has arrived, and its word is %#x", lines.Word)
	case barrierBroken:
		check(lines.Word&barrierFieldMask != 0, "it is broken without a reason, by the word %#x", lines.Word)
	default:
		check(false, "nobody acts, and its word is %#x", lines.Word)
	}
	checkReserved(check, lines.Reserved[:])
	return nil
}

// rwlockAtRest checks what an rwlock has of its own: no writer, no reader.
func (s *Segment) rwlockAtRest(_ *shm.Header, check func(ok bool, format string, args ...any)) error {
	lines, cells, err := s.RWLock()
	if err != nil {
		return err
	}
	for seat, c := range cells {
		check(c.Word == 0, "nobody in seat %d reads, with the word %#x", seat, c.Word)
		checkReserved(check, c.Reserved[:])
	}
	check(lines.Word&rwlockOwnerMask == 0, "its word is %#x: seat %d writes", lines.Word, shm.SeatOf(lines.Word))
	check(lines.Token == 0, "nobody writes, with token %#x", lines.Token)
	check(lines.Reserved0 == 0, "reserved bytes are %#x", lines.Reserved0)
	checkReserved(check, lines.Reserved1[:])
	return nil
}
