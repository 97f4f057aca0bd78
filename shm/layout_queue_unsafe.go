package shm

import (
	"sync/atomic"
	"unsafe"
)

// The shared bytes of a queue, a mirror of include/shmd_abi.h like
// layout_unsafe.go.
const (
	// QueueLengthMax bounds the messages of a queue.
	QueueLengthMax = 1 << 16
	// SlotSizeMin and SlotSizeMax bound the bytes of one slot.
	SlotSizeMin = 8
	SlotSizeMax = 1 << 20
	// MessageLimit bounds the bytes of one message.
	MessageLimit = 1 << 30
	// DeliveriesLimit is the largest DeliveriesMax: one less than what the slot
	// word counts up to.
	DeliveriesLimit = 254
	// LeaseNsMin and LeaseNsMax bound the lease time of a queue that has one.
	LeaseNsMin = 1_000_000
	LeaseNsMax = 1 << 62
	// BatchMax is how many messages one latch hold handles at most, and
	// BatchSizeMax how many bytes it copies.
	BatchMax     = 64
	BatchSizeMax = 16 << 10

	queueEntrySize = uint64(unsafe.Sizeof(uint64(0)))
	queueDescSize  = uint64(unsafe.Sizeof(QueueDesc{}))
	deadlineSize   = uint64(unsafe.Sizeof(uint64(0)))
)

// QueueLines is struct shmd_queue_lines, at kindOffset of a queue.
type QueueLines struct {
	// Of the producers, under PutLatch.
	PutLatch     uint32
	WritingCount uint32
	NextSeq      uint64
	ReadyTail    uint64
	FreeHead     uint64
	Fresh        uint32
	Reserved0    [28]uint8
	// Of the consumers, under TakeLatch.
	TakeLatch   uint32
	LeasedCount uint32
	DeadCount   uint32
	Reserved1   uint32
	ReadyHead   uint64
	FreeTail    uint64
	ExpiryNs    uint64
	Reserved2   [24]uint8

	NotEmpty  uint64
	Idle      uint64
	Closed    uint32
	Reserved3 [44]uint8

	NotFull   uint64
	Reserved4 [56]uint8
}

// QueueDesc is struct shmd_queue_desc.
type QueueDesc struct {
	State  uint64
	Seq    uint64
	Length uint32
	Side   uint32
	Ticket uint64
}

// Compile-time asserts: an array of the wrong length does not convert.
var (
	_ [0x100]struct{} = [unsafe.Sizeof(QueueLines{})]struct{}{}
	_ [0x08]struct{}  = [unsafe.Offsetof(QueueLines{}.NextSeq)]struct{}{}
	_ [0x18]struct{}  = [unsafe.Offsetof(QueueLines{}.FreeHead)]struct{}{}
	_ [0x40]struct{}  = [unsafe.Offsetof(QueueLines{}.TakeLatch)]struct{}{}
	_ [0x50]struct{}  = [unsafe.Offsetof(QueueLines{}.ReadyHead)]struct{}{}
	_ [0x60]struct{}  = [unsafe.Offsetof(QueueLines{}.ExpiryNs)]struct{}{}
	_ [0x80]struct{}  = [unsafe.Offsetof(QueueLines{}.NotEmpty)]struct{}{}
	_ [0x90]struct{}  = [unsafe.Offsetof(QueueLines{}.Closed)]struct{}{}
	_ [0xc0]struct{}  = [unsafe.Offsetof(QueueLines{}.NotFull)]struct{}{}
	_ [32]struct{}    = [unsafe.Sizeof(QueueDesc{})]struct{}{}
	_ [0x14]struct{}  = [unsafe.Offsetof(QueueDesc{}.Side)]struct{}{}
	_ [0x18]struct{}  = [unsafe.Offsetof(QueueDesc{}.Ticket)]struct{}{}
)

// Queue returns a view of the segment's queue. Goroutines of one process may share
// one view; several are correct too. Preconditions: the kind is KindQueue.
func (s *Segment) Queue() *Queue {
	g := &s.geometry
	lines := (*QueueLines)(unsafe.Pointer(&s.mem[kindOffset]))
	entries := func(offset uint64) []uint64 {
		return unsafe.Slice((*uint64)(unsafe.Pointer(&s.mem[offset])), g.Length)
	}
	q := &Queue{
		seg: s, lines: lines, putLatch: s.Latch(&lines.PutLatch), takeLatch: s.Latch(&lines.TakeLatch),
		notEmpty: eventcount{&lines.NotEmpty}, notFull: eventcount{&lines.NotFull}, idle: eventcount{&lines.Idle},
		takers: make(gate, queueGate), putters: make(gate, queueGate),
		ready: entries(g.ReadyOffset), free: entries(g.FreeOffset), size: uint32(g.Length),
		descs: unsafe.Slice((*QueueDesc)(unsafe.Pointer(&s.mem[g.DescOffset])), g.Length),
		data:  s.mem[g.DataOffset:], slotSize: uint64(g.SlotSize), room: min(g.MessageMax, g.SlotSize),
	}
	if g.LeaseNs != 0 {
		first := (*uint64)(unsafe.Pointer(&s.mem[g.DeadlineOffset]))
		q.leases = leaseTimes{deadlines: unsafe.Slice(first, g.Length), ns: g.LeaseNs, clock: quickNs}
	}
	return q
}

// slotData are the bytes of a slot that a message may use. Preconditions: slot is
// below the queue's size.
func (q *Queue) slotData(slot uint32) []byte {
	at := uint64(slot) * q.slotSize
	return q.data[at : at+uint64(q.room) : at+uint64(q.room)]
}

// firstWord is where a slot begins, at a multiple of 8. Preconditions as of slotData.
func (q *Queue) firstWord(slot uint32) *uint64 {
	return (*uint64)(unsafe.Pointer(&q.data[uint64(slot)*q.slotSize]))
}

// load32 and load64 read a word of the queue, once.
func load32(p *uint32) uint32 { return atomic.LoadUint32(p) }
func load64(p *uint64) uint64 { return atomic.LoadUint64(p) }
