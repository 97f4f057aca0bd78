package protocol

import (
	"bytes"
	"context"
	"strings"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// Handles of the session that the tables use, in the order of opening.
const (
	gStream   = 1 + iota // both roles are this client's
	gOther               // a stream of which it has no role
	gRead                // of gOther, to read
	gPipe                // both ends
	gBytes               // end a, of a pipe of bytes
	gGone                // a pipe
	gMutex               // no ring
	gAnything            // no handle
)

func ringers(t *testing.T, socket string) *peer {
	p := dial(t, socket).greet()
	for want, params := range []list{
		gStream: {wire.MethodCreate, "t/stream", "stream", m{"capacity": 4096, "message_max": 100}},
		gOther:  {wire.MethodCreate, "t/other", "stream", m{}},
		gRead:   {wire.MethodOpen, "t/other", m{"access": "r"}},
		gPipe:   {wire.MethodCreate, "t/pipe", "pipe", m{"capacity": 4096, "message_max": 5000}},
		gBytes:  {wire.MethodCreate, "t/bytes", "pipe", m{"capacity": 4096, "bytes": true}},
		gGone:   {wire.MethodCreate, "t/gone", "pipe", m{}},
		gMutex:  {wire.MethodCreate, "t/mutex", "mutex", m{}},
	} {
		if params == nil {
			continue
		}
		if got := p.attach(params[0].(string), params[1:]...); got != uint64(want) {
			t.Fatalf("%v has handle %d, want %d", params, got, want)
		}
	}
	for handle, roles := range map[int][]string{gStream: {"producer", "consumer"}, gPipe: {"a", "b"}, gBytes: {"a"}} {
		for _, role := range roles {
			p.must(wire.MethodClaim, handle, role)
		}
	}
	p.must(wire.MethodDestroy, "t/gone")
	return p
}

var (
	badBin   = []byte("x")
	fiveK    = bytes.Repeat([]byte("x"), 5001)
	badRings = []badRequest{
		{"claim", list{gStream, "a"}, status.Invalid,
			`"t/stream"|role is "a"; of a stream it must be producer or consumer`},
		{"claim", list{gStream, strings.Repeat("x", 1000)}, status.Invalid, "role is"},
		{"claim", list{gPipe, "producer"}, status.Invalid, `"t/pipe"|it must be a, b or any`},
		{"claim", list{gStream, 1}, status.BadParams, "role: want str"},
		{"claim", list{gStream}, status.BadParams, "want 2 parameters, got 1"},
		{"claim", list{gRead, "consumer"}, status.Permission, `open it with "rw"`},
		{"claim", list{gGone, "a"}, status.Removed, `"t/gone"`},
		{"claim", list{gMutex, "producer"}, status.KindMismatch, "it is a mutex, no stream, pipe or queue"},
		{"claim", list{gAnything, "producer"}, status.BadHandle, ""},
		{"retire", list{gOther, "producer"}, status.NotOwner, `"t/other"|claim it first`},
		{"retire", list{gBytes, "b"}, status.NotOwner, `"t/bytes"`},
		{"retire", list{gBytes, "any"}, status.Invalid, "it must be a or b"},
		{"retire", list{gStream, "a"}, status.Invalid, "producer or consumer"},
		{"retire", list{gMutex, "a"}, status.KindMismatch, "no stream, pipe or queue"},
		{"retire", list{gRead, "consumer"}, status.Permission, ""},

		{"send", list{gStream, badBin, 0, "a"}, status.Invalid, "a stream has no ends"},
		{"send", list{gStream, "text"}, status.BadParams, "message: want bin, got str"},
		{"send", list{gStream, badBin, -2}, status.Invalid, "timeout_ns is -2"},
		{"send", list{gStream, fiveK[:101]}, status.TooLarge, `"t/stream"|101 bytes|100 (message_max)`},
		{"send", list{gPipe, fiveK, -1, "a"}, status.TooLarge, `"t/pipe"|5001 bytes|5000`},
		{"send", list{gPipe, badBin}, status.Invalid, "this client has both ends: end must be a or b"},
		{"send", list{gPipe, badBin, -1, "any"}, status.Invalid, `end is "any"; it must be a or b`},
		{"send", list{gOther, badBin}, status.NotOwner, `"t/other"|claim it first`},
		{"send", list{gRead, badBin}, status.Permission, ""},
		{"send", list{gBytes, badBin}, status.Unsupported, "a pipe of bytes"},
		{"send", list{gMutex, badBin}, status.KindMismatch, "no stream or pipe"},
		{"send", list{gGone, badBin}, status.Removed, ""},
		{"send_many", list{gStream, list{}}, status.Invalid, "0 messages; it must be at least 1"},
		{"send_many", list{gStream, badBin}, status.BadParams, "messages: want array, got bin"},
		{"send_many", list{gStream, list{badBin, 1}}, status.BadParams, "message: want bin, got integer"},
		{"send_many", list{gStream, list{fiveK}}, status.TooLarge, ""},
		{"recv", list{gStream, 0}, status.WouldBlock, `"t/stream"`},
		{"recv", list{gStream, 1000}, status.TimedOut, `"t/stream"`},
		{"recv", list{gPipe, 0}, status.Invalid, "both ends"},
		{"recv", list{gPipe, 0, "b"}, status.WouldBlock, ""},
		{"recv", list{gPipe, 0, 1}, status.BadParams, "end: want str"},
		{"recv", list{gOther, 0}, status.NotOwner, ""},
		{"recv", list{gBytes, 0}, status.Unsupported, ""},
		{"recv_many", list{gStream, 0}, status.Invalid, "max is 0; it must be at least 1"},
		{"recv_many", list{gStream, -1}, status.BadParams, "max: want integer of at least 0"},
		{"recv_many", list{gStream, 5, 0}, status.WouldBlock, ""},
		{"write_bytes", list{gBytes, []byte{}}, status.Invalid, "0 bytes"},
		{"write_bytes", list{gBytes, "x"}, status.BadParams, "bytes: want bin"},
		{"write_bytes", list{gBytes, badBin, 0, "b"}, status.NotOwner, ""},
		{"write_bytes", list{gPipe, badBin}, status.Unsupported, "a pipe of messages: send and recv"},
		{"write_bytes", list{gStream, badBin}, status.Unsupported, "a stream of messages"},
		{"read_bytes", list{gBytes, 0}, status.Invalid, "max is 0"},
		{"read_bytes", list{gBytes, uint32(1<<32 - 1), 0}, status.WouldBlock, `"t/bytes"`},
		{"read_bytes", list{gBytes, 1, 1000}, status.TimedOut, ""},
		{"read_bytes", list{gMutex, 1}, status.KindMismatch, ""},

		{"wait_any", list{list{list{gOther, "readable"}}, 0}, status.NotOwner, `"t/other"`},
		{"wait_any", list{list{list{gPipe, "readable"}}, 0}, status.Invalid, "both ends"},
		{"wait_any", list{list{list{gPipe, "readable", "b"}}, 0}, status.WouldBlock, ""},
		{"wait_any", list{list{list{gPipe, "readable", 1}}, 0}, status.BadParams, "end: want str"},
		{"wait_any", list{list{list{gStream, "writable", "b"}}, 0}, status.BadParams, ""},
		{"wait_any", list{list{list{gStream, "message"}}, 0}, status.KindMismatch, "no until"},
		{"wait_any", list{list{list{gMutex, "writable"}}, 0}, status.KindMismatch, ""},

		{"open", list{"t/stream", m{"role": 1}}, status.BadParams, "role: want str"},
		{"open", list{"t/stream", m{"role": "b"}}, status.Invalid, `"t/stream"|role is "b"`},
		{"open", list{"t/mutex", m{"role": "producer"}}, status.Invalid, "role is no option of a mutex"},
		{"open", list{"t/stream", m{"party": true}}, status.Invalid, "party is no option of a stream"},
		{"open_or_create", list{"t/stream", "stream", m{}}, status.OptionMismatch,
			"in a ring of 4096|in a ring of 65536"},
		{"open_or_create", list{"t/bytes", "pipe", m{"capacity": 4096}}, status.OptionMismatch, "bytes"},
		{"open_or_create", list{"t/pipe", "stream", m{}}, status.KindMismatch, "you ask for a stream"},
		creating("stream", m{"capacity": 0}, status.Invalid, "capacity is 0 bytes; it must be a power of two"),
		creating("stream", m{"capacity": 4095}, status.Invalid, "power of two"),
		creating("stream", m{"capacity": 1 << 29}, status.Invalid, "power of two"),
		creating("stream", m{"message_max": 0}, status.Invalid, "message_max is 0 bytes"),
		creating("stream", m{"message_max": 32761}, status.Invalid, "it must be 1 to 32760"),
		creating("stream", m{"bytes": true}, status.Invalid, "bytes is no option of a stream"),
		creating("pipe", m{"message_max": 1<<30 + 1}, status.Invalid, "message_max is 1073741825"),
		creating("pipe", m{"bytes": true, "message_max": 9}, status.Invalid, "a pipe of bytes has no messages"),
		creating("pipe", m{"maxsize": 1}, status.Invalid, "maxsize is no option of a pipe"),
		creating("queue", m{"capacity": 4096}, status.Invalid, "capacity is no option of a queue"),
		badOption("pipe", m{"capacity": int64(1) << 32}, "capacity: want integer of at most 4294967295"),
		badOption("pipe", m{"bytes": 1}, "bytes: want boolean"),
	}
)

// Refused requests leave streams and pipes as they are.
func TestBadRingRequests(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	p := ringers(t, d.Socket)
	for _, bad := range badRings {
		p.refuses(bad.code, bad.texts, bad.method, bad.params...)
		alive(t, witness, bad)
	}
	p.refuses(status.NotFound, "", wire.MethodStat, "t/new")
	p.must(wire.MethodSend, gStream, badBin)
	p.must(wire.MethodRecv, gStream, 0)
	p.must(wire.MethodSend, gPipe, badBin, 0, "b")
	p.must(wire.MethodRecv, gPipe, 0, "a")
	if held := decoded[[]wire.Holding](p, wire.MethodHoldings); len(held) != 5 {
		t.Errorf("holdings %+v", held)
	}
	for _, name := range []string{"t/stream", "t/pipe", "t/bytes"} {
		if used := decoded[wire.Stat](p, wire.MethodStat, name).Rings[0].UsedBytes; used != 0 {
			t.Errorf("%d bytes are under way in %s", used, name)
		}
	}
	// Two claim the same: one has it.
	other := dial(t, d.Socket).greet()
	h := other.attach(wire.MethodOpen, "t/stream")
	other.refuses(status.Taken, `"t/stream"|until that retires, or ends`, wire.MethodClaim, h, "producer")
	other.refuses(status.Taken, "", wire.MethodOpen, "t/stream", m{"role": "consumer"})
	h = other.attach(wire.MethodOpen, "t/bytes")
	other.refuses(status.Taken, "", wire.MethodClaim, h, "a")
	other.must(wire.MethodClaim, h, "any")
	other.must(wire.MethodRetire, h, "b")
	other.refuses(status.Ended, "an end is claimed once", wire.MethodClaim, h, "b")
	other.refuses(status.Taken, "", wire.MethodClaim, h, "any")
	p.refuses(status.Ended, `"t/bytes"|the other end was closed`, wire.MethodWriteBytes, gBytes, badBin)
}

// A client that maps a stream or a pipe is answered as one that does not, call by call.
func TestSameRingsThroughSocketAndMapping(t *testing.T) {
	d := harness.StartDaemon(t)
	p, c, ctx := dial(t, d.Socket).greet(), d.Dial(t), t.Context()
	ss := p.attach(wire.MethodCreate, "s/stream", "stream", m{"capacity": 4096})
	sp := p.attach(wire.MethodCreate, "s/pipe", "pipe", m{"capacity": 4096})
	ms := must[*shmd.Stream](t)(shmd.CreateStream(ctx, c, "m/stream", shmd.StreamOptions{CapacityBytes: 4096}))
	mp := must[*shmd.Pipe](t)(shmd.CreatePipe(ctx, c, "m/pipe", shmd.PipeOptions{CapacityBytes: 4096}))
	var producer *shmd.StreamProducer
	var consumer *shmd.StreamConsumer
	var a, b *shmd.PipeEnd
	long := make([]byte, 2040)
	end := func(to **shmd.PipeEnd, which shmd.End) func() error {
		return func() error {
			e, err := mp.End(ctx, which)
			if err == nil {
				*to = e
			}
			return err
		}
	}
	send := func(size int) func() error { return func() error { return producer.TrySend(make([]byte, size)) } }
	tryRecv := func() error { return alone(consumer.TryRecv)() }
	for _, step := range []struct {
		what   string
		socket list
		mapped func() error
		want   status.Code
	}{
		{"claim", list{"claim", ss, "producer"}, func() (err error) {
			producer, err = ms.Producer(ctx)
			return err
		}, status.OK},
		{"claim", list{"claim", ss, "consumer"}, func() (err error) {
			consumer, err = ms.Consumer(ctx)
			return err
		}, status.OK},
		{"recv of nothing", list{"recv", ss, 0}, tryRecv, status.WouldBlock},
		{"recv briefly", list{"recv", ss, 1000}, func() error { return briefly(t, consumer.Recv)() }, status.TimedOut},
		{"send", list{"send", ss, long, 0}, send(2040), status.OK},
		{"too long", list{"send", ss, make([]byte, 2041), 0}, send(2041), status.TooLarge},
		{"send", list{"send", ss, long, 0}, send(2040), status.OK},
		{"send to a full one", list{"send", ss, long, 0}, send(2040), status.WouldBlock},
		{"send briefly", list{"send", ss, long, 1000}, func() error {
			return briefly(t, func(ctx context.Context) (any, error) { return nil, producer.Send(ctx, long) })()
		}, status.TimedOut},
		{"recv", list{"recv", ss, 0}, tryRecv, status.OK},
		{"send again", list{"send", ss, long, 0}, send(2040), status.OK},
		{"retire", list{"retire", ss, "producer"}, func() error { return producer.Close() }, status.OK},
		{"recv what is left", list{"recv", ss, 0}, tryRecv, status.OK},
		{"recv what is left", list{"recv", ss, 0}, tryRecv, status.OK},
		{"recv the end", list{"recv", ss, 0}, tryRecv, status.Ended},
		{"recv after the end", list{"recv", ss, 0}, tryRecv, status.WouldBlock},

		{"claim any", list{"claim", sp, "any"}, end(&a, shmd.AnyEnd), status.OK},
		{"claim b", list{"claim", sp, "b"}, end(&b, shmd.EndB), status.OK},
		{"send", list{"send", sp, long, 0, "a"}, func() error { return a.TrySend(long) }, status.OK},
		{"try what goes in pieces", list{"send", sp, make([]byte, 3000), 0, "a"},
			func() error { return a.TrySend(make([]byte, 3000)) }, status.WouldBlock},
		{"retire b", list{"retire", sp, "b"}, func() error { return b.Close() }, status.OK},
		{"send to who is gone", list{"send", sp, long, 0}, func() error { return a.TrySend(long) }, status.Ended},
		{"recv from who is gone", list{"recv", sp, 0}, func() error { return alone(a.TryRecv)() }, status.Ended},
		{"again", list{"recv", sp}, func() error { return alone(a.TryRecv)() }, status.Ended},
		{"claim b again", list{"claim", sp, "b"}, end(&b, shmd.EndB), status.Ended},
	} {
		socket := status.OK
		if r := p.call(step.socket[0].(string), step.socket[1:]...); r.Err != nil {
			socket = r.Err.Code
		}
		if mapped := status.Of(step.mapped()); socket != step.want || mapped != step.want {
			t.Errorf("%s: %v over the socket, %v in memory, want %v", step.what, socket, mapped, step.want)
		}
	}
}

// What a killed client had of streams and pipes is told to those who wait, with its
// number; its roles are free.
func TestKilledAtRings(t *testing.T) {
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket).greet()
	stream := p.attach(wire.MethodCreate, "stream", "stream", m{"capacity": 4096})
	pipe := p.attach(wire.MethodCreate, "pipe", "pipe", m{"capacity": 4096})
	p.must(wire.MethodClaim, stream, "consumer")
	p.must(wire.MethodClaim, pipe, "a")
	victim := startCaller(t, copySelf(t, public(t)), d.Socket, false)
	victim.Expect("OK")
	victim.call(t, status.OK, "", "open", "stream", m{"role": "producer"})
	victim.call(t, status.OK, "", "open", "pipe", m{"role": "b"})
	p.must(wire.MethodSend, pipe, make([]byte, 2000))
	p.must(wire.MethodSend, pipe, make([]byte, 2000))
	witness := d.Dial(t)
	waits := append(p.awaits(witness, "stream", list{wire.MethodRecv, stream}),
		p.awaits(witness, "pipe", list{wire.MethodRecv, pipe}, list{wire.MethodSend, pipe, make([]byte, 2000)})...)
	victim.Kill()
	for range waits { // in any order
		r, err := wire.ParseResponse(p.receive())
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "who waits", nil, r.Err, status.PeerDied, "pid ")
	}
	p.must(wire.MethodClaim, stream, "producer")
	p.refuses(status.Ended, "claimed once", wire.MethodClaim, pipe, "b")
}
