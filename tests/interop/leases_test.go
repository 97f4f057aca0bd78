package interop

import (
	"strings"
	"testing"
)

const (
	briefly = "2000000"     // ns: the time of leases that are to end
	long    = "10000000000" // ns: of those that are not
)

// leasedMany takes leases on messages that must be these, each in that delivery, and
// returns their numbers.
func (s side) leasedMany(t *testing.T, delivery, most string, messages ...string) (numbers []string) {
	t.Helper()
	answer := strings.Split(s.Ask("leasemany "+s.slot+" "+most+" "+try), " ")
	whole := answer[0] == "ok" && len(answer) == 1+3*len(messages)
	for i, message := range messages {
		at := 1 + 3*i
		if !whole || answer[at+1] != delivery || answer[at+2] != message {
			t.Fatalf("%s: leases answer %q, want delivery %s of %q", s.name, answer, delivery, messages)
		}
		numbers = append(numbers, answer[at])
	}
	return numbers
}

// Leases are taken and ended together, up to the first that is another's.
func (p *pair) leaseBatches(t *testing.T) {
	p.latched(t, "queue", "raw", "5", "64", "0")
	for _, way := range p.sides() {
		holder, other := way[0], way[1]
		holder.fails(t, "WOULD_BLOCK", "leasemany", holder.slot, "3", try)
		holder.fails(t, "INVALID", "leasemany", holder.slot, "0", try)
		other.want(t, "ok 5", "putmany", other.slot, "01,02,03,-,05", try)
		some := holder.leasedMany(t, "1", "3", "01", "02", "03")
		rest := other.leasedMany(t, "1", "8", "-", "05")
		holder.want(t, "ok 0 5 0 0 0 false", "counts", holder.slot)
		holder.want(t, "ok 2", "nackmany", holder.slot, some[0]+","+some[2])
		again := other.leasedMany(t, "2", "8", "01", "03")
		if again[0] != some[0] || again[1] != some[2] {
			t.Errorf("messages %q come back as %q", some, again)
		}
		holder.want(t, "ok 1 NOT_OWNER", "ackmany", holder.slot, some[1]+","+some[0]+","+some[2])
		holder.want(t, "ok 0 NOT_OWNER", "nackmany", holder.slot, some[2])
		other.want(t, "ok 4", "ackmany", other.slot, strings.Join(append(again, rest...), ","))
		holder.ok(t, "join", holder.slot, try)
		other.want(t, "ok 0 0 0 5 0 false", "counts", other.slot)
	}
	p.over(t, "leasemany", "1", try)
}

// A lease ends by its time, which its holder may change; then the message is another's,
// and comes first.
func (p *pair) leaseTimes(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "queue", "raw", "4", "64", "0", "64", briefly)
		holder, other := p.sides()[way][0], p.sides()[way][1]
		holder.want(t, "ok 2", "putmany", holder.slot, "01,02", try)
		number := holder.leased(t, "01", 1, try)
		holder.ok(t, "extend", holder.slot, number, long)
		holder.leased(t, "02", 1, try)
		other.ok(t, "ack", other.slot, other.leased(t, "02", 2, forever)) // so the first would be over, too
		holder.ok(t, "extend", holder.slot, number, "1000000")
		if again := other.leased(t, "01", 2, forever); again != number {
			t.Errorf("message %s comes back as %s", number, again)
		}
		other.ok(t, "extend", other.slot, number, long) // nobody has looked meanwhile
		for _, end := range [][]string{{"ack", holder.slot, number}, {"nack", holder.slot, number},
			{"extend", holder.slot, number, long}} {
			holder.fails(t, "NOT_OWNER", end...)
		}
		holder.want(t, "ok 0 NOT_OWNER", "ackmany", holder.slot, number)
		holder.fails(t, "WOULD_BLOCK", "lease", holder.slot, try)
		holder.fails(t, "WOULD_BLOCK", "join", holder.slot, try)
		other.fails(t, "INVALID", "extend", other.slot, number, "999999")
		holder.asleep(t, p.watcher, p.object, "join", holder.slot, forever)
		other.ok(t, "ack", other.slot, number)
		holder.result(t, "ok")
		p.over(t, "counts")

		// After the last delivery it is a dead letter, for which nobody waits who joins.
		p.latched(t, "queue", "raw", "4", "64", "1", "64", briefly)
		holder, other = p.sides()[way][0], p.sides()[way][1]
		holder.ok(t, "put", holder.slot, "01", try)
		holder.leased(t, "01", 1, try)
		other.ok(t, "join", other.slot, forever)
		other.numbered(t, "01", 1, "takedead", other.slot)
		p.over(t, "join", try)

		p.latched(t, "queue", "raw", "4", "64", "0")
		holder = p.sides()[way][0]
		holder.ok(t, "put", holder.slot, "01", try)
		holder.fails(t, "UNSUPPORTED", "extend", holder.slot, holder.leased(t, "01", 1, try), long)
		p.over(t, "counts")
	}
}
