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

// writerOf is the owner bits of the writer, inside or not; 0 = none.
func writerOf(word uint32) uint32 { return word & rwlockOwnerMask }

// rwlockGone reports whether the rwlock of the word was destroyed.
func rwlockGone(word uint32) bool { return word&rwlockOwnerMask == rwlockRemoved }

// keepsOut reports whether the word keeps new readers out.
func keepsOut(word uint32) bool { return writerOf(word) != 0 && word&rwlockPreparing == 0 }

// RWOwner is one thread of control at one rwlock: it counts what that reads, so
// that the thread may read again whatever writers wait. For one goroutine at a
// time, but for a shared one.
type RWOwner struct {
	word   uint32 // the 30 owner bits
	token  uint64 // never 0
	shared bool
	reads  uint32 // not counted if shared: there the cell tells
}

// MakeRWOwner makes the owner for a thread serial, at least 1, of a client.
func MakeRWOwner(word, serial uint32) *RWOwner {
	o := MakeOwner(word, serial)
	return &RWOwner{word: o.Word, token: o.Token}
}

// SharedRWOwner makes an owner behind which stand many threads of control of a
// client. Its reads are counted with all others of the client, in the client's cell,
// so that it never says status.Deadlock, and ends any of them: a thread of it that
// reads must not read again, for it may wait for a writer that waits for itself. Safe
// for concurrent use.
func SharedRWOwner(word uint32) *RWOwner {
	o := MakeRWOwner(word, 0)
	o.shared = true
	return o
}

// Assume counts reads in (or out, if negative) that the owner began elsewhere: in a
// process that is gone.
func (o *RWOwner) Assume(reads int32) { o.reads += uint32(reads) }

// writer is the owner as the word of an rwlock names it.
func (o *RWOwner) writer() uint32 { return o.word & rwlockOwnerMask }

// readsAlready reports whether the one thread behind the owner reads.
func (o *RWOwner) readsAlready() bool { return !o.shared && o.reads > 0 }

// mayRead reports whether a thread behind the owner reads, as far as the owner knows.
func (o *RWOwner) mayRead() bool { return o.shared || o.reads > 0 }

func (o *RWOwner) began() {
	if !o.shared {
		o.reads++
	}
}

// ended counts a read less; false = there was none.
func (o *RWOwner) ended() bool {
	if !o.mayRead() {
		return false
	}
	if !o.shared {
		o.reads--
	}
	return true
}
