package ctypes

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// AppendMsgpack appends the element of code c with the given bit pattern to b,
// as msgpack in its canonical form, and returns the longer slice. Bits above
// the size of c are ignored.
//
//   - integers: the shortest form, unsigned from 0 on
//   - '?': bool
//   - 'f' and 'e': float 32, which holds both exactly; 'd': float 64
//   - 'c': bin 8 of length 1
//   - 'u': str of one character
//
// The bytes are laid out by hand rather than by the msgpack library: this runs
// once per element of every array that travels over the socket, and nothing is
// allocated but the growth of b.
//
// Errors: *[RangeError] if c is 'u' and the pattern is no Unicode scalar value,
// *[UnknownCodeError]. Then b is returned as it was.
func AppendMsgpack(b []byte, c Code, bits uint64) ([]byte, error) {
	t := &table[c]
	switch t.kind {
	case KindInt:
		return appendInt(b, signExtend(bits, t.size)), nil
	case KindUint:
		return appendUint(b, bits&mask(t.size)), nil
	case KindBool:
		if byte(bits) != 0 {
			return append(b, mpTrue), nil
		}
		return append(b, mpFalse), nil
	case KindFloat:
		return appendFloat(b, c, bits), nil
	case KindChar:
		return append(b, mpBin8, 1, byte(bits)), nil
	case KindWChar:
		r, err := runeOf(c, bits)
		if err != nil {
			return b, err
		}
		b = append(b, mpFixStr|byte(utf8.RuneLen(r)))
		return utf8.AppendRune(b, r), nil
	default:
		return b, unknownCode(c)
	}
}

// appendUint appends an unsigned integer in its shortest form.
func appendUint(b []byte, u uint64) []byte {
	switch {
	case u <= mpFixIntMax:
		return append(b, byte(u))
	case u <= math.MaxUint8:
		return append(b, mpUint8, byte(u))
	case u <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, mpUint16), uint16(u))
	case u <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, mpUint32), uint32(u))
	default:
		return binary.BigEndian.AppendUint64(append(b, mpUint64), u)
	}
}

// appendInt appends a signed integer in its shortest form.
func appendInt(b []byte, i int64) []byte {
	switch {
	case i >= 0:
		return appendUint(b, uint64(i))
	case i >= -32: // negative fixint has 5 bits
		return append(b, byte(i))
	case i >= math.MinInt8:
		return append(b, mpInt8, byte(i))
	case i >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, mpInt16), uint16(i))
	case i >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(i))
	default:
		return binary.BigEndian.AppendUint64(append(b, mpInt64), uint64(i))
	}
}

// appendFloat appends the number of a pattern. Preconditions: c is a float
// code.
func appendFloat(b []byte, c Code, bits uint64) []byte {
	switch c {
	case CodeDouble:
		return binary.BigEndian.AppendUint64(append(b, mpFloat64), bits)
	case CodeHalf:
		bits = uint64(Half(bits).float32Bits())
	}
	return binary.BigEndian.AppendUint32(append(b, mpFloat32), uint32(bits))
}

// appendBinHeader appends the header of n bytes of bin.
func appendBinHeader(b []byte, n uint32) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, mpBin8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, mpBin16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, mpBin32), n)
	}
}

// appendArrayHeader appends the header of an array of n values.
func appendArrayHeader(b []byte, n uint32) []byte {
	switch {
	case n <= 15: // fixarray has 4 bits
		return append(b, mpFixArray|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, mpArray16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, mpArray32), n)
	}
}
