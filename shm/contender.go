package shm

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/shmd/shmd/status"
)

// contender is one thread's wait for an owner word, a lock's or a latch's: how
// it announces itself, and what it owes after a wake. The protocol is
// tests/models/mutex.pml.
type contender struct {
	seg      *Segment
	word     *uint32
	self     uint32 // owner bits
	deadline int64  // absolute CLOCK_MONOTONIC in ns, 0 = none
	keep     uint32 // what the word is taken with: whoever slept keeps the waiters bit
	duty     bool   // a wake may have been consumed
	leave    error  // why to leave, nil = not yet
}

// wait sleeps once on the word that was found held as old. nil = look at the
// word again, which may be free. An error (status.TimedOut, Cancelled) = leave;
// the duty is done.
func (c *contender) wait(ctx context.Context, p *Parker, old uint32) error {
	if c.leave == nil && c.duty && c.deadline != 0 && monotonicNs() >= c.deadline {
		c.leave = status.TimedOut
	}
	if c.leave != nil {
		// Leaving duty: the wake we may have eaten was somebody's; make sure
		// that the owner wakes the next one.
		if c.duty && !hasWaiters(old) && !cas32(c.word, old, old|ownerWaiters) {
			return nil
		}
		return c.leave
	}
	if !hasWaiters(old) {
		if !cas32(c.word, old, old|ownerWaiters) {
			return nil
		}
		old |= ownerWaiters
	}
	c.keep = ownerWaiters // others may sleep behind us
	switch c.seg.sleep(ctx, p, c.self, c.word, old, c.deadline) {
	case woken:
		c.duty = true
	case expired:
		return status.TimedOut
	case cancelled:
		c.duty, c.leave = true, endOf(ctx)
	}
	return nil
}

// spinMax bounds spinning to about 10 µs, a third of what a wake-up costs.
const spinMax = 400

// spinner is how long spinning on a word has helped lately.
//
// Two who hand over to each other and have once gone to sleep would do so for ever: a
// wake-up takes longer than either spins, so neither ever sees that spinning helps. So
// now and then one spins for as long as a wake-up takes, a probe: if the other is there
// by then, both are awake, and what helps is short again. Probes in vain become rare.
type spinner struct {
	batches atomic.Int32 // that helped, an average
	misses  atomic.Int32 // in vain since the last probe
	level   atomic.Int32 // how often in a row a probe was in vain
}

const (
	spinProbe      = 8000 // batches, some 200 µs
	spinProbeAfter = 16   // misses, doubled for each level
	spinLevelMax   = 3
)

// limit is how many batches to spin at most.
func (s *spinner) limit() int32 {
	if s.misses.Load() >= spinProbeAfter<<s.level.Load() {
		return spinProbe
	}
	return min(s.batches.Load()*2+8, spinMax)
}

// learn remembers how many batches it took; the limit = in vain.
func (s *spinner) learn(n, limit int32) {
	switch {
	case n < limit:
		s.batches.Add((n - s.batches.Load()) / 8)
		s.misses.Store(0)
		s.level.Store(0)
	case limit == spinProbe:
		s.misses.Store(0)
		s.level.Store(min(s.level.Load()+1, spinLevelMax))
	default:
		s.batches.Add(-s.batches.Load() / 8)
		s.misses.Add(1)
	}
}

// whileHeld polls an owner word briefly in the hope that the owner lets go.
func (s *spinner) whileHeld(word *uint32) {
	s.until(word, func(old uint32) bool { return isFree(old) || isRemoved(old) })
}

// forActor is until, but for the daemon: those for whom it waits are no nearer to a
// wake-up by its spinning.
func (s *spinner) forActor(a Actor, word *uint32, good func(uint32) bool) {
	if !a.daemon() {
		s.until(word, good)
	}
}

// until polls a word briefly in the hope that it becomes good; it adapts to how
// often that has helped.
func (s *spinner) until(word *uint32, good func(uint32) bool) {
	if runtime.NumCPU() == 1 || runtime.GOMAXPROCS(0) == 1 {
		return
	}
	limit := s.limit()
	n := int32(0)
	for ; n < limit; n++ {
		old := atomic.LoadUint32(word)
		if good(old) || spinBatch(word, old) && good(atomic.LoadUint32(word)) {
			break
		}
	}
	s.learn(n, limit)
}
