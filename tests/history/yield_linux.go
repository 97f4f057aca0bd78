package history

import "golang.org/x/sys/unix"

// yield gives the processor to another process that wants it.
func yield() {
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // never fails
}
