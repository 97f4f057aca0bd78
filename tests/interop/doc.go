// Package interop proves that clients in different languages share objects: each
// type code, each operation and each lock, created by one and opened by another.
//
// A driver is a program that connects to the daemon and obeys commands on its
// standard input, one answer on its standard output for each: c/driver.c with
// libshmd, driver.py with a socket and msgpack alone, package_driver.py with the Python
// package, and this test binary, run once more, with clients/go. The tests are generated from the list of drivers;
// a new language is one new driver and one new entry.
//
// The first line that a driver prints is "ok": it is connected. Then:
//
//	create SLOT KIND NAME CODE FLAGS VALUE...   ok
//	open SLOT KIND NAME rw|r                    ok CODE LENGTH
//	close SLOT                                  ok
//	destroy NAME                                ok
//	unlink NAME                                 ok
//	load SLOT INDEX                             ok VALUE
//	store SLOT INDEX VALUE                      ok
//	add SLOT INDEX DELTA                        ok BEFORE
//	exchange SLOT INDEX VALUE                   ok BEFORE
//	cas SLOT INDEX EXPECTED DESIRED             ok true|false BEFORE
//	read SLOT START COUNT                       ok VALUE..., or dirty VALUE...
//	write SLOT START VALUE...                   ok
//	lock SLOT TIMEOUT_NS                        ok, or died
//	unlock SLOT                                 ok
//	mark SLOT                                   ok
//	begin SLOT, end SLOT                        ok
//	version SLOT                                ok VERSION
//	wait SLOT VERSION TIMEOUT_NS                ok VERSION
//
// Of semaphores (create SLOT semaphore NAME - FLAGS INITIAL MAXIMUM):
//
//	acquire SLOT N TIMEOUT_NS                   ok
//	release SLOT N, post SLOT N                 ok
//	permits SLOT                                ok AVAILABLE TOTAL HELD
//
// Of queues (create SLOT queue NAME - FLAGS MAXSIZE SLOT_SIZE DELIVERIES_MAX
// MESSAGE_MAX LEASE_NS, of which the last ones may be left out), with messages in hex, "-" for no
// bytes; the values are by way of the language's own msgpack:
//
//	put SLOT MESSAGE TIMEOUT_NS                 ok
//	putvalue SLOT MESSAGE TIMEOUT_NS            ok
//	take SLOT TIMEOUT_NS                        ok MESSAGE
//	takevalue SLOT TIMEOUT_NS                   ok MESSAGE
//	putmany SLOT MESSAGE,MESSAGE... TIMEOUT_NS  ok COUNT
//	takemany SLOT MAX TIMEOUT_NS                ok MESSAGE,MESSAGE...
//	join SLOT TIMEOUT_NS                        ok
//	lease SLOT TIMEOUT_NS                       ok NUMBER DELIVERIES MESSAGE
//	ack SLOT NUMBER, nack SLOT NUMBER           ok
//	leasemany SLOT MAX TIMEOUT_NS               ok, then NUMBER DELIVERIES MESSAGE of each
//	ackmany SLOT NUMBER,NUMBER...               ok COUNT, and NOT_OWNER if the next one is not
//	nackmany SLOT NUMBER,NUMBER...              this client's
//	extend SLOT NUMBER NS                       ok
//	takedead SLOT                               ok NUMBER DELIVERIES MESSAGE
//	redeliver SLOT                              ok COUNT
//	shutdown SLOT                               ok
//	claim SLOT ROLE                             ok ROLE
//	retire SLOT ROLE                            ok
//	counts SLOT                                 ok READY LEASED WRITING FREE DEAD true|false
//	reserve SLOT SIZE TIMEOUT_NS                ok
//	commit SLOT MESSAGE, abort SLOT             ok
//
// Reservations are of drivers that map.
//
// Of events (create SLOT event NAME - FLAGS):
//
//	signal SLOT, reset SLOT, pulse SLOT         ok
//	isset SLOT                                  ok true|false
//	await SLOT TIMEOUT_NS                       ok
//
// Of conditions (create SLOT condition NAME - @SLOT), beside lock, unlock and mark of
// their mutex:
//
//	await SLOT TIMEOUT_NS                       ok, or died
//	notify SLOT N                               ok; N = 0 is all
//
// Of barriers (create SLOT barrier NAME - - PARTIES, opened by a party in advance with
// the access "party"):
//
//	arrive SLOT TIMEOUT_NS                      ok INDEX
//	act SLOT TIMEOUT_NS ok|fail                 ok INDEX true|false: it ran the action
//	abort SLOT                                  ok
//	reset SLOT                                  ok, or died
//	state SLOT                                  ok WAITING REASONS GENERATION
//
// Of rwlocks (create SLOT rwlock NAME - -), beside lock, unlock and mark of the writer:
//
//	readlock SLOT TIMEOUT_NS                    ok, or died
//	readunlock SLOT                             ok
//
// Of streams (create SLOT stream NAME - - CAPACITY MESSAGE_MAX) and pipes (create SLOT pipe
// NAME - -|bytes CAPACITY MESSAGE_MAX), where the last words may be left out, with messages
// and bytes in hex as above; a driver has one end of a pipe at most:
//
//	claim SLOT ROLE                             ok ROLE: what it has now
//	retire SLOT ROLE                            ok
//	send SLOT MESSAGE TIMEOUT_NS                ok
//	sendmany SLOT TIMEOUT_NS MESSAGE...         ok COUNT
//	recv SLOT TIMEOUT_NS                        ok MESSAGE
//	recvmany SLOT MAX TIMEOUT_NS                ok MESSAGE...
//	writebytes SLOT BYTES TIMEOUT_NS            ok COUNT
//	readbytes SLOT MAX TIMEOUT_NS               ok BYTES
//
// Anything may be answered by "error NAME" with the name of a status code. SLOT
// is the driver's own word for an open object; KIND is value, array, mutex,
// semaphore, queue, event, condition, barrier, rwlock, stream or pipe. CODE is "-" for what has none.
// FLAGS are joined by commas, "-" if there is none: recursive, unlock_any, strict, nolock,
// undo, raw, auto_reset, isset (of an event that begins so), and @SLOT for the mutex in
// that slot as the lock. A value has one VALUE, an array as many as it
// has elements. Values are written as ctypes.FormatText does, c also as \xNN always
// and u as U+XXXX; a driver may answer any text that ctypes.ParseText reads back to
// the same bits.
package interop
