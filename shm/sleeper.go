package shm

import (
	"context"
	"sync/atomic"
	"time"
)

// Sleeper is where one wait sleeps at the moment, for whoever may have to end it: what a
// context's channel does, at a tenth of the price. Safe for concurrent use by those who
// rouse; one goroutine at a time sleeps.
type Sleeper struct {
	word atomic.Pointer[uint32] // nil = it is awake
	bit  atomic.Uint32          // what to wake it by, stored before the word
}

// Restless is a context under which a wait may be roused instead of being told by the
// channel: after the end of the context somebody calls Rouse of its sleeper, again and
// again, until the wait is over. Sleeper is called before each sleep.
type Restless interface {
	context.Context
	Sleeper() *Sleeper
}

// Rouse wakes the sleeper, if it sleeps; it may be about to.
func (s *Sleeper) Rouse() {
	if word := s.word.Load(); word != nil {
		futexWakeBit(word, s.bit.Load())
	}
}

// RouseUntil repeats Rouse until the wait is over.
func RouseUntil(rouse func(), over func() bool) {
	for pause := time.Microsecond; !over(); pause = min(2*pause, time.Millisecond) {
		if rouse(); over() {
			return
		}
		t := time.NewTimer(pause)
		<-t.C
	}
}

// sleep is futexWait, unless and until ctx ends. Sleepers of other processes that happen
// to have the same bit see a spurious wake-up, which every loop tolerates.
func (s *Sleeper) sleep(ctx context.Context, word *uint32, expected uint32, deadlineNs int64, bit uint32) wakeup {
	s.bit.Store(bit)
	s.word.Store(word)
	if ctx.Err() != nil { // after the word; who rouses does so after the end of ctx
		s.word.Store(nil)
		return cancelled
	}
	w := futexWait(word, expected, deadlineNs, bit)
	s.word.Store(nil)
	if w != expired && ctx.Err() != nil {
		return cancelled
	}
	return w
}
