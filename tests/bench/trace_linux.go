package main

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/measure"
)

const (
	ptraceGetSyscallInfo = 0x420e // since Linux 5.3
	syscallInfoEntry     = 1
	// traceAttempts bounds how often a disturbed count is repeated.
	traceAttempts = 20
)

// syscallInfo is the front of struct ptrace_syscall_info.
type syscallInfo struct {
	op     uint8
	pad    [3]uint8
	arch   uint32
	ip, sp uint64
	number uint64 // of an entry
	args   [6]uint64
}

// errDisturbed: a signal was handled between the markers; its calls are not
// the ones to be counted.
var errDisturbed = errors.New("a signal came in between")

// countCalls sends a command with a number and counts the system calls that the given
// thread makes for it, between its markers.
func countCalls(c *measure.Child, thread int, command string, n int) (calls int, err error) {
	for range traceAttempts {
		calls, err = countSyscalls(thread, func() error { return c.Send("%s %d", command, n) })
		if err != nil && !errors.Is(err, errDisturbed) {
			return 0, err
		}
		if e := c.Expect("done"); e != nil {
			return 0, e
		}
		if err == nil {
			return calls, nil
		}
	}
	return 0, err
}

// countSyscalls counts the system calls that one thread makes between two calls
// of getppid. begin makes it do that; it must not wait for the thread.
func countSyscalls(thread int, begin func() error) (int, error) {
	// The tracer is a thread, not a process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(thread); err != nil {
		return 0, fmt.Errorf("ptrace: %w", err)
	}
	if err := unix.PtraceInterrupt(thread); err != nil {
		return 0, fmt.Errorf("ptrace interrupt: %w", err)
	}
	if _, err := waitStop(thread); err != nil {
		return 0, err
	}
	if err := unix.PtraceSetOptions(thread, unix.PTRACE_O_TRACESYSGOOD); err != nil {
		return 0, fmt.Errorf("ptrace options: %w", err)
	}
	err := begin()
	n := 0
	if err == nil {
		n, err = countBetween(thread)
	}
	return n, errors.Join(err, unix.PtraceDetach(thread))
}

// countBetween leaves the thread stopped.
func countBetween(thread int) (int, error) {
	counting, n, signal := false, 0, 0
	for {
		if err := unix.PtraceSyscall(thread, signal); err != nil {
			return 0, fmt.Errorf("ptrace syscall: %w", err)
		}
		stopped, err := waitStop(thread)
		if err != nil {
			return 0, err
		}
		if signal = 0; stopped.StopSignal() != unix.SIGTRAP|0x80 {
			if stopped.TrapCause() != unix.PTRACE_EVENT_STOP && stopped.StopSignal() != unix.SIGTRAP {
				signal = int(stopped.StopSignal())
				if counting {
					return 0, errDisturbed
				}
			}
			continue
		}
		var info syscallInfo
		if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, ptraceGetSyscallInfo, uintptr(thread),
			unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); errno != 0 {
			return 0, fmt.Errorf("ptrace syscall info: %w", errno)
		}
		switch {
		case info.op != syscallInfoEntry:
		case info.number != unix.SYS_GETPPID:
			if counting {
				n++
			}
		case counting:
			return n, nil
		default:
			counting = true
		}
	}
}

func waitStop(thread int) (unix.WaitStatus, error) {
	for {
		var ws unix.WaitStatus
		_, err := unix.Wait4(thread, &ws, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for the traced thread: %w", err)
		}
		if !ws.Stopped() {
			return 0, errors.New("the traced thread has ended")
		}
		return ws, nil
	}
}
