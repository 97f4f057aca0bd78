package shm

// ABIConstant is one number of include/shmd_abi.h, under its name there without
// the prefix SHMD_.
type ABIConstant struct {
	Name  string
	Value uint64
}

// ABIConstants lists the numbers of include/shmd_abi.h as this package has them,
// all but the fingerprint, for tests/abi to compare and to freeze.
func ABIConstants() []ABIConstant {
	return []ABIConstant{
		{"MAGIC", Magic},
		{"ABI_VERSION", uint64(ABIVersion)},
		{"ABI_COMPAT", uint64(ABICompat)},
		{"PAGE_SIZE", PageSize},
		{"DATA_ALIGN", dataAlign},
		{"RANK_MAX", RankMax},
		{"SEATS_DEFAULT", SeatsDefault},
		{"SEATS_LIMIT", SeatsLimit},
		{"SEATS_OFFSET", seatsOffset},

		{"OWNER_SEAT_MASK", uint64(ownerSeatMask)},
		{"OWNER_GENERATION_SHIFT", ownerGenerationShift},
		{"OWNER_GENERATION_MASK", uint64(ownerMask &^ ownerSeatMask)},
		{"OWNER_MASK", uint64(ownerMask)},
		{"OWNER_INCONSISTENT", uint64(ownerInconsistent)},
		{"OWNER_WAITERS", uint64(ownerWaiters)},
		{"OWNER_REMOVED", uint64(ownerRemoved)},
		{"SEAT_DAEMON", SeatDaemon},
		{"GENERATION_MAX", uint64(GenerationMax)},
		{"SEQUENCE_ODD", sequenceOdd},
		{"SEQUENCE_DIRTY", sequenceDirty},
		{"SEQUENCE_STEP", sequenceStep},
		{"EVENTCOUNT_WAITERS", eventcountWaiters},
		{"EVENTCOUNT_STEP", eventcountStep},
		{"CHANGE_WAITERS", eventcountWaiters},
		{"CHANGE_STEP", eventcountStep},

		{"KIND_VALUE", uint64(KindValue)},
		{"KIND_ARRAY", uint64(KindArray)},
		{"KIND_MUTEX", uint64(KindMutex)},
		{"FLAG_RECURSIVE", uint64(FlagRecursive)},
		{"FLAG_UNLOCK_ANY", uint64(FlagUnlockAny)},
		{"FLAG_STRICT", uint64(FlagStrict)},
		{"FLAG_LOCK_NONE", uint64(FlagLockNone)},
		{"FLAG_LOCK_FOREIGN", uint64(FlagLockForeign)},
		{"STATE_CREATING", uint64(StateCreating)},
		{"STATE_LIVE", uint64(StateLive)},
		{"STATE_CORRUPT", uint64(StateCorrupt)},
		{"STATE_REMOVED", uint64(StateRemoved)},
	}
}
