// Command shmd-demo starts a daemon on a private socket and lets workers in Go,
// C and Python measure every file of a source tree together: bytes, lines,
// words. One worker is killed with SIGKILL in the middle of an update; the
// others are told, repair, take over what it had claimed, and finish. The totals
// are then compared with an independent count made in the same run.
//
// What the workers share (board.go), and how they use it, is the same in all
// three languages; worker.go, c/worker.c and worker.py can be read side by side.
// A worker takes a file by compare-exchange in the array of claims, so that no
// two have the same one; writes what it measured into the file's own row, so
// that doing it twice does no harm; and then, under the lock of the progress
// value, marks the claim done and counts it. The state that this lock guards is
// consistent when the progress equals the number of claims that are done: that
// is what a repair restores.
//
// The coordinator (main.go, crew.go) talks to its workers in lines over pipes:
// "ready", "go", "holding FILE", "repair ...". Nothing here waits for time to
// pass: workers wait for a change of the progress, and so does the progress bar.
package main
