package shm

import (
	"sync/atomic"
	"unsafe"
)

// The shared bytes, a mirror of include/shmd_abi.h, which carries the contract
// of each field: who writes, who reads, atomicity, what zero means. tests/abi
// compares the two field by field.
const (
	// Magic is "SHMDSEG0" read as a little-endian number.
	Magic uint64 = 0x3047455344484d53

	// PageSize is the unit of segments.
	PageSize = 4096
	// PermitsMax bounds a semaphore's permits: 31 bits of its word.
	PermitsMax = 1<<31 - 1
	// PartiesMax bounds a barrier's parties: its word counts them in 12 bits.
	PartiesMax = 4094
	// RankMax bounds the dimensions of an array.
	RankMax = 8
	// SeatsDefault and SeatsLimit bound how many clients one object has at once.
	SeatsDefault = 64
	SeatsLimit   = 4094
	// SeatDaemon is the seat that the daemon uses for itself.
	SeatDaemon = 4095

	lockOffset     = 0x100
	sequenceOffset = 0x140
	changeOffset   = 0x180
	scalarOffset   = 0x1c0
	seatsOffset    = 0x200
	// kindOffset is where the part that differs by kind begins.
	kindOffset = lockOffset
	// dataAlign is the alignment of array data: one cache line.
	dataAlign = 64

	seatCellSize = uint64(unsafe.Sizeof(SeatCell{}))
	heldCellSize = uint64(unsafe.Sizeof(HeldCell{}))

	barrierCellSize = uint64(unsafe.Sizeof(BarrierCell{}))
	readerCellSize  = uint64(unsafe.Sizeof(ReaderCell{}))
)

// Header is struct shmd_header.
type Header struct {
	Magic             uint64
	ABIVersion        uint32
	ABICompat         uint32
	Fingerprint       uint64
	ObjectID          uint64
	SegmentSizeBytes  uint64
	DataOffsetBytes   uint64
	DataSizeBytes     uint64
	Length            uint64
	Kind              uint32
	Code              uint32
	ItemSizeBytes     uint32
	Rank              uint32
	Shape             [RankMax]uint64
	Flags             uint32
	SeatsMax          uint32
	LockID            uint64
	CreatedRealtimeNs uint64
	SeatsOffsetBytes  uint64
	Reserved0         [16]uint8
	State             uint32
	DaemonEpoch       uint32
	Reserved1         [56]uint8
}

// DeathRecord is struct shmd_death.
type DeathRecord struct {
	Count      uint32
	Owner      uint32
	Pid        uint32
	Uid        uint32
	RealtimeNs uint64
}

// LockLine is struct shmd_lock.
type LockLine struct {
	Word       uint32
	Poisoned   uint32
	Token      uint64
	Depth      uint32
	WriteDepth uint32
	Death      DeathRecord
	Reserved   [16]uint8
}

// once reports whether the lock is held once and outside brackets. Two loads: one of
// both would wait for the store of a depth that has just been changed.
func (l *LockLine) once() bool {
	return atomic.LoadUint32(&l.Depth)|atomic.LoadUint32(&l.WriteDepth) == 0
}

// SequenceLine is struct shmd_sequence.
type SequenceLine struct {
	Word     uint64
	Writer   uint32
	Reserved [52]uint8
}

// ChangeLine is struct shmd_change.
type ChangeLine struct {
	Word     uint64
	Reserved [56]uint8
}

// ScalarLine is struct shmd_scalar.
type ScalarLine struct {
	Bits     uint64
	Reserved [56]uint8
}

// SeatCell is struct shmd_seat_cell.
type SeatCell struct {
	Waiting uint32
}

// SemaphoreLines is struct shmd_semaphore_lines, at kindOffset of a semaphore.
type SemaphoreLines struct {
	Word      uint32
	Reserved0 [60]uint8
	Latch     uint32
	Available uint32
	Total     uint32
	Reserved1 [52]uint8
	One       uint64
	Reserved2 [56]uint8
	Many      uint64
	Reserved3 [56]uint8
}

// HeldCell is struct shmd_held_cell.
type HeldCell struct {
	Permits uint32
}

// EventLines is struct shmd_event_lines, at kindOffset of an event.
type EventLines struct {
	Word     uint32
	Reserved [252]uint8
}

// ConditionLines is struct shmd_condition_lines, at kindOffset of a condition.
type ConditionLines struct {
	Word     uint64
	Reserved [248]uint8
}

// BarrierLines is struct shmd_barrier_lines, at kindOffset of a barrier.
type BarrierLines struct {
	Word     uint64
	Death    DeathRecord
	Reserved [224]uint8
}

// BarrierCell is struct shmd_barrier_cell.
type BarrierCell struct {
	Word uint64
}

// RWLockLines is struct shmd_rwlock_lines, at kindOffset of an rwlock.
type RWLockLines struct {
	Word      uint32
	Reserved0 uint32
	Token     uint64
	Death     DeathRecord
	Reserved1 [216]uint8
}

// ReaderCell is struct shmd_reader_cell.
type ReaderCell struct {
	Word     uint32
	Reserved [60]uint8
}

// Page is struct shmd_page: the front of page 0 of a value, array or mutex.
type Page struct {
	Header   Header
	Lock     LockLine
	Sequence SequenceLine
	Change   ChangeLine
	Scalar   ScalarLine
}

// Compile-time asserts: an array of the wrong length does not convert.
var (
	_ [0x100]struct{}          = [unsafe.Sizeof(Header{})]struct{}{}
	_ [64]struct{}             = [unsafe.Sizeof(LockLine{})]struct{}{}
	_ [64]struct{}             = [unsafe.Sizeof(SequenceLine{})]struct{}{}
	_ [64]struct{}             = [unsafe.Sizeof(ChangeLine{})]struct{}{}
	_ [64]struct{}             = [unsafe.Sizeof(ScalarLine{})]struct{}{}
	_ [4]struct{}              = [unsafe.Sizeof(SeatCell{})]struct{}{}
	_ [0x100]struct{}          = [unsafe.Sizeof(SemaphoreLines{})]struct{}{}
	_ [0x40]struct{}           = [unsafe.Offsetof(SemaphoreLines{}.Latch)]struct{}{}
	_ [0x80]struct{}           = [unsafe.Offsetof(SemaphoreLines{}.One)]struct{}{}
	_ [0xc0]struct{}           = [unsafe.Offsetof(SemaphoreLines{}.Many)]struct{}{}
	_ [4]struct{}              = [unsafe.Sizeof(HeldCell{})]struct{}{}
	_ [0x18]struct{}           = [unsafe.Sizeof(DeathRecord{})]struct{}{}
	_ [0x18]struct{}           = [unsafe.Offsetof(LockLine{}.Death)]struct{}{}
	_ [0x100]struct{}          = [unsafe.Sizeof(EventLines{})]struct{}{}
	_ [0x100]struct{}          = [unsafe.Sizeof(ConditionLines{})]struct{}{}
	_ [0x100]struct{}          = [unsafe.Sizeof(BarrierLines{})]struct{}{}
	_ [8]struct{}              = [unsafe.Sizeof(BarrierCell{})]struct{}{}
	_ [0x100]struct{}          = [unsafe.Sizeof(RWLockLines{})]struct{}{}
	_ [64]struct{}             = [unsafe.Sizeof(ReaderCell{})]struct{}{}
	_ [0xc0]struct{}           = [unsafe.Offsetof(Header{}.State)]struct{}{}
	_ [lockOffset]struct{}     = [unsafe.Offsetof(Page{}.Lock)]struct{}{}
	_ [sequenceOffset]struct{} = [unsafe.Offsetof(Page{}.Sequence)]struct{}{}
	_ [changeOffset]struct{}   = [unsafe.Offsetof(Page{}.Change)]struct{}{}
	_ [scalarOffset]struct{}   = [unsafe.Offsetof(Page{}.Scalar)]struct{}{}
	_ [seatsOffset]struct{}    = [unsafe.Sizeof(Page{})]struct{}{}
)
