package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// seedVariable repeats a random test: SHMD_SEED=... go test -run Garbage.
const seedVariable = "SHMD_SEED"

// random is seeded by the environment, else by chance; the seed is logged.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// hangUp ends the sending side and reads until the daemon closes.
func (p *peer) hangUp() {
	p.t.Helper()
	if err := p.conn.Socket().CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		p.t.Fatal(err)
	}
	for p.receive() != nil {
	}
}

// A request that ends too early, at whatever byte, is no request: the daemon
// closes and does nothing.
func TestTruncatedFrames(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	model := &peer{t: t}
	whole := model.request(wire.MethodCreate, "cut", "array", m{"code": "d", "length": 3, "init": []float64{1, 2}})
	for n := range len(whole) {
		p := dial(t, d.Socket).greet()
		p.send(whole[:n])
		p.hangUp()
	}
	alive(t, witness, "truncated frames")
	var stat wire.Stat
	if err := witness.Call(t.Context(), wire.MethodStat, &stat, "cut"); !errors.Is(err, status.NotFound) {
		t.Errorf("half a request was executed: %v", err)
	}
}

// One byte at a time is as good as any.
func TestBytewise(t *testing.T) {
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket)
	for _, b := range p.request(wire.MethodHello, 1, 1, make([]byte, 16), "slow") {
		p.send([]byte{b})
	}
	if r := p.response(1); r.Err != nil {
		t.Error(r.Err)
	}
}

// What breaks a limit is refused as soon as it is seen, however much was to come.
func TestOversizedFrames(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	header := wire.AppendRequestHeader(nil, 1, "ping", 1)
	for _, test := range []struct {
		name  string
		bytes []byte
		code  status.Code
		texts string
	}{
		{"2 MiB in one bin", wire.AppendBin(bytes.Clone(header), make([]byte, 2<<20)), status.TooLarge, "1048576"},
		{"2 MiB of small values", append(append(bytes.Clone(header), 0xdd, 0, 0x20, 0, 0), make([]byte, 2<<20)...),
			status.TooLarge, "1048576"},
		{"100000 levels", append(bytes.Clone(header), bytes.Repeat([]byte{0x91}, 100000)...), status.BadFrame, "16"},
		{"100000 levels of maps", append(bytes.Clone(header), bytes.Repeat([]byte{0x81, 0xa0}, 50000)...),
			status.BadFrame, "16"},
	} {
		p := dial(t, d.Socket).greet()
		p.send(test.bytes)
		p.ends(test.code, test.texts)
		alive(t, witness, test.name)
	}
	// As large as allowed is fine: the method refuses it, and the connection goes on.
	p := dial(t, d.Socket).greet()
	room := wire.MessageMax - len(p.request("ping", []byte{})) - 3 // of the longer header
	p.refuses(status.BadParams, "want 0 parameters", "ping", make([]byte, room))
	p.must("ping")
	p.send(p.request("ping", make([]byte, room+1)))
	p.ends(status.TooLarge, "1048576")
}

// Random bytes, and messages with random damage, harm nobody.
func TestGarbage(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	r := random(t)
	session := load[exchange](t, "session.json")
	for range 300 {
		p := dial(t, d.Socket)
		var b []byte
		switch r.IntN(3) {
		case 0: // from the first byte
		case 1:
			p.greet()
		case 2: // a session, damaged behind hello
			for _, e := range session[1:] {
				if e.Client == 1 && e.Request != "" && r.IntN(3) > 0 {
					b = append(b, unhex(t, e.Request)...)
				}
			}
			for range 1 + r.IntN(8) {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
		}
		for range r.IntN(200) {
			b = append(b, byte(r.Uint32()))
		}
		p.send(b)
		p.hangUp()
		alive(t, witness, fmt.Sprintf("% x", b))
	}
	// A session without its end may leave an array whose mutex was destroyed; the
	// harness wants every object that is left to be whole.
	var left wire.ListResult
	if err := witness.Call(t.Context(), wire.MethodList, &left); err != nil {
		t.Fatal(err)
	}
	for _, o := range left.Objects {
		t.Logf("left: %s, id %d, lock %s %d", o.Name, o.ID, o.Lock, o.LockID)
		if err := witness.Destroy(t.Context(), o.Name); err != nil {
			t.Error(err)
		}
	}
	// And tickets, for any time, of what has no name any more.
	var last wire.Attachment
	err := witness.Call(t.Context(), wire.MethodCreate, &last, "", wire.KindMutex, wire.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for id := range last.ID + 1 {
		err := witness.Call(t.Context(), wire.MethodDestroy, nil, id)
		if err != nil && !errors.Is(err, status.NotFound) && !errors.Is(err, status.Removed) {
			t.Error(err)
		}
	}
}

// A client never sends descriptors; one that does is told, and they are closed.
func TestDescriptorsFromAClient(t *testing.T) {
	d := harness.StartDaemon(t) // which looks for leaked descriptors at the end
	witness := d.Dial(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, count := range []int{1, 16, 200} {
		fds := make([]int, count)
		for i := range fds {
			fds[i] = int(null.Fd())
		}
		p := dial(t, d.Socket).greet()
		ping := p.request("ping")
		if _, _, err := p.conn.Socket().WriteMsgUnix(ping, unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
		p.ends(status.BadFrame, "descriptors")
		alive(t, witness, count)
	}
}

// rss is the daemon's resident memory in bytes.
func rss(t *testing.T, d *harness.Daemon) int {
	t.Helper()
	return processField(t, d, "VmRSS") << 10
}

// processField is a number that the kernel tells of the daemon's process.
func processField(t *testing.T, d *harness.Daemon, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), name+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Who never reads his answers is not read from any more: the daemon keeps what
// fits its buffers, and serves the others.
func TestClientsThatDoNotRead(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	first := dial(t, d.Socket).greet()
	first.attach(wire.MethodCreate, "big", "array", m{"code": "d", "length": 100000})
	before := rss(t, d)
	const clients, most = 8, 64 << 20
	for range clients {
		p := dial(t, d.Socket).greet()
		h := p.attach(wire.MethodOpen, "big")
		reads := bytes.Repeat(p.request(wire.MethodRead, h), 4096) // nearly a megabyte of answer each
		stuck := false
		for sent := 0; sent < most && !stuck; {
			// Long enough for a daemon that reads to have read; were it not, the
			// test would only try less.
			if err := p.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := p.conn.Socket().Write(reads)
			sent += n
			if stuck = errors.Is(err, os.ErrDeadlineExceeded); err != nil && !stuck {
				t.Fatal(err)
			}
		}
		if !stuck {
			t.Errorf("the daemon has read %d bytes of a client that does not read", most)
		}
		alive(t, witness, "a client that does not read")
		first.must(wire.MethodSet, 1, 0, 1.5)
	}
	// A buffer of answers, and what makes it, for each.
	after := rss(t, d)
	t.Logf("the daemon has grown from %d to %d KiB", before>>10, after>>10)
	if after-before > clients*(12<<20) {
		t.Errorf("the daemon has grown from %d to %d bytes", before, after)
	}
}

// Who floods is served in order, and the others between.
func TestFlood(t *testing.T) {
	d := harness.StartDaemon(t)
	witness := d.Dial(t)
	p := dial(t, d.Socket).greet()
	const calls = 30000
	base := p.id
	sent := make(chan error, 1)
	go func() {
		var b []byte
		for i := range uint32(calls) {
			b = wire.AppendRequestHeader(b, base+1+i, "ping", 0)
		}
		_, err := io.Copy(p.conn.Socket(), bytes.NewReader(b))
		sent <- err
	}()
	for i := range uint32(calls) {
		if r := p.response(base + 1 + i); r.Err != nil {
			t.Fatal(r.Err)
		}
		if i%1000 == 0 {
			alive(t, witness, "a flood")
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}
