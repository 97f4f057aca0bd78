//go:build !shmd_replay && !shmd_crash && (race || !amd64)

package shm

// On arm64 an atomic store is a store with release, no exchange, and plain ones are in no
// order: the compiler may pair two of them and move one past another, the processor may
// show one before the compare-and-swap that it follows (docs/decisions/0011). The race
// detector knows neither other processes nor the reasoning of access_put_unsafe.go.

func put32(p *uint32, v uint32) { store32(p, v) }
func put64(p *uint64, v uint64) { store64(p, v) }
