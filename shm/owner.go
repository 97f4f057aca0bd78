package shm

import "sync/atomic"

// The owner word, 32 bits; include/shmd_abi.h draws its bit table.
const (
	ownerSeatMask        uint32 = 0x00000fff
	ownerGenerationShift        = 12
	ownerMask            uint32 = 0x3fffffff
	ownerInconsistent    uint32 = 0x40000000
	ownerWaiters         uint32 = 0x80000000

	// ownerRemoved stands in the word of a destroyed lock for ever. It must
	// differ from every word the daemon locks with, or the daemon's own unlock
	// would bring the word back to life (tests/models: TOMB_EPOCH).
	ownerRemoved uint32 = 0x3fffffff

	// GenerationMax bounds generations and epochs: below the tombstone's.
	GenerationMax uint32 = 0x3fffe
)

// OwnerWord packs a seat and its generation.
func OwnerWord(seat uint16, generation uint32) uint32 {
	return generation<<ownerGenerationShift&ownerMask | uint32(seat)&ownerSeatMask
}

// SeatOf is the seat that an owner word names; 0 = nobody.
func SeatOf(word uint32) uint16 { return uint16(word & ownerSeatMask) }

// generationOf is the seat's generation, or the epoch of the daemon.
func generationOf(word uint32) uint32 { return word & ownerMask >> ownerGenerationShift }

func ownerOf(word uint32) uint32      { return word & ownerMask }
func isFree(word uint32) bool         { return word&ownerMask == 0 }
func isRemoved(word uint32) bool      { return word&ownerMask == ownerRemoved }
func isInconsistent(word uint32) bool { return word&ownerInconsistent != 0 }
func hasWaiters(word uint32) bool     { return word&ownerWaiters != 0 }

// Owner names who locks: a client, by its owner word in the object, and one of
// its threads of control, by a token.
type Owner struct {
	Word  uint32 // the 30 owner bits
	Token uint64 // never 0
	// Shared: several threads of control stand behind the token, so that finding
	// it on the lock says nothing. Whoever tries to lock again waits.
	Shared bool
}

// MakeOwner makes the owner for a thread serial of a client.
func MakeOwner(word, serial uint32) Owner {
	return Owner{Word: word & ownerMask, Token: (uint64(word&ownerMask)<<32 | uint64(serial)) + 1}
}

// Notice says that a lock's owner died while it held the lock. The lock is held
// all the same; the data it guards may be half written.
type Notice struct {
	Seat   uint16
	PID    uint32 // in the daemon's pid namespace
	UID    uint32
	DiedNs int64 // CLOCK_REALTIME, when it was recovered
	Deaths uint32
}

// notice reads the last death. The caller holds the lock or only reports.
func (d *DeathRecord) notice() *Notice {
	return &Notice{
		Seat:   SeatOf(atomic.LoadUint32(&d.Owner)),
		PID:    atomic.LoadUint32(&d.Pid),
		UID:    atomic.LoadUint32(&d.Uid),
		DiedNs: int64(atomic.LoadUint64(&d.RealtimeNs)),
		Deaths: atomic.LoadUint32(&d.Count),
	}
}

// any reports whether there was a death yet.
func (d *DeathRecord) any() bool { return atomic.LoadUint64(&d.RealtimeNs) != 0 }

// record writes the death of a victim down, by recovery only.
func (d *DeathRecord) record(v *Victim) {
	store32(&d.Owner, v.Owner&ownerMask)
	store32(&d.Pid, v.PID)
	store32(&d.Uid, v.UID)
	store64(&d.RealtimeNs, uint64(v.NowNs))
	store32(&d.Count, atomic.LoadUint32(&d.Count)+1)
}
