package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// Timeouts in nanoseconds.
const (
	try     = "0"
	forever = "-1"
	shortly = "1000000"
)

// changed wants a line that tells a version other than the given one.
func (d *driver) changed(t *testing.T, version string) string {
	t.Helper()
	now, found := strings.CutPrefix(d.Line(), "ok ")
	if !found || now == version {
		t.Fatalf("%s: waiting for another version than %s ends with %q", d.name, version, now)
	}
	return now
}

// Whoever waits for a change is woken by the other's, whichever way it is made.
func TestChangesWakeAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, _ *harness.Daemon, p *pair) {
		p.creator.ok(t, "create", "x", "array", p.object, "i", "-", "0", "0", "0")
		p.opener.want(t, "ok i 3", "open", "y", "array", p.object, "rw")
		for _, change := range []string{
			"store %s 1 7", "exchange %s 1 8", "add %s 1 1", "cas %s 1 9 10", "write %s 0 1 2 3",
		} {
			for _, turn := range []struct {
				waiter, waker *driver
				slot, other   string
			}{{p.opener, p.creator, "y", "x"}, {p.creator, p.opener, "x", "y"}} {
				turn.waker.ok(t, "store", turn.other, "1", "9")
				version := turn.waiter.number(t, "version", turn.slot)
				if theirs := turn.waker.number(t, "version", turn.other); theirs != version {
					t.Fatalf("%s sees version %s, %s %s", turn.waiter.name, version, turn.waker.name, theirs)
				}
				turn.waiter.fails(t, "TIMED_OUT", "wait", turn.slot, version, shortly)
				turn.waiter.asleep(t, p.watcher, p.object, "wait", turn.slot, version, forever)
				if answer := turn.waker.Ask(fmt.Sprintf(change, turn.other)); !strings.HasPrefix(answer, "ok") {
					t.Fatalf("%s: %s answers %q", turn.waker.name, change, answer)
				}
				now := turn.waiter.changed(t, version)
				turn.waker.want(t, "ok "+now, "version", turn.other)
			}
		}
		p.creator.ok(t, "destroy", p.object)
	})
}

// Every sort of lock excludes across languages, and goes to the one who waits.
func TestLocksGoBackAndForth(t *testing.T) {
	forPairs(t, func(t *testing.T, _ *harness.Daemon, p *pair) {
		p.creator.ok(t, "create", "m", "mutex", p.mutex, "-", "-")
		for _, lock := range []struct {
			name    string
			create  []string
			waits   string // the object whose seat waits
			answers string
		}{
			{"mutex", []string{"create", "x", "mutex", p.object, "-", "-"}, p.object, "ok - 0"},
			{"value's own", []string{"create", "x", "value", p.object, "d", "-", "0"}, p.object, "ok d 1"},
			{"array's own", []string{"create", "x", "array", p.object, "q", "-", "0", "0"}, p.object, "ok q 2"},
			{"foreign", []string{"create", "x", "array", p.object, "B", "@m", "0", "0"}, p.mutex, "ok B 2"},
		} {
			t.Run(lock.name, func(t *testing.T) {
				p.creator.ok(t, lock.create...)
				p.opener.want(t, lock.answers, "open", "y", lock.create[2], p.object, "rw")
				p.backAndForth(t, lock.waits)
				p.creator.ok(t, "destroy", p.object)
				// A foreign lock lives on, but not through what was destroyed.
				p.creator.fails(t, "REMOVED", "lock", "x", forever)
				p.opener.fails(t, "REMOVED", "lock", "y", try)
				p.close(t)
			})
		}
		p.creator.ok(t, "destroy", p.mutex)
	})
}

// rounds is how often a lock goes from one to the other.
const rounds = 20

func (p *pair) backAndForth(t *testing.T, waits string) {
	p.creator.ok(t, "lock", "x", forever)
	holder, waiter, slot, other := p.creator, p.opener, "x", "y"
	for range rounds {
		waiter.fails(t, "WOULD_BLOCK", "lock", other, try)
		waiter.fails(t, "TIMED_OUT", "lock", other, shortly)
		waiter.fails(t, "NOT_OWNER", "unlock", other)
		waiter.fails(t, "NOT_OWNER", "mark", other)
		waiter.asleep(t, p.watcher, waits, "lock", other, forever)
		holder.ok(t, "unlock", slot)
		waiter.result(t, "ok")
		holder, waiter, slot, other = waiter, holder, other, slot
	}
	holder.ok(t, "unlock", slot)
	waiter.ok(t, "lock", other, try)
	waiter.ok(t, "unlock", other)
}

// The flags of a mutex mean the same to all.
func TestMutexFlags(t *testing.T) {
	forPairs(t, func(t *testing.T, _ *harness.Daemon, p *pair) {
		open := func(flags string) {
			t.Helper()
			p.creator.ok(t, "create", "x", "mutex", p.mutex, "-", flags)
			p.opener.want(t, "ok - 0", "open", "y", "mutex", p.mutex, "rw")
		}
		end := func() {
			t.Helper()
			p.opener.ok(t, "destroy", p.mutex)
			p.creator.fails(t, "REMOVED", "lock", "x", forever)
			p.close(t)
		}

		open("-")
		p.opener.ok(t, "lock", "y", try)
		p.opener.fails(t, "DEADLOCK", "lock", "y", forever)
		p.opener.ok(t, "unlock", "y")
		p.opener.fails(t, "NOT_OWNER", "unlock", "y")
		end()

		open("recursive")
		p.opener.ok(t, "lock", "y", try)
		p.opener.ok(t, "lock", "y", forever)
		p.opener.ok(t, "unlock", "y")
		p.creator.fails(t, "WOULD_BLOCK", "lock", "x", try)
		p.opener.ok(t, "unlock", "y")
		p.creator.ok(t, "lock", "x", try)
		p.creator.ok(t, "unlock", "x")
		end()

		open("unlock_any")
		p.creator.ok(t, "lock", "x", try)
		p.opener.ok(t, "unlock", "y")
		p.opener.ok(t, "lock", "y", try)
		p.creator.fails(t, "WOULD_BLOCK", "lock", "x", try)
		p.creator.ok(t, "unlock", "x")
		p.creator.fails(t, "NOT_OWNER", "unlock", "x")
		end()

		// Whoever waits for a lock that is destroyed learns it.
		open("strict")
		p.creator.ok(t, "lock", "x", try)
		p.opener.asleep(t, p.watcher, p.mutex, "lock", "y", forever)
		p.creator.ok(t, "destroy", p.mutex)
		p.opener.result(t, "error REMOVED")
	})
}

// Objects without a lock are elements and nothing else.
func TestNoLock(t *testing.T) {
	forPairs(t, func(t *testing.T, _ *harness.Daemon, p *pair) {
		p.creator.ok(t, "create", "x", "array", p.object, "h", "nolock", "1", "2", "3")
		p.opener.want(t, "ok h 3", "open", "y", "array", p.object, "rw")
		for _, d := range []*driver{p.creator, p.opener} {
			slot := map[bool]string{true: "x", false: "y"}[d == p.creator]
			d.fails(t, "UNSUPPORTED", "lock", slot, try)
			d.fails(t, "UNSUPPORTED", "unlock", slot)
			d.fails(t, "UNSUPPORTED", "begin", slot)
			d.ok(t, "write", slot, "1", "-4", "-5")
		}
		p.opener.values(t, 'h', []string{"1", "-4", "-5"}, "read", "y", "0", "3")
		p.creator.ok(t, "destroy", p.object)
	})
}

// A bracket hides what is half written, and cannot be unlocked.
func TestBrackets(t *testing.T) {
	forPairs(t, func(t *testing.T, _ *harness.Daemon, p *pair) {
		p.creator.ok(t, "create", "x", "array", p.object, "I", "-", "1", "1")
		p.opener.want(t, "ok I 2", "open", "y", "array", p.object, "rw")
		p.creator.fails(t, "NOT_OWNER", "begin", "x")
		p.creator.ok(t, "lock", "x", try)
		p.creator.ok(t, "begin", "x")
		p.creator.ok(t, "begin", "x")
		p.creator.fails(t, "INVALID", "unlock", "x")
		p.creator.ok(t, "store", "x", "0", "2")
		p.creator.ok(t, "end", "x")
		p.opener.asleep(t, p.watcher, p.object, "read", "y", "0", "2")
		p.creator.ok(t, "store", "x", "1", "2")
		p.creator.ok(t, "end", "x")
		p.creator.fails(t, "INVALID", "end", "x")
		p.creator.ok(t, "unlock", "x")
		p.opener.result(t, "ok 2 2")
		p.creator.ok(t, "destroy", p.object)
	})
}

// Whoever dies with a lock leaves a notice to the next owner, in every language.
func TestDeathIsToldAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, daemon *harness.Daemon, p *pair) {
		victim, heir := start(t, p.creator.language, daemon.Socket), p.opener
		victim.ok(t, "create", "m", "mutex", p.mutex, "-", "strict")
		victim.ok(t, "create", "x", "array", p.object, "L", "-", "1", "2")
		heir.want(t, "ok - 0", "open", "m", "mutex", p.mutex, "rw")
		heir.want(t, "ok L 2", "open", "y", "array", p.object, "rw")
		victim.ok(t, "lock", "m", try)
		victim.ok(t, "lock", "x", try)
		victim.ok(t, "begin", "x")
		victim.ok(t, "store", "x", "0", "7")
		heir.asleep(t, p.watcher, p.object, "lock", "y", forever)
		victim.Kill()
		heir.result(t, "died")
		heir.ok(t, "unlock", "y")
		p.creator.want(t, "ok L 2", "open", "x", "array", p.object, "rw")
		p.creator.want(t, "died", "lock", "x", forever)
		p.creator.values(t, 'L', []string{"7"}, "load", "x", "0")
		p.creator.ok(t, "mark", "x")
		p.creator.ok(t, "unlock", "x")
		heir.ok(t, "lock", "y", forever)
		heir.want(t, "ok 7 2", "read", "y", "0", "2")
		heir.ok(t, "unlock", "y")

		heir.want(t, "died", "lock", "m", forever)
		heir.ok(t, "unlock", "m")
		heir.fails(t, "NOT_RECOVERABLE", "lock", "m", forever)
		heir.ok(t, "destroy", p.mutex)
		heir.ok(t, "destroy", p.object)
	})
}
