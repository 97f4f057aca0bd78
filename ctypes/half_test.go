package ctypes

import (
	"errors"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// halfValue is the number of a finite Half by the definition of the format,
// computed by arithmetic and not by moving bits.
func halfValue(h Half) float64 {
	exponent, mantissa := int(h>>10&31), float64(h&1023)
	f := math.Ldexp(mantissa, -24)
	if exponent > 0 {
		f = math.Ldexp(1024+mantissa, exponent-25)
	}
	if h>>15 == 1 {
		return math.Copysign(f, -1)
	}
	return f
}

// TestHalfRoundTrip checks all 65536: the number is right, and it comes back to
// the same bits, NaN payloads included.
func TestHalfRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := Half(i)
		f := h.Float64()
		switch {
		case h&0x7fff > 0x7c00:
			if !math.IsNaN(f) {
				t.Fatalf("%#04x is %v, want NaN", i, f)
			}
		case h&0x7fff == 0x7c00:
			if !math.IsInf(f, 1-2*int(h>>15)) {
				t.Fatalf("%#04x is %v, want an infinity", i, f)
			}
		default:
			if want := halfValue(h); math.Float64bits(f) != math.Float64bits(want) {
				t.Fatalf("%#04x is %v, want %v", i, f, want)
			}
		}
		if math.Signbit(f) != (h>>15 == 1) {
			t.Fatalf("%#04x is %v, of the wrong sign", i, f)
		}
		if back, err := HalfFromFloat64(f); err != nil || back != h {
			t.Fatalf("%#04x is %v, which is %#04x, %v", i, f, back, err)
		}
		if back, ok := halfOf(widen(h.float32Bits())); !ok || back != h {
			t.Fatalf("%#04x by way of float32 is %#04x, %v", i, back, ok)
		}
	}
}

// TestHalfRounding checks around every pair of neighbours: what lies between
// goes to the nearer, the middle goes to the even one.
func TestHalfRounding(t *testing.T) {
	check := func(f float64, want Half) {
		t.Helper()
		for _, sign := range []Half{0, 0x8000} {
			g := math.Copysign(f, 1-2*float64(sign>>15))
			if got, err := HalfFromFloat64(g); err != nil || got != want|sign {
				t.Fatalf("%v is %#04x, %v, want %#04x", g, got, err, want|sign)
			}
		}
	}
	for h := Half(0); h < 0x7bff; h++ {
		low, high := halfValue(h), halfValue(h+1)
		middle := (low + high) / 2 // exact in a float64
		even := h + h&1
		check(middle, even)
		check(math.Nextafter(middle, low), h)
		check(math.Nextafter(middle, high), h+1)
		check(math.Nextafter(low, high), h)
		check(math.Nextafter(high, low), h+1)
	}
	check(math.SmallestNonzeroFloat64, 0)
	check(math.Ldexp(1, -25), 0)
	check(math.Nextafter(65520, 0), 0x7bff)
}

func TestHalfOutOfRange(t *testing.T) {
	for _, f := range []float64{65520, math.Nextafter(65520, 1e9), 65536, 1e5, 1e300, math.MaxFloat64} {
		for _, f := range []float64{f, -f} {
			h, err := HalfFromFloat64(f)
			var out *RangeError
			if !errors.As(err, &out) || out.Code != 'e' || out.Value != f || h != 0 {
				t.Errorf("HalfFromFloat64(%v) = %#04x, %v", f, h, err)
			}
		}
	}
}

func TestHalfNaN(t *testing.T) {
	for bits, want := range map[uint64]Half{
		math.Float64bits(math.NaN()): 0x7e00,
		0xfff8000000000000:           0xfe00,
		0x7ff0000000000001:           0x7e00, // a payload that does not fit
		0x7ffc000000000000:           0x7f00,
		0xfff4000000000000:           0xfd00, // signalling, kept so
	} {
		if got, err := HalfFromFloat64(math.Float64frombits(bits)); err != nil || got != want {
			t.Errorf("NaN %#x is %#04x, %v, want %#04x", bits, got, err, want)
		}
	}
}

// TestHalfAgainstSearch compares random numbers with a search for the nearest
// among all finite Halfs.
func TestHalfAgainstSearch(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200_000 {
		// From below half the least subnormal to past the largest Half.
		f := math.Ldexp(1+random.Float64(), random.IntN(44)-27)
		// The first Half not less than f; 0x7c00 counts as 65536, as if the
		// exponents went on.
		above := Half(sort.Search(0x7c00, func(h int) bool { return halfValue(Half(h)) >= f }))
		nearest := above
		low, high := f-halfValue(above-1), halfValue(above)-f
		if low < high || low == high && above&1 == 1 {
			nearest = above - 1
		}
		got, err := HalfFromFloat64(f)
		if (err != nil) != (nearest == 0x7c00) || err == nil && got != nearest {
			t.Fatalf("%v is %#04x, %v, want %#04x", f, got, err, nearest)
		}
	}
}
