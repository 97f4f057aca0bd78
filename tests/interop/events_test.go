package interop

import (
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

func TestEventsAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("manual", p.manual)
		t.Run("auto reset", p.autoReset)
		t.Run("read only", p.eventReadOnly)
		t.Run("removed", p.eventRemoved)
		t.Run("killed", func(t *testing.T) { p.waiterOfEventDies(t, d) })
	})
}

// Whoever waits is let go by the other's set or pulse, even if a reset follows.
func (p *pair) manual(t *testing.T) {
	p.latched(t, "event", "-")
	for range 3 {
		for _, way := range p.sides() {
			setter, waiter := way[0], way[1]
			waiter.want(t, "ok false", "isset", waiter.slot)
			waiter.fails(t, "WOULD_BLOCK", "await", waiter.slot, try)
			waiter.fails(t, "TIMED_OUT", "await", waiter.slot, shortly)
			for _, release := range []string{"pulse", "signal"} {
				waiter.asleep(t, p.watcher, p.object, "await", waiter.slot, forever)
				setter.ok(t, release, setter.slot)
				setter.ok(t, "reset", setter.slot)
				waiter.result(t, "ok")
				waiter.want(t, "ok false", "isset", waiter.slot)
			}
			setter.ok(t, "signal", setter.slot)
			setter.ok(t, "signal", setter.slot)
			waiter.want(t, "ok true", "isset", waiter.slot)
			waiter.ok(t, "await", waiter.slot, try)
			waiter.ok(t, "await", waiter.slot, forever)
			waiter.ok(t, "reset", waiter.slot)
			setter.want(t, "ok false", "isset", setter.slot)
		}
	}
	p.over(t, "await", forever)
}

// Each set ends one wait, whoever's.
func (p *pair) autoReset(t *testing.T) {
	p.latched(t, "event", "auto_reset,isset")
	p.opener.want(t, "ok true", "isset", "y")
	p.opener.ok(t, "await", "y", try)
	for _, way := range p.sides() {
		setter, waiter := way[0], way[1]
		setter.fails(t, "UNSUPPORTED", "pulse", setter.slot)
		waiter.fails(t, "WOULD_BLOCK", "await", waiter.slot, try)
		waiter.asleep(t, p.watcher, p.object, "await", waiter.slot, forever)
		setter.ok(t, "signal", setter.slot)
		waiter.result(t, "ok")
		setter.want(t, "ok false", "isset", setter.slot)
		setter.ok(t, "signal", setter.slot)
		setter.ok(t, "signal", setter.slot) // changes nothing
		waiter.ok(t, "await", waiter.slot, forever)
		setter.fails(t, "TIMED_OUT", "await", setter.slot, shortly)
		setter.ok(t, "signal", setter.slot)
		waiter.ok(t, "reset", waiter.slot)
		setter.fails(t, "WOULD_BLOCK", "await", setter.slot, try)
	}
	p.over(t, "await", try)
}

func (p *pair) eventReadOnly(t *testing.T) {
	p.latched(t, "event", "isset")
	p.opener.want(t, "ok - 0", "open", "z", "event", p.object, "r")
	p.opener.want(t, "ok true", "isset", "z")
	for _, command := range [][]string{{"signal", "z"}, {"reset", "z"}, {"pulse", "z"}, {"await", "z", try}} {
		p.opener.fails(t, "PERMISSION", command...)
	}
	p.creator.ok(t, "reset", "x")
	p.opener.want(t, "ok false", "isset", "z")
	p.opener.ok(t, "close", "z")
	p.over(t, "isset")
}

// Whoever sleeps at what is destroyed learns it.
func (p *pair) eventRemoved(t *testing.T) {
	for _, flags := range []string{"-", "auto_reset"} {
		for _, way := range []int{0, 1} {
			p.latched(t, "event", flags)
			d, sleeper := p.sides()[way][0], p.sides()[way][1]
			sleeper.asleep(t, p.watcher, p.object, "await", sleeper.slot, forever)
			d.ok(t, "destroy", p.object)
			sleeper.result(t, "error REMOVED")
			d.fails(t, "REMOVED", "signal", d.slot)
			p.close(t)
		}
	}
}

// A waiter that is killed takes no set along.
func (p *pair) waiterOfEventDies(t *testing.T, daemon *harness.Daemon) {
	for _, flags := range []string{"-", "auto_reset"} {
		p.latched(t, "event", flags)
		victim := start(t, p.creator.language, daemon.Socket)
		victim.want(t, "ok - 0", "open", "v", "event", p.object, "rw")
		victim.asleep(t, p.watcher, p.object, "await", "v", forever)
		victim.Kill()
		p.opener.asleep(t, p.watcher, p.object, "await", "y", forever)
		p.creator.ok(t, "signal", "x")
		p.opener.result(t, "ok")
		p.over(t, "isset")
	}
}
