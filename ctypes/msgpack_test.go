package ctypes

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// TestMsgpackCodes compares our constants and families with the library's.
func TestMsgpackCodes(t *testing.T) {
	for _, row := range []struct{ ours, theirs byte }{
		{mpFixIntMax, msgpcode.PosFixedNumHigh}, {mpFixMap, msgpcode.FixedMapLow},
		{mpFixArray, msgpcode.FixedArrayLow}, {mpFixStr, msgpcode.FixedStrLow},
		{mpNil, msgpcode.Nil}, {mpFalse, msgpcode.False}, {mpTrue, msgpcode.True},
		{mpBin8, msgpcode.Bin8}, {mpBin16, msgpcode.Bin16}, {mpBin32, msgpcode.Bin32},
		{mpExt8, msgpcode.Ext8}, {mpExt16, msgpcode.Ext16}, {mpExt32, msgpcode.Ext32},
		{mpFloat32, msgpcode.Float}, {mpFloat64, msgpcode.Double},
		{mpUint8, msgpcode.Uint8}, {mpUint16, msgpcode.Uint16},
		{mpUint32, msgpcode.Uint32}, {mpUint64, msgpcode.Uint64},
		{mpInt8, msgpcode.Int8}, {mpInt16, msgpcode.Int16},
		{mpInt32, msgpcode.Int32}, {mpInt64, msgpcode.Int64},
		{mpFixExt1, msgpcode.FixExt1}, {mpFixExt2, msgpcode.FixExt2}, {mpFixExt4, msgpcode.FixExt4},
		{mpFixExt8, msgpcode.FixExt8}, {mpFixExt16, msgpcode.FixExt16},
		{mpStr8, msgpcode.Str8}, {mpStr16, msgpcode.Str16}, {mpStr32, msgpcode.Str32},
		{mpArray16, msgpcode.Array16}, {mpArray32, msgpcode.Array32},
		{mpMap16, msgpcode.Map16}, {mpMap32, msgpcode.Map32},
		{mpNegFixIntMin, msgpcode.NegFixedNumLow},
	} {
		if row.ours != row.theirs {
			t.Errorf("%#x, the library has %#x", row.ours, row.theirs)
		}
	}
	for i := range 256 {
		code := byte(i)
		kind := mpKindOf(code)
		for _, row := range []struct {
			kind mpKind
			want bool
		}{
			{mpKindStr, msgpcode.IsString(code)}, {mpKindBin, msgpcode.IsBin(code)},
			{mpKindExt, msgpcode.IsExt(code)}, {mpKindNever, code == 0xc1},
			{mpKindMap, msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32},
			{mpKindArray, msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32},
			{mpKindNil, code == msgpcode.Nil},
		} {
			if (kind == row.kind) != row.want {
				t.Errorf("%#x is of family %d (%v)", code, kind, kind)
			}
		}
	}
}

// packed is what the msgpack library makes of v in its shortest form.
func packed(t *testing.T, v any) []byte {
	t.Helper()
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// decoder returns a Decoder over b and what is left in it, by a function.
func decoder(b []byte) (*msgpack.Decoder, func() int) {
	r := bytes.NewReader(b)
	return msgpack.NewDecoder(r), r.Len
}

// samples returns patterns of code c: every one if it is small, else around all
// powers of two.
func samples(c Code) []uint64 {
	var list []uint64
	if c.Size() <= 2 {
		for i := range uint64(1) << (8 * c.Size()) {
			list = append(list, i)
		}
		return list
	}
	for shift := range 64 {
		n := uint64(1) << shift
		for _, bits := range []uint64{n - 1, n, n + 1, -n - 1, -n, -n + 1, n | n>>1} {
			list = append(list, bits&mask(table[c].size))
		}
	}
	list = append(list, 0x10ffff, 0x110000, 0xd7ff, 0xd800, 0xdfff, 0xe000, 0xfffd)
	for _, f := range []float64{0.1, math.Pi, math.MaxFloat32, math.MaxFloat64, math.Inf(1), math.NaN()} {
		list = append(list, math.Float64bits(f)&mask(table[c].size), uint64(math.Float32bits(float32(f))))
	}
	return list
}

// canonical is what AppendMsgpack should append, by the library: the value of
// Decode, floats of 'f' and 'e' as float 32.
func canonical(t *testing.T, c Code, v any) []byte {
	if f, ok := v.(float64); ok && c != CodeDouble {
		return packed(t, float32(f))
	}
	return packed(t, v)
}

// TestAppendMsgpack checks for every code and sample:
//
//  1. the bytes are those of the msgpack library, and so the shortest form
//  2. they are appended to what is there
//  3. the library decodes them to the value of Decode
//  4. DecodeMsgpack gives the pattern back, and reads all of it
func TestAppendMsgpack(t *testing.T) {
	for _, c := range All() {
		for _, bits := range samples(c) {
			v, wantErr := Decode(c, bits)
			got, err := AppendMsgpack([]byte("x"), c, bits|0xa5<<56&^mask(table[c].size))
			if wantErr != nil {
				outOfRange.check(t, c, 0, err)
				if string(got) != "x" {
					t.Fatalf("%q %#x: %x comes with an error", c, bits, got)
				}
				continue
			}
			if err != nil || got[0] != 'x' {
				t.Fatalf("%q %#x: %x, %v", c, bits, got, err)
			}
			got = got[1:]
			if f, ok := v.(float64); !ok || !math.IsNaN(f) { // the library quiets a NaN
				if want := canonical(t, c, v); !bytes.Equal(got, want) {
					t.Fatalf("%q %#x: %x, the library has %x", c, bits, got, want)
				}
			}
			dec, left := decoder(got)
			back, err := DecodeMsgpack(dec, c)
			if c == CodeBool {
				bits = min(bits, 1)
			}
			if err != nil || back != bits || left() != 0 {
				t.Fatalf("%q %#x: %x reads as %#x, %v, %d bytes left", c, bits, got, back, err, left())
			}
			checkLibraryReads(t, got, v)
		}
	}
}

// checkLibraryReads checks that the library decodes b to v.
func checkLibraryReads(t *testing.T, b []byte, v any) {
	t.Helper()
	dec, _ := decoder(b)
	got, err := dec.DecodeInterface()
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	// The library keeps the width of numbers, which an operand forgets.
	have, want := operandOf(got), operandOf(v)
	same := have == want
	if f, ok := v.(float64); ok {
		same = have.form == formFloat32 || have.form == formFloat64
		same = same && (have.float() == f || math.IsNaN(have.float()) && math.IsNaN(f))
	}
	if !same {
		t.Fatalf("%x is %T(%v) to the library, want %T(%v)", b, got, got, v, v)
	}
}

// TestDecodeMsgpackAsEncode: a value decoded from msgpack gives what Encode
// gives for it, in every form the format has for the number.
func TestDecodeMsgpackAsEncode(t *testing.T) {
	check := func(c Code, b []byte, v any) {
		t.Helper()
		wantBits, wantErr := Encode(c, v)
		dec, left := decoder(append(b, 0x2a))
		bits, err := DecodeMsgpack(dec, c)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() || bits != wantBits {
			t.Fatalf("%q from %x: %#x, %v, want %#x, %v", c, b, bits, err, wantBits, wantErr)
		}
		if left() != 1 {
			t.Fatalf("%q from %x: %d bytes left, want 1", c, b, left())
		}
	}
	for _, c := range All() {
		for _, n := range intBoundaries() {
			for _, b := range intForms(n) {
				if n.IsInt64() {
					check(c, b, n.Int64())
				} else {
					check(c, b, n.Uint64())
				}
			}
		}
		for _, f := range []float64{0, 1, -1.5, 0.1, 65504, 65520, -1e39, 1e300,
			math.Inf(1), math.Inf(-1), math.NaN()} {
			check(c, packed(t, f), f)
			check(c, packed(t, float32(f)), float32(f))
		}
		for _, v := range []any{true, false, "", "a", "ab", "é", "abcd", "😀", "abcde", "\xff",
			strings.Repeat("x", 40), strings.Repeat("x", 300), strings.Repeat("x", 70000),
			[]byte{}, []byte("a"), []byte("ab"), bytes.Repeat([]byte("x"), 300), bytes.Repeat([]byte("x"), 70000)} {
			check(c, packed(t, v), v)
		}
	}
}

// intForms returns every msgpack encoding of n, none if it has more than 64
// bits.
func intForms(n *big.Int) [][]byte {
	var forms [][]byte
	two := func(code byte, size uint) {
		modulus := new(big.Int).Lsh(big.NewInt(1), 8*size)
		forms = append(forms, append([]byte{code}, new(big.Int).Mod(n, modulus).FillBytes(make([]byte, size))...))
	}
	for i, size := range []uint{1, 2, 4, 8} {
		if n.Sign() >= 0 && n.BitLen() <= int(8*size) {
			two(mpUint8+byte(i), size)
		}
		low := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 8*size-1))
		high := new(big.Int).Not(low)
		if n.Cmp(low) >= 0 && n.Cmp(high) <= 0 {
			two(mpInt8+byte(i), size)
		}
	}
	if n.IsInt64() && n.Int64() >= -32 && n.Int64() <= 127 {
		forms = append(forms, []byte{byte(n.Int64())})
	}
	return forms
}

// foreign are msgpack values that no code takes, alone or nested.
func foreign(t *testing.T) map[string][]byte {
	ext := func(head ...byte) []byte { return append(head, bytes.Repeat([]byte{1}, 300)...) }
	return map[string][]byte{
		"nil":          {mpNil},
		"empty map":    {0x80},
		"map":          packed(t, map[string]any{"a": []any{1, "x", nil, true, 2.5}, "b": []byte("y")}),
		"map16":        {mpMap16, 0, 1, 0x01, mpUint64, 1, 2, 3, 4, 5, 6, 7, 8},
		"map32":        {mpMap32, 0, 0, 0, 1, 0x01, mpFloat64, 1, 2, 3, 4, 5, 6, 7, 8},
		"fixext1":      ext(mpFixExt1)[:3],
		"fixext2":      ext(mpFixExt2)[:4],
		"fixext4":      ext(mpFixExt4)[:6],
		"fixext8":      ext(mpFixExt8)[:10],
		"fixext16":     ext(mpFixExt16)[:18],
		"ext8 empty":   {mpExt8, 0, 5},
		"ext8":         ext(mpExt8, 200)[:203],
		"ext16":        ext(mpExt16, 1, 0)[:260],
		"ext32":        ext(mpExt32, 0, 0, 1, 0)[:262],
		"map of exts":  append([]byte{0x81}, append(ext(mpFixExt1)[:3], ext(mpFixExt1)[:3]...)...),
		"deep map":     append(bytes.Repeat([]byte{0x81, 0x01}, 100_000), 0x80),
		"map of array": append([]byte{0x81, 0x01, mpArray16, 1, 0}, make([]byte, 256)...),
	}
}

// TestDecodeMsgpackForeign: what no code takes is a type error, and dec stands
// behind it.
func TestDecodeMsgpackForeign(t *testing.T) {
	values := foreign(t)
	values["array"] = packed(t, []any{1, []any{2, "three"}, 4.5})
	values["array16"] = append([]byte{mpArray16, 1, 0}, make([]byte, 256)...)
	values["array32"] = append([]byte{mpArray32, 0, 0, 1, 0}, make([]byte, 256)...)
	values["deep array"] = append(bytes.Repeat([]byte{0x91}, 1<<17), 0xc0)
	for name, b := range values {
		t.Run(name, func(t *testing.T) {
			for _, c := range All() {
				dec, left := decoder(append(b, 0x2a))
				bits, err := DecodeMsgpack(dec, c)
				wrongType.check(t, c, bits, err)
				if left() != 1 {
					t.Errorf("%q: %d bytes left, want 1", c, left())
				}
			}
		})
	}
}

// TestDecodeMsgpackTruncated: every proper prefix is cut off, the empty one is
// the end.
func TestDecodeMsgpackTruncated(t *testing.T) {
	values := foreign(t)
	delete(values, "deep map") // quadratic
	for _, v := range []any{uint8(200), uint16(60000), uint32(1 << 31), uint64(1 << 63), int8(-100), int16(-30000),
		int32(math.MinInt32), int64(math.MinInt64), 1.5, float32(1.5), "é", strings.Repeat("x", 40), []byte("a"),
		bytes.Repeat([]byte("a"), 70)} {
		values[string(packed(t, v))] = packed(t, v)
	}
	for _, b := range values {
		for n := range b {
			for _, c := range All() {
				dec, _ := decoder(b[:n])
				bits, err := DecodeMsgpack(dec, c)
				want := io.ErrUnexpectedEOF
				if n == 0 {
					want = io.EOF
				}
				if !errors.Is(err, want) || bits != 0 {
					t.Fatalf("%q from %x: %#x, %v, want %v", c, b[:n], bits, err, want)
				}
			}
		}
	}
}

func TestDecodeMsgpackBroken(t *testing.T) {
	failing := errors.New("the wire is cut")
	for _, c := range All() {
		for _, b := range [][]byte{{mpNever}, {0x81, 0x01, mpNever}, {0x91, mpNever}} {
			dec, _ := decoder(b)
			if bits, err := DecodeMsgpack(dec, c); !errors.Is(err, ErrMalformed) || bits != 0 {
				t.Errorf("%q from %x: %#x, %v", c, b, bits, err)
			}
		}
		for _, b := range [][]byte{{}, {mpUint16, 1}, {0xa2, 'a'}, {mpStr8, 9, 'a'}, {0x81, 0x01}} {
			dec := msgpack.NewDecoder(io.MultiReader(bytes.NewReader(b), errReader{failing}))
			if bits, err := DecodeMsgpack(dec, c); !errors.Is(err, failing) || bits != 0 {
				t.Errorf("%q from %x: %#x, %v", c, b, bits, err)
			}
		}
	}
}

// errReader fails to read.
type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestDecodeMsgpackMisuse: no decoder, no reader and no code are errors.
func TestDecodeMsgpackMisuse(t *testing.T) {
	for _, dec := range []*msgpack.Decoder{nil, new(msgpack.Decoder), msgpack.NewDecoder(nil)} {
		if _, err := DecodeMsgpack(dec, 'i'); err == nil {
			t.Error("DecodeMsgpack reads from nothing")
		}
		if _, err := DecodeMsgpackSlice(dec, 'i', 1); err == nil {
			t.Error("DecodeMsgpackSlice reads from nothing")
		}
	}
	var unknown *UnknownCodeError
	dec, left := decoder([]byte{1})
	if _, err := DecodeMsgpack(dec, 'x'); !errors.As(err, &unknown) || left() != 1 {
		t.Errorf("DecodeMsgpack('x'): %v, %d left", err, left())
	}
	if _, err := DecodeMsgpackSlice(dec, 'x', 1); !errors.As(err, &unknown) || left() != 1 {
		t.Errorf("DecodeMsgpackSlice('x'): %v, %d left", err, left())
	}
	if b, err := AppendMsgpack([]byte("x"), 'x', 1); !errors.As(err, &unknown) || string(b) != "x" {
		t.Errorf("AppendMsgpack('x') = %q, %v", b, err)
	}
	if b, err := AppendMsgpackSlice([]byte("x"), 'x', nil); !errors.As(err, &unknown) || string(b) != "x" {
		t.Errorf("AppendMsgpackSlice('x') = %q, %v", b, err)
	}
}
