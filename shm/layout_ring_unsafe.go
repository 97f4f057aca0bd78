package shm

import "unsafe"

// The shared bytes of a stream or pipe, a mirror of include/shmd_abi.h like
// layout_unsafe.go.
const (
	// RingCapacityMin and RingCapacityMax bound the bytes of one ring.
	RingCapacityMin     = 1 << 12
	RingCapacityMax     = 1 << 28
	RingCapacityDefault = 1 << 16

	recordHeader = uint64(unsafe.Sizeof(Record{}))
)

// RingLine is struct shmd_ring_line.
type RingLine struct {
	Word      uint64
	Owner     uint32
	Attention uint32
	Death     DeathRecord
	Reserved  [24]uint8
}

// Ring is struct shmd_ring.
type Ring struct {
	Tail RingLine
	Head RingLine
}

// RingLines is struct shmd_ring_lines, at kindOffset of a stream or pipe.
type RingLines struct {
	Rings [2]Ring
}

// Record is struct shmd_record.
type Record struct {
	Length uint32
	Type   uint32
}

// Compile-time asserts: an array of the wrong length does not convert.
var (
	_ [0x100]struct{} = [unsafe.Sizeof(RingLines{})]struct{}{}
	_ [64]struct{}    = [unsafe.Sizeof(RingLine{})]struct{}{}
	_ [0x0c]struct{}  = [unsafe.Offsetof(RingLine{}.Attention)]struct{}{}
	_ [0x10]struct{}  = [unsafe.Offsetof(RingLine{}.Death)]struct{}{}
	_ [0x40]struct{}  = [unsafe.Offsetof(Ring{}.Head)]struct{}{}
	_ [8]struct{}     = [unsafe.Sizeof(Record{})]struct{}{}
)

// ring is a view of one ring of a stream or pipe. Preconditions: it has that many.
func (s *Segment) ring(number int) *ring {
	g := &s.geometry
	lines := &kindLines[RingLines](s).Rings[number]
	at := g.DataOffset + uint64(number)*g.Capacity
	r := &ring{seg: s, tail: &lines.Tail, head: &lines.Head, data: s.mem[at : at+g.Capacity : at+g.Capacity],
		capacity: g.Capacity, pipe: g.Kind == KindPipe, bytes: g.Flags.Has(FlagBytes), whole: -1}
	if !r.bytes {
		r.whole = int(min(g.MessageMax, RingMessageMax(g.Capacity)))
	}
	return r
}

// record is the header of the record at a place, a multiple of 8 below the capacity.
func (r *ring) record(at uint64) *uint64 { return (*uint64)(unsafe.Pointer(&r.data[at])) }
