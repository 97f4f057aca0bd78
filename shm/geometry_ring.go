package shm

import "github.com/shmd/shmd/status"

// RingMessageMax is the longest message that lies in one piece in a ring of capacity
// bytes: half of it, with the header.
func RingMessageMax(capacity uint64) uint32 { return uint32(capacity/2 - recordHeader) }

// NewStreamGeometry computes sizes and offsets of a stream through a ring of capacity
// bytes, a power of two, with messages of at most messageMax bytes, at most
// RingMessageMax. It returns status.Invalid for what does not make one.
func NewStreamGeometry(capacity uint64, messageMax, seatsMax uint32) (Geometry, error) {
	g, err := ringGeometry(KindStream, capacity, 0, seatsMax)
	if err == nil && (messageMax < 1 || messageMax > RingMessageMax(capacity)) {
		err = status.New(status.Invalid, "", "message_max is %d bytes; in a stream of %d bytes it must be 1 to %d, "+
			"for a message fits half of it", messageMax, capacity, RingMessageMax(capacity))
	}
	g.MessageMax = messageMax
	return g, err
}

// NewPipeGeometry is NewStreamGeometry for a pipe, which has a ring for each direction.
// Its messages have at most messageMax bytes, at most MessageLimit: what does not fit
// half of the ring goes through it in pieces. With FlagBytes it carries bytes, and
// messageMax is 0.
func NewPipeGeometry(capacity uint64, messageMax uint32, flags Flags, seatsMax uint32) (Geometry, error) {
	g, err := ringGeometry(KindPipe, capacity, flags, seatsMax)
	switch {
	case err != nil:
	case flags.Has(FlagBytes) && messageMax != 0:
		err = status.New(status.Invalid, "", "message_max is %d; a pipe of bytes has no messages", messageMax)
	case !flags.Has(FlagBytes) && (messageMax < 1 || messageMax > MessageLimit):
		err = status.New(status.Invalid, "", "message_max is %d bytes; it must be 1 to %d", messageMax, MessageLimit)
	}
	g.MessageMax = messageMax
	return g, err
}

// ringGeometry is what a stream and a pipe share.
func ringGeometry(kind Kind, capacity uint64, flags Flags, seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(kind, flags, seatsMax)
	if err != nil {
		return g, err
	}
	if capacity < RingCapacityMin || capacity > RingCapacityMax || capacity&(capacity-1) != 0 {
		return g, status.New(status.Invalid, "", "capacity is %d bytes; it must be a power of two, %d to %d",
			capacity, RingCapacityMin, RingCapacityMax)
	}
	g.Capacity, g.Length = capacity, capacity
	g.DataOffset = roundUp(g.SegmentSize, PageSize)
	g.DataSize = capacity * g.rings()
	g.SegmentSize = g.DataOffset + g.DataSize
	return g, nil
}

// rings is how many rings a stream or pipe has.
func (g *Geometry) rings() uint64 {
	if g.Kind == KindPipe {
		return 2
	}
	return 1
}
