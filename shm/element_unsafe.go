package shm

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// Array is the data of a value or array and the protocol around it: element
// atomics (this file), write brackets and snapshots (sequence.go), the version
// (change.go). Safe for concurrent use.
type Array struct {
	seg    *Segment
	guard  *Lock          // the own or foreign lock; nil = none
	base   unsafe.Pointer // immutable; element 0
	width  uint32         // immutable; bytes of one access to an element
	words  bool           // immutable; the elements are integers of 8 bytes
	change eventcount     // the version, of which every change moves the count
	state  *uint32        // immutable; the object's
	// How many elements of 8 bytes there are to be loaded, and to be stored: 0 = of another
	// size, or read-only. One comparison for three.
	loads, stores uint64
}

// Array returns a view of the segment's data; guard is its own lock, the
// foreign mutex's, or nil.
func (s *Segment) Array(guard *Lock) *Array {
	a := &Array{seg: s, guard: guard, base: unsafe.Pointer(unsafe.SliceData(s.Data())), width: s.geometry.ItemSize,
		change: s.changes(), state: &s.page.Header.State}
	if s.geometry.Kind == KindValue {
		a.width = max(4, a.width) // a scalar is one atomic word, whatever its type
	}
	kind := s.geometry.Code.Kind()
	if a.width == 8 {
		a.loads = s.geometry.Length
		if !s.readOnly {
			a.stores = a.loads
		}
	}
	a.words = a.width == 8 && (kind == ctypes.KindInt || kind == ctypes.KindUint)
	return a
}

// has reports whether there is an element i, and the object still; lacks says what is not.
// It is small enough to be inlined.
func (a *Array) has(i uint64) bool {
	return i < a.seg.geometry.Length && a.seg.State() != StateRemoved
}

func (a *Array) lacks(i uint64) error {
	if i >= a.seg.geometry.Length {
		return status.New(status.BadIndex, "", "index %d; the object has %d elements", i, a.seg.geometry.Length)
	}
	return status.Removed
}

func (a *Array) at(i uint64) unsafe.Pointer {
	return unsafe.Add(a.base, i*uint64(a.seg.geometry.ItemSize))
}

// LoadWord is the front of Load for elements of 8 bytes, small enough to be inlined; false =
// Load decides.
func (a *Array) LoadWord(i uint64) (bits uint64, ok bool) {
	if i >= a.loads || State(atomic.LoadUint32(a.state)) == StateRemoved { // as has
		return 0, false
	}
	return atomic.LoadUint64((*uint64)(unsafe.Add(a.base, i*8))), true
}

// StoreWord is the front of Store, likewise; false = nothing has changed.
func (a *Array) StoreWord(i, bits uint64) bool {
	if i >= a.stores || State(atomic.LoadUint32(a.state)) == StateRemoved {
		return false
	}
	put64((*uint64)(unsafe.Add(a.base, i*8)), bits) // the bump orders it
	a.change.broadcast()
	return true
}

// Load reads element i atomically, as the bit pattern of its type.
func (a *Array) Load(i uint64) (uint64, error) {
	if !a.has(i) {
		return 0, a.lacks(i)
	}
	return a.load(i), nil
}

func (a *Array) load(i uint64) uint64 {
	p := a.at(i)
	switch a.width {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		bits := uint64(atomic.LoadUint32((*uint32)(p)))
		if s := a.seg.geometry.ItemSize; s < 4 {
			bits &= 1<<(8*s) - 1
		}
		return bits
	}
	return atomic.LoadUint64((*uint64)(p))
}

func (a *Array) store(i, bits uint64) {
	p := a.at(i)
	switch a.width {
	case 1:
		store8((*uint8)(p), uint8(bits))
	case 2:
		store16((*uint16)(p), uint16(bits))
	case 4:
		store32((*uint32)(p), uint32(bits))
	default:
		store64((*uint64)(p), bits)
	}
}

// Store writes element i and bumps the version; it takes no lock.
func (a *Array) Store(i, bits uint64) error {
	if err := a.writable(i); err != nil {
		return err
	}
	a.store(i, bits)
	a.seg.bump()
	return nil
}

func (a *Array) writable(i uint64) error {
	switch {
	case a.seg.readOnly:
		return status.Permission
	case !a.has(i):
		return a.lacks(i)
	}
	return nil
}

// rmw replaces element i by f of it, for 4- and 8-byte codes. f may refuse.
func (a *Array) rmw(i uint64, f func(old uint64) (uint64, error)) (old uint64, err error) {
	if err := a.writable(i); err != nil {
		return 0, err
	}
	if !ctypes.Atomic(a.seg.geometry.Code) {
		return 0, status.New(status.Unsupported, "", "type code '%c' has %d bytes; atomic operations exist for 4 and 8",
			byte(a.seg.geometry.Code), a.seg.geometry.ItemSize)
	}
	p := a.at(i)
	for {
		old = a.load(i)
		next, err := f(old)
		if err != nil {
			return old, err
		}
		if a.width == 4 && cas32((*uint32)(p), uint32(old), uint32(next)) ||
			a.width == 8 && cas64((*uint64)(p), old, next) {
			a.seg.bump() // the change first, the version second
			return old, nil
		}
	}
}

// FetchAdd adds delta (a bit pattern of the type) and returns the value before.
// Integers wrap as in C; floats add as IEEE 754 says.
func (a *Array) FetchAdd(i, delta uint64) (old uint64, err error) {
	if a.words && !a.seg.readOnly && a.has(i) { // one instruction wraps likewise
		old = add64((*uint64)(a.at(i)), delta)
		a.change.broadcast() // the change first, the version second
		return old, nil
	}
	return a.add(i, delta, func(_, sum uint64, _ bool) (uint64, error) { return sum, nil })
}

// FetchAddChecked is FetchAdd, but a sum that leaves the type's range is
// status.OutOfRange and changes nothing.
func (a *Array) FetchAddChecked(i, delta uint64) (old uint64, err error) {
	return a.add(i, delta, func(old, sum uint64, fits bool) (uint64, error) {
		if !fits {
			return 0, a.leaves(old, '+', delta)
		}
		return sum, nil
	})
}

// FetchSubChecked takes delta away from an element of an unsigned code, whose
// negative deltas FetchAddChecked cannot express.
func (a *Array) FetchSubChecked(i, delta uint64) (old uint64, err error) {
	return a.rmw(i, func(old uint64) (uint64, error) {
		if old < delta {
			return 0, a.leaves(old, '-', delta)
		}
		return old - delta, nil
	})
}

func (a *Array) leaves(old uint64, sign byte, delta uint64) error {
	code := a.seg.geometry.Code
	lo, hi := code.Range()
	return status.New(status.OutOfRange, "", "%s %c %s leaves the range of '%c' (%s): %s to %s",
		ctypes.FormatText(code, old), sign, ctypes.FormatText(code, delta), byte(code), code.CName(), lo, hi)
}

// add lets choose decide what becomes of the sum.
func (a *Array) add(i, delta uint64, choose func(old, sum uint64, fits bool) (uint64, error)) (uint64, error) {
	code := a.seg.geometry.Code
	if code.Kind() == ctypes.KindWChar {
		return 0, status.New(status.Unsupported, "", "characters are not added")
	}
	return a.rmw(i, func(old uint64) (uint64, error) {
		sum, fits := addBits(code, old, delta)
		return choose(old, sum, fits)
	})
}

// addBits adds two bit patterns of a 4- or 8-byte code.
func addBits(code ctypes.Code, x, y uint64) (sum uint64, fits bool) {
	small := code.Size() == 4
	switch code.Kind() {
	case ctypes.KindFloat:
		if small {
			r := math.Float32frombits(uint32(x)) + math.Float32frombits(uint32(y))
			return uint64(math.Float32bits(r)), true
		}
		return math.Float64bits(math.Float64frombits(x) + math.Float64frombits(y)), true
	case ctypes.KindInt:
		if small {
			r := int64(int32(x)) + int64(int32(y))
			return uint64(uint32(r)), r == int64(int32(r))
		}
		r := int64(x) + int64(y)
		return uint64(r), (int64(x) < 0) != (int64(y) < 0) || (r < 0) == (int64(x) < 0)
	}
	if small {
		r := uint64(uint32(x)) + uint64(uint32(y))
		return uint64(uint32(r)), r <= math.MaxUint32
	}
	return x + y, x+y >= x
}

// Exchange stores bits and returns the value before.
func (a *Array) Exchange(i, bits uint64) (old uint64, err error) {
	return a.rmw(i, func(uint64) (uint64, error) { return bits, nil })
}

// CompareExchange stores desired if the element's bits equal expected; it
// returns the value before in either case.
func (a *Array) CompareExchange(i, expected, desired uint64) (swapped bool, old uint64, err error) {
	old, err = a.rmw(i, func(old uint64) (uint64, error) {
		if old != expected {
			return 0, errDiffers
		}
		return desired, nil
	})
	if err == errDiffers {
		return false, old, nil
	}
	return err == nil, old, err
}

// errDiffers ends a compare-exchange that compared unequal; never returned.
var errDiffers = status.New(status.Internal, "", "compare-exchange differs")
