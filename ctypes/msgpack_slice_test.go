package ctypes

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// sliceOf returns n elements of code c with patterns from its samples, but for
// those that are no value.
func sliceOf(c Code, n int) []byte {
	list := samples(c)
	mem := make([]byte, 0, n*c.Size())
	for i := 0; len(mem) < n*c.Size(); i++ {
		bits := list[(i*7919+i)%len(list)]
		if _, err := Decode(c, bits); err != nil {
			continue
		}
		if c == CodeBool {
			bits &= 1
		}
		mem = appendBits(mem, c, bits)
	}
	return mem
}

// TestMsgpackSlice checks around every header size:
//
//  1. the bytes are those of the msgpack library for the values of Decode
//  2. DecodeMsgpackSlice gives the memory back, and reads all of it
//  3. one element less than there are is too few, and the position is kept
func TestMsgpackSlice(t *testing.T) {
	for _, c := range All() {
		for _, n := range []int{0, 1, 2, 15, 16, 255, 256, 257, 65535, 65536, 65537} {
			if n > 257 && testing.Short() && c.Kind() != KindChar && c.Kind() != KindWChar {
				continue // two codes take both ways to a long header
			}
			mem := sliceOf(c, n)
			got, err := AppendMsgpackSlice([]byte("x"), c, mem)
			if err != nil || got[0] != 'x' {
				t.Fatalf("%q, %d elements: %v", c, n, err)
			}
			got = got[1:]
			if want := librarySlice(t, c, mem); !bytes.Equal(got, want) {
				t.Fatalf("%q, %d elements: %.60x, the library has %.60x", c, n, got, want)
			}
			dec, left := decoder(append(got, 0x2a))
			back, err := DecodeMsgpackSlice(dec, c, n)
			if err != nil || back == nil || !bytes.Equal(back, mem) || left() != 1 {
				t.Fatalf("%q, %d elements: %.60x, %v, want %.60x, %d bytes left", c, n, back, err, mem, left())
			}
			if n == 0 {
				continue
			}
			dec, left = decoder(append(got, 0x2a))
			back, err = DecodeMsgpackSlice(dec, c, n-1)
			checkTooMany(t, c, back, err, uint64(n), uint64(n-1))
			if left() != 1 {
				t.Fatalf("%q, %d elements, one too many: %d bytes left", c, n, left())
			}
		}
	}
}

// checkTooMany checks for a CountError and nothing else.
func checkTooMany(t *testing.T, c Code, mem []byte, err error, count, maximum uint64) {
	t.Helper()
	var many *CountError
	if !errors.As(err, &many) || *many != (CountError{Code: c, Count: count, Max: maximum}) || mem != nil {
		t.Fatalf("%q: %d bytes, %v, want %d elements over %d", c, len(mem), err, count, maximum)
	}
}

// librarySlice encodes the values of mem by the msgpack library.
func librarySlice(t *testing.T, c Code, mem []byte) []byte {
	t.Helper()
	if c == CodeChar {
		return packed(t, mem)
	}
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	size := c.Size()
	if err := enc.EncodeArrayLen(len(mem) / size); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(mem); i += size {
		bits := LoadBits(c, mem[i:])
		v, err := Decode(c, bits)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := v.(float64); ok && math.IsNaN(f) { // the library quiets it
			b, _ := AppendMsgpack(nil, c, bits)
			buf.Write(b)
			continue
		}
		if f, ok := v.(float64); ok && c != CodeDouble {
			v = float32(f)
		}
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func TestAppendMsgpackSliceErrors(t *testing.T) {
	for _, c := range All() {
		for n := 1; n < c.Size(); n++ {
			mem := make([]byte, 2*c.Size()+n)
			got, err := AppendMsgpackSlice([]byte("x"), c, mem)
			var length *LengthError
			if !errors.As(err, &length) || *length != (LengthError{Code: c, Length: len(mem)}) || string(got) != "x" {
				t.Errorf("%q of %d bytes: %x, %v", c, len(mem), got, err)
			}
		}
	}
	mem := make([]byte, 12)
	StoreBits('u', mem[8:], 0xd800)
	got, err := AppendMsgpackSlice([]byte("x"), 'u', mem)
	outOfRange.check(t, 'u', 0, err)
	if string(got) != "x" || !strings.HasPrefix(err.Error(), "element 2: value U+D800 ") {
		t.Errorf("%x, %v", got, err)
	}
	if checkCount('i', 1<<32-1, math.MaxUint32) != nil || checkCount('i', 1<<32, math.MaxUint32) == nil {
		t.Error("the limit of msgpack is not 2^32-1")
	}
}

// TestMsgpackSliceForms are the other forms that a sequence may have.
func TestMsgpackSliceForms(t *testing.T) {
	wide := func(text string) []byte {
		var mem []byte
		for _, r := range text {
			mem = appendBits(mem, 'u', uint64(r))
		}
		return mem
	}
	long := strings.Repeat("aé€😀", 20_000)
	for _, row := range []struct {
		name  string
		c     Code
		value any
		max   int
		want  []byte
	}{
		{"chars from str", 'c', "h\xc3\xa9", 3, []byte("h\xc3\xa9")},
		{"chars from any str", 'c', "\xff\xfe", 2, []byte("\xff\xfe")},
		{"chars from long bin", 'c', []byte(long), len(long), []byte(long)},
		{"chars from array", 'c', []any{"a", []byte("b"), 99, int64(0), uint8(255)}, 5, []byte("abc\x00\xff")},
		{"chars from nothing", 'c', "", 0, []byte{}},
		{"wchars from str", 'u', "aé€😀\x00", 5, wide("aé€😀\x00")},
		{"wchars from long str", 'u', long, 80_000, wide(long)},
		{"wchars from array", 'u', []any{"a", 0x20ac, "😀"}, 3, wide("a€😀")},
		{"wchars from nothing", 'u', "", 0, []byte{}},
		{"mixed numbers", 'd', []any{1, -2, 1.5, float32(2.5), true}, 9, func() (mem []byte) {
			for _, f := range []float64{1, -2, 1.5, 2.5, 1} {
				mem = appendBits(mem, 'd', math.Float64bits(f))
			}
			return mem
		}()},
		{"bools", '?', []any{true, 0, 1, false}, 4, []byte{1, 0, 1, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := packed(t, row.value)
			dec, left := decoder(append(b, 0x2a))
			got, err := DecodeMsgpackSlice(dec, row.c, row.max)
			if err != nil || got == nil || !bytes.Equal(got, row.want) || left() != 1 {
				t.Errorf("%.40x, %v, want %.40x, %d bytes left", got, err, row.want, left())
			}
			if row.max == 0 || row.max > len(row.want)/row.c.Size() {
				return
			}
			dec, left = decoder(append(b, 0x2a))
			got, err = DecodeMsgpackSlice(dec, row.c, row.max-1)
			checkTooMany(t, row.c, got, err, uint64(row.max), uint64(row.max-1))
			if left() != 1 {
				t.Errorf("one too many: %d bytes left", left())
			}
		})
	}
}

// TestMsgpackSliceErrors: whatever is wrong with the value, dec stands behind
// it.
func TestMsgpackSliceErrors(t *testing.T) {
	type row struct {
		name  string
		c     Code
		value any
		want  outcome
		text  string
	}
	rows := []row{
		{"out of range", 'B', []any{1, 300, []any{1, 2}, "x"}, outOfRange, "element 1: value 300 "},
		{"float", 'i', []any{1.5, 2, 3}, wrongType, "element 0: float64 1.5 "},
		{"nested", 'i', []any{1, 2, []any{3, []any{4}}, 5}, wrongType, "element 2: msgpack array "},
		{"nil inside", 'd', []any{nil}, wrongType, "element 0: msgpack nil "},
		{"last", 'e', []any{1, 65520}, outOfRange, "element 1: value 65520 "},
		{"surrogate", 'u', []any{0xd800, 1}, outOfRange, "element 0: value U+D800 "},
		{"text not UTF-8", 'u', "ab\xff", wrongType, "string that is not valid UTF-8 "},
		{"bin for wchar", 'u', []byte("ab"), wrongType, "msgpack byte string as a sequence "},
		{"str for int", 'i', "ab", wrongType, "msgpack string as a sequence "},
		{"bin for byte", 'B', []byte("ab"), wrongType, "msgpack byte string as a sequence "},
		{"scalar", 'i', 5, wrongType, "msgpack number or bool as a sequence "},
		{"float alone", 'd', 5.5, wrongType, ""}, {"bool alone", '?', true, wrongType, ""},
		{"nil", 'c', nil, wrongType, "msgpack nil as a sequence "},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dec, left := decoder(append(packed(t, row.value), 0x2a))
			got, err := DecodeMsgpackSlice(dec, row.c, 100)
			row.want.check(t, row.c, 0, err)
			if got != nil || left() != 1 || !strings.HasPrefix(err.Error(), row.text) {
				t.Errorf("%x, %v, %d bytes left", got, err, left())
			}
		})
	}
	for name, b := range foreign(t) {
		t.Run(name, func(t *testing.T) {
			for _, c := range All() {
				dec, left := decoder(append(b, 0x2a))
				if _, err := DecodeMsgpackSlice(dec, c, 100); left() != 1 {
					t.Errorf("%q: %v, %d bytes left", c, err, left())
				} else {
					wrongType.check(t, c, 0, err)
				}
			}
		})
	}
}

// TestMsgpackSliceCutOff: every proper prefix is cut off.
func TestMsgpackSliceCutOff(t *testing.T) {
	for _, c := range All() {
		values := [][]byte{packed(t, []any{1, "x", []any{2}}), {mpArray16, 0, 2, 1, 1}, {mpArray32, 0, 0, 0, 1, 0}}
		if c == CodeChar || c == CodeWChar {
			values = append(values, packed(t, "text"), packed(t, strings.Repeat("x", 300)))
		}
		for _, b := range values {
			for n := range b {
				for _, maximum := range []int{0, 1, 1000} {
					dec, _ := decoder(b[:n])
					mem, err := DecodeMsgpackSlice(dec, c, maximum)
					want := io.ErrUnexpectedEOF
					if n == 0 {
						want = io.EOF
					}
					if !errors.Is(err, want) || mem != nil {
						t.Fatalf("%q from %x: %x, %v, want %v", c, b[:n], mem, err, want)
					}
				}
			}
		}
	}
}

// TestMsgpackSliceBroken: what is no msgpack is said to be so, and a negative
// limit is none at all.
func TestMsgpackSliceBroken(t *testing.T) {
	for _, b := range [][]byte{{mpNever}, {0x91, mpNever}, {0x92, 0x01, mpNever}, {0x92, 0xc0, mpNever}} {
		dec, _ := decoder(b)
		if mem, err := DecodeMsgpackSlice(dec, 'i', 10); !errors.Is(err, ErrMalformed) || mem != nil {
			t.Errorf("%x: %x, %v", b, mem, err)
		}
	}
	dec, _ := decoder([]byte{0x91, 1})
	mem, err := DecodeMsgpackSlice(dec, 'i', -5)
	checkTooMany(t, 'i', mem, err, 1, 0)
	dec, _ = decoder([]byte{0x90})
	if mem, err := DecodeMsgpackSlice(dec, 'i', -5); err != nil || len(mem) != 0 {
		t.Errorf("%x, %v", mem, err)
	}
}

// TestMsgpackSliceLyingLength: a header that declares four gigabytes and sends
// none costs next to no memory.
func TestMsgpackSliceLyingLength(t *testing.T) {
	heads := [][]byte{{mpArray32, 0xff, 0xff, 0xff, 0xff, 1}, {mpBin32, 0xff, 0xff, 0xff, 0xff, 1},
		{mpStr32, 0xff, 0xff, 0xff, 0xff, 'a'}, {mpMap32, 0xff, 0xff, 0xff, 0xff, 1},
		{mpExt32, 0xff, 0xff, 0xff, 0xff, 1}}
	for _, maximum := range []int{1, math.MaxInt} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		count := 0
		for _, c := range All() {
			for _, head := range heads {
				dec, _ := decoder(head)
				if mem, err := DecodeMsgpackSlice(dec, c, maximum); !errors.Is(err, io.ErrUnexpectedEOF) || mem != nil {
					t.Errorf("%q from %x: %d bytes, %v", c, head, len(mem), err)
				}
				dec, _ = decoder(head)
				if _, err := DecodeMsgpack(dec, c); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%q from %x: %v", c, head, err)
				}
				count++
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / uint64(count); each > 8*chunkLength {
			t.Errorf("%d bytes are allocated for each lie", each)
		}
	}
}

func BenchmarkAppendMsgpackSlice(b *testing.B) {
	for _, c := range []Code{'q', 'd', 'B'} {
		b.Run(c.String(), func(b *testing.B) {
			mem := sliceOf(c, 1<<16)
			var buf []byte
			b.SetBytes(int64(len(mem)))
			for b.Loop() {
				var err error
				if buf, err = AppendMsgpackSlice(buf[:0], c, mem); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeMsgpackSlice(b *testing.B) {
	for _, c := range []Code{'q', 'd', 'B'} {
		b.Run(c.String(), func(b *testing.B) {
			mem := sliceOf(c, 1<<16)
			packed, err := AppendMsgpackSlice(nil, c, mem)
			if err != nil {
				b.Fatal(err)
			}
			r := bytes.NewReader(nil)
			dec := msgpack.NewDecoder(r)
			b.SetBytes(int64(len(mem)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(packed)
				dec.Reset(r)
				if _, err := DecodeMsgpackSlice(dec, c, 1<<16); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
