package ctypes

import "math"

// Half is an IEEE 754 binary16 number, the element type of code 'e', as its
// bits:
//
//	bit 15      sign
//	bits 14-10  exponent, biased by 15; 0 is zero or subnormal, 31 is
//	            infinity or NaN
//	bits 9-0    mantissa, without the leading one of normal numbers
//
// It is a container: compute in float64. Two Halfs that are equal as numbers
// may differ as Go values (0 and -0) and NaN equals itself.
type Half uint16

// The parts of a Half and of the float64 it is made from.
const (
	maxHalf = 65504 // largest finite Half

	halfMantissaBits = 10
	halfMantissa     = 1<<halfMantissaBits - 1
	halfInfinity     = 0x7c00 // all exponent bits, mantissa zero
	halfQuiet        = 0x0200 // the mantissa bit that makes a NaN quiet
	halfBias         = 15

	doubleMantissaBits = 52
	doubleMantissa     = 1<<doubleMantissaBits - 1
	doubleExponentMax  = 0x7ff
	doubleBias         = 1023

	// narrowBits is how many mantissa bits a Half lacks.
	narrowBits = doubleMantissaBits - halfMantissaBits
)

// HalfFromFloat64 returns the Half nearest to f, and of two equally near the
// one whose last bit is zero. Values too small become subnormal and at last
// zero, of the same sign. Infinities stay, and NaN stays NaN with its sign and
// as much of its payload as fits.
//
// Errors: *[RangeError] if f is finite and would round past 65504, that is from
// 65520 on.
func HalfFromFloat64(f float64) (Half, error) {
	h, ok := halfOf(f)
	if !ok {
		return 0, rangeError(CodeHalf, f)
	}
	return h, nil
}

// halfOf is HalfFromFloat64 with ok false for out of range.
func halfOf(f float64) (h Half, ok bool) {
	bits := math.Float64bits(f)
	sign := Half(bits >> 48 & 0x8000)
	exponent := int(bits >> doubleMantissaBits & doubleExponentMax)
	mantissa := bits & doubleMantissa

	if exponent == doubleExponentMax {
		if mantissa == 0 {
			return sign | halfInfinity, true
		}
		payload := Half(mantissa >> narrowBits)
		if payload == 0 { // would read as infinity
			payload = halfQuiet
		}
		return sign | halfInfinity | payload, true
	}

	exponent += halfBias - doubleBias
	if exponent > 30 {
		return 0, false
	}
	// kept is the Half but for the sign, unrounded; cut is how many low bits
	// of mantissa it lacks.
	var kept uint64
	cut := uint(narrowBits)
	if exponent > 0 {
		kept = uint64(exponent)<<halfMantissaBits | mantissa>>cut
	} else {
		// Subnormal: the leading one becomes explicit and moves right. Past
		// 12 places even it lies below half of the last bit.
		if exponent < -halfMantissaBits {
			return sign, true
		}
		mantissa |= 1 << doubleMantissaBits
		cut += uint(1 - exponent)
		kept = mantissa >> cut
	}
	rest := mantissa & (1<<cut - 1)
	tie := uint64(1) << (cut - 1)
	if rest > tie || rest == tie && kept&1 == 1 {
		kept++ // a carry moves into the exponent, as it should
	}
	if kept >= halfInfinity {
		return 0, false
	}
	return sign | Half(kept), true
}

// Float64 returns the number. It is exact: every Half is a float64.
func (h Half) Float64() float64 {
	sign := uint64(h>>15) << 63
	exponent := uint64(h >> halfMantissaBits & 0x1f)
	mantissa := uint64(h & halfMantissa)
	switch exponent {
	case 0:
		// Subnormal, in units of 2 to the -24.
		f := float64(mantissa) / (1 << 24)
		return math.Float64frombits(math.Float64bits(f) | sign)
	case 0x1f:
		// Copied by hand, for the processor would make a signalling NaN quiet.
		return math.Float64frombits(sign | doubleExponentMax<<doubleMantissaBits |
			mantissa<<narrowBits)
	default:
		exponent += doubleBias - halfBias
		return math.Float64frombits(sign | exponent<<doubleMantissaBits |
			mantissa<<narrowBits)
	}
}

// float32Bits returns the number as the bits of a float32. It is exact.
func (h Half) float32Bits() uint32 {
	if h&halfInfinity == halfInfinity && h&halfMantissa != 0 {
		const lacking = 23 - halfMantissaBits
		return uint32(h>>15)<<31 | 0xff<<23 | uint32(h&halfMantissa)<<lacking
	}
	return math.Float32bits(float32(h.Float64()))
}

// widen returns the float64 of the bits of a float32. It is exact, and unlike
// a conversion it keeps a signalling NaN as it is.
func widen(bits uint32) float64 {
	f := math.Float32frombits(bits)
	if !math.IsNaN(float64(f)) {
		return float64(f)
	}
	const lacking = doubleMantissaBits - 23
	return math.Float64frombits(uint64(bits>>31)<<63 |
		doubleExponentMax<<doubleMantissaBits | uint64(bits&(1<<23-1))<<lacking)
}
