package ctypes

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Kind is the sort of value that a code holds.
type Kind uint8

// The kinds.
const (
	KindInvalid Kind = iota // not a code
	KindChar                // one byte
	KindBool                // false or true
	KindInt                 // a signed integer
	KindUint                // an unsigned integer
	KindFloat               // an IEEE float
	KindWChar               // one Unicode scalar value
)

// kindNames is indexed by Kind.
var kindNames = [...]string{"invalid", "char", "bool", "int", "uint", "float", "wchar"}

// String returns the kind in one lower-case word.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// row is what the table knows of one code. All fields are immutable.
type row struct {
	cName string // C type name
	name  string // explicit-width name
	kind  Kind   // KindInvalid marks the rows of bytes that are no code
	size  uint8  // in bytes: 1, 2, 4 or 8
	align uint8  // in bytes
	min   int64  // smallest integer; 0 for floats
	max   uint64 // largest integer; 0 for floats
}

// table is indexed by Code. It covers every byte, so that no lookup needs a
// check and an unknown code has size 0 and KindInvalid.
//
// char and wchar_t are signed on amd64 and unsigned on arm64. Neither shows
// here: 'c' is a byte and 'u' holds Unicode scalar values, all of which have
// the same bits either way.
var table = [256]row{
	CodeChar:      {"char", "char", KindChar, 1, 1, 0, math.MaxUint8},
	CodeSChar:     {"signed char", "i8", KindInt, 1, 1, math.MinInt8, math.MaxInt8},
	CodeUChar:     {"unsigned char", "u8", KindUint, 1, 1, 0, math.MaxUint8},
	CodeWChar:     {"wchar_t", "wchar", KindWChar, 4, 4, 0, utf8.MaxRune},
	CodeShort:     {"short", "i16", KindInt, 2, 2, math.MinInt16, math.MaxInt16},
	CodeUShort:    {"unsigned short", "u16", KindUint, 2, 2, 0, math.MaxUint16},
	CodeInt:       {"int", "i32", KindInt, 4, 4, math.MinInt32, math.MaxInt32},
	CodeUInt:      {"unsigned int", "u32", KindUint, 4, 4, 0, math.MaxUint32},
	CodeLong:      {"long", "i64", KindInt, 8, 8, math.MinInt64, math.MaxInt64},
	CodeULong:     {"unsigned long", "u64", KindUint, 8, 8, 0, math.MaxUint64},
	CodeLongLong:  {"long long", "i64", KindInt, 8, 8, math.MinInt64, math.MaxInt64},
	CodeULongLong: {"unsigned long long", "u64", KindUint, 8, 8, 0, math.MaxUint64},
	CodeFloat:     {"float", "f32", KindFloat, 4, 4, 0, 0},
	CodeDouble:    {"double", "f64", KindFloat, 8, 8, 0, 0},
	CodeBool:      {"_Bool", "bool", KindBool, 1, 1, 0, 1},
	CodeHalf:      {"_Float16", "f16", KindFloat, 2, 2, 0, 0},
}

// Range returns the smallest and the largest finite value of c as people write
// them: decimal for integers, shortest decimal for floats, U+XXXX for 'u'. Both
// are empty if c is not valid.
func (c Code) Range() (minimum, maximum string) {
	t := &table[c]
	switch t.kind {
	case KindInvalid:
		return "", ""
	case KindWChar:
		return fmt.Sprintf("U+%04X", t.min), fmt.Sprintf("U+%04X", t.max)
	case KindFloat:
		maximum = maxFloatText(c)
		return "-" + maximum, maximum
	default:
		return strconv.FormatInt(t.min, 10), strconv.FormatUint(t.max, 10)
	}
}

// maxFloatText returns the largest finite value of a float code.
func maxFloatText(c Code) string {
	switch c {
	case CodeHalf:
		return strconv.Itoa(maxHalf)
	case CodeFloat:
		return strconv.FormatFloat(math.MaxFloat32, 'g', -1, 32)
	default:
		return strconv.FormatFloat(math.MaxFloat64, 'g', -1, 64)
	}
}

// mask returns the low size bytes set. Preconditions: size is in 1..8.
func mask(size uint8) uint64 {
	return math.MaxUint64 >> (64 - 8*uint(size))
}

// signExtend returns the two's complement integer in the low size bytes of
// bits. Preconditions: size is in 1..8.
func signExtend(bits uint64, size uint8) int64 {
	shift := 64 - 8*uint(size)
	return int64(bits<<shift) >> shift
}
