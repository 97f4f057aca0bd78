package shm

import "time"

// clockStart is one moment by two clocks: the runtime's, which it reads without a system
// call, and CLOCK_MONOTONIC, which that is, but for where it begins.
var clockStart = startClock()

type clockPair struct {
	at time.Time
	ns int64
}

// startClock takes the pair that was read in the shortest time of several: an
// interruption between the two would stay in every time for ever.
func startClock() (best clockPair) {
	shortest := time.Duration(-1)
	for range 8 {
		at := time.Now()
		ns := monotonicNs()
		took := time.Since(at)
		if shortest < 0 || took < shortest {
			best, shortest = clockPair{at, ns - int64(took/2)}, took
		}
	}
	return best
}

// quickNs is monotonicNs to a microsecond or so, without a system call: for use with a
// latch held.
func quickNs() int64 { return clockStart.ns + int64(time.Since(clockStart.at)) }
