//go:build shmd_replay

package shm

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"
)

// storeRecord is one store: size bytes at addr became new.
type storeRecord struct {
	addr unsafe.Pointer
	size int
	old  uint64
	new  uint64
}

// storeLog receives every store while it is not nil. Only the replay tests set
// it; they run one operation at a time or serialise by storeMu themselves.
var (
	storeMu  sync.Mutex
	storeLog func(storeRecord)
)

// logged runs op, which performs one store and returns the bytes before and
// after, under the log's mutex, so that the log's order is the store order.
func logged(addr unsafe.Pointer, size int, op func() (old, new uint64)) {
	storeMu.Lock()
	defer storeMu.Unlock()
	old, new := op()
	if storeLog != nil {
		storeLog(storeRecord{addr, size, old, new})
	}
}

func rmw32(p *uint32, f func(old uint32) uint32) (old uint32) {
	logged(unsafe.Pointer(p), 4, func() (uint64, uint64) {
		for {
			old = atomic.LoadUint32(p)
			if v := f(old); atomic.CompareAndSwapUint32(p, old, v) {
				return uint64(old), uint64(v)
			}
		}
	})
	return old
}

func rmw64(p *uint64, f func(old uint64) uint64) (old uint64) {
	logged(unsafe.Pointer(p), 8, func() (uint64, uint64) {
		for {
			old = atomic.LoadUint64(p)
			if v := f(old); atomic.CompareAndSwapUint64(p, old, v) {
				return old, v
			}
		}
	})
	return old
}

func store32(p *uint32, v uint32)      { rmw32(p, func(uint32) uint32 { return v }) }
func store64(p *uint64, v uint64)      { rmw64(p, func(uint64) uint64 { return v }) }
func put32(p *uint32, v uint32)        { store32(p, v) }
func put64(p *uint64, v uint64)        { store64(p, v) }
func add32(p *uint32, d uint32) uint32 { return rmw32(p, func(o uint32) uint32 { return o + d }) }
func add64(p *uint64, d uint64) uint64 { return rmw64(p, func(o uint64) uint64 { return o + d }) }
func or64(p *uint64, m uint64) uint64  { return rmw64(p, func(o uint64) uint64 { return o | m }) }
func and64(p *uint64, m uint64) uint64 { return rmw64(p, func(o uint64) uint64 { return o & m }) }

func cas32(p *uint32, old, new uint32) bool {
	storeMu.Lock()
	defer storeMu.Unlock()
	if !atomic.CompareAndSwapUint32(p, old, new) {
		return false
	}
	if storeLog != nil {
		storeLog(storeRecord{unsafe.Pointer(p), 4, uint64(old), uint64(new)})
	}
	return true
}

func cas64(p *uint64, old, new uint64) bool {
	storeMu.Lock()
	defer storeMu.Unlock()
	if !atomic.CompareAndSwapUint64(p, old, new) {
		return false
	}
	if storeLog != nil {
		storeLog(storeRecord{unsafe.Pointer(p), 8, old, new})
	}
	return true
}

func store8(p *uint8, v uint8) {
	logged(unsafe.Pointer(p), 1, func() (uint64, uint64) { o := *p; *p = v; return uint64(o), uint64(v) })
}

func store16(p *uint16, v uint16) {
	logged(unsafe.Pointer(p), 2, func() (uint64, uint64) { o := *p; *p = v; return uint64(o), uint64(v) })
}

// storeBytes logs a store for every 8 bytes.
func storeBytes(dst, src []byte) {
	for len(src) > 0 {
		n := min(8, len(src))
		var before, after [8]byte
		logged(unsafe.Pointer(unsafe.SliceData(dst)), n, func() (uint64, uint64) {
			copy(before[:], dst[:n])
			copy(dst, src[:n])
			copy(after[:], src[:n])
			return binary.LittleEndian.Uint64(before[:]), binary.LittleEndian.Uint64(after[:])
		})
		dst, src = dst[n:], src[n:]
	}
}
