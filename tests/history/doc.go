// Package history makes real clients do what a script says, and records what they
// did so that it survives their death: for each operation the moment before it, the
// moment after it, and what came of it.
//
// A client is a process of one of three flavours: this test binary, executed again,
// with mapped memory (go); the same over the socket alone (socket); c/performer.c (c).
// Its Log is a file that it has mapped, which is script and record in one: whoever
// directs the client writes what shall be done, the client adds the rest, and when it
// is killed the kernel keeps the pages. So clients decide nothing, all the randomness
// is the director's, and both languages do exactly the same.
//
// Time is CLOCK_MONOTONIC, which all processes of a machine share.
package history
