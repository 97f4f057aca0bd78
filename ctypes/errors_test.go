package ctypes

import (
	"math"
	"strings"
	"testing"
)

// TestErrorTexts pins the texts that people see.
func TestErrorTexts(t *testing.T) {
	encode := func(c Code, v any) error { _, err := Encode(c, v); return err }
	parse := func(c Code, s string) error { _, err := ParseText(c, s); return err }
	decode := func(c Code, bits uint64) error { _, err := Decode(c, bits); return err }
	for _, row := range []struct {
		err  error
		want string
	}{
		{encode('B', 300), "value 300 is out of range for 'B' (unsigned char): 0 to 255"},
		{encode('b', -129), "value -129 is out of range for 'b' (signed char): -128 to 127"},
		{encode('q', uint64(1<<63)), "value 9223372036854775808 is out of range for 'q' (long long): " +
			"-9223372036854775808 to 9223372036854775807"},
		{encode('?', 2), "value 2 is out of range for '?' (_Bool): 0 to 1"},
		{encode('c', 256), "value 256 is out of range for 'c' (char): 0 to 255"},
		{encode('e', 65520.0), "value 65520 is out of range for 'e' (_Float16): -65504 to 65504"},
		{encode('f', -1e39), "value -1e+39 is out of range for 'f' (float): -3.4028235e+38 to 3.4028235e+38"},
		{encode('u', 0xd800), "value U+D800 is out of range for 'u' (wchar_t): U+0000 to U+10FFFF " +
			"except the surrogates U+D800 to U+DFFF"},
		{encode('u', -1), "value -1 is out of range for 'u' (wchar_t): U+0000 to U+10FFFF " +
			"except the surrogates U+D800 to U+DFFF"},
		{decode('u', 0xffffffff), "value U+FFFFFFFF is out of range for 'u' (wchar_t): U+0000 to U+10FFFF " +
			"except the surrogates U+D800 to U+DFFF"},
		{parse('d', "1e999"), "value 1e999 is out of range for 'd' (double): " +
			"-1.7976931348623157e+308 to 1.7976931348623157e+308"},
		{encode('i', 1.5), "float64 1.5 cannot be stored in 'i' (int), " +
			"which takes an integer from -2147483648 to 2147483647"},
		{encode('B', float32(2.5)), "float32 2.5 cannot be stored in 'B' (unsigned char), " +
			"which takes an integer from 0 to 255"},
		{encode('B', Half(0x3e00)), "Half 1.5 cannot be stored in 'B' (unsigned char), " +
			"which takes an integer from 0 to 255"},
		{encode('B', math.NaN()), "float64 NaN (not a number) cannot be stored in 'B' (unsigned char), " +
			"which takes an integer from 0 to 255"},
		{encode('B', math.Inf(-1)), "float64 -Inf (infinite) cannot be stored in 'B' (unsigned char), " +
			"which takes an integer from 0 to 255"},
		{encode('?', "yes"), `string "yes" cannot be stored in '?' (_Bool), which takes true, false, 0 or 1`},
		{encode('d', nil), "nil cannot be stored in 'd' (double), which takes a number"},
		{encode('d', []int{}), "[]int cannot be stored in 'd' (double), which takes a number"},
		{encode('c', []byte("abcdef")), "byte string of 6 bytes cannot be stored in 'c' (char), " +
			"which takes one byte or an integer from 0 to 255"},
		{encode('u', true), "bool true cannot be stored in 'u' (wchar_t), which takes one character or its code point"},
		{encode('x', 1), `unknown type code "x": the codes are c b B u h H i I l L q Q f d ? e, ` +
			"or by name char i8 u8 wchar i16 u16 i32 u32 i64 u64 f32 f64 bool f16"},
		{parse('i', "1.5"), `text "1.5" cannot be stored in 'i' (int), ` +
			"which takes an integer from -2147483648 to 2147483647"},
		{&CountError{Code: 'i', Count: 5, Max: 4}, "5 elements of 'i' (int) are too many: at most 4 fit"},
		{&LengthError{Code: 'i', Length: 6}, "6 bytes are no whole number of elements of 'i' (int), 4 bytes each"},
		{&RangeError{Value: struct{}{}}, `value {} is out of range for the unknown type code "\x00":  to `},
		{&TypeError{Got: "nil"}, `nil cannot be stored in the unknown type code "\x00", which takes nothing`},
	} {
		if row.err == nil {
			t.Errorf("no error, want %q", row.want)
		} else if row.err.Error() != row.want {
			t.Errorf("got  %s\nwant %s", row.err, row.want)
		}
	}
}

// TestErrorTextsAreShort: a peer cannot make an error long.
func TestErrorTextsAreShort(t *testing.T) {
	long := strings.Repeat("9", 1<<20)
	for _, c := range append(All(), 'x') {
		for _, s := range []string{long, "0x" + long, "U+" + long, `\x` + long, long + "z", "\x00" + long} {
			_, err := ParseText(c, s)
			if err == nil || len(err.Error()) > 512 {
				t.Errorf("ParseText(%q, %.5s...): %.100v", c, s, err)
			}
			if _, err := Encode(c, s); err == nil || len(err.Error()) > 512 {
				t.Errorf("Encode(%q, %.5s...): %.100v", c, s, err)
			}
		}
	}
}
