// Command rivals measures shmd beside what a user would take instead: `make bench-rivals`
// builds and runs it, and makes docs/performance.md of its results. What is measured stands
// in rows.json, and stood there before the first measurement.
//
// Each system has an adapter in adapters/, a program that does the same work as those of the
// others. All adapters of a case run at once and are asked in turn, A B C A B C, so that a
// machine that slows down slows all; who is not asked sleeps.
//
// # The protocol of adapters
//
// `PROGRAM describe` prints one line: the system, its version, how it is set. All else is
//
//	PROGRAM WORKLOAD ROLE KEY=VALUE...
//
// where keys are name (a prefix of all names), dir (a private directory), socket (of the
// system's server), size (bytes of a message), batch (messages in a call), index (of the
// process within its role), producers, consumers, processes (how many contend), verify,
// touch, wait (spin or block), samples (a file for latencies) and what rows.json adds. The
// process of index 0 of the first role makes the objects, and the others open them once it
// is ready. A process prints `ready`, or `unsupported REASON` and ends. Then it reads
// `go N`, does N operations and answers `done NS`, NS being how long that took, with
// `begin=NS` and `end=NS` of CLOCK_MONOTONIC and with verify `sum=N` if it can. With samples
// it writes the latency of each operation in ns as 8 bytes, little-endian. When its input
// ends it gives all back, and ends with 0. Its processors are chosen before it starts.
//
// Workloads and their roles:
//
//   - lock, semaphore, counter, value: worker.
//   - roundtrip: ping and pong, N messages there and back.
//   - oneway: put and take; of P producers each puts N, of C consumers each takes N*P/C.
//   - attach: opener; index 0 makes an object, index 1 opens and closes it N times.
//   - recovery: owner answers `held`; waiter prints `waiting`, and `done NS`, the time at
//     which it got the lock. The owner is killed by SIGKILL between the two.
//   - idle: sleeper prints `waiting`, and takes from an empty queue for ever.
//   - memory: maker makes N small objects.
//   - serve: server, of systems that have one. It runs until its input ends.
package main
