package shm

// The word of a barrier and that of a party; include/shmd_abi.h draws their bit
// tables.
const (
	barrierPhaseMask           uint64 = 0x3
	barrierFieldShift                 = 2
	barrierFieldMask           uint64 = 0x3ffc
	barrierGenerationLowShift         = 14
	barrierGenerationLowMask   uint64 = 0xffffc000
	barrierHistoryShift               = 32
	barrierHistoryMask         uint64 = 0xffff_0000_0000
	barrierGenerationHighShift        = 48
	barrierGenerationHighMask  uint64 = 0xffff_0000_0000_0000

	// Phases.
	barrierFill   = 0
	barrierAction = 1
	barrierBroken = 2

	// Reasons, the field of a broken one.
	barrierByTimeout = 1
	barrierByAbort   = 2
	barrierByDeath   = 4
	barrierByAction  = 8

	// Outcomes, two bits each in the history.
	barrierWasBad        = 0
	barrierWasOK         = 1
	barrierWasDeath      = 2
	barrierHistoryLength = 8

	partyParty           uint64 = 1
	partyCharged         uint64 = 2
	partyGenerationShift        = 2
	partyGenerationMask  uint64 = 0xf_ffff_fffc
)
