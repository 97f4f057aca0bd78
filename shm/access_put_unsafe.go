//go:build amd64 && !shmd_replay && !shmd_crash && !race

package shm

// Stores of words that only their owner, who holds the lock or the latch beside them,
// and recovery write, and of elements, behind which the bump of the version comes. One
// instruction each, as every store here, but plain: Go's atomic
// stores are exchanges on amd64, at the price of a lock each. The order for others
// comes from the atomics around them: the acquisition before and the release after
// (docs/decisions/0010). Where this does not hold, access_put_atomic_unsafe.go is the twin.

func put32(p *uint32, v uint32) { *p = v }
func put64(p *uint64, v uint64) { *p = v }
