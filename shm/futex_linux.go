package shm

import (
	"context"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// Futex operations, always process-shared: a private futex on a shared word
// would be invisible to other processes.
const (
	futexWake       = 1
	futexWaitBitset = 9
	futexWakeBitset = 10
	futexAnyBit     = ^uint32(0)
	futexAll        = 1<<31 - 1
	futex2SizeU32   = 2 // FUTEX2_SIZE_U32, without FUTEX2_PRIVATE
	waitvMax        = 128
)

// wakeup says why a wait returned.
type wakeup uint8

const (
	// woken: a wake may have been consumed; the waiter owes the leaving duty.
	woken wakeup = iota
	// changed: the word did not hold the compared value, or a signal arrived.
	changed
	// expired: the deadline passed; no wake was consumed.
	expired
	// cancelled: the caller gave up; a wake may have been consumed.
	cancelled
)

// futexWait sleeps while *p == expected until the absolute CLOCK_MONOTONIC
// deadline (0 = none). A Syscall, not a RawSyscall: the runtime must be free to
// use the processor meanwhile.
func futexWait(p *uint32, expected uint32, deadlineNs int64, bit uint32) wakeup {
	var ts *unix.Timespec
	if deadlineNs != 0 {
		t := unix.NsecToTimespec(deadlineNs)
		ts = &t
	}
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWaitBitset,
		uintptr(expected), uintptr(unsafe.Pointer(ts)), 0, uintptr(bit))
	switch errno {
	case 0:
		return woken
	case unix.ETIMEDOUT:
		return expired
	}
	return changed
}

// futexWakeN wakes at most n sleepers and returns how many it woke. A RawSyscall: it
// never blocks, and the scheduler need not hear of it.
func futexWakeN(p *uint32, n int) (slept int) {
	r, _, errno := unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWake, uintptr(n), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(r)
}

// futexWakeBit wakes the sleepers that wait with one of the given bits.
func futexWakeBit(p *uint32, bit uint32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWakeBitset, futexAll, 0, 0,
		uintptr(bit))
}

// futexWaiter is struct futex_waitv.
type futexWaiter struct {
	value    uint64
	address  uint64
	flags    uint32
	reserved uint32
}

// futexWaitAny sleeps while every word holds its value. It returns the index of
// one woken word, or -1; others may have been woken too. ok is false where the
// kernel lacks futex_waitv (before 5.16).
func futexWaitAny(waiters []futexWaiter) (index int, ok bool) {
	r, _, errno := unix.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(unsafe.SliceData(waiters))),
		uintptr(len(waiters)), 0, 0, 0, 0)
	switch errno {
	case 0:
		return int(r), true
	case unix.ENOSYS, unix.EPERM:
		return -1, false
	}
	return -1, true
}

// monotonicNs is CLOCK_MONOTONIC, the clock of futex deadlines.
func monotonicNs() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return ts.Nano()
}

// deadlineAfter is the absolute deadline of a relative timeout; 0 = none, which one
// beyond the end of the clock is too.
func deadlineAfter(timeout time.Duration) int64 {
	if timeout < 0 {
		return 0
	}
	return max(0, monotonicNs()+int64(timeout))
}

// deadlineWithin is the earlier one of a relative timeout's end and of ctx's.
func deadlineWithin(ctx context.Context, timeout time.Duration) int64 {
	deadline := deadlineAfter(timeout)
	if d, ok := ctx.Deadline(); ok {
		until := deadlineAfter(max(0, time.Until(d)))
		if until != 0 && (deadline == 0 || until < deadline) {
			deadline = until
		}
	}
	return deadline
}

// callClock is the timeout of one call: negative = for ever, 0 = not at all.
type callClock struct {
	timeout  time.Duration
	deadline int64 // absolute CLOCK_MONOTONIC in ns, 0 = none
	timed    bool  // deadline is set
}

func within(timeout time.Duration) callClock { return callClock{timeout: timeout} }

// clock starts the timeout, late: most calls never look at a clock.
func (c *callClock) clock(ctx context.Context) int64 {
	if !c.timed && c.timeout != 0 {
		c.deadline, c.timed = deadlineWithin(ctx, c.timeout), true
	}
	return c.deadline
}

// endedBy says why a wait must end: status.TimedOut, Cancelled, or nil if it need not.
func endedBy(ctx context.Context, deadlineNs int64) error {
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	if deadlineNs != 0 && monotonicNs() >= deadlineNs {
		return status.TimedOut
	}
	return nil
}

// futexWord32 is the low half of a 64-bit word, where its futex lies.
func futexWord32(p *uint64) *uint32 { return (*uint32)(unsafe.Pointer(p)) }
