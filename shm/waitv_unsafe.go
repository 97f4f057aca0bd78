package shm

import "unsafe"

// waitOn describes a word to futex_waitv. The words outlive the call: shared
// words by their mapping, the control word by its board.
func waitOn(p *uint32, value uint32) futexWaiter {
	return futexWaiter{value: uint64(value), address: uint64(uintptr(unsafe.Pointer(p))), flags: futex2SizeU32}
}
