package ctypes

import (
	"math"
	"unicode/utf8"
)

// Encode returns the bit pattern of v as an element of code c.
//
// v is any Go integer, float or bool, a [Char], [WChar] or [Half], a string or
// a []byte, or of a type defined as one of them. What goes where:
//
//   - Integer codes take integers in range, and a bool as 0 or 1. They take no
//     float, not even one without a fraction, as in Python.
//   - '?' takes a bool, and of the integers 0 and 1.
//   - Float codes take integers, floats and bools, and round to the nearest
//     value, ties to even: no exactness is promised. A finite number that
//     would round past the largest finite value is out of range. Infinities
//     and NaN are kept.
//   - 'c' takes a string or []byte of exactly one byte, or an integer from 0
//     to 255.
//   - 'u' takes a string of exactly one character (valid UTF-8), or an integer
//     that is a code point and no surrogate.
//
// Errors: *[RangeError], *[TypeError], *[UnknownCodeError].
func Encode(c Code, v any) (bits uint64, err error) {
	o := operandOf(v)
	return o.encode(c)
}

// Decode returns the value of a bit pattern: int64 or uint64 for integer codes,
// float64 for float codes, bool for '?', a []byte of length 1 for 'c' and a
// string of one character for 'u'. They are the values a msgpack library gives
// back for what [AppendMsgpack] writes.
//
// Bits above the size of c are ignored. For '?' any byte but 0 is true, as in C
// and Python. A signalling NaN may become a quiet one.
//
// Errors: *[RangeError] if c is 'u' and the pattern is no Unicode scalar value,
// *[UnknownCodeError].
func Decode(c Code, bits uint64) (any, error) {
	t := &table[c]
	switch t.kind {
	case KindChar:
		return []byte{byte(bits)}, nil
	case KindBool:
		return byte(bits) != 0, nil
	case KindInt:
		return signExtend(bits, t.size), nil
	case KindUint:
		return bits & mask(t.size), nil
	case KindFloat:
		return floatOf(c, bits), nil
	case KindWChar:
		r, err := runeOf(c, bits)
		if err != nil {
			return nil, err
		}
		return string(r), nil
	default:
		return nil, unknownCode(c)
	}
}

// floatOf returns the number of a pattern. Preconditions: c is a float code.
func floatOf(c Code, bits uint64) float64 {
	switch c {
	case CodeHalf:
		return Half(bits).Float64()
	case CodeFloat:
		return widen(uint32(bits))
	default:
		return math.Float64frombits(bits)
	}
}

// runeOf returns the character of a pattern of code 'u'.
func runeOf(c Code, bits uint64) (rune, error) {
	bits &= mask(4)
	if bits > utf8.MaxRune || !utf8.ValidRune(rune(bits)) {
		return 0, rangeError(c, bits)
	}
	return rune(bits), nil
}
