//go:build !race

package shm

// expectWord asks for the line of a word that is to be read. What is loaded is not used,
// and may be in the middle of being written.
func expectWord(p *uint64) { _ = load64(p) }
