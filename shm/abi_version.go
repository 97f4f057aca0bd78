//go:build !shmd_next_abi

package shm

const (
	// ABIVersion is the layout's version.
	ABIVersion uint32 = 1
	// ABICompat is the oldest version whose programs can use this layout.
	ABICompat uint32 = 1
	// ABIFingerprint names this layout: the first 8 bytes, big endian, of the
	// SHA-256 of tests/abi/v1.json.
	ABIFingerprint uint64 = 0x7b878cc4cd3849f2
)
