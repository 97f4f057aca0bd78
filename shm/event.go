package shm

// The word of an event with manual reset; include/shmd_abi.h draws its bit table.
const (
	eventSet            uint32 = 1
	eventWaiters        uint32 = 2
	eventGenerationMask uint32 = 0xfffffffc
	eventGenerationUnit uint32 = 4
	// eventRemoved stands in the word of a destroyed event for ever. No protocol
	// makes it: set and waiters exclude each other.
	eventRemoved uint32 = 0xffffffff
)
