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
	barrierReasons   = barrierByTimeout | barrierByAbort | barrierByDeath | barrierByAction

	// Outcomes, two bits each in the history.
	barrierWasBad        = 0
	barrierWasOK         = 1
	barrierWasDeath      = 2
	barrierHistoryLength = 8

	partyParty           uint64 = 1
	partyCharged         uint64 = 2
	partyGenerationShift        = 2
	partyGenerationMask  uint64 = 0xf_ffff_fffc
	partyKnown                  = partyParty | partyCharged | partyGenerationMask

	barrierGenerationLowBits = barrierHistoryShift - barrierGenerationLowShift
	barrierGenerationMax     = partyGenerationMask >> partyGenerationShift // 34 bits, then 0 again
	barrierOutcomeBits       = 2
)

// barrierWord is the word of a barrier as it was loaded: any bit pattern.
type barrierWord uint64

func (w barrierWord) phase() uint32 { return uint32(uint64(w) & barrierPhaseMask) }
func (w barrierWord) field() uint32 { return uint32(uint64(w) & barrierFieldMask >> barrierFieldShift) }
func (w barrierWord) futex() uint32 { return uint32(w) }

func (w barrierWord) generation() uint64 {
	return uint64(w)>>barrierGenerationHighShift<<barrierGenerationLowBits |
		uint64(w)&barrierGenerationLowMask>>barrierGenerationLowShift
}

// in is the word in another phase of the same generation.
func (w barrierWord) in(phase, field uint32) barrierWord {
	rest := uint64(w) &^ (barrierPhaseMask | barrierFieldMask)
	return barrierWord(rest | uint64(field)<<barrierFieldShift | uint64(phase))
}

// broken is the word broken for one more reason.
func (w barrierWord) broken(reason uint32) barrierWord {
	if w.phase() == barrierBroken {
		reason |= w.field()
	}
	return w.in(barrierBroken, reason)
}

// next is the word of the next generation, where nobody has arrived, and the
// history says how this one ended.
func (w barrierWord) next(outcome uint64) barrierWord {
	g := w.generation() + 1
	history := uint64(w) & barrierHistoryMask << barrierOutcomeBits & barrierHistoryMask
	return barrierWord(g>>barrierGenerationLowBits<<barrierGenerationHighShift | history |
		outcome<<barrierHistoryShift | g<<barrierGenerationLowShift&barrierGenerationLowMask)
}

// since is how many generations ago g was, far more than the history is long if
// it lies ahead.
func (w barrierWord) since(g uint64) uint64 { return (w.generation() - g) & barrierGenerationMax }

// outcome is how the generation ended that was since ago, 1 to the history's length.
func (w barrierWord) outcome(since uint64) uint64 {
	return uint64(w) >> (barrierHistoryShift + barrierOutcomeBits*(since-1)) & (1<<barrierOutcomeBits - 1)
}

// partyGeneration is the generation that a charged party word names.
func partyGeneration(word uint64) uint64 { return word & partyGenerationMask >> partyGenerationShift }

// charge is the word of a party that died, charged to a generation.
func charge(generation uint64) uint64 { return partyCharged | generation<<partyGenerationShift }
