package harness

import (
	"errors"

	"github.com/shmd/shmd/shm"
)

// Holding is what the words of an object say that one seat has.
type Holding struct {
	Lock    bool   // of a value, array or mutex; of an rwlock, as its writer
	Latch   bool   // of a semaphore or queue, there of either side
	Permits uint32 // of a semaphore with undo
	Leases  uint32 // of a queue
	Slots   uint32 // of a queue, reserved
	Reads   uint32 // of an rwlock: threads inside, and those that are trying
	Party   bool   // of a barrier
	Roles   uint32 // of a stream; of a pipe: ends
}

// Holding looks up what a seat has, past everybody.
func (s *Segment) Holding(seat uint16) (Holding, error) {
	page, err := s.Page()
	if err != nil {
		return Holding{}, err
	}
	switch h := &page.Header; shm.Kind(h.Kind) {
	case shm.KindSemaphore:
		lines, held, err := s.Semaphore()
		if err != nil {
			return Holding{}, err
		}
		holding := Holding{Latch: shm.SeatOf(lines.Latch) == seat}
		if held != nil {
			holding.Permits = held[seat].Permits
		}
		return holding, nil
	case shm.KindQueue:
		lines, descs, err := s.Queue()
		if err != nil {
			return Holding{}, err
		}
		holding := Holding{Latch: shm.SeatOf(lines.PutLatch) == seat ||
			shm.SeatOf(lines.TakeLatch) == seat}
		for _, d := range descs {
			switch {
			case shm.SeatOf(uint32(d.State)) != seat:
			case slotState(d) == slotLeased:
				holding.Leases++
			case slotState(d) == slotWriting:
				holding.Slots++
			}
		}
		return holding, nil
	case shm.KindBarrier:
		_, cells, err := s.Barrier()
		if err != nil {
			return Holding{}, err
		}
		return Holding{Party: cells[seat].Word != 0}, nil
	case shm.KindRWLock:
		lines, cells, err := s.RWLock()
		if err != nil {
			return Holding{}, err
		}
		return Holding{Lock: shm.SeatOf(lines.Word) == seat && lines.Word&rwlockHeld != 0,
			Reads: cells[seat].Word & readerActiveMask}, nil
	case shm.KindStream, shm.KindPipe:
		roles, err := s.rolesOf(seat)
		return Holding{Roles: roles}, err
	case shm.KindEvent, shm.KindCondition:
		return Holding{}, nil
	default:
		return Holding{Lock: shm.SeatOf(page.Lock.Word) == seat}, nil
	}
}

// Event reads the word of an event.
func (s *Segment) Event() (lines shm.EventLines, err error) {
	err = s.read(kindOffset, &lines)
	return lines, err
}

// Barrier reads the words of a barrier.
func (s *Segment) Barrier() (lines shm.BarrierLines, cells []shm.BarrierCell, err error) {
	page, err := s.Page()
	if err != nil {
		return lines, nil, err
	}
	cells = make([]shm.BarrierCell, page.Header.SeatsMax+1)
	err = errors.Join(s.read(kindOffset, &lines), s.read(afterSeats(&page.Header), cells))
	return lines, cells, err
}

// RWLock reads the words of an rwlock.
func (s *Segment) RWLock() (lines shm.RWLockLines, cells []shm.ReaderCell, err error) {
	page, err := s.Page()
	if err != nil {
		return lines, nil, err
	}
	cells = make([]shm.ReaderCell, page.Header.SeatsMax+1)
	err = errors.Join(s.read(kindOffset, &lines), s.read(afterSeats(&page.Header), cells))
	return lines, cells, err
}

// Semaphore reads the words of a semaphore; held is nil without undo.
func (s *Segment) Semaphore() (lines shm.SemaphoreLines, held []shm.HeldCell, err error) {
	page, err := s.Page()
	if err != nil {
		return lines, nil, err
	}
	if err := s.read(kindOffset, &lines); err != nil {
		return lines, nil, err
	}
	if page.Header.Flags&uint32(shm.FlagUndo) == 0 {
		return lines, nil, nil
	}
	held = make([]shm.HeldCell, page.Header.SeatsMax+1)
	return lines, held, s.read(afterSeats(&page.Header), held)
}

// Queue reads the words of a queue.
func (s *Segment) Queue() (lines shm.QueueLines, descs []shm.QueueDesc, err error) {
	page, err := s.Page()
	if err != nil {
		return lines, nil, err
	}
	if err := s.read(kindOffset, &lines); err != nil {
		return lines, nil, err
	}
	size := int64(page.Header.Length)
	descs = make([]shm.QueueDesc, size)
	return lines, descs, s.read(alignLine(afterSeats(&page.Header)+16*size), descs)
}

// AtRest says what is wrong with an object that nobody is using.
func (s *Segment) AtRest() error { return s.atRest() }

// Close lets go of it before the test ends.
func (s *Segment) Close() { s.close() }
