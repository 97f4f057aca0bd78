package shm

import "github.com/shmd/shmd/status"

// NewQueueGeometry computes sizes and offsets of a queue of at most maxsize
// messages of at most messageMax bytes: in a slot of slotSize bytes, which is rounded
// up to a multiple of 8, or beyond that in a side segment of the slot. A message that was delivered deliveriesMax times
// and never acknowledged is a dead letter; 0 = unlimited. It returns
// status.Invalid for what does not make one.
func NewQueueGeometry(maxsize uint64, slotSize, messageMax, deliveriesMax uint32, flags Flags,
	seatsMax uint32) (Geometry, error) {
	g, err := frontGeometry(KindQueue, flags, seatsMax)
	if err != nil {
		return g, err
	}
	if maxsize < 1 || maxsize > QueueLengthMax {
		return g, status.New(status.Invalid, "", "maxsize is %d messages; it must be 1 to %d", maxsize, QueueLengthMax)
	}
	if slotSize < SlotSizeMin || slotSize > SlotSizeMax {
		return g, status.New(status.Invalid, "", "slot_size is %d bytes; it must be %d to %d",
			slotSize, SlotSizeMin, SlotSizeMax)
	}
	slotSize = uint32(roundUp(uint64(slotSize), 8))
	if messageMax < 1 || messageMax > MessageLimit {
		return g, status.New(status.Invalid, "", "message_max is %d bytes; it must be 1 to %d",
			messageMax, MessageLimit)
	}
	if deliveriesMax > DeliveriesLimit {
		return g, status.New(status.Invalid, "", "deliveries_max is %d; it must be 1 to %d, or 0 for no limit",
			deliveriesMax, DeliveriesLimit)
	}
	g.Length, g.ItemSize = maxsize, slotSize
	g.SlotSize, g.MessageMax, g.DeliveriesMax = slotSize, messageMax, deliveriesMax
	g.ReadyOffset = roundUp(g.SegmentSize, dataAlign)
	g.FreeOffset = g.ReadyOffset + maxsize*queueIndexSize
	g.DescOffset = roundUp(g.FreeOffset+maxsize*queueIndexSize, dataAlign)
	g.DataOffset = roundUp(g.DescOffset+maxsize*queueDescSize, PageSize)
	g.DataSize = maxsize * uint64(slotSize)
	g.SegmentSize = g.DataOffset + roundUp(g.DataSize, PageSize)
	return g, nil
}
