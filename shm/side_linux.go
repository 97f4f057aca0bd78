package shm

import (
	"fmt"
	"os"
	"runtime"

	mmap "github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"
)

// Side is the mapped memory of a side segment, where a message lies that is longer
// than its slot. It goes when nobody refers to the Side any more: a view of it may
// be in use long after the slot got another.
type Side struct {
	mem     []byte // immutable
	mapped  mmap.MMap
	cleanup runtime.Cleanup
}

// SideSize is how many bytes a side segment for messages of size bytes has: a power
// of two of pages, so that a slot whose messages grow gets few of them, but not more
// pages than the longest message needs.
func SideSize(size, messageMax uint32) uint64 {
	want := uint64(PageSize)
	for want < uint64(size) {
		want *= 2
	}
	return min(want, roundUp(uint64(messageMax), PageSize))
}

// CreateSide makes the sealed memfd of a side segment of the object with the id. The
// caller owns the file. Errors as CreateSegment.
func CreateSide(id uint64, size uint64, o SegmentOptions) (*os.File, error) {
	return sealedFile(fmt.Sprintf("shmd-side-%d", id), size, o)
}

// FreeSide gives the memory of a side segment back to the kernel, whoever has it mapped:
// they see zeros. It borrows f.
func FreeSide(f *os.File, size uint64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(size))
}

// MapSide verifies seals and size of a received descriptor and maps it. It borrows f.
// Errors as MapSegment.
func MapSide(f *os.File, size uint64) (*Side, error) {
	m, _, err := mapSealed(f, size, mmap.RDWR)
	if err != nil {
		return nil, err
	}
	s := &Side{mem: m, mapped: m}
	s.cleanup = runtime.AddCleanup(s, func(m mmap.MMap) {
		_ = m.Unmap() // the process keeps an unreachable mapping; nobody to tell
	}, m)
	return s, nil
}

// NewHeapSide makes a side segment on the Go heap. For tests.
func NewHeapSide(size uint64) *Side { return &Side{mem: make([]byte, size)} }

// Unmap unmaps it at once. Nobody may use a view of it any more.
func (s *Side) Unmap() error {
	if s.mapped == nil {
		return nil
	}
	s.cleanup.Stop()
	return s.mapped.Unmap()
}
