// Command shmd-demo starts a daemon on a private socket, puts the files of a source
// tree on a queue, and lets workers in Go, C, Python and shell measure them: bytes,
// lines, words. One worker is killed with SIGKILL in the middle of an update; its
// message is delivered again, its permit comes back, the next owner of its lock is
// told and repairs, and the others finish. The totals are then compared with an
// independent count made in the same run.
//
// What they share (board.go), and how they use it, is the same in all languages;
// worker.go, c/worker.c, worker.py and worker.sh can be read side by side. A worker
// takes a message with a lease, so that nobody else has the file and somebody will
// if the worker dies; measures the file under a permit of an undo semaphore; writes
// the file's own row, so that doing it twice does no harm; counts it under the lock
// of the progress value; and acknowledges the message. The state that the lock
// guards is consistent when the progress equals the number of rows that have a
// worker: that is what a repair restores.
//
// The coordinator (run.go, crew.go) talks to its members in lines over pipes:
// "ready", "go", "holding FILE", "repair ...", "redelivered FILE ...". Nothing here
// waits for time to pass: workers wait for a message, the producer and the progress
// bar for a change of the progress.
package main
