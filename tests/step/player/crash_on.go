//go:build shmd_crash

package main

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/shm"
)

// left is how many stores are left before the process ends; negative = no end.
var left atomic.Int64

// crashAfter lets the process stop right after its n-th store from now on, 0 = at
// once, so that whoever waits for that can look at what it holds, and kill it.
func crashAfter(n int) {
	left.Store(int64(n) + 1)
	shm.AfterStore = count
	count()
}

func crashNever() { left.Store(-1) }

// count counts a store. The signal is for this thread, which stops before the call
// returns; one for the process might stop another first, and this one a little later.
func count() {
	if left.Add(-1) != 0 {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP) // it cannot fail
}
