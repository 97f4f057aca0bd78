package interop

import (
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

func TestConditionsAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		for _, flags := range []string{"-", "recursive", "unlock_any", "strict"} {
			t.Run(flags, func(t *testing.T) { p.notified(t, flags) })
		}
		t.Run("all", func(t *testing.T) { p.notifiedAll(t, d) })
		t.Run("removed", p.conditionRemoved)
		t.Run("mutex removed", p.mutexRemoved)
		t.Run("killed", func(t *testing.T) { p.notifierDies(t, d) })
	})
}

// conditionOf makes a condition x of a mutex m, and opens it as y.
func (p *pair) conditionOf(t *testing.T, flags string) {
	t.Helper()
	p.creator.ok(t, "create", "m", "mutex", p.mutex, "-", flags)
	p.latched(t, "condition", "@m")
}

// endCondition ends what conditionOf made.
func (p *pair) endCondition(t *testing.T) {
	t.Helper()
	p.creator.ok(t, "destroy", p.mutex)
	p.creator.ok(t, "destroy", p.object)
	p.close(t)
	p.creator.ok(t, "close", "m")
}

// A wait lets the other have the mutex, ends by its notify, and has it again.
func (p *pair) notified(t *testing.T, flags string) {
	p.conditionOf(t, flags)
	for _, way := range p.sides() {
		notifier, waiter := way[0], way[1]
		waiter.fails(t, "NOT_OWNER", "await", waiter.slot, forever)
		waiter.fails(t, "NOT_OWNER", "notify", waiter.slot, "1")
		waiter.ok(t, "lock", waiter.slot, try)
		waiter.fails(t, "TIMED_OUT", "await", waiter.slot, shortly)
		notifier.fails(t, "WOULD_BLOCK", "lock", notifier.slot, try)
		notifier.fails(t, "NOT_OWNER", "notify", notifier.slot, "1")
		depth := 1
		if flags == "recursive" {
			depth = 3
			waiter.ok(t, "lock", waiter.slot, try)
			waiter.ok(t, "lock", waiter.slot, try)
		}
		for range 3 {
			waiter.asleep(t, p.watcher, p.object, "await", waiter.slot, forever)
			notifier.ok(t, "lock", notifier.slot, forever)
			notifier.ok(t, "notify", notifier.slot, "1")
			notifier.ok(t, "unlock", notifier.slot)
			waiter.result(t, "ok")
			notifier.fails(t, "WOULD_BLOCK", "lock", notifier.slot, try)
		}
		for range depth - 1 {
			waiter.ok(t, "unlock", waiter.slot)
			notifier.fails(t, "WOULD_BLOCK", "lock", notifier.slot, try)
		}
		waiter.ok(t, "unlock", waiter.slot)
		waiter.fails(t, "NOT_OWNER", "unlock", waiter.slot)
	}
	// The mutex itself is the same lock.
	p.creator.ok(t, "lock", "m", try)
	p.creator.asleep(t, p.watcher, p.object, "await", "x", forever)
	p.opener.ok(t, "lock", "y", forever)
	p.opener.ok(t, "notify", "y", "2")
	p.opener.ok(t, "unlock", "y")
	p.creator.result(t, "ok")
	p.creator.ok(t, "unlock", "m")
	p.endCondition(t)
}

// One notify wakes one; all wakes everybody.
func (p *pair) notifiedAll(t *testing.T, daemon *harness.Daemon) {
	p.conditionOf(t, "-")
	third := start(t, p.creator.language, daemon.Socket)
	third.want(t, "ok - 0", "open", "z", "condition", p.object, "rw")
	for _, waiter := range []side{{p.opener, "y"}, {third, "z"}} {
		waiter.ok(t, "lock", waiter.slot, forever)
		waiter.asleep(t, p.watcher, p.object, "await", waiter.slot, forever)
	}
	p.creator.ok(t, "lock", "x", try)
	p.creator.ok(t, "notify", "x", "0")
	p.creator.ok(t, "unlock", "x")
	for _, waiter := range []side{{p.opener, "y"}, {third, "z"}} {
		waiter.Send("unlock " + waiter.slot) // who has it first lets go for the other
	}
	for _, waiter := range []side{{p.opener, "y"}, {third, "z"}} {
		waiter.result(t, "ok")
		waiter.result(t, "ok") // of the unlock
	}
	p.endCondition(t)
}

// When the condition is destroyed, the mutex is held again.
func (p *pair) conditionRemoved(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.conditionOf(t, "-")
		d, waiter := p.sides()[way][0], p.sides()[way][1]
		waiter.ok(t, "lock", waiter.slot, try)
		waiter.asleep(t, p.watcher, p.object, "await", waiter.slot, forever)
		d.ok(t, "destroy", p.object)
		waiter.result(t, "error REMOVED")
		waiter.ok(t, "unlock", waiter.slot)
		waiter.fails(t, "NOT_OWNER", "unlock", waiter.slot)
		p.creator.ok(t, "destroy", p.mutex)
		p.close(t)
		p.creator.ok(t, "close", "m")
	}
}

// When the mutex is destroyed, it is not, and the waits end too.
func (p *pair) mutexRemoved(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.conditionOf(t, "-")
		d, waiter := p.sides()[way][0], p.sides()[way][1]
		waiter.ok(t, "lock", waiter.slot, try)
		waiter.asleep(t, p.watcher, p.object, "await", waiter.slot, forever)
		d.ok(t, "destroy", p.mutex)
		waiter.result(t, "error REMOVED")
		waiter.fails(t, "REMOVED", "unlock", waiter.slot)
		d.fails(t, "REMOVED", "await", d.slot, forever)
		p.creator.ok(t, "destroy", p.object)
		p.close(t)
		p.creator.ok(t, "close", "m")
	}
}

// Whoever waits is told when the one who woke him dies before he lets go.
func (p *pair) notifierDies(t *testing.T, daemon *harness.Daemon) {
	p.conditionOf(t, "strict")
	victim := start(t, p.creator.language, daemon.Socket)
	victim.want(t, "ok - 0", "open", "v", "condition", p.object, "rw")
	p.opener.ok(t, "lock", "y", try)
	p.opener.asleep(t, p.watcher, p.object, "await", "y", forever)
	victim.ok(t, "lock", "v", forever)
	victim.ok(t, "notify", "v", "1")
	victim.Kill()
	p.opener.result(t, "died")
	p.opener.ok(t, "mark", "y")
	p.opener.ok(t, "unlock", "y")
	p.creator.ok(t, "lock", "x", try)
	p.creator.ok(t, "unlock", "x")

	// A waiter that is killed holds nothing. The daemon may take the mutex for one that waited
	// through it, and gives it back at once.
	victim = start(t, p.opener.language, daemon.Socket)
	victim.want(t, "ok - 0", "open", "v", "condition", p.object, "rw")
	victim.ok(t, "lock", "v", try)
	victim.asleep(t, p.watcher, p.object, "await", "v", forever)
	victim.Kill()
	p.creator.ok(t, "lock", "x", forever)
	p.creator.ok(t, "unlock", "x")
	p.endCondition(t)
}
