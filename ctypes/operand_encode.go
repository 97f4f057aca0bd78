package ctypes

import (
	"math"
	"unicode/utf8"
)

// encode returns the bit pattern of o as an element of code c. Errors as
// [Encode].
func (o *operand) encode(c Code) (uint64, error) {
	switch table[c].kind {
	case KindInt, KindUint, KindBool:
		return o.encodeInt(c)
	case KindFloat:
		return o.encodeFloat(c)
	case KindChar:
		return o.encodeChar(c)
	case KindWChar:
		return o.encodeWChar(c)
	default:
		return 0, unknownCode(c)
	}
}

// encodeInt encodes into any code by the integer range of the table.
func (o *operand) encodeInt(c Code) (uint64, error) {
	t := &table[c]
	switch o.form {
	case formInt:
		if int64(o.bits) < t.min {
			return 0, rangeError(c, o.value())
		}
	case formUint, formBool:
		if o.bits > t.max {
			return 0, rangeError(c, o.value())
		}
	default:
		return 0, o.typeError(c)
	}
	return o.bits & mask(t.size), nil
}

// encodeChar encodes into 'c'.
func (o *operand) encodeChar(c Code) (uint64, error) {
	switch o.form {
	case formText, formBytes:
		if o.length != 1 {
			return 0, o.typeError(c)
		}
		return uint64(o.data[0]), nil
	case formBool:
		return 0, o.typeError(c)
	default:
		return o.encodeInt(c)
	}
}

// encodeWChar encodes into 'u'.
func (o *operand) encodeWChar(c Code) (uint64, error) {
	switch o.form {
	case formText:
		if o.length > len(o.data) {
			return 0, o.typeError(c)
		}
		r, size := utf8.DecodeRune(o.data[:o.length])
		if size != o.length || r == utf8.RuneError && size <= 1 {
			return 0, o.typeError(c)
		}
		return uint64(r), nil
	case formBool:
		return 0, o.typeError(c)
	default:
		bits, err := o.encodeInt(c)
		if err != nil {
			return 0, err
		}
		if _, err := runeOf(c, bits); err != nil {
			return 0, err
		}
		return bits, nil
	}
}

// encodeFloat encodes into 'e', 'f' or 'd'.
func (o *operand) encodeFloat(c Code) (uint64, error) {
	var f float64
	switch o.form {
	case formInt, formUint, formBool:
		if c == CodeFloat {
			// Straight from the integer: rounding to float64 and then to
			// float32 is not always the nearest. Every 64-bit integer is in
			// range.
			return uint64(math.Float32bits(o.float32OfInt())), nil
		}
		// An integer that float64 rounds is far out of the range of a Half,
		// so that nothing is ever rounded twice.
		f = o.float64OfInt()
	case formFloat32:
		if c == CodeFloat {
			return o.bits, nil
		}
		f = o.float()
	case formFloat64, formHalf:
		f = o.float()
	default:
		return 0, o.typeError(c)
	}
	switch c {
	case CodeHalf:
		h, ok := halfOf(f)
		if !ok {
			return 0, rangeError(c, o.value())
		}
		return uint64(h), nil
	case CodeFloat:
		narrow := float32(f)
		if math.IsInf(float64(narrow), 0) && !math.IsInf(f, 0) {
			return 0, rangeError(c, o.value())
		}
		return uint64(math.Float32bits(narrow)), nil
	default:
		return math.Float64bits(f), nil
	}
}

// float32OfInt returns an integer form rounded to the nearest float32.
func (o *operand) float32OfInt() float32 {
	if o.form == formInt {
		return float32(int64(o.bits))
	}
	return float32(o.bits)
}

// float64OfInt returns an integer form rounded to the nearest float64.
func (o *operand) float64OfInt() float64 {
	if o.form == formInt {
		return float64(int64(o.bits))
	}
	return float64(o.bits)
}
