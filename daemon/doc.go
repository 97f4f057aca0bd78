// Package daemon is the shmd daemon: it names objects, creates their segments,
// hands them out, knows which process lives, and gives back what the dead held.
// Start runs one inside any program.
//
// # Trust model
//
// The kernel says who a client is (SO_PEERCRED, a pidfd, SCM_CREDENTIALS with
// all bytes). What a client sends is checked by package wire and again here;
// what it writes into a segment is never believed, geometry least of all. No
// client can make the daemon panic, block, or grow without bound: messages,
// handles, waiting calls, objects, bytes and connections are counted and
// limited, and a client that does not read its answers is not read from.
//
// # Goroutines
//
// One per connection, which reads, executes what need not wait and answers; one
// per client that sleeps in the netpoller on its pidfd; one per waiting call,
// which sleeps in the shared shm.Parker. Nothing ticks unless a zombie exists.
//
// A waiting call has two contexts: its client's cancel ends the first, and its handle
// or connection both. A wait at a condition takes the mutex again under the second,
// so the answer to a cancel comes with the mutex held. What was granted to a client
// that is gone by then is taken back, or goes with its seat.
//
// # Lock order
//
//	ticketClock.mu           when the next ticket ends; before server.mu too
//	object.recoverMu
//	  registry.mu            names, ids, objects' links, seats, references
//	    sideTable.mu         side segments of one queue
//	      quota.mu           a leaf
//	server.mu                sessions and clients
//	  client.mu              life of one client; under registry.mu too
//	session.handlesMu, session.pendingMu, session.writeMu, seat.threads.mu:
//	leaves, never together
//
// No lock is held while a call waits or the socket is written, but writeMu.
//
// # Life of an object
//
// An object counts references: its link (a name, or the fact that it is
// persistent), every seat, every object it guards, every ticket that is good, and every
// call that looks at it. It is freed with the last. A seat counts references too: its handles, its
// waiting calls, and, in a mutex, the seats of the same client in the objects it
// guards. With the last the seat is swept (recovered) and then given out again;
// so the objects that a mutex guards are always swept before the mutex is. A mutex also
// knows the conditions bound to it, without a reference: when it is destroyed, they are
// alarmed once its segment says so.
//
// # The end of a client
//
// An end with bye, and the close of a handle, are orderly: what is held is given back,
// but no party of a barrier has died. Any other end is a death. Who waits at a barrier
// then breaks it by that before its calls are ended, for those would break it without
// a name.
//
// # Restart
//
// With a keeper (Config.KeeperCommand), what the daemon has outlives it: each descriptor
// is put at the keeper, then there is a record in the journal, then an answer; see packages
// keeper and journal. Start takes the lock beside the socket, asks the keeper for the
// descriptors, replays the journal, gives back what the daemon before held in each object,
// recovers the clients whose pidfd says that they are dead, and listens. The living are
// detached until they say hello again with their uuid. Journal and link have locks of
// their own, which are leaves; the link's is held while a keeper is replaced.
//
// # Limits
//
// Without a keeper names are lost when the daemon ends; mapped objects go on working
// among their clients.
//
// What a call of a client that has also mapped the object was in the middle of when the
// daemon died cannot be told from what the client does itself, and stays until the client
// ends: a slot being written, a wait for an rwlock. A bracket that a call of a lock's holder
// had opened stays open until end_write. Why a client's last lead at a barrier ended is
// forgotten.
package daemon
