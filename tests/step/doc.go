// Package step kills a real client at every instruction of every operation, and
// a Go client after every store, and looks at what is left: once the daemon has
// recovered, every live client finishes what it does, the object's words are as
// they must be, and nothing was lost or given twice. The same runs against a
// daemon whose recovery is sabotaged must report clients that hang.
//
// The victims are c/player.c, statically linked and single-stepped by ptrace, and
// player/, built with the tag shmd_crash. Those who live on are players too, in C
// or in Go. A player does what it is told, a line for a line:
//
//	KIND open NAME            one object of each kind is open at a time
//	warm NAME                 does what a process does once; another holds the mutex
//	mutex lock NS, unlock, mark
//	value store X, add X, load, version, wait NS
//	array lock NS, unlock, mark, store X, add X, write X NS, begin, end, read NS, version, wait NS
//	semaphore acquire N NS, release N, post N
//	queue make NUMBER BYTES, put NS, take NS, lease NS, ack, nack, reserve NS, fill, commit, abort
//	queue put_many NS, take_many NS, lease_many NS, ack_many, nack_many, extend, join NS
//	queue take_dead, redeliver, shutdown
//	event set, reset, pulse, wait NS
//	condition lock NS, unlock, mark, wait NS, notify N, all
//	barrier wait NS, action NS, abort, reset
//	rwlock read NS, unread, write NS, unwrite, mark
//	stream make NUMBER BYTES, produce, consume, retire, leave, send NS, recv NS
//	pipe make NUMBER BYTES, claim END, shut, send NS, recv NS
//	stream, pipe send_many NS, peek_many NS, advance, reserve NS, fill, commit, abort
//	pipe bytes N, write NS, read NS
//
// and answers "ok NUMBER...", "notice NUMBER..." or "error NAME". NS is a timeout,
// -1 = for ever. An array has four elements: read tells them all, write makes
// all of them X, store and add change the first. wait waits for a change since the
// last version or wait. make makes the message that put and send, and fill and
// commit, use; recv, take, lease and peek_many tell the number of a message that is
// whole, lease also its deliveries; ack and nack end the last lease; extend makes it
// last an hour. put_many and send_many send the message and one with the next number;
// the others of many are of two; advance takes what was peeked. bytes makes the next
// N of a flow in which each byte is told by its place; write writes them, and read
// reads some that must be the next ones; both tell how many. all notifies all; action
// is a wait with an action that does nothing; both tell the index.
//
//	step LINE                 C: does the line between two marks
//	crash STORE LINE          Go, with shmd_crash: stops after that store (0 = before
//	                          the first), to be looked at and killed; a line that
//	                          is over before is answered
package step
