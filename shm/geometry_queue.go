package shm

import "github.com/shmd/shmd/status"

// NewQueueGeometry computes sizes and offsets of a queue of at most maxsize
// messages of at most messageMax bytes: in a slot of slotSize bytes, which is rounded
// up to a multiple of 8, or beyond that in a side segment of the slot. A message that was delivered deliveriesMax times
// and never acknowledged is a dead letter; 0 = unlimited. It returns
// status.Invalid for what does not make one.
func NewQueueGeometry(maxsize uint64, slotSize, messageMax, deliveriesMax uint32, flags Flags,
	seatsMax uint32) (Geometry, error) {
	return NewTimedQueueGeometry(0, maxsize, slotSize, messageMax, deliveriesMax, flags, seatsMax)
}

// NewTimedQueueGeometry is NewQueueGeometry for a queue whose leases end after leaseNs
// ns, if that is not 0: the message then comes back.
func NewTimedQueueGeometry(leaseNs, maxsize uint64, slotSize, messageMax, deliveriesMax uint32, flags Flags,
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
	if err := checkLeaseNs(leaseNs); err != nil && leaseNs != 0 {
		return g, err
	}
	g.Length, g.ItemSize = maxsize, slotSize
	g.SlotSize, g.MessageMax, g.DeliveriesMax = slotSize, messageMax, deliveriesMax
	g.ReadyOffset = roundUp(g.SegmentSize, dataAlign)
	g.FreeOffset = g.ReadyOffset + maxsize*queueEntrySize
	g.DescOffset = roundUp(g.FreeOffset+maxsize*queueEntrySize, dataAlign)
	end := g.DescOffset + maxsize*queueDescSize
	if leaseNs != 0 {
		g.LeaseNs, g.DeadlineOffset = leaseNs, roundUp(end, dataAlign)
		end = g.DeadlineOffset + maxsize*deadlineSize
	}
	g.DataOffset = roundUp(end, PageSize)
	g.DataSize = maxsize * uint64(slotSize)
	g.SegmentSize = g.DataOffset + roundUp(g.DataSize, PageSize)
	return g, nil
}

// checkLeaseNs refuses what is no lease time.
func checkLeaseNs(leaseNs uint64) error {
	if leaseNs < LeaseNsMin || leaseNs > LeaseNsMax {
		return status.New(status.Invalid, "", "lease_ns is %d; it must be %d (1 ms) to %d", leaseNs, LeaseNsMin,
			uint64(LeaseNsMax))
	}
	return nil
}
