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
		{"KIND_OFFSET", kindOffset},
		{"SEMAPHORE_WAITERS", uint64(semaphoreWaiters)},
		{"SEMAPHORE_PERMITS_MASK", uint64(semaphorePermits)},
		{"SEMAPHORE_STEP", uint64(semaphoreStep)},
		{"SEMAPHORE_REMOVED", uint64(semaphoreRemoved)},
		{"PERMITS_MAX", PermitsMax},
		{"SLOT_STATE_SHIFT", slotStateShift},
		{"SLOT_STATE_MASK", uint64(slotStateMask)},
		{"SLOT_DELIVERIES_SHIFT", slotDeliveryShift},
		{"SLOT_DELIVERIES_MASK", uint64(slotDeliveryMask)},
		{"SLOT_DELIVERIES_COUNTED", deliveriesCounted},
		{"SLOT_FREE", uint64(slotFree)},
		{"SLOT_WRITING", uint64(slotWriting)},
		{"SLOT_READY", uint64(slotReady)},
		{"SLOT_LEASED", uint64(slotLeased)},
		{"SLOT_DEAD", uint64(slotDead)},
		{"QUEUE_LENGTH_MAX", QueueLengthMax},
		{"QUEUE_NUMBER_MAX", queueNumberMax},
		{"SLOT_SIZE_MIN", SlotSizeMin},
		{"SLOT_SIZE_MAX", SlotSizeMax},
		{"QUEUE_MESSAGE_MAX", MessageLimit},
		{"DELIVERIES_LIMIT", DeliveriesLimit},
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
		{"KIND_SEMAPHORE", uint64(KindSemaphore)},
		{"KIND_QUEUE", uint64(KindQueue)},
		{"FLAG_RECURSIVE", uint64(FlagRecursive)},
		{"FLAG_UNLOCK_ANY", uint64(FlagUnlockAny)},
		{"FLAG_STRICT", uint64(FlagStrict)},
		{"FLAG_LOCK_NONE", uint64(FlagLockNone)},
		{"FLAG_LOCK_FOREIGN", uint64(FlagLockForeign)},
		{"FLAG_UNDO", uint64(FlagUndo)},
		{"FLAG_RAW", uint64(FlagRaw)},
		{"STATE_CREATING", uint64(StateCreating)},
		{"STATE_LIVE", uint64(StateLive)},
		{"STATE_CORRUPT", uint64(StateCorrupt)},
		{"STATE_REMOVED", uint64(StateRemoved)},
	}
}
