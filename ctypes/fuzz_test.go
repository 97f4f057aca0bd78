package ctypes

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// codeAt turns a byte of fuzz input into a code: each one, and one unknown.
func codeAt(b byte) Code {
	return append(All(), 'x')[int(b)%(len(all)+1)]
}

// fuzzSeeds are msgpack values to start from.
var fuzzSeeds = [][]byte{
	{}, {0x00}, {0x7f}, {0xe0}, {0xc0}, {0xc1}, {0xc2}, {0xc3},
	{0xa1, 'a'}, {0xa0}, {0xa2, 0xc3, 0xa9}, {0xc4, 1, 0xff},
	{0xca, 0x7f, 0x80, 0, 0}, {0xca, 0x7f, 0xa0, 0, 0}, {0xcb, 0x40, 0xef, 0xfe, 0, 0, 0, 0, 0},
	{0xcc, 0xff}, {0xcd, 1, 0}, {0xce, 0xff, 0xff, 0xff, 0xff}, {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	{0xd0, 0x80}, {0xd1, 0x80, 0}, {0xd2, 0x80, 0, 0, 0}, {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, {0xce, 0, 0, 0xd8, 0},
	{0x93, 1, 2, 3}, {0x92, 0xc3, 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0},
	{0x92, 0xa1, 'x', 0xc4, 1, 'y'}, {0x91, 0x91, 0xc0},
	{0xdc, 0, 2, 1, 2}, {0xdd, 0, 0, 0, 1, 1}, {0xdd, 0xff, 0xff, 0xff, 0xff, 1}, {0xc6, 0xff, 0xff, 0xff, 0xff, 1},
	{0x81, 1, 2}, {0xde, 0, 1, 1, 2}, {0xdf, 0, 0, 0, 1, 1, 2},
	{0xd4, 1, 2}, {0xd8}, {0xc7, 1, 2, 3}, {0xc9, 0, 0, 0, 0, 1},
}

// checkPosition checks that a value that was taken, or refused for what it is,
// was read as far as the library would skip it.
func checkPosition(t *testing.T, data []byte, left int) {
	t.Helper()
	r := bytes.NewReader(data)
	if err := msgpack.NewDecoder(r).Skip(); err != nil {
		t.Fatalf("%x is taken, the library says: %v", data, err)
	}
	if left != r.Len() {
		t.Fatalf("%x: %d bytes left, the library leaves %d", data, left, r.Len())
	}
}

// aboutValue reports whether err is of a kind after which reading goes on.
func aboutValue(err error) bool {
	var rangeErr *RangeError
	var typeErr *TypeError
	var countErr *CountError
	return errors.As(err, &rangeErr) || errors.As(err, &typeErr) || errors.As(err, &countErr)
}

// FuzzDecodeMsgpack checks of any input:
//
//  1. no panic, and an error comes with the pattern 0
//  2. a pattern has no bits above its size, and is a value
//  3. encoded again it reads as the same pattern
//  4. after a value and after an error about one, the position is right
func FuzzDecodeMsgpack(f *testing.F) {
	for i := range byte(len(all) + 1) {
		for _, seed := range fuzzSeeds {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		c := codeAt(which)
		dec, left := decoder(data)
		bits, err := DecodeMsgpack(dec, c)
		if err != nil {
			if bits != 0 {
				t.Fatalf("%#x comes with %v", bits, err)
			}
			if aboutValue(err) {
				checkPosition(t, data, left())
			}
			return
		}
		checkPosition(t, data, left())
		if bits&^mask(table[c].size) != 0 {
			t.Fatalf("%q: %#x is too wide", c, bits)
		}
		if _, err := Decode(c, bits); err != nil {
			t.Fatalf("%q: %#x is taken and not given: %v", c, bits, err)
		}
		packed, err := AppendMsgpack(nil, c, bits)
		if err != nil {
			t.Fatal(err)
		}
		dec, left = decoder(packed)
		if back, err := DecodeMsgpack(dec, c); err != nil || back != bits || left() != 0 {
			t.Fatalf("%q: %#x is %x is %#x, %v", c, bits, packed, back, err)
		}
	})
}

// FuzzDecodeMsgpackSlice checks of any input:
//
//  1. no panic, and an error comes with no memory
//  2. there are whole elements, at most as many as allowed, and all are values
//  3. encoded again they read as the same memory
//  4. after a sequence and after an error about one, the position is right
func FuzzDecodeMsgpackSlice(f *testing.F) {
	for i := range byte(len(all) + 1) {
		for _, seed := range fuzzSeeds {
			f.Add(i, 2, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, maximum int, data []byte) {
		c := codeAt(which)
		dec, left := decoder(data)
		mem, err := DecodeMsgpackSlice(dec, c, maximum)
		if err != nil {
			if mem != nil {
				t.Fatalf("%x comes with %v", mem, err)
			}
			if aboutValue(err) {
				checkPosition(t, data, left())
			}
			return
		}
		checkPosition(t, data, left())
		count := len(mem) / c.Size()
		if len(mem)%c.Size() != 0 || count > max(maximum, 0) {
			t.Fatalf("%q: %d bytes, at most %d elements are allowed", c, len(mem), maximum)
		}
		packed, err := AppendMsgpackSlice(nil, c, mem)
		if err != nil {
			t.Fatal(err)
		}
		dec, left = decoder(packed)
		if back, err := DecodeMsgpackSlice(dec, c, count); err != nil || !bytes.Equal(back, mem) || left() != 0 {
			t.Fatalf("%q: %x is %x is %x, %v", c, mem, packed, back, err)
		}
	})
}

// FuzzParseText checks of any text:
//
//  1. no panic, and an error comes with the pattern 0 and is short
//  2. a pattern has no bits above its size, and is a value
//  3. formatted and parsed again it is the same pattern, or NaN again
func FuzzParseText(f *testing.F) {
	for i := range byte(len(all) + 1) {
		for _, seed := range []string{
			"", "0", "-1", "300", "0xff", "1.5", "-0", "inf", "nan", "1e999", "true", "a", "é",
			`\xff`, `\x`, "U+20AC", "U+D800", "\xff", "99999999999999999999", "0x1p-3", "+7", "65520", "1_0",
		} {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, s string) {
		c := codeAt(which)
		bits, err := ParseText(c, s)
		if err != nil {
			if bits != 0 || len(err.Error()) > 512 {
				t.Fatalf("%#x, %v", bits, err)
			}
			return
		}
		if bits&^mask(table[c].size) != 0 {
			t.Fatalf("%q: %#x is too wide", c, bits)
		}
		if _, err := Decode(c, bits); err != nil {
			t.Fatalf("%q: %#x is taken and not given: %v", c, bits, err)
		}
		text := FormatText(c, bits)
		back, err := ParseText(c, text)
		if c.Kind() == KindFloat && math.IsNaN(floatOf(c, bits)) && math.IsNaN(floatOf(c, back)) {
			return
		}
		if err != nil || back != bits {
			t.Fatalf("%q: %#x is %q is %#x, %v", c, bits, text, back, err)
		}
	})
}
