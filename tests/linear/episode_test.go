package linear

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

const (
	// clients are at work at the same time.
	clients = 5
	// killsMax bounds the kills of an episode; each is followed by a new client.
	killsMax = 2
	// phrases are the length of a script.
	phrases = 12
	// logEntries is room enough for a script.
	logEntries = 1024
)

// stage is a daemon with clients.
type stage struct {
	t       *testing.T
	daemon  *harness.Daemon
	ctl     *shmd.Client
	crew    *history.Crew
	clients []*history.Client // at rest between episodes
	hired   int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	d := harness.StartDaemon(t)
	s := &stage{t: t, daemon: d, ctl: d.Dial(t), crew: history.NewCrew(t, d, logEntries)}
	return s
}

// staff sees to it that so many clients are there; the flavours take turns.
func (s *stage) staff(n int) {
	s.t.Helper()
	var begun []*history.Client
	for len(s.clients)+len(begun) < n {
		begun = append(begun, s.crew.Begin(history.Flavours[s.hired%len(history.Flavours)]))
		s.hired++
	}
	for _, c := range begun {
		c.Expect("ok")
	}
	s.clients = append(s.clients, begun...)
}

func (s *stage) call(method string, result any, params ...any) {
	s.t.Helper()
	if err := s.ctl.Call(s.t.Context(), method, result, params...); err != nil {
		s.t.Fatal(err)
	}
}

// create makes an object and keeps no handle on it.
func (s *stage) create(name, kind string, o wire.CreateOptions) wire.Info {
	s.t.Helper()
	var a wire.Attachment
	s.call(wire.MethodCreate, &a, name, kind, o)
	s.call(wire.MethodClose, nil, a.Handle)
	return a.Info
}

func (s *stage) known() (known []wire.ClientInfo) {
	s.t.Helper()
	s.call(wire.MethodClients, &known)
	return known
}

// episode lets clients work on objects that nobody has used yet, kills some of them,
// and checks the history of each object.
type episode struct {
	*stage
	random   *rand.Rand
	name     string
	subjects []subject
	infos    []wire.Info
	numbers  int64
	actions  [][]*action // by object
	actors   []int       // by object, how many there were
	kills    int
}

func (s *stage) play(name string, random *rand.Rand, subjects []subject) *episode {
	s.t.Helper()
	e := &episode{stage: s, random: random, name: name, subjects: subjects, actions: make([][]*action, len(subjects)),
		actors: make([]int, len(subjects))}
	kills := random.IntN(killsMax + 1)
	s.staff(clients + kills)
	for i, sub := range subjects {
		name := fmt.Sprintf("%s/%d", name, i)
		if sub.kind == wire.KindCondition {
			s.create(name+"/mutex", wire.KindMutex, wire.CreateOptions{})
			sub.options.Lock = "@" + name + "/mutex"
		}
		e.infos = append(e.infos, s.create(name, sub.kind, sub.options))
	}
	for _, c := range s.clients {
		c.Know(e.infos...)
	}
	waiting := s.clients[clients:]
	s.clients = s.clients[:clients]
	for _, c := range s.clients {
		c.Run(0, e.script())
	}
	for _, next := range waiting {
		e.kill(random.IntN(clients))
		next.Run(0, e.script())
		s.clients = append(s.clients, next)
	}
	for _, c := range s.clients {
		e.until(func() bool { return !c.Working() })
		e.record(c.Await(), nil)
	}
	for _, o := range e.infos {
		s.call(wire.MethodDestroy, nil, o.Name)
		if o.LockID != 0 {
			s.call(wire.MethodDestroy, nil, o.LockID)
		}
	}
	e.check()
	return e
}

// script opens all objects and works on them.
func (e *episode) script() []history.Entry {
	w := writer{Script: history.Script{Rand: e.random}, numbers: &e.numbers}
	for i := range e.subjects {
		w.Object = uint16(i)
		w.Do(history.OpOpen)
	}
	for range phrases {
		i := w.IntN(len(e.subjects))
		w.Object = uint16(i)
		e.subjects[i].phrase(&w)
	}
	return w.Entries
}

// kill kills a client somewhere in its script, which its own progress tells, and
// waits for the recovery.
func (e *episode) kill(i int) {
	e.t.Helper()
	victim := e.clients[i]
	at := e.random.IntN(phrases * 4)
	e.until(func() bool { return victim.Done() >= at || !victim.Working() })
	e.clients = append(e.clients[:i:i], e.clients[i+1:]...)
	entries, death := victim.Kill()
	e.crew.AwaitRecovered(e.known, &death)
	e.record(entries, &death)
	e.kills++
}

// until looks until it is so.
func (e *episode) until(so func() bool) {
	e.t.Helper()
	giveUp := time.Now().Add(harness.Patience)
	for !so() {
		if time.Now().After(giveUp) {
			var text strings.Builder
			for _, c := range e.clients {
				fmt.Fprintln(&text, c)
			}
			for i, o := range e.infos {
				var st wire.Stat
				e.call(wire.MethodStat, &st, o.Name)
				fmt.Fprintf(&text, "object %d, the %s: held %+v, inconsistent %v, %d waiters, seats %+v\n", i,
					e.subjects[i].name, st.Held, st.Inconsistent, st.Waiters, st.Seats)
			}
			e.t.Fatalf("%s is stuck:\n%s", e.name, text.String())
		}
		runtime.Gosched()
	}
}

// record sorts what a client did by objects.
func (e *episode) record(entries []history.Entry, death *history.Death) {
	e.t.Helper()
	actor := make([]int, len(e.subjects)) // of each object, 0 = it is not open
	for i := range entries {
		entry, lost := entries[i], int64(0)
		switch {
		case entry.Op == history.OpPause, entry.Return != 0 && entry.NotDone(), entry.Op == history.OpForget:
			continue
		case e.subjects[entry.Object].lost(&entry):
			lost, entry.Return = entry.Return, 0 // what it got is not known
		case entry.Op == history.OpOpen:
			if actor[entry.Object] != 0 {
				e.t.Fatalf("an object was opened twice: %v", &entry)
			}
			actor[entry.Object] = e.newActor(entry.Object)
			if entry.Return != 0 && !entry.OK() {
				e.t.Fatalf("%v", &entry)
			}
			continue
		}
		a := &action{Entry: entry, actor: actor[entry.Object]}
		switch {
		case lost != 0:
			a.until = lost
		case entry.Op == history.OpClose:
			a.end = true
			if e.subjects[entry.Object].latched {
				a.until = math.MaxInt64 // while somebody is at it, the daemon tries again later
			}
			if death != nil && (entry.Unknown() || a.until != 0) {
				a.until = death.Settled
			}
			actor[entry.Object] = 0
		case entry.Unknown() && death != nil:
			a.until = death.Settled
		}
		e.actions[entry.Object] = append(e.actions[entry.Object], inParts(a, e.subjects[entry.Object].split)...)
	}
	if death == nil {
		return
	}
	for i, who := range actor {
		if who != 0 {
			e.actions[i] = append(e.actions[i], &action{Entry: history.Entry{Call: death.Killed, Return: death.Settled},
				actor: who, end: true})
		}
	}
}

// newActor numbers an actor of an object, from 1 on.
func (e *episode) newActor(object uint16) int {
	e.t.Helper()
	e.actors[object]++
	if e.actors[object] == actorsMax {
		e.t.Fatalf("%d actors in one history", actorsMax)
	}
	return e.actors[object]
}

// check searches for an order of each object's history.
func (e *episode) check() {
	e.t.Helper()
	for i, sub := range e.subjects {
		if sub.lease != 0 {
			e.actions[i] = expiries(e.actions[i], sub.lease)
		}
		ops := operations(e.actions[i])
		what := "has no order"
		switch porcupine.CheckOperationsTimeout(sub.model, ops, harness.Patience) {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			what = "takes too long to search"
		}
		e.t.Errorf("%s: the history of the %s (%d operations) %s; see %s", e.name, sub.name, len(ops), what,
			report(e.t, sub.name, sub.model, ops))
	}
}

// lost reports whether a lease may have ended before the call that gave it did: then
// another message may lie where it was, or nothing, and which one the call saw says nothing.
func (s *subject) lost(e *history.Entry) bool {
	gives := e.Op == history.OpLease || e.Op == history.OpLeaseMany
	return s.lease != 0 && gives && e.Return-e.Call >= s.lease &&
		(e.OK() || e.Status == history.Broken || e.Code() == status.NotOwner)
}
