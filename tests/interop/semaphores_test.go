package interop

import (
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// side is one of the two of a pair, with its slot.
type side struct {
	*driver
	slot string
}

// sides are both ways to go through a test: from creator to opener, and back.
func (p *pair) sides() [2][2]side {
	a, b := side{p.creator, "x"}, side{p.opener, "y"}
	return [2][2]side{{a, b}, {b, a}}
}

// latched makes an object and opens it.
func (p *pair) latched(t *testing.T, kind, flags string, values ...string) {
	t.Helper()
	p.fresh()
	p.creator.ok(t, append([]string{"create", "x", kind, p.object, "-", flags}, values...)...)
	p.opener.want(t, "ok - 0", "open", "y", kind, p.object, "rw")
}

// over destroys the object, which both learn by this command.
func (p *pair) over(t *testing.T, verb string, words ...string) {
	t.Helper()
	p.opener.ok(t, "destroy", p.object)
	for _, way := range p.sides() {
		way[0].fails(t, "REMOVED", append([]string{verb, way[0].slot}, words...)...)
	}
	p.close(t)
}

func TestSemaphoresAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("plain", p.plain)
		t.Run("undo", p.undo)
		t.Run("removed", p.permitsRemoved)
		t.Run("killed", func(t *testing.T) { p.permitsOfTheDead(t, d) })
	})
}

// Whoever waits for a permit is woken by the other's, whichever way it goes.
func (p *pair) plain(t *testing.T) {
	p.latched(t, "semaphore", "-", "1", "3")
	for range 5 {
		for _, way := range p.sides() {
			giver, waiter := way[0], way[1]
			giver.ok(t, "acquire", giver.slot, "1", try)
			waiter.fails(t, "WOULD_BLOCK", "acquire", waiter.slot, "1", try)
			waiter.fails(t, "TIMED_OUT", "acquire", waiter.slot, "1", shortly)
			waiter.asleep(t, p.watcher, p.object, "acquire", waiter.slot, "1", forever)
			giver.ok(t, "release", giver.slot, "1")
			waiter.result(t, "ok")
			giver.want(t, "ok 0 0 0", "permits", giver.slot)
			waiter.ok(t, "post", waiter.slot, "1")
			giver.want(t, "ok 1 0 0", "permits", giver.slot)
		}
	}
	for _, way := range p.sides() {
		d, slot := way[0], way[0].slot
		d.fails(t, "UNSUPPORTED", "acquire", slot, "2", try)
		d.fails(t, "INVALID", "acquire", slot, "0", try)
		d.fails(t, "INVALID", "acquire", slot, "4", try)
		d.fails(t, "OVERFLOW", "release", slot, "3")
		d.ok(t, "release", slot, "2")
		way[1].want(t, "ok 3 0 0", "permits", way[1].slot)
		way[1].ok(t, "acquire", way[1].slot, "1", try)
		way[1].ok(t, "acquire", way[1].slot, "1", forever)
	}
	p.over(t, "acquire", "1", try)
}

// Permits with undo belong to who acquired them.
func (p *pair) undo(t *testing.T) {
	p.latched(t, "semaphore", "undo", "3", "4")
	for _, way := range p.sides() {
		holder, other := way[0], way[1]
		holder.ok(t, "acquire", holder.slot, "2", try)
		holder.want(t, "ok 1 3 2", "permits", holder.slot)
		other.want(t, "ok 1 3 0", "permits", other.slot)
		other.fails(t, "NOT_OWNER", "release", other.slot, "1")
		other.fails(t, "WOULD_BLOCK", "acquire", other.slot, "2", try)
		other.fails(t, "TIMED_OUT", "acquire", other.slot, "3", shortly)
		holder.fails(t, "NOT_OWNER", "release", holder.slot, "3")
		other.fails(t, "OVERFLOW", "post", other.slot, "2")
		other.asleep(t, p.watcher, p.object, "acquire", other.slot, "3", forever)
		holder.ok(t, "release", holder.slot, "2")
		other.result(t, "ok")
		holder.want(t, "ok 0 3 0", "permits", holder.slot)
		// New permits wake too, and then there are more.
		holder.asleep(t, p.watcher, p.object, "acquire", holder.slot, "1", forever)
		other.ok(t, "post", other.slot, "1")
		holder.result(t, "ok")
		holder.want(t, "ok 0 4 1", "permits", holder.slot)
		// A close gives back, and wakes.
		holder.asleep(t, p.watcher, p.object, "acquire", holder.slot, "3", forever)
		other.ok(t, "close", other.slot)
		holder.result(t, "ok")
		holder.want(t, "ok 0 4 4", "permits", holder.slot)
		holder.ok(t, "close", holder.slot)
		p.creator.ok(t, "destroy", p.object)
		p.latched(t, "semaphore", "undo", "3", "4")
	}
	p.over(t, "acquire", "2", try)
}

// Whoever sleeps at what is destroyed learns it.
func (p *pair) permitsRemoved(t *testing.T) {
	for _, flags := range []string{"-", "undo"} {
		for _, way := range []int{0, 1} {
			p.latched(t, "semaphore", flags, "0", "3")
			d, sleeper := p.sides()[way][0], p.sides()[way][1]
			sleeper.asleep(t, p.watcher, p.object, "acquire", sleeper.slot, "1", forever)
			d.ok(t, "destroy", p.object)
			sleeper.result(t, "error REMOVED")
			d.fails(t, "REMOVED", "post", d.slot, "1")
			p.close(t)
		}
	}
}

// What a holder that is killed had comes back, exactly once.
func (p *pair) permitsOfTheDead(t *testing.T, daemon *harness.Daemon) {
	p.latched(t, "semaphore", "undo", "4", "4")
	victim := start(t, p.creator.language, daemon.Socket)
	victim.want(t, "ok - 0", "open", "v", "semaphore", p.object, "rw")
	victim.ok(t, "acquire", "v", "3", try)
	p.creator.ok(t, "acquire", "x", "1", try)
	p.opener.asleep(t, p.watcher, p.object, "acquire", "y", "2", forever)
	victim.Kill()
	p.opener.result(t, "ok")
	p.opener.want(t, "ok 1 4 2", "permits", "y")
	p.creator.want(t, "ok 1 4 1", "permits", "x")
	p.over(t, "permits")
}
