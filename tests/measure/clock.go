package measure

import "golang.org/x/sys/unix"

// MonotonicNs is the clock that processes have in common.
func MonotonicNs() (int64, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano(), err
}
