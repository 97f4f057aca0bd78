package shm

// The word of an rwlock and those of its readers; include/shmd_abi.h draws their
// bit tables.
const (
	rwlockWaiters      uint32 = 0x80000000
	rwlockInconsistent uint32 = 0x40000000
	rwlockHeld         uint32 = 0x20000000
	rwlockPreparing    uint32 = 0x10000000
	rwlockWanted       uint32 = 0x08000000
	rwlockOwnerMask    uint32 = 0x07ffffff
	rwlockSeatMask     uint32 = 0x00000fff
	// rwlockRemoved stands in the owner bits of a destroyed one for ever.
	rwlockRemoved uint32 = 0x07ffffff

	readerRemoved    uint32 = 0x80000000
	readerWantMask   uint32 = 0x7fff0000
	readerWantUnit   uint32 = 0x00010000
	readerActiveMask uint32 = 0x0000ffff
)
