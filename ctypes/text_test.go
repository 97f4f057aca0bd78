package ctypes

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestParseTextIntegers is every integer code against every boundary, decimal
// and hexadecimal, numbers past 64 bits included.
func TestParseTextIntegers(t *testing.T) {
	for _, c := range All() {
		if !isIntCode(c) && c != CodeBool {
			continue
		}
		for _, n := range intBoundaries() {
			forms := []string{n.String()}
			hex := new(big.Int).Abs(n).Text(16)
			if n.Sign() < 0 {
				forms = append(forms, "-0x"+hex, "-0X"+strings.ToUpper(hex), "-000"+n.String()[1:])
			} else {
				forms = append(forms, "0x"+hex, "+0x"+hex, "+"+n.String(), "0x000"+hex)
			}
			for _, text := range forms {
				bits, err := ParseText(c, text)
				wantInt(c, n).check(t, c, bits, err)
				if t.Failed() {
					t.Fatalf("ParseText(%q, %q)", c, text)
				}
			}
		}
	}
}

func TestParseText(t *testing.T) {
	notInt := []string{"", " 1", "1 ", "1.0", "1e3", "0x", "0xg", "--1", "-+1", "+-1", "1_000", "0x1_0", "0b1", "0o7",
		"abc", "nan", "inf", "1\x00", "٣", "0x-1", "99999999999999999999z", "0xffffffffffffffffffz", "-", "+"}
	for _, c := range All() {
		if !isIntCode(c) {
			continue
		}
		for _, text := range append(notInt, "true", "false", "a") {
			bits, err := ParseText(c, text)
			wrongType.check(t, c, bits, err)
			if t.Failed() {
				t.Fatalf("ParseText(%q, %q)", c, text)
			}
		}
	}
	for _, row := range []struct {
		codes string
		text  string
		want  outcome
	}{
		{"?", "true", good(1)}, {"?", "false", good(0)}, {"?", "1", good(1)}, {"?", "0", good(0)},
		{"?", "2", outOfRange}, {"?", "-1", outOfRange}, {"?", "99999999999999999999", outOfRange},
		{"?", "True", wrongType}, {"?", "yes", wrongType}, {"?", "", wrongType}, {"?", "1.0", wrongType},

		{"c", "a", good('a')}, {"c", "7", good('7')}, {"c", " ", good(' ')}, {"c", `\`, good('\\')},
		{"c", "\x00", good(0)}, {"c", "\xff", good(0xff)},
		{"c", `\x00`, good(0)}, {"c", `\x7F`, good(0x7f)}, {"c", `\xff`, good(0xff)}, {"c", `\xa`, good(0xa)},
		{"c", "0xff", good(0xff)}, {"c", "0XFF", good(0xff)}, {"c", "0x0", good(0)},
		{"c", "0x100", outOfRange}, {"c", `\x100`, outOfRange}, {"c", "0xfffffffffffffffff", outOfRange},
		{"c", "", wrongType}, {"c", "ab", wrongType}, {"c", "é", wrongType}, {"c", "65", wrongType},
		{"c", `\x`, wrongType}, {"c", "0x", wrongType}, {"c", `\xzz`, wrongType}, {"c", `\n`, wrongType},
		{"c", "0x-1", wrongType}, {"c", "U+41", wrongType},

		{"u", "a", good('a')}, {"u", "é", good(0xe9)}, {"u", "😀", good(0x1f600)}, {"u", "U", good('U')},
		{"u", "\ufffd", good(0xfffd)}, {"u", "7", good('7')}, {"u", "\x00", good(0)},
		{"u", "U+0041", good('A')}, {"u", "u+41", good('A')}, {"u", "U+10ffff", good(0x10ffff)}, {"u", "U+0", good(0)},
		{"u", "U+D800", outOfRange}, {"u", "U+DFFF", outOfRange}, {"u", "U+110000", outOfRange},
		{"u", "U+FFFFFFFF", outOfRange}, {"u", "U+FFFFFFFFFFFFFFFFF", outOfRange},
		{"u", "", wrongType}, {"u", "ab", wrongType}, {"u", "U+", wrongType}, {"u", "U+xyz", wrongType},
		{"u", "65", wrongType}, {"u", "\xff", wrongType}, {"u", "\xed\xa0\x80", wrongType}, {"u", "e\u0301", wrongType},
		{"u", "U+-1", wrongType},

		{"d", "0.1", good(0x3fb999999999999a)}, {"f", "0.1", good(0x3dcccccd)}, {"e", "0.1", good(0x2e66)},
		{"d", "-0", good(1 << 63)}, {"f", "-0", good(1 << 31)}, {"e", "-0", good(0x8000)},
		{"d", "1e3", good(math.Float64bits(1000))}, {"d", "0x1p-2", good(math.Float64bits(0.25))},
		{"d", "inf", good(0x7ff0 << 48)}, {"f", "-Infinity", good(0xff800000)}, {"e", "+INF", good(0x7c00)},
		{"d", "nan", good(0x7ff8000000000001)}, {"f", "NaN", good(0x7fc00000)}, {"e", "nan", good(0x7e00)},
		{"d", "1e999", outOfRange}, {"d", "-1e999", outOfRange}, {"f", "1e39", outOfRange}, {"e", "65520", outOfRange},
		{"f", "3.4028235677973367e38", outOfRange}, {"f", "3.4028235677973366e38", good(0x7f7fffff)},
		{"e", "1e999", outOfRange}, {"e", "65519", good(0x7bff)}, {"fe", "1e-99", good(0)}, {"d", "1e-999", good(0)},
		{"fde", "", wrongType}, {"fde", "abc", wrongType}, {"fde", " 1", wrongType}, {"fde", "1 ", wrongType},
		{"fde", "1.5.5", wrongType}, {"fde", "true", wrongType}, {"fde", "1_000", wrongType},
		{"fde", "0x_1p0", wrongType},
		{"fde", "1,5", wrongType}, {"fde", "0x", wrongType},
	} {
		for i := range len(row.codes) {
			c := Code(row.codes[i])
			bits, err := ParseText(c, row.text)
			row.want.check(t, c, bits, err)
			if t.Failed() {
				t.Fatalf("ParseText(%q, %q)", c, row.text)
			}
		}
	}
	var unknown *UnknownCodeError
	if bits, err := ParseText('x', "1"); !errors.As(err, &unknown) || bits != 0 {
		t.Errorf("ParseText('x') = %d, %v", bits, err)
	}
}

// TestParseFloat32RoundsOnce is a decimal whose float64 lies in the middle of
// two float32, while it lies above.
func TestParseFloat32RoundsOnce(t *testing.T) {
	const text = "1.00000005960464477539062500000001"
	if bits := mustParse(t, 'f', text); bits != 0x3f800001 {
		t.Errorf("%s is %#x", text, bits)
	}
}

func TestFormatText(t *testing.T) {
	for _, row := range []struct {
		c    Code
		bits uint64
		want string
	}{
		{'b', 0x80, "-128"}, {'B', 0x80, "128"}, {'h', 0xffff, "-1"}, {'q', 1 << 63, "-9223372036854775808"},
		{'Q', math.MaxUint64, "18446744073709551615"}, {'i', 0xa5a5_0000_0000_002a, "42"},
		{'?', 0, "false"}, {'?', 1, "true"}, {'?', 0x80, "true"}, {'?', 0x100, "false"},
		{'c', 'a', "a"}, {'c', '~', "~"}, {'c', ' ', `\x20`}, {'c', 0, `\x00`}, {'c', 0x7f, `\x7f`},
		{'c', 0xe9, `\xe9`}, {'c', '\\', `\`}, {'c', 0x161, "a"},
		{'u', 'a', "a"}, {'u', 0x20ac, "€"}, {'u', 0x1f600, "😀"}, {'u', ' ', "U+0020"}, {'u', '\n', "U+000A"},
		{'u', 0x301, "U+0301"}, {'u', 0x10ffff, "U+10FFFF"}, {'u', 0xd800, "U+D800"}, {'u', 0xffffffff, "U+FFFFFFFF"},
		{'u', 0x00a0, "U+00A0"}, {'u', 0xfeff, "U+FEFF"},
		{'d', math.Float64bits(0.1), "0.1"}, {'d', math.Float64bits(1), "1"}, {'d', 1 << 63, "-0"},
		{'d', math.Float64bits(1e6), "1000000"}, {'d', math.Float64bits(1e16), "1e+16"},
		{'d', math.Float64bits(1e-4), "0.0001"}, {'d', math.Float64bits(1.5e-5), "1.5e-05"},
		{'d', math.Float64bits(math.Inf(1)), "inf"}, {'d', math.Float64bits(math.Inf(-1)), "-inf"},
		{'d', math.Float64bits(math.NaN()), "nan"}, {'f', 0x3dcccccd, "0.1"}, {'f', 0x7f7fffff, "3.4028235e+38"},
		{'e', 0x2e66, "0.1"}, {'e', 0x7bff, "65500"}, {'e', 1, "6e-08"}, {'e', 0x3555, "0.3333"}, {'e', 0xfc00, "-inf"},
		{'x', 0x2a, "0x2a"},
	} {
		if got := FormatText(row.c, row.bits); got != row.want {
			t.Errorf("FormatText(%q, %#x) = %q, want %q", row.c, row.bits, got, row.want)
		}
	}
}

// TestTextRoundTrip: text is parsed back to the pattern it was made from, for
// every half, every character, and samples of the rest.
func TestTextRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, c := range All() {
		list := samples(c)
		for range 20_000 {
			list = append(list, random.Uint64()&mask(table[c].size))
		}
		if c == CodeWChar {
			for r := range uint64(0x110100) {
				list = append(list, r)
			}
		}
		for _, bits := range list {
			text := FormatText(c, bits)
			back, err := ParseText(c, text)
			if _, invalid := Decode(c, bits); invalid != nil {
				outOfRange.check(t, c, back, err)
				if t.Failed() {
					t.Fatalf("%q %#x is %q", c, bits, text)
				}
				continue
			}
			if c == CodeBool {
				bits = min(bits, 1)
			}
			if c.Kind() == KindFloat && math.IsNaN(floatOf(c, bits)) {
				if text != "nan" || err != nil || !math.IsNaN(floatOf(c, back)) {
					t.Fatalf("%q %#x is %q is %#x, %v", c, bits, text, back, err)
				}
				continue
			}
			if err != nil || back != bits {
				t.Fatalf("%q %#x is %q is %#x, %v", c, bits, text, back, err)
			}
		}
	}
}
