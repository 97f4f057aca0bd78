package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

const (
	// randomKills is the length of a run of the test-suite, for each subject.
	randomKills = 150
	// killAfter bounds how much progress is waited for before the next kill.
	killAfter = 400
	// secondsVariable makes the runs last that long instead.
	secondsVariable = "SHMD_CRASH_SECONDS"
	// seedVariable repeats a run.
	seedVariable = "SHMD_CRASH_SEED"
)

// TestRandomKills kills workers of all flavours at random moments, told by their
// own progress, and starts new ones: the count stays right and nobody is stuck.
func TestRandomKills(t *testing.T) {
	seed := randomSeed(t)
	for i, sub := range subjects[1:] {
		t.Run(sub.name, func(t *testing.T) {
			enough := func(kills int) bool { return kills >= randomKills }
			if length := givenLength(t); length != 0 {
				end := time.Now().Add(length / 4) // half of it is for the two subjects
				enough = func(int) bool { return time.Now().After(end) }
			}
			killAtRandom(t, sub, rand.New(rand.NewPCG(seed, uint64(i))), enough)
		})
	}
}

// randomSeed is a new seed, or the one to repeat a run with.
func randomSeed(t *testing.T) (seed uint64) {
	t.Helper()
	seed = rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with %s=%d", seedVariable, seed)
	return seed
}

// givenLength is how long the random tests shall last together; 0 = as long as
// they take.
func givenLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(secondsVariable)
	if text == "" {
		return 0
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// crew is the workers of a run, one in each slot.
type crew struct {
	*scene
	sub     subject
	workers [slots]*client
	array   *shmd.Array[int64] // the test's own look at the cells
}

func killAtRandom(t *testing.T, sub subject, random *rand.Rand, enough func(kills int) bool) {
	s := newScene(t)
	array, err := shmd.OpenArray[int64](t.Context(), s.ctl, sub.object)
	if err != nil {
		t.Fatal(err)
	}
	c := &crew{scene: s, sub: sub, array: array}
	for i := range c.workers {
		c.hire(i)
	}
	kills, progress := 0, int64(0)
	var done [slots]int64
	for ; !enough(kills); kills++ {
		progress = c.awaitProgress(progress + 1 + random.Int64N(killAfter))
		// A little further, so that the kill does not always follow a count.
		for range random.IntN(2000) {
			runtime.Gosched()
		}
		i := random.IntN(slots)
		if random.IntN(2) == 0 {
			i = c.holder(i)
		}
		c.workers[i].Kill()
		for slot := range done {
			// A count that once stood is never lost, but for the one in progress.
			now := c.load(cellSlots + slot)
			if now < done[slot]-1 {
				t.Fatalf("after %d kills slot %d went back from %d to %d", kills+1, slot, done[slot], now)
			}
			done[slot] = max(now, done[slot])
		}
		c.hire(i)
	}
	c.dismiss()
	counts := c.audit()
	t.Logf("%d kills, %d counts, %d recoveries", kills, counts, c.recoveries())
}

// newCrew has workers in some of the slots of the array "data".
func newCrew(s *scene) *crew {
	s.t.Helper()
	array, err := shmd.OpenArray[int64](s.t.Context(), s.ctl, "data")
	if err != nil {
		s.t.Fatal(err)
	}
	c := &crew{scene: s, sub: subjects[1], array: array}
	for i := range lockers {
		c.hire(i)
	}
	return c
}

// hire starts a worker; the flavours take turns by slot.
func (c *crew) hire(slot int) {
	c.t.Helper()
	w := c.start(flavours[slot%len(flavours)], nil)
	w.do("open array "+c.sub.object, "ok")
	w.do(fmt.Sprintf("work %s %d", c.sub.object, cellSlots+slot), "ok")
	c.workers[slot] = w
}

// holder is the slot of the worker that held the lock a moment ago, slot if none.
func (c *crew) holder(slot int) int {
	c.t.Helper()
	if held := c.stat(c.sub.lockBy).Held; held != nil {
		for i, w := range c.workers {
			if held.PID == int32(w.PID()) {
				return i
			}
		}
	}
	return slot
}

func (c *crew) load(cell int) int64 {
	c.t.Helper()
	v, err := c.array.Load(cell)
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// awaitProgress waits until the workers have counted to n. Looking is all: a
// waiter of our own would change what they do.
func (c *crew) awaitProgress(n int64) int64 {
	c.t.Helper()
	giveUp := time.Now().Add(harness.Patience)
	for {
		if now := c.load(0); now >= n {
			return now
		}
		if time.Now().After(giveUp) {
			for slot, w := range c.workers {
				c.t.Logf("slot %d: pid %d, %s: %s", slot, w.PID(), w.flavour, w.Stderr())
			}
			c.t.Fatalf("the workers are stuck at %d; the lock is %+v", c.load(0), c.stat(c.sub.lockBy))
		}
		runtime.Gosched()
	}
}

// dismiss lets all workers end.
func (c *crew) dismiss() {
	c.t.Helper()
	if err := c.array.Store(cellStop, 1); err != nil {
		c.t.Fatal(err)
	}
	for _, w := range c.workers {
		if w != nil {
			w.Expect("done")
			w.MustEnd()
		}
	}
}

// audit adds the accounts up once everybody is gone.
func (c *crew) audit() int64 {
	c.t.Helper()
	c.awaitGone(1)
	t, err := openSocket(c.ctl, "array", c.sub.object)
	if err != nil {
		c.t.Fatal(err)
	}
	n, err := t.lock(-1)
	if err == nil && n != nil {
		err = repairCells(t)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	sum, err := readCells(t)
	if err != nil {
		c.t.Fatal(err)
	}
	if sum.a != sum.b || sum.a != sum.sum || sum.a == 0 {
		c.t.Errorf("the accounts do not balance: %+v", sum)
	}
	for _, err := range []error{t.unlock(), t.close(), c.array.Close()} {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return sum.a
}

func (c *crew) recoveries() uint64 {
	c.t.Helper()
	var s wire.Status
	c.call(wire.MethodStatus, &s)
	return s.Recoveries
}
