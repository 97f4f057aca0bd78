//go:build shmd_next_abi

package shm

// A build that says of itself to have the layout after this one, which programs of this
// one cannot use: for tests of how they meet.
const (
	ABIVersion     uint32 = 2
	ABICompat      uint32 = 2
	ABIFingerprint uint64 = 0x6e65787420616269
)
