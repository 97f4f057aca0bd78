package ctypes

import (
	"bytes"
	"testing"
)

func TestLoadStoreBits(t *testing.T) {
	const bits = 0x8877665544332211
	for _, c := range All() {
		size := c.Size()
		p := bytes.Repeat([]byte{0xee}, 10)
		StoreBits(c, p, bits)
		for i, b := range p {
			want := byte(0x11 * (i + 1))
			if i >= size {
				want = 0xee
			}
			if b != want {
				t.Errorf("StoreBits(%q): byte %d is %#x, want %#x", c, i, b, want)
			}
		}
		if got, want := LoadBits(c, p), uint64(bits)&mask(uint8(size)); got != want {
			t.Errorf("LoadBits(%q) = %#x, want %#x", c, got, want)
		}
		// Exactly the size is enough.
		exact := make([]byte, size)
		StoreBits(c, exact, bits)
		if got := LoadBits(c, exact); got != bits&mask(uint8(size)) {
			t.Errorf("LoadBits(%q) of its size = %#x", c, got)
		}
		if got := appendBits(nil, c, bits); !bytes.Equal(got, exact) {
			t.Errorf("appendBits(%q) = %x, want %x", c, got, exact)
		}
	}
}

func TestLoadStoreBitsUnknownCode(t *testing.T) {
	p := []byte{1, 2}
	StoreBits(0, p, 0xffff)
	if !bytes.Equal(p, []byte{1, 2}) || LoadBits(0, p) != 0 || appendBits(nil, 0, 1) != nil {
		t.Error("an unknown code has bytes")
	}
}

// TestLoadStoreBitsShort pins the precondition down: too short panics, and a
// store does so before it has written anything.
func TestLoadStoreBitsShort(t *testing.T) {
	panics := func(f func()) (did bool) {
		defer func() { did = recover() != nil }()
		f()
		return false
	}
	for _, c := range All() {
		p := make([]byte, c.Size()-1)
		if !panics(func() { LoadBits(c, p) }) || !panics(func() { StoreBits(c, p, 1<<64-1) }) {
			t.Errorf("%q: %d bytes are taken", c, len(p))
		}
		if !bytes.Equal(p, make([]byte, len(p))) {
			t.Errorf("%q: StoreBits wrote a part", c)
		}
	}
}
