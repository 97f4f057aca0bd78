//go:build !shmd_replay && !shmd_crash

package shm

import "sync/atomic"

// The single accessor for stores to shared memory, with access_put_unsafe.go.
// access_replay_unsafe.go is its twin that logs each store, access_crash_unsafe.go the
// one that can stop after each; the three declare the same functions.

func store32(p *uint32, v uint32)           { atomic.StoreUint32(p, v) }
func store64(p *uint64, v uint64)           { atomic.StoreUint64(p, v) }
func cas32(p *uint32, old, new uint32) bool { return atomic.CompareAndSwapUint32(p, old, new) }
func cas64(p *uint64, old, new uint64) bool { return atomic.CompareAndSwapUint64(p, old, new) }
func add32(p *uint32, d uint32) uint32      { return atomic.AddUint32(p, d) - d }
func add64(p *uint64, d uint64) uint64      { return atomic.AddUint64(p, d) - d }
func or64(p *uint64, m uint64) uint64       { return atomic.OrUint64(p, m) }
func and64(p *uint64, m uint64) uint64      { return atomic.AndUint64(p, m) }
func store8(p *uint8, v uint8)              { *p = v }
func store16(p *uint16, v uint16)           { *p = v }

// storeBytes copies a payload, which nobody reads before an authoritative word
// says that it is whole. len(dst) is at least len(src). What is one word takes no call.
func storeBytes(dst, src []byte) {
	if len(src) == 8 {
		*(*[8]byte)(dst) = *(*[8]byte)(src)
		return
	}
	copy(dst, src)
}
