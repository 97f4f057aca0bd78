package shm

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// spinner is how long spinning on a word has helped lately, in turns of one pause; it
// decides as clients/c/spin.h does, where it is explained: so two who hand over to each
// other, in whichever languages, wait for each other alike.
//
//	31        alone   there was a single processor to run on
//	30 .. 28  level   how often in a row a probe was in vain
//	27 .. 12  misses  spins in vain since the last probe
//	11 .. 0   usual   turns that helped, an average
type spinner struct{ state atomic.Uint32 }

const (
	spinUsualMask  = 0xfff
	spinMiss       = 0x1000
	spinMissesMask = 0xffff
	spinLevelShift = 28
	spinLevelMask  = 7
	spinLevelMax   = 3
	spinAlone      = 0x80000000
)

// In turns, of 10 to 50 ns.
const (
	spinMax        = 160  // at most some 10 us, about two futex calls
	spinLeast      = 30   // what a partner takes that is awake
	spinProbe      = 8000 // 100 to 200 us, some wake-ups
	spinPatience   = 2000 // 25 to 50 us, a wake-up
	spinProbeAfter = 16   // misses, doubled for each level
)

// pause does nothing for n turns, n > 0, and tells the processor that a loop waits.
//
//go:noescape
func pause(n uint32)

func spinLevel(state uint32) uint32  { return state >> spinLevelShift & spinLevelMask }
func spinMisses(state uint32) uint32 { return state / spinMiss & spinMissesMask }

// spinHasHelped reports whether it has the last time.
func spinHasHelped(state uint32) bool { return state != 0 && state&^spinUsualMask == 0 }

// spinHarder is what follows a probe in vain.
func spinHarder(state uint32) uint32 {
	return min(spinLevel(state)+1, spinLevelMax)<<spinLevelShift | state&spinUsualMask
}

// spinUseless reports whether nobody else can run meanwhile: the machine has one processor.
// That this process has one, of several, says nothing of those for whom it waits.
var spinUseless = sync.OnceValue(func() bool {
	online, err := os.ReadFile("/sys/devices/system/cpu/online") // such as 0-3,8
	if err != nil {
		return runtime.NumCPU() == 1
	}
	return !strings.ContainsAny(string(online), "-,")
})

// spinMayProbe reports whether the calling thread may run on more than one processor, and
// goroutines too: else who probes keeps the others of this process from running.
func spinMayProbe() bool {
	var allowed unix.CPUSet
	return runtime.GOMAXPROCS(0) > 1 && unix.SchedGetaffinity(0, &allowed) == nil && allowed.Count() > 1
}

// limit is how many turns to spin at most; 0 = not at all.
func (s *spinner) limit() uint32 {
	state := s.state.Load()
	if spinUseless() {
		return 0
	}
	if spinHasHelped(state) {
		return spinPatience
	}
	if spinMisses(state) >= spinProbeAfter<<spinLevel(state) {
		if spinMayProbe() {
			return spinProbe
		}
		state = spinHarder(state) | spinAlone
		s.state.Store(state)
	}
	least := uint32(spinLeast)
	if state&spinAlone != 0 {
		least = 1
	}
	return min(2*(state&spinUsualMask)+least, spinMax)
}

// skip reports whether spinning is no use, which it notes as a miss: there was a single
// processor, and it is not time to ask again. It makes no system call.
func (s *spinner) skip() bool {
	state := s.state.Load()
	if state&(spinAlone|spinUsualMask) != spinAlone || spinMisses(state) >= spinProbeAfter<<spinLevel(state) {
		return false
	}
	s.state.Store(state + spinMiss)
	return true
}

// learn remembers how many turns it took; the limit = in vain.
func (s *spinner) learn(turns, limit uint32) {
	state := s.state.Load()
	usual := state & spinUsualMask
	switch {
	case turns < limit:
		state = usual + (turns+8)/8 - usual/8 // never 0: it has helped
	case limit == spinProbe:
		state = spinHarder(state)
	default:
		state -= usual / 8
		if spinMisses(state) < spinMissesMask {
			state += spinMiss
		}
	}
	s.state.Store(state)
}

// until polls a word briefly in the hope that it becomes good; it adapts to how
// often that has helped.
func (s *spinner) until(word *uint32, good func(uint32) bool) {
	s.untilTrue(func() bool { return good(atomic.LoadUint32(word)) })
}

// untilTrue is until, of something that is not one word.
func (s *spinner) untilTrue(good func() bool) { s.poll(good, 0, 1, 1) }

// forActor is until, but for the daemon: those for whom it waits are no nearer to a
// wake-up by its spinning.
func (s *spinner) forActor(a Actor, word *uint32, good func(uint32) bool) {
	if !a.daemon() {
		s.until(word, good)
	}
}

// whileHeld polls an owner word briefly in the hope that the owner lets go, looking at
// it ever more seldom, after from some pauses to most: who looks takes the line from the
// owner, who is about to write it. Unless that is useless it takes `least` turns at least.
func (s *spinner) whileHeld(word *uint32, least, some, most uint32) {
	s.poll(func() bool { old := atomic.LoadUint32(word); return isFree(old) || isRemoved(old) }, least, some, most)
}

func (s *spinner) poll(good func() bool, least, pauses, most uint32) {
	limit := s.limit()
	if limit == 0 {
		return
	}
	if s.state.Load()&spinAlone == 0 {
		limit = max(limit, least)
	}
	turns := uint32(0)
	for turns < limit && !good() {
		pause(pauses)
		turns += pauses
		pauses = min(2*pauses, most)
	}
	s.learn(min(turns, limit), limit)
}
