package protocol

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// serve runs a daemon inside of the test, for limits that serve has no flag for.
func serve(t *testing.T, c daemon.Config) *daemon.Server {
	t.Helper()
	if c.Socket == "" {
		c.Socket = filepath.Join(t.TempDir(), "shmd.sock")
	}
	s, err := daemon.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

// Who connects and says nothing, or does not come to the end of hello, is told
// and sent away; who has said hello may be silent.
func TestSilentClients(t *testing.T) {
	s := serve(t, daemon.Config{HelloTimeout: 2 * time.Second})
	patient := dial(t, s.Socket()).greet()
	silent := dial(t, s.Socket())
	half := dial(t, s.Socket())
	hello := half.request(wire.MethodHello, 1, 1, make([]byte, 16), "half")
	half.send(hello[:len(hello)/2])
	rude := dial(t, s.Socket())
	rude.refuses(status.Identity, "hello must come first", wire.MethodPing)
	rude.refuses(status.Identity, "hello must come first", wire.MethodCreate, "x", "mutex", m{})
	for _, p := range []*peer{silent, half, rude} {
		p.ends(status.Identity, "hello|did not come within 2s")
	}
	patient.must(wire.MethodPing)
}

// Who stops in the middle of a message keeps his connection, pays for what has come, and
// disturbs nobody; when he goes on he is served.
func TestStopsInsideMessage(t *testing.T) {
	s := serve(t, daemon.Config{HelloTimeout: 2 * time.Second})
	p, witness := dial(t, s.Socket()).greet(), dial(t, s.Socket())
	witness.must(wire.MethodHello, 1, 1, uuid(1), "witness")
	p.must(wire.MethodCreate, "q", "queue", m{"content": "raw", "slot_size": 1 << 10, "message_max": 1 << 20,
		"maxsize": 2})
	long := p.request(wire.MethodPut, 1, make([]byte, 512<<10))
	p.send(long[:len(long)/2])
	paid := func() (n uint64) {
		var r wire.QuotaResult
		if err := wire.Decode(witness.must(wire.MethodQuota), &r); err != nil {
			t.Fatal(err)
		}
		for _, use := range r.Users[0].Uses {
			if use.Resource == "buffer_bytes" {
				n = use.Used
			}
		}
		return n
	}
	harness.Await(t, "the charge for half a message", func() bool { return paid() >= uint64(len(long)/4) })
	// A connection that has not said hello is gone meanwhile, this one is not.
	if r, err := wire.ParseResponse(dial(t, s.Socket()).receive()); err != nil || r.Err == nil {
		t.Errorf("who says nothing: %+v, %v", r, err)
	}
	p.send(long[len(long)/2:])
	if r := p.response(p.id); r.Err != nil {
		t.Errorf("the message: %v", r.Err)
	}
	harness.Await(t, "the end of the charge", func() bool { return paid() == 0 })
}

func TestSeatsFull(t *testing.T) {
	d := harness.StartDaemon(t)
	first, second, third := dial(t, d.Socket).greet(), dial(t, d.Socket).greet(), dial(t, d.Socket).greet()
	h := first.attach(wire.MethodCreate, "pair", "mutex", m{"seats_max": 2})
	second.attach(wire.MethodOpen, "pair")
	third.refuses(status.SeatsFull, `"pair"|all 2 seats|seats_max`, wire.MethodOpen, "pair")
	first.attach(wire.MethodOpen, "pair") // has a seat already
	first.must(wire.MethodClose, h)
	third.refuses(status.SeatsFull, `"pair"`, wire.MethodOpen, "pair") // the second handle keeps it
	first.must(wire.MethodClose, h+1)
	third.attach(wire.MethodOpen, "pair")
}

func TestHandlesFull(t *testing.T) {
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket).greet()
	p.must(wire.MethodCreate, "m", "mutex", m{})
	p.must(wire.MethodCreate, "a", "value", m{"code": "i", "lock": "@m"}) // two handles
	for range wire.HandlesMax - 3 {
		p.attach(wire.MethodOpen, "m")
	}
	p.refuses(status.Quota, "4096 of at most 4096 handles|close some", wire.MethodOpen, "m")
	p.must(wire.MethodClose, 1)
	p.refuses(status.Quota, "4095 of at most 4096 handles", wire.MethodOpen, "a")
	p.refuses(status.Quota, "4095 of at most 4096 handles", wire.MethodCreate, "b", "value",
		m{"code": "i", "lock": "@m"})
	p.refuses(status.NotFound, `"b"`, wire.MethodStat, "b") // and is not made
	p.attach(wire.MethodOpen, "m")
	p.refuses(status.Quota, "4096 of at most 4096", wire.MethodCreate, "b", "mutex", m{})
	dial(t, d.Socket).greet().attach(wire.MethodOpen, "m")
}

// Waiting calls of one connection, then of all.
func TestPendingCalls(t *testing.T) {
	s := serve(t, daemon.Config{WaitingMax: wire.PendingMax + 5})
	holder := dial(t, s.Socket()).greet()
	holder.attach(wire.MethodCreate, "m", "mutex", m{})
	holder.must(wire.MethodLock, 1)

	p := dial(t, s.Socket()).greet()
	h := p.attach(wire.MethodOpen, "m")
	first := p.id + 1
	for i := range wire.PendingMax {
		p.send(p.request(wire.MethodLock, h, -1, i+1))
	}
	p.refuses(status.Busy, "1024 calls of this connection wait already", wire.MethodLock, h, -1, 5000)
	p.must(wire.MethodPing) // what need not wait goes on
	p.refuses(status.WouldBlock, "", wire.MethodLock, h, 0)
	p.id = first - 1
	p.refuses(status.Invalid, fmt.Sprintf("request id %d waits already", first), wire.MethodLock, h, -1, 6000)
	p.id = first + 10000

	other := dial(t, s.Socket()).greet()
	h = other.attach(wire.MethodOpen, "m")
	for i := range 5 {
		other.send(other.request(wire.MethodLock, h, -1, i+1))
	}
	other.refuses(status.Busy, "calls wait in the daemon already|try again", wire.MethodLock, h, -1, 9)

	// A cancelled call makes room.
	p.send(wire.AppendCancel(nil, first))
	if r := p.response(first); r.Err == nil || r.Err.Code != status.Cancelled {
		t.Errorf("the cancelled call answers %v", r.Err)
	}
	p.send(p.request(wire.MethodLock, 1, 1, 7000))
	if r := p.response(p.id); r.Err == nil || r.Err.Code != status.TimedOut {
		t.Errorf("a wait with a timeout answers %v", r.Err)
	}
}

func TestQuotas(t *testing.T) {
	const page = 4096
	s := serve(t, daemon.Config{QuotaObjects: 3, QuotaBytes: 10 * page, QuotaConnections: 2})
	user := fmt.Sprintf("user %d has", os.Getuid())
	p, q := dial(t, s.Socket()).greet(), dial(t, s.Socket()).greet()
	dial(t, s.Socket()).ends(status.Quota, user+"|2 of at most 2 connections|close some")

	p.refuses(status.Quota, `"big"|uses 0 of at most 40960|destroy some`, wire.MethodCreate, "big", "array",
		m{"code": "b", "length": 10 * page})
	p.must(wire.MethodCreate, "a", "array", m{"code": "b", "length": 8 * page})
	q.refuses(status.Quota, `"b"|uses 36864 of at most 40960`, wire.MethodCreate, "b", "array",
		m{"code": "b", "length": page})
	q.must(wire.MethodCreate, "b", "mutex", m{})
	p.must(wire.MethodDestroy, "a")
	p.must(wire.MethodClose, 1)
	q.must(wire.MethodCreate, "c", "mutex", m{})
	q.must(wire.MethodCreate, "d", "mutex", m{})
	q.refuses(status.Quota, user+`|create "e"|3 of at most 3 objects|destroy some`,
		wire.MethodCreate, "e", "mutex", m{})
	q.refuses(status.Exists, `"d"`, wire.MethodCreate, "d", "mutex", m{}) // which is what matters
	q.refuses(status.Quota, "", wire.MethodOpenOrCreate, "e", "mutex", m{})
	q.must(wire.MethodOpenOrCreate, "d", "mutex", m{})

	// What is given back may be used again, as soon as the daemon has seen it.
	q.must(wire.MethodBye)
	p.must(wire.MethodDestroy, "b")
	harness.Await(t, "there is room for an object", func() bool {
		return p.call(wire.MethodOpenOrCreate, "e", "mutex", m{}).Err == nil
	})
	harness.Await(t, "there is room for a connection", func() bool {
		r := dial(t, s.Socket())
		r.send(r.request(wire.MethodHello, 1, 1, make([]byte, 16), ""))
		a, err := wire.ParseResponse(r.receive())
		return err == nil && a.Err == nil
	})
}

func TestBudget(t *testing.T) {
	const page = 4096
	s := serve(t, daemon.Config{BudgetBytes: 4 * page, QuotaBytes: 1 << 62})
	p := dial(t, s.Socket()).greet()
	p.refuses(status.NoSpace, `"a"|budget has 16384 of 16384 left|raise --budget`, wire.MethodCreate, "a", "array",
		m{"code": "d", "length": page})
	p.refuses(status.NoSpace, `"a"|the machine has`, wire.MethodCreate, "a", "array",
		m{"code": "d", "length": uint64(1 << 42)}) // 32 TiB
	p.must(wire.MethodCreate, "a", "array", m{"code": "b", "length": 3 * page})
	p.refuses(status.NoSpace, `"b"|has 0 of 16384 left`, wire.MethodCreate, "b", "mutex", m{})
	p.must(wire.MethodDestroy, "a")
	p.must(wire.MethodClose, 1)
	p.must(wire.MethodCreate, "b", "mutex", m{})
	if got := show(p.must(wire.MethodStatus)); !strings.Contains(got, `"bytes":4096`) {
		t.Errorf("status after all: %s", got)
	}
}
