package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// decoded is must with the result read into T.
func decoded[T any](p *peer, method string, params ...any) (result T) {
	p.t.Helper()
	if err := wire.Decode(p.must(method, params...), &result); err != nil {
		p.t.Fatal(err)
	}
	return result
}

// queue opens or creates one.
func (p *peer) queue(name string, options m) uint64 {
	p.t.Helper()
	return p.attach(wire.MethodOpenOrCreate, name, "queue", options)
}

// later sends a request and returns its id.
func (p *peer) later(method string, params ...any) uint32 {
	p.t.Helper()
	p.send(p.request(method, params...))
	return p.id
}

// awaits makes calls that must wait, and returns their ids once the daemon has
// set them aside.
func (p *peer) awaits(witness *shmd.Client, object string, calls ...list) []uint32 {
	p.t.Helper()
	var before, now wire.Stat
	if err := witness.Call(p.t.Context(), wire.MethodStat, &before, object); err != nil {
		p.t.Fatal(err)
	}
	var ids []uint32
	for _, call := range calls {
		ids = append(ids, p.later(call[0].(string), call[1:]...))
	}
	harness.Await(p.t, fmt.Sprintf("there are waiters in %s", object), func() bool {
		if err := witness.Call(p.t.Context(), wire.MethodStat, &now, object); err != nil {
			p.t.Fatal(err)
		}
		return now.Waiters >= before.Waiters+uint64(len(calls))
	})
	return ids
}

// answers receives the answers to these requests, in any order.
func (p *peer) answers(ids []uint32) map[uint32]wire.Response {
	p.t.Helper()
	all := make(map[uint32]wire.Response)
	for range ids {
		r, err := wire.ParseResponse(p.receive())
		if err != nil {
			p.t.Fatal(err)
		}
		all[r.ID] = r
	}
	for _, id := range ids {
		if _, ok := all[id]; !ok {
			p.t.Fatalf("no answer to %d", id)
		}
	}
	return all
}

// A message may have any size from 0 bytes to message_max, up to what an answer
// carries; what none carries stays for those who map the queue.
func TestMessageSizes(t *testing.T) {
	d := harness.StartDaemon(t)
	p, mapped := dial(t, d.Socket).greet(), d.Dial(t)
	h := p.queue("q", m{"content": "raw", "maxsize": 2, "slot_size": 1 << 20})
	for _, size := range []int{0, 1, 255, 256, 512, 513, 65535, 65536, 1<<20 - 200} {
		message := bytes.Repeat([]byte{0xc1}, size)
		p.must(wire.MethodPut, h, message)
		if got := decoded[[]byte](p, wire.MethodTake, h); !bytes.Equal(got, message) {
			t.Errorf("%d bytes came back as %d", size, len(got))
		}
		p.must(wire.MethodPut, h, message)
		l := decoded[wire.Lease](p, wire.MethodLease, h)
		var got []byte
		if err := wire.Decode(l.Message, &got); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes were leased as %d, %v", size, len(got), err)
		}
		p.must(wire.MethodAck, h, l.Lease)
	}
	q, err := shmd.OpenQueue(t.Context(), mapped, "q")
	if err != nil {
		t.Fatal(err)
	}
	if err := q.TryPut(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	p.refuses(status.TooLarge, `"q"|1048576 bytes|map the queue`, wire.MethodTake, h)
	p.refuses(status.TooLarge, `"q"|1048576 bytes|map the queue`, wire.MethodLease, h)
	if message, err := q.TryTake(); len(message) != 1<<20 || err != nil {
		t.Errorf("the long message is there with %d bytes, %v", len(message), err)
	}
	// The same for those who wait.
	ids := p.awaits(mapped, "q", list{wire.MethodTake, h})
	if err := q.TryPut(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	r := p.response(ids[0])
	wantError(t, "take", nil, r.Err, status.TooLarge, "1048576 bytes")
	if message, err := q.TryTake(); len(message) != 1<<20 || err != nil {
		t.Errorf("the long message is there with %d bytes, %v", len(message), err)
	}
}

// What a client that maps a msgpack queue scribbles there is told as corrupt, once,
// and dropped; the next message comes whole.
func TestScribbledMessages(t *testing.T) {
	d := harness.StartDaemon(t)
	p, mapped := dial(t, d.Socket).greet(), d.Dial(t)
	h := p.queue("q", m{"maxsize": 4})
	q, err := shmd.OpenQueue(t.Context(), mapped, "q")
	if err != nil {
		t.Fatal(err)
	}
	for _, scribble := range [][]byte{
		{0xc1, 0, 0, 0}, {0xa7, 'x', 'x', 'x'}, {1, 2, 3, 4}, {0xdd, 0xff, 0xff, 0xff}, {0x94, 1, 2, 3},
		bytes.Repeat([]byte{0x91}, 40), {0xc6, 0xff, 0xff, 0xff},
	} {
		for _, method := range []string{wire.MethodTake, wire.MethodLease} {
			r, err := q.Reserve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			good := append([]byte{0xc4, byte(len(scribble) - 2)}, make([]byte, len(scribble)-2)...)
			copy(r.Buffer(), good)
			if err := r.Commit(len(good)); err != nil {
				t.Fatal(err)
			}
			copy(r.Buffer(), scribble)
			p.must(wire.MethodPut, h, "whole")
			p.refuses(status.Corrupt, fmt.Sprintf(`"q"|%d bytes|dropped`, len(scribble)), method, h)
			if got := decoded[string](p, wire.MethodTake, h); got != "whole" {
				t.Errorf("after % x comes %q", scribble, got)
			}
		}
	}
	if n := decoded[wire.Counts](p, wire.MethodCounts, h); n.Free != 4 {
		t.Errorf("counts %+v", n)
	}
	p.must(wire.MethodHoldings)
}

// A lease is ended by its holder, once or again, and by nobody else.
func TestLeaseNames(t *testing.T) {
	d := harness.StartDaemon(t)
	p, other := dial(t, d.Socket).greet(), dial(t, d.Socket)
	other.must(wire.MethodHello, 1, 1, []byte("the other client"), "")
	options := m{"maxsize": 1, "content": "raw"}
	h, g := p.queue("q", options), other.queue("q", options)
	p.must(wire.MethodPut, h, []byte("a"))
	l := decoded[wire.Lease](p, wire.MethodLease, h).Lease
	other.refuses(status.NotOwner, `"q"|not leased by this client`, wire.MethodAck, g, l)
	other.refuses(status.NotOwner, `"q"|not leased by this client`, wire.MethodNack, g, l)
	p.refuses(status.NotOwner, "", wire.MethodAck, h, wire.LeaseID{Slot: l.Slot, Seq: l.Seq + 1})
	p.refuses(status.NotOwner, "", wire.MethodAck, h, wire.LeaseID{Slot: l.Slot + 1, Seq: l.Seq})
	p.must(wire.MethodAck, h, l)
	p.must(wire.MethodAck, h, l)
	other.refuses(status.NotOwner, "", wire.MethodAck, g, l)
	p.refuses(status.NotOwner, "", wire.MethodNack, h, l)
	other.must(wire.MethodPut, g, []byte("b")) // in the same slot
	p.refuses(status.NotOwner, "", wire.MethodAck, h, l)
	again := decoded[wire.Lease](p, wire.MethodLease, h).Lease
	if again.Slot != l.Slot || again.Seq == l.Seq {
		t.Errorf("the lease %+v follows %+v", again, l)
	}
	p.must(wire.MethodNack, h, again)
	p.refuses(status.NotOwner, "", wire.MethodAck, h, again)
	p.refuses(status.NotOwner, "", wire.MethodNack, h, again)
	// A second handle of the same client is the same client.
	second := p.attach(wire.MethodOpen, "q")
	taken := decoded[wire.Lease](p, wire.MethodLease, second)
	if want := (wire.LeaseID{Slot: again.Slot, Seq: again.Seq,
		Delivery: 2}); taken.Lease != want || taken.Deliveries != 2 {
		t.Errorf("delivered again: %+v", taken)
	}
	p.refuses(status.NotOwner, "", wire.MethodAck, h, again) // of the delivery before
	p.must(wire.MethodClose, second)
	p.must(wire.MethodAck, h, taken.Lease)
	// The last handle gives back what was leased.
	p.must(wire.MethodPut, h, []byte("c"))
	p.must(wire.MethodLease, h)
	p.must(wire.MethodClose, h)
	if got := decoded[wire.Lease](other, wire.MethodLease, g); got.Deliveries != 2 {
		t.Errorf("after the close: %+v", got)
	}
}

// Shutdown ends those who wait, and drains.
func TestShutdownEnds(t *testing.T) {
	d := harness.StartDaemon(t)
	p, waiter, witness := dial(t, d.Socket).greet(), dial(t, d.Socket), d.Dial(t)
	waiter.must(wire.MethodHello, 1, 1, []byte("the other client"), "")
	options := m{"maxsize": 2}
	h, g := p.queue("full", options), waiter.queue("full", options)
	p.must(wire.MethodPut, h, "first")
	p.must(wire.MethodPut, h, "second")
	l := decoded[wire.Lease](p, wire.MethodLease, h)
	puts := waiter.awaits(witness, "full", list{"put", g, 3}, list{"put", g, 4, int64(1) << 60})
	p.must(wire.MethodShutdown, h)
	p.must(wire.MethodShutdown, h)
	for _, r := range waiter.answers(puts) {
		wantError(t, "put", nil, r.Err, status.Ended, `"full"`)
	}
	waiter.refuses(status.Ended, `put "full"`, wire.MethodPut, g, 5, 0)
	if got := decoded[string](waiter, wire.MethodTake, g); got != "second" {
		t.Errorf("drained %q", got)
	}
	waiter.refuses(status.Ended, `take "full"`, wire.MethodTake, g)
	waiter.refuses(status.Ended, `lease "full"`, wire.MethodLease, g)
	p.must(wire.MethodNack, h, l.Lease) // what is leased may still come back
	if got := decoded[string](waiter, wire.MethodTake, g); got != "first" {
		t.Errorf("drained %q", got)
	}

	h, g = p.queue("empty", options), waiter.queue("empty", options)
	takes := waiter.awaits(witness, "empty", list{"take", g}, list{"lease", g}, list{"take", g, int64(1) << 60})
	p.must(wire.MethodShutdown, h)
	for _, r := range waiter.answers(takes) {
		wantError(t, "take", nil, r.Err, status.Ended, `"empty"`)
	}
}

// Destroying an object ends those who wait, and whoever comes later.
func TestDestroyEnds(t *testing.T) {
	d := harness.StartDaemon(t)
	p, witness := dial(t, d.Socket).greet(), d.Dial(t)
	q := p.queue("q", m{"maxsize": 1})
	full := p.queue("full", m{"maxsize": 1})
	p.must(wire.MethodPut, full, 1)
	plain := p.attach(wire.MethodCreate, "plain", "semaphore", m{"initial": 0})
	undo := p.attach(wire.MethodCreate, "undo", "semaphore", m{"initial": 1, "undo": true})
	for _, test := range []struct {
		object string
		calls  []list
	}{
		{"q", []list{{"take", q}, {"lease", q}, {"take", q, int64(1) << 60}}},
		{"full", []list{{"put", full, 2}}},
		{"plain", []list{{"acquire", plain}, {"acquire", plain, 1, int64(1) << 60}}},
		{"undo", []list{{"acquire", undo, 2}, {"acquire", undo, 3}}},
	} {
		ids := p.awaits(witness, test.object, test.calls...)
		if err := witness.Destroy(t.Context(), test.object); err != nil {
			t.Fatal(err)
		}
		for _, r := range p.answers(ids) {
			wantError(t, test.object, nil, r.Err, status.Removed, `"`+test.object+`"`)
		}
		for _, call := range test.calls {
			p.refuses(status.Removed, `"`+test.object+`"`, call[0].(string), call[1:]...)
		}
	}
	p.refuses(status.Removed, `"q"`, wire.MethodCounts, q)
	p.refuses(status.Removed, `"q"`, wire.MethodShutdown, q)
	p.refuses(status.Removed, `"undo"`, wire.MethodPermits, undo)
	p.refuses(status.Removed, `"undo"`, wire.MethodRelease, undo)
}

// As many takes as locks may wait, however long the messages are; a
// cancelled one has not taken anything, nor has one of a client that goes.
func TestPendingTakes(t *testing.T) {
	s := serve(t, daemon.Config{WaitingMax: wire.PendingMax + 5})
	p, other := dial(t, s.Socket()).greet(), dial(t, s.Socket())
	other.must(wire.MethodHello, 1, 1, []byte("the other client"), "")
	options := m{"maxsize": 2, "slot_size": 1 << 20}
	h, g := p.queue("q", options), other.queue("q", options)
	first := p.id + 1
	for range wire.PendingMax {
		p.later(wire.MethodTake, h)
	}
	p.refuses(status.Busy, "1024 calls of this connection wait already", wire.MethodTake, h)
	p.refuses(status.WouldBlock, "", wire.MethodTake, h, 0)
	var leases []uint32
	for range 5 {
		leases = append(leases, other.later(wire.MethodLease, g))
	}
	other.refuses(status.Busy, "calls wait in the daemon already|try again", wire.MethodLease, g)

	p.send(wire.AppendCancel(nil, first))
	wantError(t, "take", nil, p.response(first).Err, status.Cancelled, "")
	p.conn.Close()
	putter := dial(t, s.Socket())
	putter.must(wire.MethodHello, 1, 1, []byte("who puts it all."), "")
	harness.Await(t, "the calls have ended", func() bool {
		return decoded[wire.Status](putter, wire.MethodStatus).Waiting == uint64(len(leases))
	})
	q := putter.queue("q", options)
	putter.must(wire.MethodPut, q, "for who is left")
	r, err := wire.ParseResponse(other.receive())
	var l wire.Lease
	if err == nil && r.Err == nil {
		err = wire.Decode(r.Result, &l)
	}
	if err != nil || r.Err != nil || !slices.Contains(leases, r.ID) || l.Deliveries != 1 {
		t.Errorf("lease %+v, %v, %v", l, r.Err, err)
	}
}

// Whoever takes and never reads the answers holds nobody up, and gets every
// message once, in order, when it reads at last.
func TestTakerThatDoesNotRead(t *testing.T) {
	const mine, theirs, size = 100, 200, 40000
	d := harness.StartDaemon(t)
	lazy, taker := dial(t, d.Socket).greet(), dial(t, d.Socket)
	taker.must(wire.MethodHello, 1, 1, []byte("the second taker"), "")
	options := m{"content": "raw", "maxsize": 4, "slot_size": size}
	l, h := lazy.queue("q", options), taker.queue("q", options)
	q, err := shmd.OpenQueue(t.Context(), d.Dial(t), "q")
	if err != nil {
		t.Fatal(err)
	}
	ids := lazy.awaits(d.Dial(t), "q", slices.Repeat([]list{{wire.MethodTake, l}}, mine)...)
	done := make(chan error, 1)
	go func() {
		message := make([]byte, size)
		for i := range uint32(mine + theirs) {
			binary.BigEndian.PutUint32(message, i)
			if err := q.Put(t.Context(), message); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	seen := make([]int, mine+theirs)
	account := func(raw []byte, after int) int {
		var message []byte
		if err := wire.Decode(raw, &message); err != nil || len(message) != size {
			t.Fatalf("a message of %d bytes, %v", len(message), err)
		}
		number := int(binary.BigEndian.Uint32(message))
		seen[number]++
		if number <= after {
			t.Errorf("message %d comes after %d", number, after)
		}
		return number
	}
	last := -1
	for range theirs {
		last = account(taker.must(wire.MethodTake, h), last)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, r := range lazy.answers(ids) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		account(r.Result, -1)
	}
	for number, times := range seen {
		if times != 1 {
			t.Errorf("message %d was taken %d times", number, times)
		}
	}
}
