package wire

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/status"
)

// everyForm is one value of each msgpack form.
var everyForm = [][]byte{
	{0x00}, {0x7f}, {0xe0}, {0xff}, {0x80}, {0x81, 1, 2}, {0x90}, {0x92, 1, 0x91, 2}, {0xa0}, {0xa2, 'a', 'b'},
	{0xc0}, {0xc2}, {0xc3}, {0xc4, 1, 9}, {0xc5, 0, 1, 9}, {0xc6, 0, 0, 0, 1, 9},
	{0xc7, 1, 5, 9}, {0xc8, 0, 1, 5, 9}, {0xc9, 0, 0, 0, 1, 5, 9},
	{0xca, 1, 2, 3, 4}, {0xcb, 1, 2, 3, 4, 5, 6, 7, 8},
	{0xcc, 1}, {0xcd, 1, 2}, {0xce, 1, 2, 3, 4}, {0xcf, 1, 2, 3, 4, 5, 6, 7, 8},
	{0xd0, 1}, {0xd1, 1, 2}, {0xd2, 1, 2, 3, 4}, {0xd3, 1, 2, 3, 4, 5, 6, 7, 8},
	{0xd4, 5, 1}, {0xd5, 5, 1, 2}, {0xd6, 5, 1, 2, 3, 4}, append([]byte{0xd7, 5}, make([]byte, 8)...),
	append([]byte{0xd8, 5}, make([]byte, 16)...),
	{0xd9, 1, 'a'}, {0xda, 0, 1, 'a'}, {0xdb, 0, 0, 0, 1, 'a'},
	{0xdc, 0, 1, 7}, {0xdd, 0, 0, 0, 1, 7}, {0xde, 0, 1, 7, 8}, {0xdf, 0, 0, 0, 1, 7, 8},
}

func TestScanFindsEveryForm(t *testing.T) {
	for _, v := range everyForm {
		followed := append(bytes.Clone(v), 0xc1)
		if n, err := Scan(followed); n != len(v) || err != nil {
			t.Errorf("% x: %d, %v", v, n, err)
		}
		for cut := range v {
			if n, err := Scan(v[:cut]); n != 0 || err != nil {
				t.Errorf("% x cut to %d: %d, %v", v, cut, n, err)
			}
		}
	}
}

// However the bytes are cut, the scanner finds the same borders.
func TestScannerGoesOn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	var ends []int
	for range 200 {
		stream = AppendArrayLen(stream, 3)
		for range 3 {
			stream = append(stream, everyForm[random.IntN(len(everyForm))]...)
		}
		ends = append(ends, len(stream))
	}
	var s Scanner
	begin, arrived := 0, 0
	for len(ends) > 0 {
		n, err := s.Next(stream[begin:arrived])
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			arrived += 1 + random.IntN(5)
			arrived = min(arrived, len(stream))
			continue
		}
		begin += n
		if begin != ends[0] {
			t.Fatalf("border at %d, want %d", begin, ends[0])
		}
		ends = ends[1:]
	}
}

func TestScanRefuses(t *testing.T) {
	nested := func(depth int) []byte { return append(bytes.Repeat([]byte{0x91}, depth), 0xc0) }
	for _, test := range []struct {
		name string
		b    []byte
		code status.Code
	}{
		{"0xc1", []byte{0xc1}, status.BadFrame},
		{"0xc1 inside", []byte{0x92, 0x01, 0xc1}, status.BadFrame},
		{"depth 17", nested(DepthMax + 1), status.BadFrame},
		{"depth 17, empty", append(bytes.Repeat([]byte{0x91}, DepthMax), 0x90), status.BadFrame},
		{"depth 16", nested(DepthMax), status.OK},
		{"long str", []byte{0xdb, 0, 0x10, 0, 0}, status.TooLarge},
		{"longest str", []byte{0xdb, 0, 0x0f, 0xff, 0xfb}, status.OK},
		{"huge bin", []byte{0xc6, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
		{"huge ext", []byte{0xc9, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
		{"huge array", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
		{"huge map", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}, status.TooLarge},
		{"map just too large", []byte{0xdf, 0, 0x08, 0, 0}, status.TooLarge},
		{"longest array", []byte{0xdd, 0, 0x0f, 0xff, 0xfb}, status.OK},
		{"array just too large", []byte{0xdd, 0, 0x0f, 0xff, 0xfc}, status.TooLarge},
		{"two that do not fit together", []byte{0x92, 0xdd, 0, 0x0f, 0xff, 0xfa}, status.TooLarge},
	} {
		if n, err := Scan(test.b); status.Of(err) != test.code {
			t.Errorf("%s: %d, %v, want %s", test.name, n, err, test.code.Name())
		}
	}
	full := append([]byte{0xdb, 0, 0x0f, 0xff, 0xfb}, strings.Repeat("x", MessageMax-5)...)
	if n, err := Scan(full); n != MessageMax || err != nil {
		t.Errorf("the longest message: %d, %v", n, err)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	frame := requestFrame()
	if n := testing.AllocsPerRun(100, func() { _, _ = Scan(frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func requestFrame() []byte {
	b := AppendRequestHeader(nil, 1000, MethodSet, 3)
	return AppendInt(AppendUint(AppendUint(b, 3), 1000), -70000)
}

func FuzzScan(f *testing.F) {
	for _, v := range everyForm {
		f.Add(v, uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		n, err := Scan(b)
		if n < 0 || n > len(b) || n > MessageMax || err != nil && n != 0 {
			t.Fatalf("%d of %d, %v", n, len(b), err)
		}
		// In pieces, the same.
		var s Scanner
		pieces, failed := 0, error(nil)
		for end := 0; pieces == 0 && failed == nil; end = min(end+int(step)+1, len(b)) {
			pieces, failed = s.Next(b[:end])
			if end == len(b) {
				break
			}
		}
		if pieces != n || status.Of(failed) != status.Of(err) {
			t.Fatalf("whole %d %v, in pieces %d %v", n, err, pieces, failed)
		}
		// What is whole for us is whole for the library.
		if n > 0 {
			d := msgpack.NewDecoder(bytes.NewReader(b[:n]))
			if err := d.Skip(); err != nil && !hasExt(b[:n]) {
				t.Fatalf("% x: the library says %v", b[:n], err)
			}
		}
	})
}

// hasExt reports a byte that may begin an ext, which the library may not know.
func hasExt(b []byte) bool {
	return slices.ContainsFunc(b, func(c byte) bool {
		return c >= mpExt8 && c <= mpExt32 || c >= mpFixExt1 && c <= mpFixExt16
	})
}
