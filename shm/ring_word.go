package shm

// The words of a ring and its records; include/shmd_abi.h draws the bit table.
const (
	ringPositionShift        = 3
	ringPositionMask  uint64 = ^uint64(7)
	ringEnded         uint64 = 4
	ringDied          uint64 = 2
	ringClosed        uint64 = 1
	// ringOver is either mark: the side has no client any more.
	ringOver = ringDied | ringClosed

	recordAlign          = 8
	recordMessage uint32 = 1
	recordPad     uint32 = 2
	recordEnd     uint32 = 3
	recordFirst   uint32 = 4
	recordRest    uint32 = 5
	recordPieces         = 8
)

// ringWord is one side's word of a ring.
type ringWord uint64

func makeRingWord(position uint64) ringWord { return ringWord(position << ringPositionShift) }

func (w ringWord) position() uint64 { return uint64(w) >> ringPositionShift }
func (w ringWord) over() bool       { return uint64(w)&ringOver != 0 }
func (w ringWord) ended() bool      { return uint64(w)&ringEnded != 0 }

// futex is the half of the word that is slept on.
func (w ringWord) futex() uint32 { return uint32(w) }

// recordSize is what a record takes, with length bytes of contents.
func recordSize(length uint64) uint64 {
	return (recordHeader + length + recordAlign - 1) &^ (recordAlign - 1)
}

// makeRecord is the header of a record, in one word.
func makeRecord(kind, length uint32) uint64 { return uint64(kind)<<32 | uint64(length) }
