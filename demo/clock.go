package main

import "golang.org/x/sys/unix"

// monotonic is CLOCK_MONOTONIC in nanoseconds: the same in all processes, unlike
// the monotonic part of a time.Time.
func monotonic() (int64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, err
	}
	return now.Nano(), nil
}
