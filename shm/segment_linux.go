package shm

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	mmap "github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// Segment is one mapped segment. Its methods are safe for concurrent use, but
// for Unmap, after which no view of it may be used.
type Segment struct {
	geometry Geometry // immutable
	mem      []byte   // immutable; the mapping, or heap memory in tests
	mapped   mmap.MMap
	readOnly bool   // immutable
	inode    uint64 // immutable; of the memfd, 0 on the heap
	page     *Page  // immutable; points into mem
}

// SegmentOptions configure CreateSegment and CreateSide.
type SegmentOptions struct {
	// Epoch is the daemon's, for the header.
	Epoch uint32
	// WithoutNoexecSeal behaves as on a kernel without MFD_NOEXEC_SEAL.
	WithoutNoexecSeal bool
}

// CreateSegment makes the sealed memfd of a new object and maps it. The state stays
// CREATING until Publish. The caller owns the file.
func CreateSegment(g Geometry, o SegmentOptions) (*Segment, *os.File, error) {
	f, err := sealedFile(fmt.Sprintf("shmd-%d", g.ID), g.SegmentSize, o)
	if err != nil {
		return nil, nil, err
	}
	s, err := MapSegment(f, g, false)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	s.writeHeader(o.Epoch)
	return s, f, nil
}

// OpenReadOnly returns a new read-only descriptor of the same memfd, which
// the kernel refuses to map for writing.
func OpenReadOnly(f *os.File) (*os.File, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, status.Wrap(status.System, "map", err, "re-opening the segment read-only")
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// MapSegment verifies seals and size of a received descriptor and maps it. It
// borrows f. A segment that can shrink could fault every later access, so one
// is refused with status.Corrupt.
func MapSegment(f *os.File, g Geometry, readOnly bool) (*Segment, error) {
	prot := mmap.RDWR
	if readOnly {
		prot = mmap.RDONLY
	}
	m, inode, err := mapSealed(f, g.SegmentSize, prot)
	if err != nil {
		return nil, err
	}
	s := &Segment{geometry: g, mem: m, mapped: m, readOnly: readOnly, inode: inode}
	s.page = (*Page)(unsafe.Pointer(unsafe.SliceData(s.mem)))
	return s, nil
}

// NewHeapSegment makes a live segment on the Go heap, so that the race detector
// sees every access. For tests.
func NewHeapSegment(g Geometry, epoch uint32) *Segment {
	words := make([]uint64, (g.SegmentSize+PageSize)/8)
	mem := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)
	skip := (dataAlign - uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%dataAlign) % dataAlign
	s := &Segment{geometry: g, mem: mem[skip : uint64(skip)+g.SegmentSize]}
	s.page = (*Page)(unsafe.Pointer(unsafe.SliceData(s.mem)))
	s.writeHeader(epoch)
	s.Publish()
	return s
}

// writeHeader fills the immutable fields; nobody else sees the segment yet.
func (s *Segment) writeHeader(epoch uint32) {
	s.page.Header = s.header()
	switch s.geometry.Kind {
	case KindSemaphore:
		s.initSemaphore()
	case KindQueue:
		s.initQueue()
	case KindEvent:
		s.initEvent()
	}
	atomic.StoreUint32(&s.page.Header.DaemonEpoch, epoch)
}

// header is what the immutable fields hold; the rest is 0.
func (s *Segment) header() (h Header) {
	g := &s.geometry
	h.Magic, h.ABIVersion, h.ABICompat, h.Fingerprint = Magic, ABIVersion, ABICompat, ABIFingerprint
	h.ObjectID, h.SegmentSizeBytes, h.DataOffsetBytes, h.DataSizeBytes = g.ID, g.SegmentSize, g.DataOffset, g.DataSize
	h.Length, h.Kind, h.Code, h.ItemSizeBytes = g.Length, uint32(g.Kind), uint32(g.Code), g.ItemSize
	h.Rank, h.Flags, h.SeatsMax, h.LockID = uint32(len(g.Shape)), uint32(g.Flags), g.SeatsMax, g.LockID
	copy(h.Shape[:], g.Shape)
	switch g.Kind {
	case KindQueue:
		h.Shape[0], h.Shape[1], h.Shape[2] = uint64(g.MessageMax), uint64(g.DeliveriesMax), g.LeaseNs
	case KindStream, KindPipe:
		h.Shape[0], h.Shape[1] = uint64(g.MessageMax), g.rings()
	}
	h.CreatedRealtimeNs, h.SeatsOffsetBytes = g.CreatedNs, g.SeatsOffset
	return h
}

// Publish makes the object live. Initial data is written before.
func (s *Segment) Publish() { store32(&s.page.Header.State, uint32(StateLive)) }

// Unmap ends every view of the segment. On the heap it does nothing.
func (s *Segment) Unmap() error {
	if s.mapped == nil {
		return nil
	}
	return s.mapped.Unmap()
}

// Geometry is the segment's trusted description; do not modify it.
func (s *Segment) Geometry() *Geometry { return &s.geometry }

// ReadOnly reports whether the mapping forbids stores.
func (s *Segment) ReadOnly() bool { return s.readOnly }

// Inode names the memfd among the mappings in /proc/PID/maps; 0 on the heap.
func (s *Segment) Inode() uint64 { return s.inode }

// State is the header's state word.
func (s *Segment) State() State { return State(atomic.LoadUint32(&s.page.Header.State)) }

// admits is nil if the client of an owner word may change the object through this
// mapping; else status.Permission (it is read-only), or Invalid (a seat that the object
// does not have).
func (s *Segment) admits(owner uint32) error {
	if !s.lets(owner) {
		return s.refuse(uint32(SeatOf(owner)))
	}
	return nil
}

// lets reports whether admits has nothing to say.
func (s *Segment) lets(owner uint32) bool {
	return !s.readOnly && uint32(SeatOf(owner))-1 < s.geometry.SeatsMax
}

func (s *Segment) refuse(seat uint32) error {
	if s.readOnly {
		return status.Permission
	}
	return status.New(status.Invalid, "", "seat %d of an object with %d seats", seat, s.geometry.SeatsMax)
}

// Bytes is the whole mapping, for tools and images.
func (s *Segment) Bytes() []byte { return s.mem }

// Data is the raw data of a value or array: DataSize bytes, nil for a mutex.
// Plain stores to it stand outside every protocol unless bracketed by
// BeginWrite and EndWrite.
func (s *Segment) Data() []byte {
	g := &s.geometry
	if g.DataSize == 0 {
		return nil
	}
	return s.mem[g.DataOffset : g.DataOffset+g.DataSize : g.DataOffset+g.DataSize]
}

// seatCell is a seat's diagnostics cell; nil for a seat the object lacks.
func (s *Segment) seatCell(seat uint16) *SeatCell {
	if uint32(seat) > s.geometry.SeatsMax {
		return nil
	}
	return (*SeatCell)(unsafe.Pointer(&s.mem[s.geometry.SeatsOffset+uint64(seat)*4]))
}

// kindLines is the part of page 0 that a kind has of its own, which fills it.
func kindLines[T SemaphoreLines | EventLines | ConditionLines | BarrierLines | RWLockLines | RingLines](s *Segment) *T {
	return (*T)(unsafe.Pointer(&s.mem[kindOffset]))
}

// kindCells are the cells that a kind has of its own, by seat.
func kindCells[T HeldCell | BarrierCell | ReaderCell](s *Segment) []T {
	first := (*T)(unsafe.Pointer(&s.mem[s.geometry.CellsOffset]))
	return unsafe.Slice(first, s.geometry.SeatsMax+1)
}

// Waiting is how many threads of the seat's client sleep in the object, as far
// as that client says. Diagnostics only.
func (s *Segment) Waiting(seat uint16) uint32 {
	if c := s.seatCell(seat); c != nil {
		return atomic.LoadUint32(&c.Waiting)
	}
	return 0
}

// announce counts a sleeper of the owner's seat in (+1) or out (-1).
func (s *Segment) announce(owner uint32, delta uint32) {
	if seat := SeatOf(owner); seat != 0 && seat != SeatDaemon {
		if c := s.seatCell(seat); c != nil {
			add32(&c.Waiting, delta)
		}
	}
}

// sleep sleeps once while the word holds the compared value, counted among the sleepers
// of the owner's seat.
func (s *Segment) sleep(ctx context.Context, p *Parker, owner uint32, word *uint32, expected uint32,
	deadline int64) wakeup {
	s.announce(owner, 1)
	w := p.wait(ctx, word, expected, deadline)
	s.announce(owner, ^uint32(0))
	return w
}

// sleepFree is sleep where every wake is for all, so that nobody owes a duty. nil =
// look at the word again. An error, status.TimedOut or Cancelled, = leave. Deadline:
// absolute CLOCK_MONOTONIC in ns, 0 = none.
func (s *Segment) sleepFree(ctx context.Context, p *Parker, owner uint32, word *uint32, expected uint32,
	deadline int64) error {
	if deadline != 0 && monotonicNs() >= deadline {
		return status.TimedOut
	}
	switch s.sleep(ctx, p, owner, word, expected, deadline) {
	case expired:
		return status.TimedOut
	case cancelled:
		return endOf(ctx)
	}
	return nil
}
