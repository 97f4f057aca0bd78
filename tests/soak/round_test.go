package soak

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

const (
	// clients are at work at the same time.
	clients = 6
	// killsMax bounds the kills of a round; each is followed by a new client.
	killsMax = 3
	// sparesMax is how many more are about to start.
	sparesMax = 3
	// phrases are the length of a script.
	phrases = 60
	// logEntries is room enough for a script.
	logEntries = 2048
	// orphansMax is how many clients that were killed may have left children.
	orphansMax = 16
)

// career is what one client did in a round.
type career struct {
	client  int
	entries []history.Entry
	death   *history.Death // nil = it lives
}

// ourHand is the client that we are.
const ourHand = -1

// round is what all did, and our own hand.
type round []career

// stage is a daemon with the objects and the clients.
type stage struct {
	t       *testing.T
	random  *rand.Rand
	ctl     *shmd.Client
	daemon  *harness.Daemon
	crew    *history.Crew
	infos   []wire.Info
	handles []uint64 // our own, for looking and for relief
	clients []*history.Client
	spares  []*history.Client // have begun, and may not be ready
	hired   int
	orphans []*history.Client // that were killed, and may have left children
	serial  int64             // of messages
	relief  []history.Entry
	hogs    []*harness.Process
	tally   *tally
	audits  []audit
	round   int
	focus   []uint16 // the objects of the round
	current round
}

func newStage(t *testing.T, random *rand.Rand, flags []string, tally *tally) *stage {
	t.Helper()
	harness.NoLeaks(t)
	d := harness.StartDaemon(t, flags...)
	s := &stage{t: t, random: random, ctl: d.Dial(t), daemon: d, crew: history.NewCrew(t, d, logEntries), tally: tally}
	s.createObjects()
	s.audits = s.auditors()
	for range clients {
		s.hire()
	}
	for range 2 {
		hog := harness.Start(t, "sh", "-c", "while :; do :; done")
		hog.Signal(syscall.SIGSTOP)
		s.hogs = append(s.hogs, hog)
	}
	return s
}

func (s *stage) call(method string, result any, params ...any) {
	s.t.Helper()
	if err := s.ctl.Call(s.t.Context(), method, result, params...); err != nil {
		s.t.Fatal(err)
	}
}

// begin starts a client, which is not waited for; the flavours take turns.
func (s *stage) begin() *history.Client {
	s.t.Helper()
	c := s.crew.Begin(history.Flavours[s.hired%len(history.Flavours)])
	s.hired++
	return c
}

// hire adds a client, and begins the next one to be hired.
func (s *stage) hire() *history.Client {
	s.t.Helper()
	for len(s.spares) < sparesMax {
		s.spares = append(s.spares, s.begin())
	}
	c := s.spares[0]
	s.spares = append(s.spares[1:], s.begin())
	c.Expect("ok")
	c.Know(s.infos...)
	s.clients = append(s.clients, c)
	return c
}

// play plays a round.
func (s *stage) play() {
	s.t.Helper()
	s.round++
	s.current, s.relief = nil, nil
	s.newPipe(pipe)
	s.newPipe(flow)
	// A few objects, so that clients meet, or all.
	s.focus = nil
	for _, i := range s.random.Perm(int(objects))[:1+s.random.IntN(int(objects))] {
		s.focus = append(s.focus, uint16(i))
	}
	busy := s.random.IntN(4) == 0
	if busy {
		s.signalHogs(syscall.SIGCONT)
	}
	for _, c := range s.clients {
		c.Run(0, s.script(c))
	}
	for range s.random.IntN(killsMax + 1) {
		if s.random.IntN(3) == 0 {
			s.stop()
		}
		s.kill()
	}
	if busy {
		s.signalHogs(syscall.SIGSTOP)
	}
	s.lull()
	s.current = append(s.current, career{client: ourHand, entries: s.relief})
	s.tally.count(s.current)
	var st wire.Status
	s.call(wire.MethodStatus, &st)
	s.tally.recoveries = st.Recoveries
	for _, a := range s.audits {
		for _, complaint := range a.check(s.current) {
			s.t.Errorf("round %d: %s", s.round, complaint)
		}
	}
	if s.t.Failed() {
		s.t.Logf("what everybody did: %s", s.report())
	}
}

func (s *stage) signalHogs(signal syscall.Signal) {
	for _, hog := range s.hogs {
		hog.Signal(signal)
	}
}

// kill kills a client somewhere in its script, told by its progress, half of the time
// when it has just taken something; the new one begins at once.
func (s *stage) kill() {
	s.t.Helper()
	i := s.random.IntN(len(s.clients))
	victim := s.clients[i]
	s.clients = append(s.clients[:i:i], s.clients[i+1:]...)
	at, holding := s.random.IntN(phrases*4), s.random.IntN(2) == 0
	s.until(func() bool { return victim.Done() >= at || s.still(victim) })
	for holding && !s.still(victim) {
		// Without a pause: it has it for a moment.
		if last := victim.Last(); last.OK() && last.Op.Takes() {
			break
		}
	}
	stopped := s.random.IntN(8) == 0
	if stopped {
		victim.Signal(syscall.SIGSTOP)
	}
	entries, death := victim.Kill()
	s.orphans = append(s.orphans, victim)
	s.crew.AwaitRecovered(s.known, &death)
	s.current = append(s.current, career{victim.ID, entries, &death})
	s.tally.kills++
	if len(s.orphans) > orphansMax {
		s.orphans[0].EndChildren()
		s.orphans = s.orphans[1:]
	}
	next := s.hire()
	next.Run(0, s.script(next))
}

func (s *stage) known() (known []wire.ClientInfo) {
	s.t.Helper()
	s.call(wire.MethodClients, &known)
	return known
}

// stop stops a client until others have done something, or have had time to.
func (s *stage) stop() {
	victim := s.clients[s.random.IntN(len(s.clients))]
	at := s.random.IntN(phrases * 4)
	s.until(func() bool { return victim.Done() >= at || s.still(victim) })
	victim.Signal(syscall.SIGSTOP)
	end, enough := s.progress()+s.random.IntN(200), time.Now().Add(50*time.Millisecond)
	s.until(func() bool { return s.progress() >= end || time.Now().After(enough) })
	victim.Signal(syscall.SIGCONT)
	s.tally.stops++
}

// still reports whether a client has ended its script, or waits for so long that it
// may go on waiting.
func (s *stage) still(c *history.Client) bool {
	if !c.Working() {
		return true
	}
	e, inFlight := c.Current()
	return inFlight && history.Now()-e.Call > int64(stillAfter)
}

func (s *stage) progress() int {
	sum := 0
	for _, c := range s.clients {
		sum += c.Done()
	}
	return sum
}

// until looks again and again, without keeping a processor, until it is so.
func (s *stage) until(so func() bool) {
	s.t.Helper()
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	giveUp := time.Now().Add(harness.Patience)
	for !so() {
		if now := <-ticks.C; now.After(giveUp) {
			s.t.Fatalf("round %d is stuck:\n%s", s.round, s.describe())
		}
	}
}

// eventually gives it time to become so. The daemon has not always given back what a
// client held that closed an object: while somebody is at that, it tries again later.
func (s *stage) eventually(so func() bool) {
	s.t.Helper()
	enough := time.Now().Add(lostAfter)
	s.until(func() bool { return so() || time.Now().After(enough) })
}

// finish ends everything in an orderly way; the daemon's leak check comes after it.
func (s *stage) finish() {
	s.t.Helper()
	for _, c := range s.spares {
		c.Expect("ok")
	}
	for _, c := range append(s.clients, s.spares...) {
		c.MustEnd()
	}
	for _, h := range s.handles {
		s.call(wire.MethodClose, nil, h)
	}
}

// describe tells what everybody is doing.
func (s *stage) describe() string {
	text := ""
	for _, c := range s.clients {
		text += c.String() + "\n"
	}
	for i, o := range s.infos {
		var st wire.Stat
		s.call(wire.MethodStat, &st, o.Name)
		text += fmt.Sprintf("object %d, %s: held %+v, inconsistent %v, %d waiters", i, o.Name, st.Held,
			st.Inconsistent, st.Waiters)
		if o.Kind == wire.KindQueue || o.Kind == wire.KindSemaphore {
			text += ", " + s.look(o)
		}
		text += "\n"
	}
	return text
}
