// Package status is the one table of numeric status codes of shmd.
//
// The same numbers travel over the wire (first element of an error), are
// returned negated by the C library (SHMD_E_*), and are what errors.Is matches
// in Go. A code is never renumbered and never reused; new codes are appended.
// tests/abi compares this table with include/shmd.h and wire/PROTOCOL.md.
//
// Codes fall into two classes. A condition is something a correct program
// meets and must handle (would block, timed out, removed). A failure is
// everything else and is wrapped with context: what was attempted, on which
// object, why it failed and what to do about it.
//
// The package imports nothing of this module and holds no state.
package status
