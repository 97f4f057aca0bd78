package crash

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

const (
	// trafficKills is the length of a run; with seconds given, runs follow each
	// other.
	trafficKills = 100
	// creditsKept are granted before every kill, more than it waits for.
	creditsKept = 1000
	queueSize   = 16
	// slotSize is too little for a long message, which goes into a side segment.
	slotSize = 256
)

// TestRandomTraffic kills producers and consumers of all flavours at random
// moments, told by their own books, and starts new ones. In the end every message
// that was put was delivered, but for what a consumer had taken and died with, none after
// its acknowledgement, none was made up, those of one producer came in order, of a batch
// the first ones if not all, and all permits are back.
func TestRandomTraffic(t *testing.T) {
	seed := randomSeed(t)
	end := time.Now().Add(givenLength(t) / 2)
	for run := uint64(0); run < uint64(len(daemons)) || time.Now().Before(end); run++ {
		d := daemons[run%uint64(len(daemons))]
		t.Run(fmt.Sprintf("%d %s", run, d.name), func(t *testing.T) {
			killTraffic(t, rand.New(rand.NewPCG(seed, run)), d.flags)
		})
		if t.Failed() {
			return
		}
	}
}

// road is the traffic of a run.
type road struct {
	*scene
	journal *shmd.Array[int64]
	credits *shmd.Semaphore
	workers [producers + consumers]*client
	hired   int // workers so far
}

func newRoad(t *testing.T, s *scene) *road {
	t.Helper()
	s.create("journal", wire.KindArray, wire.CreateOptions{Code: new("q"),
		Length: new(uint64(bookCells)), Lock: wire.LockNone})
	s.create("jobs", wire.KindQueue, wire.CreateOptions{Content: new(wire.ContentRaw),
		MaxSize: new(uint32(queueSize)), SlotSize: new(uint32(slotSize)), MessageMax: new(uint32(2 * messageLong))})
	s.create("credits", wire.KindSemaphore, wire.CreateOptions{Initial: new(uint32(0))})
	s.create("permits", wire.KindSemaphore, wire.CreateOptions{Initial: new(uint32(permitsTotal)),
		Maximum: new(uint32(permitsTotal)), Undo: new(true)})
	r := &road{scene: s}
	var err error
	if r.journal, err = shmd.OpenArray[int64](t.Context(), s.ctl, "journal"); err != nil {
		t.Fatal(err)
	}
	if r.credits, err = shmd.OpenSemaphore(t.Context(), s.ctl, "credits"); err != nil {
		t.Fatal(err)
	}
	for i := range r.workers {
		r.hire(i)
	}
	return r
}

func killTraffic(t *testing.T, random *rand.Rand, flags []string) {
	r := newRoad(t, newScene(t, flags...))
	progress := int64(0)
	for range trafficKills {
		r.grant(creditsKept - int64(r.permits("credits").Available))
		progress = r.awaitProgress(progress + 1 + random.Int64N(killAfter))
		// A little further, so that the kill does not always follow an entry.
		for range random.IntN(2000) {
			runtime.Gosched()
		}
		dead := random.Perm(len(r.workers))[:1+random.IntN(2)]
		for _, i := range dead {
			r.workers[i].Kill()
		}
		for _, i := range dead {
			r.hire(i)
		}
	}
	r.finish()
}

func (r *road) hire(i int) {
	r.t.Helper()
	w := r.messenger(flavours[i%len(flavours)])
	if i < producers {
		w.do(fmt.Sprintf("produce %d", i), "ok")
	} else {
		w.do(fmt.Sprintf("consume %d %d", i-producers, r.hired), "ok")
	}
	if r.hired++; r.hired == hiresMax {
		r.t.Fatal("too many workers")
	}
	r.workers[i] = w
}

// grant gives the producers more credits.
func (r *road) grant(n int64) {
	r.t.Helper()
	if n <= 0 {
		return
	}
	if err := r.credits.Release(uint32(n)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *road) load(cell int) int64 {
	r.t.Helper()
	v, err := r.journal.Load(cell)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *road) awaitProgress(n int64) int64 {
	r.t.Helper()
	giveUp := time.Now().Add(harness.Patience)
	for {
		if now := r.load(bookProgress); now >= n {
			return now
		}
		if time.Now().After(giveUp) {
			for i, w := range r.workers {
				r.t.Logf("worker %d: pid %d, %s: %s%s", i, w.PID(), w.flavour, w.Poll(), w.Stderr())
			}
			r.t.Fatalf("the traffic is stuck at %d; the queue is %+v, the permits are %+v",
				r.load(bookProgress), r.counts("jobs"), r.permits("permits"))
		}
		runtime.Gosched()
	}
}

// finish lets the producers end, then the consumers with the queue, and checks
// the books.
func (r *road) finish() {
	t := r.t
	t.Helper()
	if err := r.journal.Store(bookStop, 1); err != nil {
		t.Fatal(err)
	}
	r.grant(producers + creditsKept) // whatever a dead producer may have taken with it
	for _, w := range r.workers[:producers] {
		w.Expect("done")
		w.MustEnd()
	}
	r.awaitGone(1 + consumers) // what the dead had leased is back
	h := r.open("jobs")
	r.call(wire.MethodShutdown, nil, h)
	for _, w := range r.workers[producers:] {
		w.Expect("done")
		w.MustEnd()
	}
	r.call(wire.MethodClose, nil, h) // not before: the end of a client wakes everybody
	r.awaitGone(1)
	if c := r.counts("jobs"); c != (wire.Counts{Free: queueSize, MaxSize: queueSize, Shutdown: true}) {
		t.Errorf("drained, the queue has %+v", c)
	}
	if p := r.permits("permits"); p.Available != permitsTotal || p.Total != permitsTotal {
		t.Errorf("nobody is left, and the permits are %+v", p)
	}
	r.audit()
	for _, err := range []error{r.journal.Close(), r.credits.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// audit adds the books up.
func (r *road) audit() {
	t := r.t
	t.Helper()
	var put, unsure, again, acked, lost int64
	for p := range producers {
		next := r.load(bookNext + p)
		// The numbers behind the last one, too: nobody has made them.
		cells := make([]int64, min(next+100, numbersEach))
		if _, _, err := r.journal.Read(t.Context(), bookMessages+p*numbersEach, cells); err != nil {
			t.Fatal(err)
		}
		later := false // a message behind this one in the same batch came out
		for i, cell := range slices.Backward(cells) {
			e := entryOf(cell)
			if ok := e.intent <= 1 && e.follows <= e.intent && e.confirmed <= e.intent && e.acked <= 1 &&
				e.acked <= e.delivered && (e.intent == 1 || e.delivered == 0) && (int64(i) < next || cell == 0); !ok {
				t.Errorf("message %d of producer %d has the entries %+v", i, p, e)
			}
			if e.delivered == 0 && (e.confirmed == 1 || later) {
				lost++
			}
			later = e.follows == 1 && (e.delivered > 0 || later)
			put += e.confirmed
			unsure += e.intent - e.confirmed
			again += max(e.delivered-1, 0)
			acked += e.acked
		}
	}
	taking := make([]int64, r.hired)
	if _, _, err := r.journal.Read(t.Context(), bookTaking, taking); err != nil {
		t.Fatal(err)
	}
	gone := int64(0) // at most, with who was about to take it
	for _, n := range taking {
		gone += n
	}
	if lost > gone {
		t.Errorf("%d messages are lost, and the dead took %d at most", lost, gone)
	}
	t.Logf("%d put, %d killed in between, %d acknowledged and booked, %d deliveries again, %d lost of %d",
		put, unsure, acked, again, lost, gone)
	if acked == 0 || again == 0 {
		t.Error("nothing was proved")
	}
}
