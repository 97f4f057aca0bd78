package adapter

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The clock of Go's time package is CLOCK_MONOTONIC, read without a system call, but counts
// from an instant of its own.
var (
	started   = time.Now()
	startedNS = monotonicNS()
)

func monotonicNS() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}

// NowNS is CLOCK_MONOTONIC in nanoseconds, the same in every process.
func NowNS() int64 { return startedNS + int64(time.Since(started)) }

// Sample ends an operation, and begins the next one, if samples are wanted.
func (r *Row) Sample() {
	if r.Samples != "" {
		r.sampler.end()
	}
}

// sampler keeps a latency for each operation of a `go`.
type sampler struct {
	latenciesNS []int64
	lastNS      int64 // when the last operation ended
}

func (s *sampler) begin(nowNS int64, count uint64) {
	if uint64(cap(s.latenciesNS)) < count {
		s.latenciesNS = make([]int64, 0, count)
	}
	s.latenciesNS, s.lastNS = s.latenciesNS[:0], nowNS
}

// end ends an operation, and begins the next one.
func (s *sampler) end() {
	now := NowNS()
	s.latenciesNS = append(s.latenciesNS, now-s.lastNS)
	s.lastNS = now
}

// write makes the file anew, if there are any: 8 bytes for each latency, little-endian.
func (s *sampler) write(path string) error {
	if len(s.latenciesNS) == 0 {
		return nil
	}
	bytes := make([]byte, 0, 8*len(s.latenciesNS))
	for _, ns := range s.latenciesNS {
		bytes = binary.LittleEndian.AppendUint64(bytes, uint64(ns))
	}
	return os.WriteFile(path, bytes, 0o600)
}
