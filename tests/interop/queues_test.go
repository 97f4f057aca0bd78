package interop

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

func TestQueuesAcross(t *testing.T) {
	forPairs(t, func(t *testing.T, d *harness.Daemon, p *pair) {
		t.Run("msgpack", p.messages)
		t.Run("native", p.native)
		t.Run("raw", p.bytes)
		t.Run("long", func(t *testing.T) { p.long(t, d) })
		t.Run("waiting", p.waiting)
		t.Run("shutdown", p.shutdown)
		t.Run("roles", p.queueRoles)
		t.Run("leases", p.leases)
		t.Run("batches", p.batches)
		t.Run("batches of leases", p.leaseBatches)
		t.Run("lease times", p.leaseTimes)
		t.Run("dead letters", p.deadLetters)
		t.Run("reservations", p.reservations)
		t.Run("killed", func(t *testing.T) { p.leasesOfTheDead(t, d) })
	})
}

// samplesOfMessages are messages in the forms that an encoder may give them, and
// that none of the languages may change.
func samplesOfMessages() []string {
	return []string{
		"c0", "c2", "c3", "00", "7f", "ff", "e0", "cc80", "ccff", "cdffff", "ceffffffff", "cfffffffffffffffff", "d080",
		"d17fff", "d18000", "d27fffffff", "d280000000", "d37fffffffffffffff", "d38000000000000000",
		"cc00", "cf0000000000000001", "d300000000000000ff", // longer than need be
		"ca00000000", "ca80000000", "ca7f800000", "caff800000", "ca7fc00001", "ca00000001",
		"cb0000000000000000", "cb8000000000000000", "cb7ff0000000000000", "cbfff0000000000000",
		"cb7ff8000000000000", "cb7ff4000000000001", "cb0000000000000001", "cb7fefffffffffffff",
		"a0", "a161", "d900", "d90161", "da000161", "db0000000161", "a6c3a4e282ac00", "a4f09f9880", "a3eda080",
		"c400", "c403000aff", "c5000100", "c600000001ff",
		"d4057f", "d50503ff", "d605deadbeef", "d6ffdeadbeef", "d7050102030405060708", "d805" + strings.Repeat("ab", 16),
		"c70005", "c703ff010203", "c8000105ff", "c90000000105ff",
		"90", "93010203", "dc000101", "dd00000001c0", "80", "81a16101", "82a16101a16102", "8101a161", "81c0c0",
		"de0001c0c0", "df00000001c0c0", "91919191919191919191919101", "81a16a92c3cb3ff0000000000000",
		"d9ff" + strings.Repeat("7a", 255), "c504b0" + strings.Repeat("00ff", 600),
		"dc0100" + strings.Repeat("80", 256),
	}
}

// Each message goes each way, taken and leased, as it is.
func (p *pair) messages(t *testing.T) {
	p.latched(t, "queue", "-", "2", "1400", "0")
	for _, message := range samplesOfMessages() {
		for _, way := range p.sides() {
			way[0].ok(t, "put", way[0].slot, message, try)
			way[1].want(t, "ok "+message, "take", way[1].slot, forever)
			way[1].ok(t, "put", way[1].slot, message, forever)
			number := way[0].leased(t, message, 1, try)
			way[0].ok(t, "ack", way[0].slot, number)
		}
	}
	for _, way := range p.sides() {
		way[0].fails(t, "TOO_LARGE", "put", way[0].slot, "c50576"+strings.Repeat("00", 1398), try)
		way[0].fails(t, "BAD_TYPE", "put", way[0].slot, strings.Repeat("91", 13)+"01", try)
	}
	p.over(t, "put", "00", try)
}

// leased takes a lease on a message that must be this, and returns its number.
func (s side) leased(t *testing.T, message string, delivery int, timeout string) string {
	t.Helper()
	return s.numbered(t, message, delivery, "lease", s.slot, timeout)
}

func (s side) numbered(t *testing.T, message string, delivery int, command ...string) string {
	t.Helper()
	answer := strings.Split(s.Ask(strings.Join(command, " ")), " ")
	if len(answer) != 4 || answer[0] != "ok" || answer[2] != strconv.Itoa(delivery) || answer[3] != message {
		t.Fatalf("%s: %q answers %q, want delivery %d of %q", s.name, command, answer, delivery, message)
	}
	return answer[1]
}

// native values, made and read by each language's own msgpack.
func (p *pair) native(t *testing.T) {
	p.latched(t, "queue", "-", "2", "1000", "0")
	for i, v := range []any{
		nil, true, false, 0, 1, -1, 127, -128, 1 << 31, math.MaxInt64, math.MinInt64, uint64(math.MaxUint64),
		0.0, math.Copysign(0, -1), 0.5, -1e300, math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, math.MaxFloat64,
		"", "text", "äö€😀", strings.Repeat("x", 300), []byte{}, []byte{0, 1, 0xff}, bytes.Repeat([]byte{7}, 300),
		[]any{}, []any{1, "two", []any{3.5, nil}},
		map[string]any{}, map[string]any{"k": []any{true, map[string]any{"n": -5}}},
	} {
		encoded, err := wire.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range p.sides() {
			way[0].ok(t, "putvalue", way[0].slot, hex.EncodeToString(encoded), forever)
			way[1].want(t, "ok "+hex.EncodeToString(encoded), "takevalue", way[1].slot, forever)
		}
		if t.Failed() {
			t.Fatalf("sample %d", i)
		}
	}
	nan, err := msgpack.Marshal(math.NaN())
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range p.sides() {
		way[0].ok(t, "putvalue", way[0].slot, hex.EncodeToString(nan), forever)
		answer, err := hex.DecodeString(way[1].number(t, "takevalue", way[1].slot, forever))
		var f float64
		if err == nil {
			err = msgpack.Unmarshal(answer, &f)
		}
		if err != nil || !math.IsNaN(f) {
			t.Errorf("%s puts NaN, %s takes %v (%v)", way[0].name, way[1].name, f, err)
		}
	}
	p.over(t, "take", try)
}

// Raw messages of any size, nothing included.
func (p *pair) bytes(t *testing.T) {
	p.latched(t, "queue", "raw", "3", "1200", "0")
	for _, size := range []int{0, 1, 8, 511, 512, 513, 1200} {
		message := hexText(bytes.Repeat([]byte{0xc1}, size))
		for _, way := range p.sides() {
			way[0].ok(t, "put", way[0].slot, message, try)
			way[0].ok(t, "put", way[0].slot, message, try)
			number := way[1].leased(t, message, 1, try)
			way[1].want(t, "ok "+message, "take", way[1].slot, try)
			way[1].ok(t, "ack", way[1].slot, number)
		}
	}
	for _, way := range p.sides() {
		way[0].fails(t, "TOO_LARGE", "put", way[0].slot, strings.Repeat("00", 1201), try)
	}
	p.over(t, "counts")
}

// Messages longer than a slot go every way that short ones go, and survive whoever
// has them mapped.
func (p *pair) long(t *testing.T, daemon *harness.Daemon) {
	const most = 20000
	text := func(size int) string { return hexText(bytes.Repeat([]byte{0xa5, byte(size)}, size/2+1)[:size]) }
	p.latched(t, "queue", "raw", "2", "64", "0", strconv.Itoa(most))
	for _, size := range []int{64, 65, 4096, 4097, most, 1} {
		for _, way := range p.sides() {
			here, there := way[0], way[1]
			here.ok(t, "put", here.slot, text(size), try)
			here.ok(t, "put", here.slot, text(size-1), forever)
			there.want(t, "ok "+text(size), "take", there.slot, try)
			number := there.leased(t, text(size-1), 1, try)
			there.ok(t, "nack", there.slot, number)
			there.ok(t, "ack", there.slot, there.leased(t, text(size-1), 2, try))
			if here.maps {
				here.ok(t, "reserve", here.slot, strconv.Itoa(size), forever)
				here.ok(t, "commit", here.slot, text(size))
				there.want(t, "ok "+text(size), "take", there.slot, forever)
			}
		}
	}
	for _, way := range p.sides() {
		way[0].fails(t, "TOO_LARGE", "put", way[0].slot, text(most+1), try)
	}
	victim := side{start(t, p.creator.language, daemon.Socket), "v"}
	victim.want(t, "ok - 0", "open", "v", "queue", p.object, "rw")
	p.opener.ok(t, "put", "y", text(5000), try)
	victim.leased(t, text(5000), 1, try)
	if victim.maps {
		victim.ok(t, "reserve", "v", strconv.Itoa(most), forever)
	}
	victim.Kill()
	p.opener.want(t, "ok "+text(5000), "take", "y", forever)
	p.creator.ok(t, "put", "x", text(most), forever)
	p.creator.ok(t, "put", "x", text(most), forever)
	p.opener.want(t, "ok "+text(most), "take", "y", try)
	p.over(t, "take", try)
}

// Whoever waits at an empty or a full queue is woken by the other.
func (p *pair) waiting(t *testing.T) {
	p.latched(t, "queue", "-", "1", "64", "0")
	for range 5 {
		for _, way := range p.sides() {
			waiter, other := way[0], way[1]
			waiter.fails(t, "WOULD_BLOCK", "take", waiter.slot, try)
			waiter.fails(t, "TIMED_OUT", "lease", waiter.slot, shortly)
			waiter.asleep(t, p.watcher, p.object, "take", waiter.slot, forever)
			other.ok(t, "put", other.slot, "a161", try)
			waiter.result(t, "ok a161")
			other.ok(t, "put", other.slot, "a162", try)
			waiter.fails(t, "WOULD_BLOCK", "put", waiter.slot, "a163", try)
			waiter.fails(t, "TIMED_OUT", "put", waiter.slot, "a163", shortly)
			waiter.asleep(t, p.watcher, p.object, "put", waiter.slot, "a163", forever)
			other.want(t, "ok a162", "take", other.slot, try)
			waiter.result(t, "ok")
			number := other.leased(t, "a163", 1, try)
			waiter.asleep(t, p.watcher, p.object, "take", waiter.slot, forever)
			other.ok(t, "nack", other.slot, number)
			waiter.result(t, "ok a163")
		}
	}
	for _, way := range []int{0, 1} {
		d, sleeper := p.sides()[way][0], p.sides()[way][1]
		sleeper.asleep(t, p.watcher, p.object, "take", sleeper.slot, forever)
		d.ok(t, "destroy", p.object)
		sleeper.result(t, "error REMOVED")
		d.fails(t, "REMOVED", "put", d.slot, "00", try)
		p.close(t)
		p.latched(t, "queue", "-", "1", "64", "0")
	}
	p.over(t, "lease", forever)
}

// A shutdown wakes who waits; what is there is still taken.
func (p *pair) shutdown(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "queue", "-", "1", "64", "0")
		d, other := p.sides()[way][0], p.sides()[way][1]
		d.ok(t, "put", d.slot, "01", try)
		other.asleep(t, p.watcher, p.object, "put", other.slot, "02", forever)
		d.ok(t, "shutdown", d.slot)
		other.result(t, "error ENDED")
		other.ok(t, "shutdown", other.slot)
		other.fails(t, "ENDED", "put", other.slot, "02", try)
		other.want(t, "ok 1 0 0 0 0 true", "counts", other.slot)
		number := other.leased(t, "01", 1, forever)
		d.fails(t, "ENDED", "take", d.slot, forever)
		other.ok(t, "nack", other.slot, number)
		d.want(t, "ok 01", "take", d.slot, forever)
		other.fails(t, "ENDED", "lease", other.slot, try)
		p.over(t, "shutdown")

		p.latched(t, "queue", "-", "1", "64", "0")
		d, other = p.sides()[way][0], p.sides()[way][1]
		other.asleep(t, p.watcher, p.object, "lease", other.slot, forever)
		d.ok(t, "shutdown", d.slot)
		other.result(t, "error ENDED")
		p.over(t, "redeliver")
	}
}

// The last of a role ends the queue, whoever waits there.
func (p *pair) queueRoles(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "queue", "raw", "1", "64", "0")
		from, to := p.sides()[way][0], p.sides()[way][1]
		from.want(t, "ok producer", "claim", from.slot, "producer")
		to.want(t, "ok producer", "claim", to.slot, "producer")
		to.want(t, "ok consumer", "claim", to.slot, "consumer")
		from.fails(t, "NOT_OWNER", "retire", from.slot, "consumer")
		from.ok(t, "put", from.slot, "01", try)
		from.ok(t, "retire", from.slot, "producer")
		to.want(t, "ok 1 0 0 0 0 false", "counts", to.slot)
		from.asleep(t, p.watcher, p.object, "put", from.slot, "02", forever)
		to.ok(t, "retire", to.slot, "producer")
		from.result(t, "error ENDED")
		to.want(t, "ok 01", "take", to.slot, forever)
		to.fails(t, "ENDED", "take", to.slot, forever)
		p.over(t, "counts")
	}
}

// A lease is its holder's; given back or left by a close, the message comes first.
func (p *pair) leases(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "queue", "-", "4", "64", "0")
		holder, other := p.sides()[way][0], p.sides()[way][1]
		for _, message := range []string{"01", "02", "03", "04"} {
			other.ok(t, "put", other.slot, message, try)
		}
		one, two := holder.leased(t, "01", 1, try), holder.leased(t, "02", 1, try)
		three := other.leased(t, "03", 1, try)
		holder.want(t, "ok 1 3 0 0 0 false", "counts", holder.slot)
		other.want(t, "ok 1 3 0 0 0 false", "counts", other.slot)
		holder.ok(t, "nack", holder.slot, two)
		holder.fails(t, "NOT_OWNER", "nack", holder.slot, two)
		holder.fails(t, "NOT_OWNER", "ack", holder.slot, two)
		other.ok(t, "ack", other.slot, three)
		other.ok(t, "ack", other.slot, three)
		again := other.leased(t, "02", 2, try)
		if again != two {
			t.Errorf("message %s comes back as %s", two, again)
		}
		holder.fails(t, "NOT_OWNER", "ack", holder.slot, two) // it is the other's now
		other.ok(t, "nack", other.slot, again)
		if last := holder.leased(t, "02", 3, try); last != two {
			t.Errorf("message %s comes back as %s", two, last)
		}
		holder.ok(t, "close", holder.slot) // with 1 and 2
		if first := other.leased(t, "01", 2, forever); first != one {
			t.Errorf("message %s comes back as %s", one, first)
		}
		other.want(t, "ok 02", "take", other.slot, try)
		other.want(t, "ok 04", "take", other.slot, try)
		other.ok(t, "destroy", p.object)
		other.ok(t, "close", other.slot)
	}
}

// What is delivered too often is a dead letter, to be seen by all.
func (p *pair) deadLetters(t *testing.T) {
	for _, way := range []int{0, 1} {
		p.latched(t, "queue", "-", "3", "64", "2")
		holder, other := p.sides()[way][0], p.sides()[way][1]
		holder.fails(t, "WOULD_BLOCK", "takedead", holder.slot)
		holder.ok(t, "put", holder.slot, "01", try)
		holder.ok(t, "put", holder.slot, "02", try)
		holder.ok(t, "nack", holder.slot, holder.leased(t, "01", 1, try))
		other.ok(t, "nack", other.slot, other.leased(t, "01", 2, try))
		other.want(t, "ok 1 0 0 1 1 false", "counts", other.slot)
		number := holder.numbered(t, "01", 2, "takedead", holder.slot)
		other.fails(t, "WOULD_BLOCK", "takedead", other.slot)
		holder.ok(t, "nack", holder.slot, number)
		other.want(t, "ok 1", "redeliver", other.slot)
		if again := holder.leased(t, "01", 1, try); again != number {
			t.Errorf("message %s comes back as %s", number, again)
		}
		holder.ok(t, "ack", holder.slot, number)
		other.want(t, "ok 02", "take", other.slot, try)
		p.over(t, "takedead")
	}
}

// Many go in one call, as many as there is room for, and come as many as there are; who
// joins waits for the last of them.
func (p *pair) batches(t *testing.T) {
	p.latched(t, "queue", "raw", "4", "64", "0")
	for _, way := range p.sides() {
		from, to := way[0], way[1]
		from.fails(t, "WOULD_BLOCK", "takemany", from.slot, "4", try)
		if !from.fills {
			from.fails(t, "INVALID", "putmany", from.slot, "01,02,03,04,05", try)
		}
		from.want(t, "ok 3", "putmany", from.slot, "01,-,0303", forever)
		from.want(t, "ok 1", "putmany", from.slot, "04,05", try)
		from.fails(t, "WOULD_BLOCK", "putmany", from.slot, "05", try)
		from.fails(t, "WOULD_BLOCK", "join", from.slot, try)
		to.want(t, "ok 01,-", "takemany", to.slot, "2", forever)
		to.want(t, "ok 0303,04", "takemany", to.slot, "4", try)
		from.ok(t, "join", from.slot, forever)
	}
	p.over(t, "join", try)
}

// Messages made in place, by those who map, come in the order of their commits.
func (p *pair) reservations(t *testing.T) {
	for _, way := range []int{0, 1} {
		maker, other := p.sides()[way][0], p.sides()[way][1]
		if !maker.maps {
			continue
		}
		p.latched(t, "queue", "-", "2", "64", "0")
		maker.ok(t, "reserve", maker.slot, "64", try)
		other.ok(t, "put", other.slot, "01", try)
		other.fails(t, "WOULD_BLOCK", "put", other.slot, "03", try)
		other.want(t, "ok 1 0 1 0 0 false", "counts", other.slot)
		maker.ok(t, "commit", maker.slot, "a4726f6f6d")
		maker.ok(t, "commit", maker.slot, "a4726f6f6d")
		maker.fails(t, "NOT_OWNER", "abort", maker.slot)
		other.want(t, "ok 01", "take", other.slot, try)
		other.want(t, "ok a4726f6f6d", "take", other.slot, try)
		maker.ok(t, "reserve", maker.slot, "64", try)
		maker.fails(t, "BAD_TYPE", "commit", maker.slot, "c1")
		maker.ok(t, "abort", maker.slot)
		maker.fails(t, "NOT_OWNER", "commit", maker.slot, "01")
		other.want(t, "ok 0 0 0 2 0 false", "counts", other.slot)
		other.fails(t, "WOULD_BLOCK", "take", other.slot, try)
		p.over(t, "counts")
	}
}

// What a consumer that is killed had leased comes back first, in the old order, and
// what a producer had reserved is free.
func (p *pair) leasesOfTheDead(t *testing.T, daemon *harness.Daemon) {
	p.latched(t, "queue", "-", "4", "64", "0")
	victim := side{start(t, p.creator.language, daemon.Socket), "v"}
	victim.want(t, "ok - 0", "open", "v", "queue", p.object, "rw")
	p.creator.ok(t, "put", "x", "01", try)
	p.opener.ok(t, "put", "y", "02", try)
	victim.leased(t, "01", 1, try)
	victim.leased(t, "02", 1, try)
	if victim.maps {
		victim.ok(t, "reserve", "v", "64", try)
	}
	opener := side{p.opener, "y"}
	opener.asleep(t, p.watcher, p.object, "take", "y", forever)
	victim.Kill()
	opener.result(t, "ok 01")
	p.creator.ok(t, "put", "x", "03", try)
	opener.ok(t, "ack", "y", opener.leased(t, "02", 2, try))
	opener.want(t, "ok 03", "take", "y", try)
	p.creator.want(t, "ok 0 0 0 4 0 false", "counts", "x")
	p.over(t, "take", try)
}
