package interop

import (
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

func TestRWLocksAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("readers and writers", p.readersAndWriters)
		t.Run("one thread", p.oneThread)
		t.Run("removed", p.rwlockRemoved)
		t.Run("killed", func(t *testing.T) { p.holderOfRWLockDies(t, d) })
	})
}

// Readers of both languages are inside together, a writer alone, and each is let in
// by the other.
func (p *pair) readersAndWriters(t *testing.T) {
	p.latched(t, "rwlock", "-")
	for range 3 {
		for _, way := range p.sides() {
			a, b := way[0], way[1]
			a.ok(t, "readlock", a.slot, try)
			b.ok(t, "readlock", b.slot, forever)
			b.ok(t, "readunlock", b.slot)
			b.fails(t, "WOULD_BLOCK", "lock", b.slot, try)
			b.fails(t, "TIMED_OUT", "lock", b.slot, shortly)
			b.asleep(t, p.watcher, p.object, "lock", b.slot, forever)
			a.ok(t, "readunlock", a.slot)
			b.result(t, "ok")
			a.fails(t, "WOULD_BLOCK", "readlock", a.slot, try)
			a.fails(t, "TIMED_OUT", "readlock", a.slot, shortly)
			a.fails(t, "NOT_OWNER", "unlock", a.slot)
			a.fails(t, "NOT_OWNER", "mark", a.slot)
			a.asleep(t, p.watcher, p.object, "readlock", a.slot, forever)
			b.ok(t, "unlock", b.slot)
			a.result(t, "ok")
			b.fails(t, "NOT_OWNER", "readunlock", b.slot)
			a.ok(t, "readunlock", a.slot)
			a.ok(t, "lock", a.slot, try)
			b.asleep(t, p.watcher, p.object, "lock", b.slot, forever)
			a.ok(t, "unlock", a.slot)
			b.result(t, "ok")
			b.ok(t, "unlock", b.slot)
		}
	}
	p.over(t, "readlock", try)
}

// One thread of control reads again, and is told where it would wait for itself.
func (p *pair) oneThread(t *testing.T) {
	p.latched(t, "rwlock", "-")
	for _, way := range p.sides() {
		d, other := way[0], way[1]
		d.ok(t, "readlock", d.slot, try)
		d.ok(t, "readlock", d.slot, forever)
		d.fails(t, "DEADLOCK", "lock", d.slot, forever)
		d.ok(t, "readunlock", d.slot)
		other.fails(t, "WOULD_BLOCK", "lock", other.slot, try)
		// A writer that waits keeps out who comes, not who is inside.
		other.asleep(t, p.watcher, p.object, "lock", other.slot, forever)
		d.ok(t, "readlock", d.slot, forever)
		d.ok(t, "readunlock", d.slot)
		d.ok(t, "readunlock", d.slot)
		other.result(t, "ok")
		other.ok(t, "unlock", other.slot)
		d.fails(t, "NOT_OWNER", "readunlock", d.slot)
		d.ok(t, "lock", d.slot, try)
		d.fails(t, "DEADLOCK", "lock", d.slot, try)
		d.fails(t, "DEADLOCK", "readlock", d.slot, forever)
		d.ok(t, "unlock", d.slot)
	}
	p.over(t, "lock", try)
}

// Whoever sleeps at what is destroyed learns it.
func (p *pair) rwlockRemoved(t *testing.T) {
	for _, verb := range []string{"lock", "readlock"} {
		for _, way := range []int{0, 1} {
			p.latched(t, "rwlock", "-")
			holder, sleeper := p.sides()[way][0], p.sides()[way][1]
			holder.ok(t, "lock", holder.slot, try)
			sleeper.asleep(t, p.watcher, p.object, verb, sleeper.slot, forever)
			holder.ok(t, "destroy", p.object)
			sleeper.result(t, "error REMOVED")
			holder.fails(t, "REMOVED", "unlock", holder.slot)
			p.close(t)
		}
	}
}

// A reader that is killed is out, in silence; a writer leaves a notice to readers and
// writers, until one of these marks the data consistent.
func (p *pair) holderOfRWLockDies(t *testing.T, daemon *harness.Daemon) {
	p.latched(t, "rwlock", "-")
	victim := func(verb string) *driver {
		t.Helper()
		v := start(t, p.creator.language, daemon.Socket)
		v.want(t, "ok - 0", "open", "v", "rwlock", p.object, "rw")
		v.ok(t, verb, "v", forever)
		return v
	}
	v := victim("readlock")
	p.opener.asleep(t, p.watcher, p.object, "lock", "y", forever)
	v.Kill()
	p.opener.result(t, "ok")
	p.opener.ok(t, "unlock", "y")

	v = victim("lock")
	p.opener.asleep(t, p.watcher, p.object, "readlock", "y", forever)
	v.Kill()
	p.opener.result(t, "died")
	p.creator.want(t, "died", "readlock", "x", try)
	p.creator.ok(t, "readunlock", "x")
	p.opener.ok(t, "readunlock", "y")
	p.creator.want(t, "died", "lock", "x", forever)
	p.creator.ok(t, "unlock", "x")
	p.opener.want(t, "died", "lock", "y", forever)
	p.opener.ok(t, "mark", "y")
	p.opener.ok(t, "unlock", "y")
	p.creator.ok(t, "readlock", "x", try)
	p.creator.ok(t, "readunlock", "x")
	p.over(t, "readlock", forever)
}
