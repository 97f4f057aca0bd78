package ctypes

import "slices"

// Code is a C type code: one letter that names the type of an element. The
// zero Code is no code; Valid tells.
type Code byte

// The codes, named after their C types.
const (
	CodeChar      Code = 'c' // char: one byte
	CodeSChar     Code = 'b' // signed char
	CodeUChar     Code = 'B' // unsigned char
	CodeWChar     Code = 'u' // wchar_t: one Unicode scalar value
	CodeShort     Code = 'h' // short
	CodeUShort    Code = 'H' // unsigned short
	CodeInt       Code = 'i' // int
	CodeUInt      Code = 'I' // unsigned int
	CodeLong      Code = 'l' // long, 8 bytes on LP64
	CodeULong     Code = 'L' // unsigned long, 8 bytes on LP64
	CodeLongLong  Code = 'q' // long long
	CodeULongLong Code = 'Q' // unsigned long long
	CodeFloat     Code = 'f' // float, IEEE binary32
	CodeDouble    Code = 'd' // double, IEEE binary64
	CodeBool      Code = '?' // _Bool
	CodeHalf      Code = 'e' // _Float16, IEEE binary16
)

// all is every code in the order of the documentation.
var all = []Code{
	CodeChar, CodeSChar, CodeUChar, CodeWChar,
	CodeShort, CodeUShort, CodeInt, CodeUInt,
	CodeLong, CodeULong, CodeLongLong, CodeULongLong,
	CodeFloat, CodeDouble, CodeBool, CodeHalf,
}

// All returns every code, always in the same order: c b B u h H i I l L q Q f
// d ? e. The slice is the caller's own.
func All() []Code {
	return slices.Clone(all)
}

// names maps the explicit-width names to codes. The 8-byte integers are named
// by the codes whose width is the same everywhere, 'q' and 'Q'.
var names = map[string]Code{
	"char":  CodeChar,
	"wchar": CodeWChar,
	"bool":  CodeBool,
	"i8":    CodeSChar,
	"u8":    CodeUChar,
	"i16":   CodeShort,
	"u16":   CodeUShort,
	"i32":   CodeInt,
	"u32":   CodeUInt,
	"i64":   CodeLongLong,
	"u64":   CodeULongLong,
	"f16":   CodeHalf,
	"f32":   CodeFloat,
	"f64":   CodeDouble,
}

// Parse returns the code that s names: a code letter, or an explicit-width name
// as returned by [Code.Name]. The names i64 and u64 yield 'q' and 'Q', never
// 'l' and 'L'. Case matters.
//
// Errors: *[UnknownCodeError].
func Parse(s string) (Code, error) {
	if len(s) == 1 {
		if c := Code(s[0]); c.Valid() {
			return c, nil
		}
	}
	if c, ok := names[s]; ok {
		return c, nil
	}
	return 0, &UnknownCodeError{Text: s}
}

// Valid reports whether c is one of the codes of [All].
func (c Code) Valid() bool { return table[c].kind != KindInvalid }

// Size returns the size of an element in bytes; 0 if c is not valid.
func (c Code) Size() int { return int(table[c].size) }

// Align returns the alignment of an element in bytes; 0 if c is not valid. On
// LP64 it equals the size for every code.
func (c Code) Align() int { return int(table[c].align) }

// Kind returns the sort of value that c holds; KindInvalid if c is not valid.
func (c Code) Kind() Kind { return table[c].kind }

// CName returns the name of the C type, such as "unsigned long"; "" if c is
// not valid.
func (c Code) CName() string { return table[c].cName }

// Name returns the explicit-width name, such as "u64"; "" if c is not valid.
// 'l' and 'q' share one name, and so do 'L' and 'Q'.
func (c Code) Name() string { return table[c].name }

// String returns the code letter. For a Code that is not valid it is that
// single byte, whatever it is.
func (c Code) String() string { return string([]byte{byte(c)}) }

// IntRange returns the smallest and the largest integer that c holds. For 'u'
// the surrogates 0xD800 to 0xDFFF inside the range are not values. ok is false
// if c is a float code or not valid.
func (c Code) IntRange() (minimum int64, maximum uint64, ok bool) {
	t := &table[c]
	return t.min, t.max, t.kind != KindInvalid && t.kind != KindFloat
}

// Atomic reports whether elements of c can be read and written by the atomic
// operations: those of 4 and of 8 bytes.
func Atomic(c Code) bool {
	size := c.Size()
	return size == 4 || size == 8
}
