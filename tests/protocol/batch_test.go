package protocol

import (
	"bytes"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// An answer takes what it carries, and the rest stays in its order; what none carries
// stays for those who map the queue.
func TestBatchesFitAnAnswer(t *testing.T) {
	d := harness.StartDaemon(t)
	p, mapped := dial(t, d.Socket).greet(), d.Dial(t)
	h := p.queue("q", m{"content": "raw", "maxsize": 8, "slot_size": 1 << 20})
	const size = 300000 // three of which one answer carries
	for i := range 5 {
		p.must(wire.MethodPut, h, bytes.Repeat([]byte{byte(i)}, size))
	}
	first := decoded[[]wire.Lease](p, wire.MethodLeaseMany, h, 9)
	if len(first) != 3 {
		t.Fatalf("leased %d messages of %d bytes", len(first), size)
	}
	for i, l := range first {
		var message []byte
		if err := wire.Decode(l.Message, &message); err != nil || len(message) != size || message[0] != byte(i) {
			t.Errorf("message %d has %d bytes, %v", i, len(message), err)
		}
	}
	names := list{first[0].Lease, first[1].Lease, first[2].Lease}
	if n := decoded[int](p, wire.MethodNackMany, h, names); n != 3 {
		t.Errorf("gave back %d of 3", n)
	}
	for next := 0; next < 5; {
		for _, message := range decoded[[][]byte](p, wire.MethodTakeMany, h, 9) {
			if len(message) != size || message[0] != byte(next) {
				t.Fatalf("message %d has %d bytes", next, len(message))
			}
			next++
		}
	}
	q, err := shmd.OpenQueue(t.Context(), mapped, "q")
	if err != nil {
		t.Fatal(err)
	}
	if err := q.TryPut(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	p.refuses(status.TooLarge, `"q"|1048576 bytes|map the queue`, wire.MethodTakeMany, h, 2)
	p.refuses(status.TooLarge, `"q"|1048576 bytes|map the queue`, wire.MethodLeaseMany, h, 2)
	if message, err := q.TryTake(); len(message) != 1<<20 || err != nil {
		t.Errorf("the long message is there with %d bytes, %v", len(message), err)
	}
}

// What a client puts in memory and is no msgpack value is dropped; the others of its batch
// are not.
func TestScribbledBatches(t *testing.T) {
	d := harness.StartDaemon(t)
	p, mapped := dial(t, d.Socket).greet(), d.Dial(t)
	h := p.queue("q", m{})
	q, err := shmd.OpenQueue(t.Context(), mapped, "q")
	if err != nil {
		t.Fatal(err)
	}
	scribbled := func(text string) {
		t.Helper()
		r, err := q.TryReserve()
		if err != nil {
			t.Fatal(err)
		}
		r.Buffer()[0] = 1
		if err := r.Commit(1); err != nil {
			t.Fatal(err)
		}
		copy(r.Buffer(), text) // behind the check
	}
	for _, method := range []string{wire.MethodTakeMany, wire.MethodLeaseMany} {
		scribbled("\xc1")
		p.refuses(status.Corrupt, `"q"|no msgpack value`, method, h, 9)
		p.must(wire.MethodPut, h, "good")
		scribbled("\xc1")
		p.must(wire.MethodPut, h, "better")
		if method == wire.MethodTakeMany {
			if got := decoded[[]string](p, method, h, 9); len(got) != 2 || got[0] != "good" || got[1] != "better" {
				t.Errorf("took %q", got)
			}
			continue
		}
		leases := decoded[[]wire.Lease](p, method, h, 9)
		if len(leases) != 2 {
			t.Fatalf("leased %d", len(leases))
		}
		p.must(wire.MethodAckMany, h, list{leases[0].Lease, leases[1].Lease})
	}
	if c := decoded[wire.Counts](p, wire.MethodCounts, h); c.Ready+c.Leased != 0 {
		t.Errorf("left: %+v", c)
	}
}

// Batches wait for the first message or slot only; a lease that ends wakes who waits, and
// is no lease any more; a join ends with the last message, or with the queue.
func TestBatchesWait(t *testing.T) {
	d := harness.StartDaemon(t)
	p, other := dial(t, d.Socket).greet(), dial(t, d.Socket)
	other.must(wire.MethodHello, 1, 1, []byte("the other client"), "")
	options := m{"maxsize": 2, "lease_ns": 2000000}
	h, g := p.queue("q", options), other.queue("q", options)
	take := other.later(wire.MethodTakeMany, g, 9)
	if n := decoded[int](p, wire.MethodPutMany, h, list{"a", "b"}); n != 2 {
		t.Errorf("put %d of 2", n)
	}
	taken := 0
	for r := other.response(take); ; r = other.response(other.later(wire.MethodTakeMany, g, 9)) {
		var got []string
		if err := wire.Decode(r.Result, &got); r.Err != nil || err != nil {
			t.Fatal(r.Err, err)
		}
		if taken += len(got); taken == 2 {
			break
		}
	}
	p.must(wire.MethodPut, h, "leased")
	l := decoded[wire.Lease](p, wire.MethodLease, h)
	again := other.response(other.later(wire.MethodLease, g)) // it waits for the end of the lease
	var second wire.Lease
	if err := wire.Decode(again.Result, &second); again.Err != nil || err != nil || second.Deliveries != 2 {
		t.Fatalf("%v, %v, delivery %d", again.Err, err, second.Deliveries)
	}
	p.refuses(status.NotOwner, `"q"`, wire.MethodAck, h, l.Lease)
	p.refuses(status.NotOwner, `"q"`, wire.MethodExtend, h, l.Lease, 1000000)
	other.must(wire.MethodExtend, g, second.Lease, uint64(1)<<62)
	joins := []uint32{p.later(wire.MethodJoin, h), p.later(wire.MethodJoin, h)}
	other.must(wire.MethodShutdown, g)
	if n := decoded[int](other, wire.MethodAckMany, g, list{second.Lease}); n != 1 {
		t.Errorf("acknowledged %d", n)
	}
	for id, r := range p.answers(joins) {
		if r.Err != nil {
			t.Errorf("join %d: %v", id, r.Err)
		}
	}
	gone := p.queue("gone", options)
	p.must(wire.MethodPut, gone, 1)
	join := p.later(wire.MethodJoin, gone)
	cancelled := p.later(wire.MethodJoin, gone)
	p.send(wire.AppendCancel(nil, cancelled))
	wantError(t, "a join", nil, p.response(cancelled).Err, status.Cancelled, "")
	other.must(wire.MethodDestroy, "gone")
	wantError(t, "a join", nil, p.response(join).Err, status.Removed, `"gone"`)
}
