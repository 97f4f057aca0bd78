package shm

import "unsafe"

// offsetOf is where a word lies in the segment, in bytes.
func offsetOf[T uint32 | uint64](s *Segment, word *T) uint64 {
	return uint64(uintptr(unsafe.Pointer(word)) - uintptr(unsafe.Pointer(unsafe.SliceData(s.mem))))
}

// headerWords are the words of a header that never change, up to the state.
func headerWords(h *Header) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(h)), unsafe.Offsetof(h.State)/8)
}
