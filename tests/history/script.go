package history

import (
	"math/rand/v2"
	"time"
)

// pauseMax is the longest pause after an operation, for others to come in between.
const pauseMax = 40 * time.Microsecond

// Script is what a client shall do, written at random.
type Script struct {
	*rand.Rand
	Object  uint16 // what is written next is about it
	Entries []Entry
}

// One reports whether one of n chances came.
func (s *Script) One(n int) bool { return s.IntN(n) == 0 }

// Add writes an operation on the object, and half of the time a pause after it.
func (s *Script) Add(e Entry) {
	e.Object = s.Object
	s.Entries = append(s.Entries, e)
	if s.One(2) {
		s.Pause(pauseMax)
	}
}

// Do writes an operation that needs no more than its name.
func (s *Script) Do(op Op) { s.Add(Entry{Op: op}) }

// Pause writes a pause of at most that.
func (s *Script) Pause(most time.Duration) {
	s.Entries = append(s.Entries, Entry{Op: OpPause, Argument: s.Int64N(int64(most))})
}

// Timeout is a try, or a wait that may be too short to sleep and is at most 1 ms.
func (s *Script) Timeout() int64 {
	if s.One(3) {
		return 0
	}
	return 1000 + s.Int64N(1_000_000)
}
