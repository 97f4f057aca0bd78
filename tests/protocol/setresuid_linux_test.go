package protocol

import (
	"runtime"
	"syscall"
	"testing"
)

// dialAs connects as another user: the kernel remembers as whom a thread connected.
func dialAs(t *testing.T, uid int, socket string) *peer {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		// Not by package syscall, which does it for all threads.
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if errno != 0 {
			t.Fatalf("become user %d: %v", uid, errno)
		}
	}
	become(uid)
	defer become(0)
	return dial(t, socket)
}
