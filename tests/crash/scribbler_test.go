package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// scribbledKinds are what somebody scribbles over: one queue, where each flavour does
// everything, twice; or three rings, so that each flavour has each role once.
var scribbledKinds = []struct {
	kind, made string // what a client is told, and what the object is
	objects    int
	roles      []string
	options    wire.CreateOptions
}{
	{wire.KindQueue, wire.KindQueue, 1, slices.Repeat([]string{anyRole}, slots), wire.CreateOptions{
		Content: new(wire.ContentRaw), MaxSize: new(uint32(7)), SlotSize: new(uint32(messageLong)),
		MessageMax:    new(uint32(worryLong)),
		DeliveriesMax: new(uint32(3)), LeaseNS: new(uint64(shm.LeaseNsMin))}},
	{wire.KindStream, wire.KindStream, 3, []string{wire.RoleProducer, wire.RoleConsumer},
		wire.CreateOptions{Capacity: new(uint32(worryRing)), MessageMax: new(uint32(worryRing / 4))}},
	{wire.KindPipe, wire.KindPipe, 3, []string{wire.EndA, wire.EndB},
		wire.CreateOptions{Capacity: new(uint32(worryRing)), MessageMax: new(uint32(2 * worryRing))}},
	{kindBytes, wire.KindPipe, 3, []string{wire.EndA, wire.EndB},
		wire.CreateOptions{Capacity: new(uint32(worryRing)), Bytes: new(true)}},
}

// anyRole is that of a queue.
const anyRole = "any"

// TestScribbler lets a client write random words everywhere in queues, streams or pipes
// while others do everything to them, and some of those die: nobody crashes, the daemon
// answers, other objects work and keep what is in them, and when the objects are destroyed,
// everybody comes back.
func TestScribbler(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	for _, of := range scribbledKinds {
		t.Run(of.kind, func(t *testing.T) {
			forDaemons(t, func(t *testing.T, flags []string) {
				s := newScene(t, flags...)
				c := newCalm(t, s)
				var names []string
				for i := range of.objects {
					names = append(names, fmt.Sprintf("scribbled-%d", i))
					s.create(names[i], of.made, of.options)
				}
				scribbler := s.messenger(flavourGo)
				scribbler.do("scrawl "+strings.Join(names, " "), "ok")
				var workers []*worrier
				for i, name := range names {
					for j, role := range of.roles {
						command := fmt.Sprintf("worry %s %s %s %d", of.kind, name, role, len(workers))
						workers = append(workers, s.worrier(flavours[(i+j)%len(flavours)], name, command))
					}
				}
				scribbler.do(fmt.Sprintf("scribble %d", seed), "ok")
				s.scribbled(names, workers, c, scribbler, rand.New(rand.NewPCG(seed, 1)))
				s.awaitGone(1)
			})
		})
	}
}

// worrier is a client that does everything to an object, at its command.
type worrier struct {
	*client
	object, command string
}

func (s *scene) worrier(f flavour, object, command string) *worrier {
	s.t.Helper()
	w := &worrier{s.messenger(f), object, command}
	w.do(command, "ok")
	return w
}

// scribbled watches somebody who scribbles over the objects that the workers use.
func (s *scene) scribbled(names []string, workers []*worrier, c *calm, scribbler *client, random *rand.Rand) {
	const turns, deaths = 60, 3
	dies := func() {
		w := random.IntN(len(workers))
		workers[w].Kill()
		workers[w] = s.worrier(workers[w].flavour, workers[w].object, workers[w].command)
	}
	for turn := range turns {
		s.call(wire.MethodPing, nil)
		c.works(turn)
		for _, name := range names {
			s.stat(name)
		}
		if turn%(turns/deaths) == 0 {
			dies()
		}
	}
	scribbler.Kill()
	dies() // who comes finds what was left
	for i, w := range workers {
		s.awaitDeeds(w, i)
	}
	for _, name := range names {
		s.call(wire.MethodDestroy, nil, name)
	}
	for _, w := range workers {
		line := w.Line()
		if !strings.HasPrefix(line, "worried") {
			s.t.Errorf("%s: the %s client ends with %q\n%s", w.command, w.flavour, line, w.Stderr())
		}
		s.t.Logf("%s: the %s client: %s", w.command, w.flavour, line)
		w.MustEnd()
	}
	c.works(turns)
	c.close()
	for _, name := range names {
		if err := s.ctl.Call(s.t.Context(), wire.MethodStat, nil, name); !errors.Is(err, shmd.ErrNotFound) {
			s.t.Errorf("%s, which is destroyed, answers %v", name, err)
		}
	}
}

// awaitDeeds waits until a worker has done two more things: the one that it was at is over.
// Only a latch that says a living client had it, which nobody can tell from the truth,
// holds it up until the queue is destroyed.
func (s *scene) awaitDeeds(w *worrier, slot int) {
	s.t.Helper()
	h := s.open("data")
	deeds := func() (n int64) {
		s.call(wire.MethodGet, &n, h, cellSlots+slot)
		return n
	}
	before := deeds()
	harness.Await(s.t, w.command+" goes on", func() bool {
		if line := w.Poll(); line != "" {
			s.t.Fatalf("%s: the %s client ends before the object with %q\n%s", w.command, w.flavour, line, w.Stderr())
		}
		return deeds() > before+1 || s.stat(w.object).Busy != nil
	})
	s.call(wire.MethodClose, nil, h)
}
