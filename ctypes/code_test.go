package ctypes

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// codeRows is the table again, from the documentation of multiprocessing and
// the LP64 ABI, written apart from table.go on purpose.
var codeRows = []struct {
	letter string
	code   Code
	cName  string
	name   string
	kind   Kind
	size   int
	atomic bool
	min    int64
	max    uint64
	low    string
	high   string
}{
	{"c", CodeChar, "char", "char", KindChar, 1, false, 0, 255, "0", "255"},
	{"b", CodeSChar, "signed char", "i8", KindInt, 1, false, -128, 127, "-128", "127"},
	{"B", CodeUChar, "unsigned char", "u8", KindUint, 1, false, 0, 255, "0", "255"},
	{"u", CodeWChar, "wchar_t", "wchar", KindWChar, 4, true, 0, 0x10ffff, "U+0000", "U+10FFFF"},
	{"h", CodeShort, "short", "i16", KindInt, 2, false, -32768, 32767, "-32768", "32767"},
	{"H", CodeUShort, "unsigned short", "u16", KindUint, 2, false, 0, 65535, "0", "65535"},
	{"i", CodeInt, "int", "i32", KindInt, 4, true, -2147483648, 2147483647, "-2147483648", "2147483647"},
	{"I", CodeUInt, "unsigned int", "u32", KindUint, 4, true, 0, 4294967295, "0", "4294967295"},
	{"l", CodeLong, "long", "i64", KindInt, 8, true, math.MinInt64, math.MaxInt64,
		"-9223372036854775808", "9223372036854775807"},
	{"L", CodeULong, "unsigned long", "u64", KindUint, 8, true, 0, math.MaxUint64,
		"0", "18446744073709551615"},
	{"q", CodeLongLong, "long long", "i64", KindInt, 8, true, math.MinInt64, math.MaxInt64,
		"-9223372036854775808", "9223372036854775807"},
	{"Q", CodeULongLong, "unsigned long long", "u64", KindUint, 8, true, 0, math.MaxUint64,
		"0", "18446744073709551615"},
	{"f", CodeFloat, "float", "f32", KindFloat, 4, true, 0, 0, "-3.4028235e+38", "3.4028235e+38"},
	{"d", CodeDouble, "double", "f64", KindFloat, 8, true, 0, 0, "-1.7976931348623157e+308", "1.7976931348623157e+308"},
	{"?", CodeBool, "_Bool", "bool", KindBool, 1, false, 0, 1, "0", "1"},
	{"e", CodeHalf, "_Float16", "f16", KindFloat, 2, false, 0, 0, "-65504", "65504"},
}

func TestCodeTable(t *testing.T) {
	for _, row := range codeRows {
		t.Run(row.letter, func(t *testing.T) {
			c := row.code
			if c.String() != row.letter || !c.Valid() {
				t.Errorf("String %q, Valid %v", c, c.Valid())
			}
			if c.CName() != row.cName || c.Name() != row.name {
				t.Errorf("names %q %q, want %q %q", c.CName(), c.Name(), row.cName, row.name)
			}
			if c.Kind() != row.kind {
				t.Errorf("kind %v, want %v", c.Kind(), row.kind)
			}
			if c.Size() != row.size || c.Align() != row.size {
				t.Errorf("size %d, align %d, want %d", c.Size(), c.Align(), row.size)
			}
			if Atomic(c) != row.atomic {
				t.Errorf("Atomic %v", Atomic(c))
			}
			minimum, maximum, ok := c.IntRange()
			if minimum != row.min || maximum != row.max || ok == (row.kind == KindFloat) {
				t.Errorf("IntRange %d %d %v, want %d %d", minimum, maximum, ok, row.min, row.max)
			}
			low, high := c.Range()
			if low != row.low || high != row.high {
				t.Errorf("Range %q %q, want %q %q", low, high, row.low, row.high)
			}
		})
	}
}

func TestAllIsTheTableInOrder(t *testing.T) {
	var want []Code
	for _, row := range codeRows {
		want = append(want, row.code)
	}
	got := All()
	if !slices.Equal(got, want) {
		t.Fatalf("All() = %v, want %v", got, want)
	}
	got[0] = 0
	if !slices.Equal(All(), want) {
		t.Error("the slice that All returns is shared")
	}
	for i := range 256 {
		if c := Code(i); c.Valid() != slices.Contains(want, c) {
			t.Errorf("Code(%#x).Valid() = %v", i, c.Valid())
		}
	}
}

func TestParse(t *testing.T) {
	cases := map[string]Code{
		"i8": 'b', "u8": 'B', "i16": 'h', "u16": 'H', "i32": 'i', "u32": 'I',
		"i64": 'q', "u64": 'Q', "f16": 'e', "f32": 'f', "f64": 'd',
		"char": 'c', "wchar": 'u', "bool": '?',
	}
	if len(cases) != len(names) {
		t.Errorf("%d names, want %d", len(names), len(cases))
	}
	for _, row := range codeRows {
		cases[row.letter] = row.code
	}
	for text, want := range cases {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for _, c := range All() {
		got, err := Parse(c.Name())
		if err != nil || got.Kind() != c.Kind() || got.Size() != c.Size() {
			t.Errorf("Parse(%q) = %q, %v, which is not like %q", c.Name(), got, err, c)
		}
	}
}

func TestParseUnknown(t *testing.T) {
	for _, text := range []string{
		"", "x", "n", "P", "s", "\x00", "\xff", "ii", "I8", "int", "f128", " i", "i ",
		strings.Repeat("x", 1<<20),
	} {
		c, err := Parse(text)
		var unknown *UnknownCodeError
		if !errors.As(err, &unknown) || unknown.Text != text || c != 0 {
			t.Errorf("Parse(%.20q) = %q, %v", text, c, err)
			continue
		}
		if len(err.Error()) > 512 {
			t.Errorf("Parse(%.20q): the error has %d bytes", text, len(err.Error()))
		}
	}
}

func TestUnknownCode(t *testing.T) {
	for _, c := range []Code{0, 'x', 0x80, 0xff} {
		low, high := c.Range()
		_, _, ok := c.IntRange()
		if c.Valid() || c.Size() != 0 || c.Align() != 0 || c.Kind() != KindInvalid ||
			c.CName() != "" || c.Name() != "" || low != "" || high != "" || ok || Atomic(c) {
			t.Errorf("%q has properties", c)
		}
	}
}

func TestKindString(t *testing.T) {
	for kind, want := range map[Kind]string{
		KindInvalid: "invalid", KindChar: "char", KindBool: "bool", KindInt: "int",
		KindUint: "uint", KindFloat: "float", KindWChar: "wchar", 99: "Kind(99)",
	} {
		if kind.String() != want {
			t.Errorf("Kind(%d) = %q, want %q", kind, kind, want)
		}
	}
}
