package shm

import (
	"math/bits"
	"reflect"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// Geometry is the trusted description of a segment: computed by the daemon, or
// decoded from its reply. It never comes from shared bytes.
type Geometry struct {
	ID        uint64
	Kind      Kind
	Code      ctypes.Code // 0 but for a value or array
	Shape     []uint64    // dimensions of an array, row-major; else nil
	Length    uint64      // elements; 1 for a value, Maximum, a queue's messages, a barrier's parties, Capacity; else 0
	ItemSize  uint32      // bytes of an element
	Flags     Flags
	SeatsMax  uint32
	LockID    uint64 // object id of the foreign mutex, 0 = none
	CreatedNs uint64 // CLOCK_REALTIME

	// A semaphore's.
	Maximum uint32 // permits, 1 to PermitsMax
	Initial uint32 // permits, 0 to Maximum; of an event 1 if it is set at first, else 0

	// A queue's; Length is how many messages it holds.
	SlotSize      uint32 // bytes
	MessageMax    uint32 // bytes, 1 to MessageLimit; beyond SlotSize in a side segment. Of a stream or pipe too.
	DeliveriesMax uint32 // deliveries after which a message is dead, 0 = unlimited
	LeaseNs       uint64 // ns after which a leased message comes back, 0 = never

	// Of a stream or pipe.
	Capacity uint64 // bytes of each ring, a power of two

	SegmentSize uint64 // bytes, whole pages
	DataOffset  uint64 // bytes
	DataSize    uint64 // bytes, Length*ItemSize
	SeatsOffset uint64 // bytes
	CellsOffset uint64 // bytes; the cells by seat of a semaphore with undo, a barrier or an rwlock; else 0
	ReadyOffset uint64 // bytes; a queue, else 0
	FreeOffset  uint64 // bytes; a queue, else 0
	DescOffset  uint64 // bytes; a queue, else 0

	DeadlineOffset uint64 // bytes; a queue with LeaseNs, else 0
}

// segmentMax keeps every size and offset far from overflow and inside what an
// int and an off_t hold.
const segmentMax = 1 << 46

// frontGeometry begins the geometry of any kind, with the checks that all share
// and the seat cells, up to whose end the segment reaches.
func frontGeometry(kind Kind, flags Flags, seatsMax uint32) (Geometry, error) {
	g := Geometry{Kind: kind, Flags: flags, SeatsMax: seatsMax}
	if seatsMax < 1 || seatsMax > SeatsLimit {
		return g, status.New(status.Invalid, "", "seats_max is %d; it must be 1 to %d", seatsMax, SeatsLimit)
	}
	if kind.String() == "" {
		return g, status.New(status.Invalid, "", "unknown kind %d", uint32(kind))
	}
	if wrong := flags &^ kind.allowed(); wrong != 0 {
		return g, status.New(status.Invalid, "", "flags %#x do not apply to a %v", uint32(wrong), kind)
	}
	g.SeatsOffset = seatsOffset
	g.SegmentSize = seatsOffset + uint64(seatsMax+1)*seatCellSize
	return g, nil
}

// NewGeometry computes sizes and offsets of a value, array or mutex. It returns
// status.Invalid for what does not make an object and status.NoSpace for what no
// machine can hold.
func NewGeometry(kind Kind, code ctypes.Code, shape []uint64, flags Flags, seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(kind, flags, seatsMax)
	if err != nil {
		return g, err
	}
	g.Code = code
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
		return g, status.New(status.Invalid, "", "a %v has no type code and no shape", kind)
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
	front := roundUp(g.SegmentSize, PageSize)
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

// NewSemaphoreGeometry computes sizes and offsets of a semaphore of initial
// permits, of which there are never more than maximum. It returns status.Invalid
// for what does not make one.
func NewSemaphoreGeometry(initial, maximum uint32, flags Flags, seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(KindSemaphore, flags, seatsMax)
	if err != nil {
		return g, err
	}
	if maximum < 1 || maximum > PermitsMax {
		return g, status.New(status.Invalid, "", "maximum is %d; it must be 1 to %d", maximum, PermitsMax)
	}
	if initial > maximum {
		return g, status.New(status.Invalid, "", "initial is %d; it must be 0 to the maximum, %d", initial, maximum)
	}
	g.Initial, g.Maximum, g.Length = initial, maximum, uint64(maximum)
	if flags.Has(FlagUndo) {
		g.addCells(heldCellSize)
	}
	g.SegmentSize = roundUp(g.SegmentSize, PageSize)
	return g, nil
}

// addCells appends one cell of size bytes for each seat, and for nobody's.
func (g *Geometry) addCells(size uint64) {
	g.CellsOffset = roundUp(g.SegmentSize, dataAlign)
	g.SegmentSize = g.CellsOffset + uint64(g.SeatsMax+1)*size
}

// NewEventGeometry computes sizes and offsets of an event, which is set at first or
// not. It returns status.Invalid for what does not make one.
func NewEventGeometry(set bool, flags Flags, seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(KindEvent, flags, seatsMax)
	if set {
		g.Initial = 1
	}
	g.SegmentSize = roundUp(g.SegmentSize, PageSize)
	return g, err
}

// NewConditionGeometry is NewEventGeometry for a condition.
func NewConditionGeometry(seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(KindCondition, FlagLockForeign, seatsMax)
	g.SegmentSize = roundUp(g.SegmentSize, PageSize)
	return g, err
}

// NewBarrierGeometry is NewEventGeometry for a barrier that opens when parties have
// arrived, 1 to PartiesMax.
func NewBarrierGeometry(parties uint64, seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(KindBarrier, 0, seatsMax)
	if err == nil && (parties < 1 || parties > PartiesMax) {
		err = status.New(status.Invalid, "", "parties is %d; it must be 1 to %d", parties, PartiesMax)
	}
	if err != nil {
		return g, err
	}
	g.Length = parties
	g.addCells(barrierCellSize)
	g.SegmentSize = roundUp(g.SegmentSize, PageSize)
	return g, nil
}

// NewRWLockGeometry is NewEventGeometry for an rwlock.
func NewRWLockGeometry(seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(KindRWLock, 0, seatsMax)
	if err != nil {
		return g, err
	}
	g.addCells(readerCellSize)
	g.SegmentSize = roundUp(g.SegmentSize, PageSize)
	return g, nil
}

// Complete computes what follows from a geometry's parameters: Kind, Code, Shape,
// Flags, SeatsMax, and what its kind has beside those. Errors as of the functions
// for each kind.
func (g *Geometry) Complete() (Geometry, error) {
	switch g.Kind {
	case KindSemaphore:
		return NewSemaphoreGeometry(g.Initial, g.Maximum, g.Flags, g.SeatsMax)
	case KindQueue:
		return NewTimedQueueGeometry(g.LeaseNs, g.Length, g.SlotSize, g.MessageMax, g.DeliveriesMax, g.Flags,
			g.SeatsMax)
	case KindEvent:
		return NewEventGeometry(g.Initial != 0, g.Flags, g.SeatsMax)
	case KindCondition:
		return NewConditionGeometry(g.SeatsMax)
	case KindBarrier:
		return NewBarrierGeometry(g.Length, g.SeatsMax)
	case KindRWLock:
		return NewRWLockGeometry(g.SeatsMax)
	case KindStream:
		return NewStreamGeometry(g.Capacity, g.MessageMax, g.SeatsMax)
	case KindPipe:
		return NewPipeGeometry(g.Capacity, g.MessageMax, g.Flags, g.SeatsMax)
	}
	return NewGeometry(g.Kind, g.Code, g.Shape, g.Flags, g.SeatsMax)
}

// Validate checks a geometry that a daemon sent: everything must be what this
// build would have computed, so no offset can lead outside the segment.
func (g *Geometry) Validate() error {
	want, err := g.Complete()
	if err != nil {
		return status.Wrap(status.Version, "attach", err, "the daemon's geometry is not one of this build")
	}
	if !reflect.DeepEqual(want, g.computed()) {
		return status.New(status.Version, "attach",
			"the daemon lays the object out differently; client and daemon must be equal builds in ABI version 0")
	}
	return nil
}

// computed is the geometry without what names the object.
func (g *Geometry) computed() Geometry {
	c := *g
	c.ID, c.LockID, c.CreatedNs = 0, 0, 0
	if len(c.Shape) == 0 {
		c.Shape = nil
	}
	return c
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }
