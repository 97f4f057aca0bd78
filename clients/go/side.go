package shmd

import (
	"context"
	"os"
	"sync"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// sides are the side segments of a queue that this client has mapped, at most one
// for each slot. It implements shm.Sides. A mapping goes with the last lease or
// reservation that refers to it once its slot has another one, or the queue is gone.
type sides struct {
	client *Client // immutable
	handle uint64  // immutable

	mu     sync.Mutex
	mapped map[uint32]mappedSide // protected by mu; by number
	slots  map[uint32]uint32     // protected by mu; by slot, the number in mapped that it has
}

// mappedSide is a side segment, and whose it was when we last looked.
type mappedSide struct {
	slot   uint32
	memory *shm.Side
}

// Mapped implements shm.Sides.
func (s *sides) Mapped(slot, number uint32) *shm.Side {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.mapped[number]
	if ok && m.slot != slot {
		s.give(slot, number, m.memory)
	}
	return m.memory
}

// give notes what a slot has now. Call it with mu held.
func (s *sides) give(slot, number uint32, memory *shm.Side) {
	if had, ok := s.slots[slot]; ok && had != number {
		delete(s.mapped, had)
	}
	if m, ok := s.mapped[number]; ok && m.slot != slot {
		delete(s.slots, m.slot)
	}
	s.mapped[number], s.slots[slot] = mappedSide{slot, memory}, number
}

// keep maps what the daemon handed out.
func (s *sides) keep(slot, number uint32, f *os.File, size uint64) (*shm.Side, error) {
	memory, err := shm.MapSide(f, size)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mapped == nil {
		s.mapped, s.slots = make(map[uint32]mappedSide), make(map[uint32]uint32)
	}
	s.give(slot, number, memory)
	return memory, nil
}

// Make implements shm.Sides.
func (s *sides) Make(ctx context.Context, r shm.Reservation, size uint32) (uint32, *shm.Side, error) {
	var result wire.SideResult
	f, err := s.client.callForFile(ctx, wire.MethodSide, oneFile, &result, s.handle, r.Slot, r.Ticket, size)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	if memory := s.Mapped(r.Slot, result.Side); memory != nil {
		return result.Side, memory, nil
	}
	if result.Side == 0 || result.Size < uint64(size) || result.Size > shm.MessageLimit {
		return 0, nil, badSide(result.Size)
	}
	memory, err := s.keep(r.Slot, result.Side, f, result.Size)
	return result.Side, memory, err
}

// Find implements shm.Sides.
func (s *sides) Find(ctx context.Context, slot, number uint32) (*shm.Side, error) {
	if memory := s.Mapped(slot, number); memory != nil {
		return memory, nil
	}
	var result wire.MapResult
	f, err := s.client.callForFile(ctx, wire.MethodMapSide, oneFile, &result, s.handle, number)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if result.Size > shm.MessageLimit {
		return nil, badSide(result.Size)
	}
	return s.keep(slot, number, f, result.Size)
}

func badSide(size uint64) error {
	return status.New(status.Version, "", "the daemon hands out a side segment of %d bytes", size)
}
