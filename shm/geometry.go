package shm

import (
	"math/bits"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// Geometry is the trusted description of a segment: computed by the daemon, or
// decoded from its reply. It never comes from shared bytes.
type Geometry struct {
	ID        uint64
	Kind      Kind
	Code      ctypes.Code // 0 for a mutex
	Shape     []uint64    // dimensions, row-major; nil for a value or mutex
	Length    uint64      // elements; 1 for a value, 0 for a mutex
	ItemSize  uint32      // bytes
	Flags     Flags
	SeatsMax  uint32
	LockID    uint64 // object id of the foreign mutex, 0 = none
	CreatedNs uint64 // CLOCK_REALTIME

	SegmentSize uint64 // bytes, whole pages
	DataOffset  uint64 // bytes
	DataSize    uint64 // bytes, Length*ItemSize
	SeatsOffset uint64 // bytes
}

// segmentMax keeps every size and offset far from overflow and inside what an
// int and an off_t hold.
const segmentMax = 1 << 46

// NewGeometry computes sizes and offsets. It returns status.Invalid for what
// does not make an object and status.NoSpace for what no machine can hold.
func NewGeometry(kind Kind, code ctypes.Code, shape []uint64, flags Flags, seatsMax uint32) (Geometry, error) {
	g := Geometry{Kind: kind, Code: code, Flags: flags, SeatsMax: seatsMax}
	if seatsMax < 1 || seatsMax > SeatsLimit {
		return g, status.New(status.Invalid, "", "seats_max is %d; it must be 1 to %d", seatsMax, SeatsLimit)
	}
	if flags&^flagsKnown != 0 {
		return g, status.New(status.Invalid, "", "unknown flags %#x", uint32(flags&^flagsKnown))
	}
	if flags.Has(FlagUnlockAny) && flags&(FlagRecursive|FlagStrict) != 0 {
		return g, status.New(status.Invalid, "",
			"unlock_any excludes recursive and strict: they need an owner, and it has none")
	}
	if kind == KindMutex && flags&(FlagLockNone|FlagLockForeign) != 0 {
		return g, status.New(status.Invalid, "", "a mutex has no lock beside itself")
	}
	if flags.Has(FlagLockNone | FlagLockForeign) {
		return g, status.New(status.Invalid, "", "a lock is either none or another object's")
	}
	switch kind {
	case KindMutex:
		if code != 0 || len(shape) != 0 {
			return g, status.New(status.Invalid, "", "a mutex has no type code and no shape")
		}
	case KindValue:
		if len(shape) != 0 {
			return g, status.New(status.Invalid, "", "a value has no shape; make an array")
		}
		g.Length = 1
	case KindArray:
		if len(shape) < 1 || len(shape) > RankMax {
			return g, status.New(status.Invalid, "",
				"an array has 1 to %d dimensions, not %d", RankMax, len(shape))
		}
		g.Shape = append([]uint64(nil), shape...)
		g.Length = 1
		for i, n := range shape {
			if n == 0 {
				return g, status.New(status.Invalid, "", "dimension %d is 0; every dimension is at least 1", i)
			}
			hi, lo := bits.Mul64(g.Length, n)
			if hi != 0 || lo > segmentMax {
				return g, status.New(status.NoSpace, "", "shape %v has more elements than any machine can hold", shape)
			}
			g.Length = lo
		}
	default:
		return g, status.New(status.Invalid, "", "unknown kind %d", uint32(kind))
	}
	if kind.HasData() {
		if !code.Valid() {
			return g, status.New(status.BadType, "", "unknown type code %q", string(rune(code)))
		}
		g.ItemSize = uint32(code.Size())
		g.DataSize = g.Length * uint64(g.ItemSize)
		if g.DataSize > segmentMax {
			return g, status.New(status.NoSpace, "", "%d elements of %d bytes: more than any machine can hold",
				g.Length, g.ItemSize)
		}
	}
	g.SeatsOffset = seatsOffset
	front := roundUp(seatsOffset+uint64(seatsMax+1)*4, PageSize)
	g.SegmentSize = front
	switch kind {
	case KindValue:
		g.DataOffset = scalarOffset
	case KindArray:
		g.DataOffset = front
		g.SegmentSize = front + roundUp(g.DataSize, PageSize)
	}
	return g, nil
}

// Validate checks a geometry that a daemon sent: everything must be what
// NewGeometry would have computed, so no offset can lead outside the segment.
func (g *Geometry) Validate() error {
	want, err := NewGeometry(g.Kind, g.Code, g.Shape, g.Flags, g.SeatsMax)
	if err != nil {
		return status.Wrap(status.Version, "attach", err, "the daemon's geometry is not one of this build")
	}
	if want.SegmentSize != g.SegmentSize || want.DataOffset != g.DataOffset || want.DataSize != g.DataSize ||
		want.SeatsOffset != g.SeatsOffset || want.Length != g.Length || want.ItemSize != g.ItemSize {
		return status.New(status.Version, "attach",
			"the daemon lays the object out differently; client and daemon must be equal builds in ABI version 0")
	}
	return nil
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }
