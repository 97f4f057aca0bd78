//go:build shmd_crash && !shmd_replay

package shm

import "sync/atomic"

// AfterStore is called after each store to shared memory while it is not nil, and
// by whoever made it: so a test kills a process between any two of its stores. Set
// it before the first operation.
var AfterStore func()

func stored() {
	if f := AfterStore; f != nil {
		f()
	}
}

func store32(p *uint32, v uint32) {
	atomic.StoreUint32(p, v)
	stored()
}

func store64(p *uint64, v uint64) {
	atomic.StoreUint64(p, v)
	stored()
}

func put32(p *uint32, v uint32) { store32(p, v) }
func put64(p *uint64, v uint64) { store64(p, v) }

func cas32(p *uint32, old, new uint32) bool {
	swapped := atomic.CompareAndSwapUint32(p, old, new)
	if swapped {
		stored()
	}
	return swapped
}

func cas64(p *uint64, old, new uint64) bool {
	swapped := atomic.CompareAndSwapUint64(p, old, new)
	if swapped {
		stored()
	}
	return swapped
}

func add32(p *uint32, d uint32) uint32 {
	old := atomic.AddUint32(p, d) - d
	stored()
	return old
}

func add64(p *uint64, d uint64) uint64 {
	old := atomic.AddUint64(p, d) - d
	stored()
	return old
}

func or64(p *uint64, m uint64) uint64 {
	old := atomic.OrUint64(p, m)
	stored()
	return old
}

func and64(p *uint64, m uint64) uint64 {
	old := atomic.AndUint64(p, m)
	stored()
	return old
}

func store8(p *uint8, v uint8) {
	*p = v
	stored()
}

func store16(p *uint16, v uint16) {
	*p = v
	stored()
}

// storeBytes copies a payload in two stores, so that a half is left behind too.
func storeBytes(dst, src []byte) {
	half := len(src) / 2
	copy(dst, src[:half])
	stored()
	copy(dst[half:], src[half:])
	stored()
}
