package ctypes

import (
	"math"
	"strconv"
)

// typeError returns the error for an operand of a sort that c does not take.
func (o *operand) typeError(c Code) error {
	return &TypeError{Code: c, Got: o.describe()}
}

// describe says for a TypeError what o is. Integers are missing: every code
// takes those, and at worst finds them out of range.
func (o *operand) describe() string {
	switch o.form {
	case formBool:
		return "bool " + strconv.FormatBool(o.bits != 0)
	case formFloat64:
		return "float64 " + describeFloat(o.float(), 64)
	case formFloat32:
		return "float32 " + describeFloat(o.float(), 32)
	case formHalf:
		return "Half " + describeFloat(o.float(), 64)
	case formText:
		return "string " + o.describeData()
	case formBytes:
		return "byte string " + o.describeData()
	default:
		return o.name
	}
}

// describeData quotes a short text and tells the length of a longer one.
func (o *operand) describeData() string {
	if o.length <= len(o.data) {
		return strconv.Quote(string(o.data[:o.length]))
	}
	return "of " + strconv.Itoa(o.length) + " bytes"
}

// describeFloat writes a float, and what it is where the digits do not say it.
func describeFloat(f float64, size int) string {
	text := strconv.FormatFloat(f, 'g', -1, size)
	switch {
	case math.IsNaN(f):
		return text + " (not a number)"
	case math.IsInf(f, 0):
		return text + " (infinite)"
	default:
		return text
	}
}
