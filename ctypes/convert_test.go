package ctypes

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// outcome is what a conversion should come to: a pattern, or one of the errors.
type outcome struct {
	bits uint64
	fail string // "", "range" or "type"
}

func good(bits uint64) outcome { return outcome{bits: bits} }

var (
	outOfRange = outcome{fail: "range"}
	wrongType  = outcome{fail: "type"}
)

// check compares a result with the outcome. An error must be of the right type
// and name the code and its C type.
func (o outcome) check(t *testing.T, c Code, bits uint64, err error) {
	t.Helper()
	if o.fail == "" {
		if err != nil || bits != o.bits {
			t.Errorf("got %#x, %v, want %#x", bits, err, o.bits)
		}
		return
	}
	var rangeErr *RangeError
	var typeErr *TypeError
	switch {
	case err == nil:
		t.Errorf("got %#x, want a %s error", bits, o.fail)
		return
	case o.fail == "range" && !(errors.As(err, &rangeErr) && rangeErr.Code == c),
		o.fail == "type" && !(errors.As(err, &typeErr) && typeErr.Code == c):
		t.Errorf("got %T %v, want a %s error", err, err, o.fail)
	}
	if bits != 0 {
		t.Errorf("%#x comes with an error", bits)
	}
	if !strings.Contains(err.Error(), describe(c)) {
		t.Errorf("the error %q does not name %s", err, describe(c))
	}
}

// isIntCode reports whether c holds nothing but integers.
func isIntCode(c Code) bool { return c.Kind() == KindInt || c.Kind() == KindUint }

// intBoundaries returns integers at and around every power of two up to 2^65
// and both ends of the range of every code, as exact numbers.
func intBoundaries() []*big.Int {
	var list []*big.Int
	around := func(n *big.Int) {
		for d := int64(-1); d <= 1; d++ {
			list = append(list, new(big.Int).Add(n, big.NewInt(d)))
		}
	}
	for shift := range uint(66) {
		n := new(big.Int).Lsh(big.NewInt(1), shift)
		around(n)
		around(new(big.Int).Neg(n))
	}
	around(big.NewInt(0x10ffff))
	around(big.NewInt(0xd800))
	around(big.NewInt(0xdfff))
	around(big.NewInt(65520)) // where a Half overflows
	return list
}

// wantInt is the outcome of an integer in a code that is no float, computed
// with exact numbers.
func wantInt(c Code, n *big.Int) outcome {
	minimum, maximum, _ := c.IntRange()
	if n.Cmp(big.NewInt(minimum)) < 0 || n.Cmp(new(big.Int).SetUint64(maximum)) > 0 {
		return outOfRange
	}
	if c.Kind() == KindWChar && n.Int64() >= 0xd800 && n.Int64() <= 0xdfff {
		return outOfRange
	}
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(8*c.Size()))
	return good(new(big.Int).Mod(n, modulus).Uint64())
}

// wantFloat is the outcome of an integer in a float code, by way of exact
// arithmetic rounded once.
func wantFloat(c Code, n *big.Int) outcome {
	exact := new(big.Float).SetInt(n)
	switch c {
	case CodeHalf:
		f, _ := exact.Float64() // what it rounds is out of range anyway
		h, ok := halfOf(f)
		if !ok {
			return outOfRange
		}
		return good(uint64(h))
	case CodeFloat:
		f, _ := exact.Float32()
		return good(uint64(math.Float32bits(f)))
	default:
		f, _ := exact.Float64()
		return good(math.Float64bits(f))
	}
}

// TestEncodeIntegers is every code against every boundary, in every Go integer
// type that holds it.
func TestEncodeIntegers(t *testing.T) {
	types := []any{int(0), int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0),
		uint16(0), uint32(0), uint64(0), uintptr(0), Char(0), WChar(0), time.Duration(0)}
	for _, c := range All() {
		for _, n := range intBoundaries() {
			want := wantInt
			if c.Kind() == KindFloat {
				want = wantFloat
			}
			for _, zero := range types {
				v := reflect.New(reflect.TypeOf(zero)).Elem()
				if v.CanInt() {
					if !n.IsInt64() || v.OverflowInt(n.Int64()) {
						continue
					}
					v.SetInt(n.Int64())
				} else {
					if !n.IsUint64() || v.OverflowUint(n.Uint64()) {
						continue
					}
					v.SetUint(n.Uint64())
				}
				bits, err := Encode(c, v.Interface())
				want(c, n).check(t, c, bits, err)
				if t.Failed() {
					t.Fatalf("Encode(%q, %T(%v))", c, v.Interface(), n)
				}
			}
		}
	}
}

// TestEncodeOther is every code against values that are no integers.
func TestEncodeOther(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	type text string
	type blob []byte
	type switched bool
	type celsius float32
	type kelvin float64
	everywhere := []struct {
		v    any
		want func(c Code) outcome
	}{
		{true, func(c Code) outcome { return wantBool(c, 1) }},
		{false, func(c Code) outcome { return wantBool(c, 0) }},
		{switched(true), func(c Code) outcome { return wantBool(c, 1) }},
		{0.0, onlyFloat(0, 0, 0)},
		{math.Copysign(0, -1), onlyFloat(0x8000, 0x80000000, 1<<63)},
		{1.0, onlyFloat(0x3c00, 0x3f800000, 0x3ff0000000000000)},
		{float32(1), onlyFloat(0x3c00, 0x3f800000, 0x3ff0000000000000)},
		{kelvin(1), onlyFloat(0x3c00, 0x3f800000, 0x3ff0000000000000)},
		{celsius(1), onlyFloat(0x3c00, 0x3f800000, 0x3ff0000000000000)},
		{Half(0x3c00), onlyFloat(0x3c00, 0x3f800000, 0x3ff0000000000000)},
		{Half(1), onlyFloat(1, 0x33800000, 0x3e70000000000000)},
		{0.1, onlyFloat(0x2e66, 0x3dcccccd, 0x3fb999999999999a)},
		{inf, onlyFloat(0x7c00, 0x7f800000, 0x7ff0000000000000)},
		{-inf, onlyFloat(0xfc00, 0xff800000, 0xfff0000000000000)},
		{float32(inf), onlyFloat(0x7c00, 0x7f800000, 0x7ff0000000000000)},
		{Half(0xfc00), onlyFloat(0xfc00, 0xff800000, 0xfff0000000000000)},
		{nan, onlyFloat(0x7e00, 0x7fc00000, 0x7ff8000000000001)},
		{float32(nan), onlyFloat(0x7e00, 0x7fc00000, 0x7ff8000000000000)},
		{nil, never}, {[]int{1}, never}, {[1]byte{1}, never}, {struct{}{}, never},
		{map[string]int{}, never}, {complex(1, 0), never}, {new(int), never},
		{(*int)(nil), never}, {errors.New("x"), never}, {func() {}, never},
		{"", never}, {"12", never}, {[]byte(nil), never}, {[]byte("ab"), never},
		{strings.Repeat("x", 1<<16), never},
		{"a", onlyText('a', 'a')}, {text("a"), onlyText('a', 'a')},
		{"7", onlyText('7', '7')}, // a character, never a number
		{"\x00", onlyText(0, 0)},
		{"é", onlyWChar(0xe9)}, {"€", onlyWChar(0x20ac)}, {"😀", onlyWChar(0x1f600)},
		{"\ufffd", onlyWChar(0xfffd)}, {"\U0010ffff", onlyWChar(0x10ffff)},
		{"\xff", onlyChar(0xff)},    // a byte, no character
		{"\xed\xa0\x80", never},     // a surrogate in disguise
		{"\xf4\x90\x80\x80", never}, // past Unicode
		{"\xc0\x80", never},         // overlong
		{[]byte("a"), onlyChar('a')}, {blob("a"), onlyChar('a')}, {[]Char{'a'}, onlyChar('a')},
		{[]byte{0xff}, onlyChar(0xff)},
	}
	for _, c := range All() {
		for _, row := range everywhere {
			bits, err := Encode(c, row.v)
			row.want(c).check(t, c, bits, err)
			if t.Failed() {
				t.Fatalf("Encode(%q, %T(%.20v))", c, row.v, row.v)
			}
		}
	}
}

func wantBool(c Code, bit int64) outcome {
	switch c.Kind() {
	case KindChar, KindWChar:
		return wrongType
	case KindFloat:
		return wantFloat(c, big.NewInt(bit))
	default:
		return good(uint64(bit))
	}
}

func never(Code) outcome { return wrongType }

// onlyFloat expects the three patterns in the float codes and a type error
// elsewhere.
func onlyFloat(half, single, double uint64) func(Code) outcome {
	return func(c Code) outcome {
		switch c {
		case CodeHalf:
			return good(half)
		case CodeFloat:
			return good(single)
		case CodeDouble:
			return good(double)
		default:
			return wrongType
		}
	}
}

func onlyText(char, wchar uint64) func(Code) outcome {
	return func(c Code) outcome {
		switch c {
		case CodeChar:
			return good(char)
		case CodeWChar:
			return good(wchar)
		default:
			return wrongType
		}
	}
}

func onlyChar(char uint64) func(Code) outcome {
	return func(c Code) outcome {
		if c == CodeChar {
			return good(char)
		}
		return wrongType
	}
}

func onlyWChar(wchar uint64) func(Code) outcome {
	return func(c Code) outcome {
		if c == CodeWChar {
			return good(wchar)
		}
		return wrongType
	}
}

// TestEncodeFloatRange checks the ends of the float codes.
func TestEncodeFloatRange(t *testing.T) {
	// Half a unit past the largest float32 rounds to even, that is, past it.
	tie := math.Ldexp(1<<25-1, 103)
	cases := []struct {
		c    Code
		v    float64
		want outcome
	}{
		{'e', 65504, good(0x7bff)},
		{'e', math.Nextafter(65520, 0), good(0x7bff)},
		{'e', 65520, outOfRange},
		{'e', math.MaxFloat64, outOfRange},
		{'e', math.Ldexp(1, -24), good(1)},
		{'e', math.Ldexp(1, -25), good(0)},
		{'e', math.SmallestNonzeroFloat64, good(0)},
		{'f', math.MaxFloat32, good(0x7f7fffff)},
		{'f', math.Nextafter(tie, 0), good(0x7f7fffff)},
		{'f', tie, outOfRange},
		{'f', math.MaxFloat64, outOfRange},
		{'f', math.SmallestNonzeroFloat32, good(1)},
		{'f', math.SmallestNonzeroFloat64, good(0)},
		{'d', math.MaxFloat64, good(0x7fefffffffffffff)},
		{'d', math.SmallestNonzeroFloat64, good(1)},
	}
	for _, row := range cases {
		bits, err := Encode(row.c, row.v)
		row.want.check(t, row.c, bits, err)
		if row.want.fail == "" {
			row.want.bits |= 1 << (8*row.c.Size() - 1)
		}
		bits, err = Encode(row.c, -row.v)
		row.want.check(t, row.c, bits, err)
	}
}

// TestEncodeIntRoundsOnce is the case where rounding by way of float64 gives
// another float32 than rounding at once.
func TestEncodeIntRoundsOnce(t *testing.T) {
	const n = 1<<60 + 1<<36 + 1 // just above the middle of two float32
	bits, err := Encode('f', int64(n))
	good(uint64(math.Float32bits(float32(1<<60+1<<37)))).check(t, 'f', bits, err)
	bits, err = Encode('f', int64(-n))
	good(uint64(math.Float32bits(float32(-(1<<60 + 1<<37))))).check(t, 'f', bits, err)
}

func TestEncodeUnknownCode(t *testing.T) {
	for _, v := range []any{nil, 1, 1.5, "a", []byte("a"), true} {
		bits, err := Encode('x', v)
		var unknown *UnknownCodeError
		if !errors.As(err, &unknown) || bits != 0 {
			t.Errorf("Encode('x', %v) = %#x, %v", v, bits, err)
		}
	}
	if v, err := Decode('x', 1); v != nil || err == nil {
		t.Errorf("Decode('x') = %v, %v", v, err)
	}
}

func TestDecode(t *testing.T) {
	const above = 0xa5a5a5a5a5a5a5a5 // what lies above the size is ignored
	cases := []struct {
		c    Code
		bits uint64
		want any
	}{
		{'c', 0xff, []byte{0xff}}, {'c', 0, []byte{0}},
		{'b', 0x80, int64(-128)}, {'b', 0x7f, int64(127)}, {'b', 0xff, int64(-1)},
		{'B', 0xff, uint64(255)},
		{'h', 0x8000, int64(-32768)}, {'H', 0xffff, uint64(65535)},
		{'i', 0x80000000, int64(math.MinInt32)}, {'i', 0x7fffffff, int64(math.MaxInt32)},
		{'I', 0xffffffff, uint64(math.MaxUint32)},
		{'l', 1 << 63, int64(math.MinInt64)}, {'q', 1 << 63, int64(math.MinInt64)},
		{'L', math.MaxUint64, uint64(math.MaxUint64)}, {'Q', 1 << 63, uint64(1 << 63)},
		{'f', 0x3dcccccd, float64(float32(0.1))}, {'f', 0xff800000, math.Inf(-1)},
		{'d', 0x3fb999999999999a, 0.1}, {'e', 0x3555, 0.333251953125},
		{'?', 0, false}, {'?', 1, true}, {'?', 2, true}, {'?', 0xff, true},
		{'u', 'a', "a"}, {'u', 0x10ffff, "\U0010ffff"}, {'u', 0, "\x00"},
	}
	for _, row := range cases {
		for _, bits := range []uint64{row.bits, row.bits | above&^mask(table[row.c].size)} {
			got, err := Decode(row.c, bits)
			if err != nil || !reflect.DeepEqual(got, row.want) {
				t.Errorf("Decode(%q, %#x) = %T(%v), %v, want %T(%v)", row.c, bits, got, got, err, row.want, row.want)
			}
		}
	}
}

func TestDecodeInvalidWChar(t *testing.T) {
	for _, bits := range []uint64{0xd800, 0xdfff, 0x110000, 0x80000000, 0xffffffff} {
		v, err := Decode('u', bits)
		outOfRange.check(t, 'u', 0, err)
		if v != nil {
			t.Errorf("Decode('u', %#x) = %v", bits, v)
		}
	}
}

// TestEncodeDecodeRoundTrip: what Decode gives for any pattern is what Encode
// turns back into it. A bool other than 0 and 1 becomes 1, a NaN stays one.
func TestEncodeDecodeRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, c := range All() {
		for i := range 1 << 16 {
			bits := random.Uint64()
			if i&1 == 0 {
				bits >>= random.UintN(64)
			}
			bits &= mask(table[c].size)
			v, err := Decode(c, bits)
			if err != nil {
				if c == CodeWChar {
					continue
				}
				t.Fatalf("Decode(%q, %#x): %v", c, bits, err)
			}
			back, err := Encode(c, v)
			switch f, _ := v.(float64); {
			case err != nil:
				t.Fatalf("Encode(%q, %v): %v", c, v, err)
			case c == CodeBool:
				bits = min(bits, 1)
			case math.IsNaN(f) && math.IsNaN(floatOf(c, back)):
				continue
			}
			if back != bits {
				t.Fatalf("%q: %#x is %v is %#x", c, bits, v, back)
			}
		}
	}
}

// TestEncodeDoesNotAllocate: the canonical values cost nothing on the way in.
func TestEncodeDoesNotAllocate(t *testing.T) {
	for _, row := range []struct {
		c Code
		v any
	}{
		{'q', int64(-1 << 40)}, {'Q', uint64(1 << 40)}, {'d', 1.5}, {'e', 1.5}, {'?', true},
		{'u', "é"}, {'c', []byte("x")},
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = Encode(row.c, row.v) }); n != 0 {
			t.Errorf("Encode(%q, %T) allocates %v times", row.c, row.v, n)
		}
	}
}
