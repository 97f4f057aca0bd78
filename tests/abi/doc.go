// Package abi freezes the shared bytes: include/shmd_abi.h and its mirror in
// package shm.
//
//	v1.json      the layout as data: every struct and field, every constant, the
//	             bits of every packed word; the fingerprint is its hash
//	images/      page 0 of segments in well-known states, as hex dumps
//	c/image.c    reads such a page by the header alone
//
// The status codes, a contract of the same kind, are compared too: Go, C header,
// protocol.
//
// The tests compare Go's reflection, the DWARF and the constants of a compiled C
// probe, the comments of the header, and the files; a field added on one side
// alone fails. A version in frozenLayouts never changes: a change that is meant
// raises ABIVersion, in Go and C, and gets files of its own by
//
//	go test ./tests/abi -update      # then write the fingerprint where it says,
//	go test ./tests/abi -update      # and once more: the images contain it
//
// Files of a former version are never edited.
package abi
