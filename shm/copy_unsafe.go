package shm

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// appendBytes is append, without a call for what is one word and has room.
func appendBytes(dst, src []byte) []byte {
	if n := len(dst); len(src) == 8 && cap(dst)-n >= 8 {
		dst = dst[:n+8]
		*(*[8]byte)(dst[n:]) = *(*[8]byte)(src)
		return dst
	}
	return append(dst, src...)
}

// copyOut copies len(dst) bytes from byte offset start of the data by whole
// atomic words, so that the loads stay before the sequence's re-check. The data
// of a segment is padded to whole words. A word that mixes two writes is
// discarded by the re-check.
func (a *Array) copyOut(dst []byte, start uint64) {
	var word [8]byte
	for len(dst) > 0 {
		skip := start % 8
		binary.LittleEndian.PutUint64(word[:], atomic.LoadUint64((*uint64)(unsafe.Add(a.base, start-skip))))
		n := copy(dst, word[skip:])
		dst = dst[n:]
		start += uint64(n)
	}
}

// copyIn stores src at byte offset start of the data, whole words where it can.
func (a *Array) copyIn(start uint64, src []byte) {
	for len(src) > 0 {
		p := unsafe.Add(a.base, start)
		n := 1
		switch {
		case start%8 == 0 && len(src) >= 8:
			store64((*uint64)(p), binary.LittleEndian.Uint64(src))
			n = 8
		case start%4 == 0 && len(src) >= 4:
			store32((*uint32)(p), binary.LittleEndian.Uint32(src))
			n = 4
		case start%2 == 0 && len(src) >= 2:
			store16((*uint16)(p), binary.LittleEndian.Uint16(src))
			n = 2
		default:
			store8((*uint8)(p), src[0])
		}
		src = src[n:]
		start += uint64(n)
	}
}
