package interop

import (
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

func TestStreamsAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("messages", p.streamed)
		t.Run("roles", p.roles)
		t.Run("removed", p.streamRemoved)
		t.Run("killed", func(t *testing.T) { p.producerDies(t, d) })
	})
}

func TestPipesAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("messages", p.piped)
		t.Run("bytes", p.pipedBytes)
		t.Run("killed", func(t *testing.T) { p.endDies(t, d) })
	})
}

// Messages arrive as they were sent, singly and many at once, and each side wakes the
// other.
func (p *pair) streamed(t *testing.T) {
	for _, which := range []int{0, 1} {
		p.latched(t, "stream", "-", "4096", "2000")
		from, to := p.sides()[which][0], p.sides()[which][1]
		from.want(t, "ok producer", "claim", from.slot, "producer")
		to.want(t, "ok consumer", "claim", to.slot, "consumer")
		long := strings.Repeat("0123456789abcdef", 250) // 2000 bytes
		for range 5 {                                   // around the ring
			for _, message := range []string{"-", "00", "0102", long} {
				from.ok(t, "send", from.slot, message, try)
				to.want(t, "ok "+message, "recv", to.slot, try)
			}
		}
		from.fails(t, "TOO_LARGE", "send", from.slot, long+"00", try)
		to.fails(t, "WOULD_BLOCK", "recv", to.slot, try)
		to.fails(t, "TIMED_OUT", "recv", to.slot, shortly)
		to.asleep(t, p.watcher, p.object, "recv", to.slot, forever)
		from.ok(t, "send", from.slot, "ab", forever)
		to.result(t, "ok ab")
		from.want(t, "ok 3", "sendmany", from.slot, forever, "01", "-", "03")
		to.want(t, "ok 01 -", "recvmany", to.slot, "2", forever)
		to.want(t, "ok 03", "recvmany", to.slot, "9", forever)
		p.close(t)

		p.latched(t, "stream", "-", "4096", "2000") // of which two fill it from its beginning
		from.want(t, "ok producer", "claim", from.slot, "producer")
		to.want(t, "ok consumer", "claim", to.slot, "consumer")
		from.ok(t, "send", from.slot, long, try)
		from.ok(t, "send", from.slot, long, try)
		from.fails(t, "WOULD_BLOCK", "send", from.slot, long, try)
		from.fails(t, "TIMED_OUT", "send", from.slot, long, shortly)
		from.asleep(t, p.watcher, p.object, "send", from.slot, long, forever)
		to.want(t, "ok "+long, "recv", to.slot, forever)
		from.result(t, "ok")
		to.want(t, "ok "+long, "recv", to.slot, forever)
		to.want(t, "ok "+long, "recv", to.slot, forever)
		p.close(t)
	}
}

// A role is one client's, and the end of each producer is told once.
func (p *pair) roles(t *testing.T) {
	p.latched(t, "stream", "-")
	for _, way := range p.sides() {
		from, to := way[0], way[1]
		from.want(t, "ok producer", "claim", from.slot, "producer")
		to.fails(t, "TAKEN", "claim", to.slot, "producer")
		to.want(t, "ok consumer", "claim", to.slot, "consumer")
		from.ok(t, "send", from.slot, "77", forever)
		to.want(t, "ok 77", "recv", to.slot, forever)
		to.asleep(t, p.watcher, p.object, "recv", to.slot, forever)
		from.ok(t, "retire", from.slot, "producer")
		to.result(t, "error ENDED")
		to.fails(t, "WOULD_BLOCK", "recv", to.slot, try)
		to.want(t, "ok producer", "claim", to.slot, "producer") // and so is both
		to.ok(t, "send", to.slot, "78", forever)
		to.ok(t, "retire", to.slot, "consumer")
		from.want(t, "ok consumer", "claim", from.slot, "consumer")
		from.want(t, "ok 78", "recv", from.slot, forever)
		to.ok(t, "retire", to.slot, "producer")
		from.fails(t, "ENDED", "recv", from.slot, forever)
		from.ok(t, "retire", from.slot, "consumer")
	}
	p.close(t)
}

// Whoever waits at what is destroyed learns it.
func (p *pair) streamRemoved(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "stream", "-")
		other, sleeper := p.sides()[way][0], p.sides()[way][1]
		sleeper.want(t, "ok consumer", "claim", sleeper.slot, "consumer")
		sleeper.asleep(t, p.watcher, p.object, "recv", sleeper.slot, forever)
		other.ok(t, "destroy", p.object)
		sleeper.result(t, "error REMOVED")
		other.fails(t, "REMOVED", "claim", other.slot, "producer")
		p.close(t)
	}
}

// victim is a third process of the creator's language that has the object open as v.
func (p *pair) victim(t *testing.T, daemon *harness.Daemon, kind, role string) *driver {
	t.Helper()
	v := start(t, p.creator.language, daemon.Socket)
	v.want(t, "ok - 0", "open", "v", kind, p.object, "rw")
	v.claims(t, "v", role)
	return v
}

// claims claims a role that is free, or about to be: its end may be told a moment before.
func (d *driver) claims(t *testing.T, slot, role string) {
	t.Helper()
	for {
		switch got := d.Ask("claim " + slot + " " + role); got {
		case "ok " + role:
			return
		case "error TAKEN":
		default:
			t.Fatalf("%s: to claim %s is answered %q", d.name, role, got)
		}
	}
}

// A producer that is killed has died, for who waits and who comes later, once; its
// messages and its role stay.
func (p *pair) producerDies(t *testing.T, daemon *harness.Daemon) {
	p.latched(t, "stream", "-")
	p.opener.want(t, "ok consumer", "claim", "y", "consumer")
	v := p.victim(t, daemon, "stream", "producer")
	v.ok(t, "send", "v", "01", forever)
	p.opener.want(t, "ok 01", "recv", "y", forever)
	p.opener.asleep(t, p.watcher, p.object, "recv", "y", forever)
	v.Kill()
	p.opener.result(t, "error PEER_DIED")
	v = p.victim(t, daemon, "stream", "producer")
	v.ok(t, "send", "v", "02", forever)
	v.Kill()
	p.opener.want(t, "ok 02", "recv", "y", forever)
	p.opener.want(t, "error PEER_DIED", "recv", "y", forever)
	p.opener.fails(t, "WOULD_BLOCK", "recv", "y", try)
	p.creator.claims(t, "x", "producer")
	p.creator.ok(t, "send", "x", "03", forever)
	p.opener.want(t, "ok 03", "recv", "y", forever)
	p.close(t)
}

// Messages go both ways, those longer than the ring in pieces, and the end of a side is
// told for ever to who receives, at once to who sends.
func (p *pair) piped(t *testing.T) {
	for _, which := range []int{0, 1} {
		p.latched(t, "pipe", "-", "4096", "6000")
		a, b := p.sides()[which][0], p.sides()[which][1]
		a.want(t, "ok a", "claim", a.slot, "any")
		b.fails(t, "TAKEN", "claim", b.slot, "a")
		b.want(t, "ok b", "claim", b.slot, "b")
		for _, way := range [][2]side{{a, b}, {b, a}} {
			from, to := way[0], way[1]
			for _, size := range []int{1, 2040, 2041, 4096, 6000} {
				message := strings.Repeat("5a", size)
				to.asleep(t, p.watcher, p.object, "recv", to.slot, forever)
				from.ok(t, "send", from.slot, message, forever)
				to.result(t, "ok "+message)
			}
			from.fails(t, "TOO_LARGE", "send", from.slot, strings.Repeat("5a", 6001), forever)
			// A long one that is given up is never seen.
			from.fails(t, "TIMED_OUT", "send", from.slot, strings.Repeat("5a", 6000), shortly)
			to.asleep(t, p.watcher, p.object, "recv", to.slot, forever)
			from.ok(t, "send", from.slot, "0f", forever)
			to.result(t, "ok 0f")
		}
		a.ok(t, "send", a.slot, "e0", forever)
		a.ok(t, "retire", a.slot, "a")
		b.fails(t, "ENDED", "send", b.slot, "00", forever)
		b.want(t, "ok e0", "recv", b.slot, forever)
		b.fails(t, "ENDED", "recv", b.slot, forever)
		b.fails(t, "ENDED", "recv", b.slot, try)
		a.fails(t, "ENDED", "claim", a.slot, "a")
		p.close(t)
	}
}

func (p *pair) pipedBytes(t *testing.T) {
	p.latched(t, "pipe", "bytes", "4096")
	p.creator.want(t, "ok a", "claim", "x", "a")
	p.opener.want(t, "ok b", "claim", "y", "any")
	for _, way := range p.sides() {
		from, to := way[0], way[1]
		from.want(t, "ok 3", "writebytes", from.slot, "010203", forever)
		to.want(t, "ok 01", "readbytes", to.slot, "1", forever)
		to.want(t, "ok 0203", "readbytes", to.slot, "100", forever)
		to.fails(t, "WOULD_BLOCK", "readbytes", to.slot, "100", try)
		to.fails(t, "TIMED_OUT", "readbytes", to.slot, "100", shortly)
		from.want(t, "ok 4096", "writebytes", from.slot, strings.Repeat("77", 5000), forever)
		from.fails(t, "WOULD_BLOCK", "writebytes", from.slot, "00", try)
		to.want(t, "ok "+strings.Repeat("77", 4096), "readbytes", to.slot, "5000", forever)
		from.fails(t, "UNSUPPORTED", "send", from.slot, "00", forever)
		to.fails(t, "UNSUPPORTED", "recv", to.slot, forever)
	}
	p.over(t, "readbytes", "1", try)
}

// The end of a process that is killed is told as a death.
func (p *pair) endDies(t *testing.T, daemon *harness.Daemon) {
	p.latched(t, "pipe", "-")
	p.opener.want(t, "ok b", "claim", "y", "b")
	v := p.victim(t, daemon, "pipe", "a")
	v.ok(t, "send", "v", "01", forever)
	p.opener.want(t, "ok 01", "recv", "y", forever)
	p.opener.asleep(t, p.watcher, p.object, "recv", "y", forever)
	v.Kill()
	p.opener.result(t, "error PEER_DIED")
	p.opener.want(t, "error PEER_DIED", "recv", "y", forever)
	p.opener.want(t, "error PEER_DIED", "send", "y", "00", forever)
	p.creator.fails(t, "ENDED", "claim", "x", "a")
	p.close(t)
}
