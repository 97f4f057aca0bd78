package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

func TestBarriersAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("rounds", p.barrierRounds)
		t.Run("actions", p.barrierActions)
		t.Run("broken", p.barrierBroken)
		t.Run("removed", p.barrierRemoved)
		t.Run("killed", func(t *testing.T) { p.partyDies(t, d) })
	})
}

// Both go on together, as often as they come.
func (p *pair) barrierRounds(t *testing.T) {
	p.latched(t, "barrier", "-", "2")
	round := 0
	for range 3 {
		for _, way := range p.sides() {
			first, last := way[0], way[1]
			first.want(t, fmt.Sprintf("ok 0 - %d", round), "state", first.slot)
			first.fails(t, "WOULD_BLOCK", "arrive", first.slot, try)
			first.asleep(t, p.watcher, p.object, "arrive", first.slot, forever)
			last.want(t, fmt.Sprintf("ok 1 - %d", round), "state", last.slot)
			last.want(t, "ok 1", "arrive", last.slot, try)
			first.result(t, "ok 0")
			round++
		}
	}
	p.over(t, "arrive", forever)
}

// The last to arrive runs the action, whoever it is; its failure breaks the barrier.
func (p *pair) barrierActions(t *testing.T) {
	p.latched(t, "barrier", "-", "2")
	for _, way := range p.sides() {
		first, last := way[0], way[1]
		first.asleep(t, p.watcher, p.object, "act", first.slot, forever, "fail")
		last.want(t, "ok 1 true", "act", last.slot, forever, "ok")
		first.result(t, "ok 0 false")
		first.asleep(t, p.watcher, p.object, "arrive", first.slot, forever)
		last.fails(t, "BROKEN", "act", last.slot, forever, "fail")
		first.result(t, "error BROKEN")
		for _, side := range way {
			if state := side.number(t, "state", side.slot); !strings.HasPrefix(state, "0 action ") {
				t.Fatalf("%s sees %q", side.name, state)
			}
			side.fails(t, "BROKEN", "act", side.slot, forever, "ok")
		}
		first.ok(t, "reset", first.slot)
	}
	p.over(t, "abort")
}

// A deadline, an abort and a reset break it for those who wait; reset makes it whole.
func (p *pair) barrierBroken(t *testing.T) {
	p.latched(t, "barrier", "-", "2")
	for _, way := range p.sides() {
		breaker, waiter := way[0], way[1]
		for _, ends := range []struct{ command, answer, reason string }{
			{"abort", "ok", "abort"}, {"reset", "ok", ""},
		} {
			waiter.asleep(t, p.watcher, p.object, "arrive", waiter.slot, forever)
			breaker.want(t, ends.answer, ends.command, breaker.slot)
			waiter.result(t, "error BROKEN")
			if ends.reason == "" {
				continue
			}
			breaker.ok(t, "abort", breaker.slot)
			breaker.fails(t, "BROKEN", "arrive", breaker.slot, forever)
			waiter.fails(t, "BROKEN", "arrive", waiter.slot, try)
			if state := waiter.number(t, "state", waiter.slot); !strings.HasPrefix(state, "0 "+ends.reason+" ") {
				t.Fatalf("%s sees %q", waiter.name, state)
			}
			waiter.ok(t, "reset", waiter.slot)
		}
		waiter.fails(t, "TIMED_OUT", "arrive", waiter.slot, shortly)
		breaker.fails(t, "BROKEN", "arrive", breaker.slot, forever)
		if state := breaker.number(t, "state", breaker.slot); !strings.HasPrefix(state, "0 timeout ") {
			t.Fatalf("%s sees %q", breaker.name, state)
		}
		breaker.ok(t, "reset", breaker.slot)
	}
	p.over(t, "reset")
}

// Whoever sleeps at what is destroyed learns it.
func (p *pair) barrierRemoved(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "barrier", "-", "2")
		d, sleeper := p.sides()[way][0], p.sides()[way][1]
		sleeper.asleep(t, p.watcher, p.object, "arrive", sleeper.slot, forever)
		d.ok(t, "destroy", p.object)
		sleeper.result(t, "error REMOVED")
		d.fails(t, "REMOVED", "arrive", d.slot, try)
		p.close(t)
	}
}

// The death of a party, declared or arrived, is told to the others; that of an
// observer is not.
func (p *pair) partyDies(t *testing.T, daemon *harness.Daemon) {
	p.latched(t, "barrier", "-", "3")
	victim := func(access string) *driver {
		t.Helper()
		v := start(t, p.creator.language, daemon.Socket)
		v.want(t, "ok - 0", "open", "v", "barrier", p.object, access)
		return v
	}
	for _, arrives := range []bool{false, true} {
		p.opener.asleep(t, p.watcher, p.object, "arrive", "y", forever)
		victim("rw").Kill()
		v := victim("party")
		if arrives {
			v.asleep(t, p.watcher, p.object, "arrive", "v", forever)
		}
		v.Kill()
		p.opener.result(t, "error PEER_DIED")
		p.creator.fails(t, "PEER_DIED", "arrive", "x", forever)
		if state := p.creator.number(t, "state", "x"); !strings.HasPrefix(state, "0 death ") {
			t.Fatalf("%s sees %q", p.creator.name, state)
		}
		p.creator.want(t, "died", "reset", "x")
		p.opener.ok(t, "reset", "y")
	}
	p.over(t, "state")
}

// In Go the creator may be a party at once.
func TestCreatorIsParty(t *testing.T) {
	d := harness.StartDaemon(t)
	creator, other := start(t, languages[0], d.Socket), start(t, languages[1], d.Socket)
	creator.ok(t, "create", "b", "barrier", "own", "-", "party", "2")
	other.want(t, "ok - 0", "open", "b", "barrier", "own", "rw")
	other.asleep(t, d.Dial(t), "own", "arrive", "b", forever)
	creator.Kill()
	other.result(t, "error PEER_DIED")
}

// A party of each language: each goes on when all have come, with an index of its own.
func TestBarrierOfAllLanguages(t *testing.T) {
	d := harness.StartDaemon(t)
	watcher := d.Dial(t)
	var parties []*driver
	for i, l := range languages {
		party := start(t, l, d.Socket)
		if i == 0 {
			party.ok(t, "create", "b", "barrier", "all", "-", "-", fmt.Sprint(len(languages)))
		} else {
			party.want(t, "ok - 0", "open", "b", "barrier", "all", "party")
		}
		parties = append(parties, party)
	}
	for round := range 3 * len(parties) {
		for i := range parties[1:] { // who comes last is another each round
			parties[(round+i)%len(parties)].asleep(t, watcher, "all", "act", "b", forever, "ok")
		}
		last := (round + len(parties) - 1) % len(parties)
		parties[last].want(t, fmt.Sprintf("ok %d true", len(parties)-1), "act", "b", forever, "ok")
		var indices []string
		for i, party := range parties {
			if i != last {
				indices = append(indices, party.Line())
			}
		}
		slices.Sort(indices)
		for i, line := range indices {
			if line != fmt.Sprintf("ok %d false", i) {
				t.Fatalf("round %d ends with %q", round, indices)
			}
		}
	}
	victim := parties[len(parties)-1]
	for _, party := range parties[:len(parties)-1] {
		party.asleep(t, watcher, "all", "arrive", "b", forever)
	}
	victim.Kill()
	for _, party := range parties[:len(parties)-1] {
		party.result(t, "error PEER_DIED")
	}
}
