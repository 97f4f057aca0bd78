package shm

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// thread is the operating system's thread of a goroutine that has called bind.
type thread struct{ id atomic.Int32 }

// bind keeps the goroutine on its thread, so that others can see what that is about. The
// thread ends with the goroutine.
func (th *thread) bind() {
	runtime.LockOSThread()
	th.id.Store(int32(unix.Gettid()))
}

// asleepOn reports whether the kernel has the thread asleep on a futex.
func (th *thread) asleepOn(t *testing.T, word *uint32) bool {
	t.Helper()
	id := th.id.Load()
	if id == 0 {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", id))
	if err != nil {
		t.Skipf("the system calls of this process cannot be seen: %v", err)
	}
	fields := strings.Fields(string(text)) // number, arguments; "running" if there is none
	return len(fields) > 2 && fields[1] == fmt.Sprintf("%#x", uintptr(unsafe.Pointer(word)))
}
