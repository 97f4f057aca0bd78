// Package version lets programs and daemons of different layouts of the shared bytes
// meet: each pair either works or says which of the two is to be updated, and over the
// socket all work.
//
//	opener/         a Go client, built for this layout and for the next
//	c/opener.c      a C client, likewise
//	next_abi.h      what a C library of the next layout says of itself; for Go it is
//	                shm/abi_version_next.go
package version
