// Package shmd is the Go client of shmd: typed values and arrays, locks, semaphores,
// queues, streams, pipes, events, conditions and barriers in shared memory, by name,
// shared with processes in any language, that survive the death of any of them at any
// instruction.
//
//	c, err := shmd.Dial(ctx, shmd.Options{})
//	a, err := shmd.OpenOrCreateArray[int32](ctx, c, "jobs/progress", shmd.ArrayOptions{Length: 100})
//	a.View()[7] = 42                       // plain memory
//	notice, err := a.Lock(ctx)             // held, even if notice says that an owner died
//	defer a.Unlock()
//
// The control plane (opening, closing, listing) talks to the daemon over its
// socket; everything else works on the mapping and does not involve it. When
// the daemon is gone, open objects go on working and control calls return
// ErrLost.
//
// An error from a lock always means that the lock is not held. That an owner
// died is not an error but a *Notice beside it. (A Condition's Wait is no lock: the
// mutex is held when it begins, and, but for what it says, when it ends.)
//
// # Concurrency
//
// Everything is safe for concurrent use by goroutines. The Lock and Unlock of a
// handle treat them as sync.Mutex does: each Lock waits for the Unlock before, and
// any goroutine may unlock; those of an RWLock and of a Condition treat them as
// sync.RWMutex and sync.Cond do. A thread of control of the program's own choosing,
// which recursion needs, is an Owner, or an RWOwner. BeginWrite, EndWrite and Write act for the
// handle: while it holds the lock they do not wait for each other.
//
// # Memory
//
// A View stays valid for the life of the process, also after Close: closing
// never unmaps memory that has been handed out.
package shmd
