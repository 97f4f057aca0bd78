package shm

// expectWords asks for the lines of two words that are to be read, and waits for neither: a
// load would, and keep who looks again and again from looking.
//
//go:noescape
func expectWords(p, q *uint64)
