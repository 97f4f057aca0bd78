package ctypes

import "encoding/binary"

// LoadBits returns the bit pattern of the element of code c at the start of p,
// little endian. An invalid code has no bytes and loads 0.
//
// p is private memory: the load is not atomic and shared memory has accessors
// of its own.
//
// Preconditions:
//   - len(p) >= c.Size(). A shorter p is a bug in the caller and panics as an
//     index out of range does, for a made-up zero would hide it.
func LoadBits(c Code, p []byte) uint64 {
	switch c.Size() {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p))
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	case 8:
		return binary.LittleEndian.Uint64(p)
	default:
		return 0
	}
}

// StoreBits writes the low c.Size() bytes of bits to the start of p, little
// endian, and nothing past them. With an invalid code it writes nothing. It
// does not look at the value: [Encode] makes patterns, StoreBits places them.
//
// p is private memory: the store is not atomic and shared memory has accessors
// of its own.
//
// Preconditions:
//   - len(p) >= c.Size(), as with [LoadBits].
func StoreBits(c Code, p []byte, bits uint64) {
	switch c.Size() {
	case 1:
		p[0] = byte(bits)
	case 2:
		binary.LittleEndian.PutUint16(p, uint16(bits))
	case 4:
		binary.LittleEndian.PutUint32(p, uint32(bits))
	case 8:
		binary.LittleEndian.PutUint64(p, bits)
	}
}

// appendBits appends the low c.Size() bytes of bits, little endian.
func appendBits(p []byte, c Code, bits uint64) []byte {
	switch c.Size() {
	case 1:
		return append(p, byte(bits))
	case 2:
		return binary.LittleEndian.AppendUint16(p, uint16(bits))
	case 4:
		return binary.LittleEndian.AppendUint32(p, uint32(bits))
	case 8:
		return binary.LittleEndian.AppendUint64(p, bits)
	default:
		return p
	}
}
