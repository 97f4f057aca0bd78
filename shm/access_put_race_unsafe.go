//go:build !shmd_replay && !shmd_crash && race

package shm

func put32(p *uint32, v uint32) { store32(p, v) }
func put64(p *uint64, v uint64) { store64(p, v) }
