// Package shm is the shared bytes and the algorithms on them: layout, segments,
// futexes, locks, typed values and arrays, and the recovery of each.
//
// Trust: a segment is a trust domain. Whoever may write it may write anything,
// so a word is loaded once, validated and then used; geometry comes from the
// daemon's reply and never from shared bytes; every loop over foreign words is
// bounded or cancellable. Bad words yield errors, never a fault or a panic.
//
// Crash safety: a process dies between two instructions and leaves a prefix of
// its stores behind. Every store goes through the accessor in
// access_unsafe.go, so that a build with the tag shmd_replay can log the
// stores of an operation and the tests can run recovery on every prefix. The
// protocols are stated by the models in tests/models; the C library
// (clients/c) has the same algorithms under the same names.
//
// Ordering: Go's atomics are sequentially consistent, so only the order of
// the operations is argued here; where a pair matters the comment names the
// partner.
//
// Lifetime: the views a Segment returns (Lock, Array, Data) are valid until
// Unmap. Nothing in this package talks to the daemon.
package shm
