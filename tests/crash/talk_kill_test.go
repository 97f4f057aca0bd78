package crash

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// talkKills is the length of a run.
const talkKills = 40

// TestRandomTalk lets clients of all flavours talk through one pipe after the other, in
// messages or in bytes, both ways at once, and kills one of the two at a random moment, or
// both, or lets one of them close its end. Who is left has received all that the other had
// sent for certain, in order and whole, and nothing that it had not begun to send; it is
// told of the end behind that, for ever, and whether it was a death; and is refused to
// send with the same, however much room there is.
func TestRandomTalk(t *testing.T) {
	seed := randomSeed(t)
	for i, d := range daemons {
		t.Run(d.name, func(t *testing.T) { killTalks(t, rand.New(rand.NewPCG(seed, uint64(i))), d.flags) })
	}
}

// talks is a run of them.
type talks struct {
	*scene
	random  *rand.Rand
	books   *shmd.Array[int64]
	clients [2]*client // who has, or had, the ends a and b
	pipe    string
	sum     map[string]int
}

func killTalks(t *testing.T, random *rand.Rand, flags []string) {
	s := newScene(t, flags...)
	s.create("talk", wire.KindArray, wire.CreateOptions{Code: new("q"), Length: new(uint64(talkCells)),
		Lock: wire.LockNone})
	books, err := shmd.OpenArray[int64](t.Context(), s.ctl, "talk")
	if err != nil {
		t.Fatal(err)
	}
	r := &talks{scene: s, random: random, books: books, sum: make(map[string]int)}
	for kill := range talkKills {
		r.talk(kill)
	}
	for _, c := range r.clients {
		if c != nil {
			c.MustEnd()
		}
	}
	t.Logf("%d talks: %v", talkKills, r.sum)
	if err := books.Close(); err != nil {
		t.Fatal(err)
	}
}

func (r *talks) load(cell int) int64 {
	r.t.Helper()
	v, err := r.books.Load(cell)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *talks) store(cell int, v int64) {
	r.t.Helper()
	if err := r.books.Store(cell, v); err != nil {
		r.t.Fatal(err)
	}
}

// describe tells where both are.
func (r *talks) describe() (text string) {
	for i, c := range r.clients {
		if c != nil {
			text += fmt.Sprintf("end %d: the %s client: %s%s\n", i, c.flavour, c.Poll(), c.Stderr())
		}
	}
	cells := make([]int64, talkCells)
	if _, _, err := r.books.Read(r.t.Context(), 0, cells); err != nil {
		return text + err.Error()
	}
	return text + fmt.Sprintf("the books are %d, the pipe is %+v", cells, r.stat(r.pipe).Rings)
}

// The ways in which a talk is over.
const (
	overKilled = "killed"
	overClosed = "closed"
	overBoth   = "both killed"
	overCross  = "closed while the other is killed"
)

func (r *talks) talk(number int) {
	r.t.Helper()
	r.pipe = fmt.Sprintf("pipe%d", number)
	flow := r.random.IntN(3) == 0
	r.create(r.pipe, wire.KindPipe, wire.CreateOptions{Capacity: new(uint32(talkBytes)), Bytes: &flow})
	for i := range talkCells {
		r.store(i, 0)
	}
	one := r.random.IntN(2) // who ends
	how := []string{overKilled, overKilled, overKilled, overClosed, overBoth, overCross}[r.random.IntN(6)]
	both := talkSends + talkReceives
	mine := []string{both, both, talkSends, talkReceives, ""}[r.random.IntN(5)]
	theirs := both
	if r.random.IntN(2) == 0 {
		theirs = map[string]string{both: both, talkSends: talkReceives, talkReceives: talkSends, "": both}[mine]
	}
	does := [2]string{mine, theirs}
	if one == 1 {
		does = [2]string{theirs, mine}
	}
	for i, c := range r.clients {
		if c == nil {
			c = r.messenger(flavours[r.random.IntN(len(flavours))])
			r.clients[i] = c
		}
		flag := "-"
		if flow {
			flag = talkFlow
		}
		c.do(fmt.Sprintf("talk %s %s %s%s", r.pipe, []string{wire.EndA, wire.EndB}[i], flag, does[i]), "ok")
	}
	if mine == "" {
		r.awaitAsleep(r.pipe, 1)
	} else {
		r.awaitProgress(flow)
	}
	for range r.random.IntN(2000) {
		runtime.Gosched()
	}
	r.end(one, how)
	r.audit(one, how, theirs)
	r.sum[how]++
	r.call(wire.MethodDestroy, nil, r.pipe)
}

// awaitProgress waits until so much was received, and not longer.
func (r *talks) awaitProgress(flow bool) {
	r.t.Helper()
	until := 1 + r.random.Int64N(100)
	if flow {
		until *= 1000
	}
	giveUp := time.Now().Add(harness.Patience)
	for r.load(talkGot)+r.load(talkGot+1) < until {
		if time.Now().After(giveUp) {
			r.t.Fatalf("the talk is stuck\n%s", r.describe())
		}
		runtime.Gosched()
	}
}

// end ends a talk, and waits until who is left says so.
func (r *talks) end(one int, how string) {
	r.t.Helper()
	if how == overClosed || how == overCross {
		r.store(talkStop+one, 1)
	}
	killed := []int{one}
	switch how {
	case overClosed:
		killed = nil
	case overBoth:
		killed = []int{one, 1 - one}
	case overCross:
		killed = []int{1 - one}
	}
	for _, i := range killed {
		r.clients[i].Kill()
		r.clients[i] = nil
	}
	for _, c := range r.clients {
		if c == nil {
			continue
		}
		if line := c.Line(); line != "done" {
			r.t.Fatalf("%s: the %s client says %q\n%s", how, c.flavour, line, r.describe())
		}
	}
	r.awaitGone(3 - len(killed))
}

// audit looks at the books of a talk that one of the two ended; the other did what it does.
func (r *talks) audit(one int, how, does string) {
	r.t.Helper()
	left := how == overKilled || how == overClosed // the other
	want := status.PeerDied
	if how == overClosed {
		want = status.Ended
	}
	for from := range 2 {
		intent, sent, got := r.load(talkIntent+from), r.load(talkSent+from), r.load(talkGot+from)
		told, refused := status.Code(r.load(talkTold+from)), status.Code(r.load(talkRefused+from))
		heard := left && from == one && strings.Contains(does, talkReceives)
		if got > intent || intent < sent || heard && got < sent || heard && how == overClosed && got != sent {
			r.t.Errorf("%s: of %d things sent by end %d for certain, of %d begun, %d were received\n%s",
				how, sent, from, intent, got, r.describe())
		}
		if heard && told != want {
			r.t.Errorf("%s: the receiver was told %v, want %v\n%s", how, told, want, r.describe())
		}
		if left && from != one && strings.Contains(does, talkSends) && refused != want {
			r.t.Errorf("%s: the sender was refused with %v, want %v\n%s", how, refused, want, r.describe())
		}
	}
}
