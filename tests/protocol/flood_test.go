package protocol

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// pour sends bytes as far as the daemon takes them at once, and says how many that were.
func (p *peer) pour(b []byte) (sent int) {
	p.t.Helper()
	raw, err := p.conn.Socket().SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	for sent < len(b) {
		n := 0
		err := raw.Control(func(fd uintptr) {
			n, _ = unix.SendmsgN(int(fd), b[sent:], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		})
		if err != nil || n <= 0 {
			break // it is full, or told to go
		}
		sent += n
	}
	return sent
}

// What the daemon of TestFloods may have at most, whatever a user does to it: half of the
// memory that it sizes itself for, and the threads of the Go runtime with those in which
// calls wait.
const (
	floodMemory      = 256 << 20
	floodResidentMax = floodMemory / 2
	floodThreadsMax  = 48
)

// attacker is a user who is up to no good.
type attacker struct {
	t     *testing.T
	d     *harness.Daemon
	peers []*peer
}

func (a *attacker) connect() *peer {
	p := dialAs(a.t, nobody, a.d.Socket)
	a.peers = append(a.peers, p)
	return p
}

// enter connects and says hello, as a client of its own; nil if there is no room for it.
func (a *attacker) enter() *peer {
	p := a.connect()
	p.send(p.request(wire.MethodHello, 1, 1, uuid(len(a.peers)), "flood"))
	message := p.receive()
	if r, err := wire.ParseResponse(message); err != nil || r.Err != nil {
		return nil
	}
	return p
}

// floods are what an attacker does. He returns with all his connections open.
var floods = []struct {
	name string
	run  func(a *attacker)
}{
	{"connections that say nothing", func(a *attacker) {
		for range 300 {
			a.connect().pour([]byte{0x94})
		}
		refused := 0
		harness.Await(a.t, "somebody is refused", func() bool {
			for _, p := range a.peers {
				if !p.answered() {
					continue // who is not refused has nothing to read
				}
				if r := p.response(0); r.Err.Code == status.Quota {
					wantError(a.t, "one too many", nil, r.Err, status.Quota, "connections|close some")
					refused++
				}
			}
			return refused > 0
		})
	}},
	{"half a message on each connection", func(a *attacker) { floodOf(a.t, a.connect, 1<<20) }},
	{"descriptors", func(a *attacker) {
		fds := make([]int, 253)
		for i := range fds {
			fds[i] = int(os.Stderr.Fd())
		}
		for range 100 {
			p := a.enter()
			for range 3 { // more than the daemon looks at
				_, _, err := p.conn.Socket().WriteMsgUnix(p.request(wire.MethodPing), unix.UnixRights(fds...), nil)
				if err != nil {
					break
				}
			}
			p.ends(status.BadFrame, "descriptors")
			p.conn.Close()
		}
	}},
	{"calls that wait", func(a *attacker) {
		for {
			p := a.enter()
			h := p.attach(wire.MethodOpenOrCreate, "theirs/event", "event", m{})
			first := p.id + 1
			var b []byte
			for range 200 {
				b = append(b, p.request(wire.MethodWait, h, -1)...)
			}
			p.send(append(b, p.request(wire.MethodPing)...))
			for {
				r, err := wire.ParseResponse(p.receive())
				if err != nil {
					a.t.Fatal(err)
				}
				if r.ID == p.id {
					break
				}
				wantError(a.t, "a wait", nil, r.Err, status.Busy, "calls that wait|try again")
				if r.ID == first { // not even one
					return
				}
			}
		}
	}},
	{"answers that nobody reads", func(a *attacker) {
		a.enter().attach(wire.MethodCreate, "theirs/big", "array", m{"code": "d", "length": 100_000})
		for range 40 {
			p := a.enter()
			h := p.attach(wire.MethodOpen, "theirs/big")
			p.pour(bytes.Repeat(p.request(wire.MethodRead, h), 1000))
		}
	}},
	{"a huge pipeline", func(a *attacker) {
		for range 8 {
			p := a.enter()
			p.pour(bytes.Repeat(p.request(wire.MethodList), 100_000))
		}
	}},
	{"deep nesting", func(a *attacker) {
		for _, each := range []byte{0x91, 0x81} { // arrays, maps
			p := a.enter()
			header := wire.AppendRequestHeader(nil, 9, wire.MethodPing, 1)
			p.pour(append(header, bytes.Repeat([]byte{each}, 900_000)...))
			p.ends(status.BadFrame, "deep")
		}
	}},
	{"who hears nothing and goes on writing", func(a *attacker) {
		for range 20 {
			p := a.enter()
			h := p.attach(wire.MethodOpenOrCreate, "theirs/value", "value", m{"code": "i"})
			if err := p.conn.Socket().CloseRead(); err != nil {
				a.t.Fatal(err)
			}
			for range 50 {
				p.pour(bytes.Repeat(p.request(wire.MethodAdd, h, 0, 1), 1000))
			}
		}
	}},
	{"handles", func(a *attacker) {
		a.enter().attach(wire.MethodCreate, "theirs/mutex", "mutex", m{"seats_max": 4000})
		a.until(status.Quota, "handles|his share", wire.MethodOpen, "theirs/mutex")
	}},
	{"objects", func(a *attacker) {
		a.until(status.Quota, "objects", wire.MethodCreate, "", "mutex", m{"lifetime": "owned"})
	}},
}

// until repeats a call, on as many connections as it takes, until it is refused for good.
func (a *attacker) until(code status.Code, texts string, method string, params ...any) {
	a.t.Helper()
	for {
		p := a.enter()
		for n := 0; ; n++ {
			r := p.call(method, params...)
			if r.Err == nil {
				continue
			}
			if n == 0 {
				wantError(a.t, method, params, r.Err, code, texts)
				return
			}
			break // of this connection, perhaps
		}
	}
}

// answered reports whether there is something to read.
func (p *peer) answered() bool {
	raw, err := p.conn.Socket().SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n > 0
}

// TestFloods lets one user do what he can to keep others out: they connect and work all
// the same, and the daemon stays within what it sized itself for.
func TestFloods(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to connect as another user")
	}
	socket := filepath.Join(public(t), "shmd.sock")
	d := harness.StartDaemonWith(t, harness.DaemonOptions{Socket: socket,
		Flags: []string{"--socket-mode=0666", fmt.Sprintf("--memory=%d", floodMemory)}})
	var most struct{ resident, threads, descriptors int }
	idle := len(harness.Descriptors(t, d.PID()))
	for _, flood := range floods {
		t.Run(flood.name, func(t *testing.T) {
			a := &attacker{t: t, d: d}
			flood.run(a)
			for range 20 { // on connections of their own, which come and go
				p := dial(t, socket).greet()
				p.must(wire.MethodCreate, "mine/mutex", "mutex", m{})
				p.must(wire.MethodLock, 1)
				p.must(wire.MethodDestroy, "mine/mutex")
				p.must(wire.MethodBye)
			}
			most.resident = max(most.resident, processField(t, d, "VmHWM")<<10)
			most.threads = max(most.threads, processField(t, d, "Threads"))
			most.descriptors = max(most.descriptors, len(harness.Descriptors(t, d.PID()))-idle)
			for _, p := range a.peers {
				p.conn.Close()
			}
			p := dial(t, socket).greet()
			harness.Await(t, "the attacker is gone", func() bool {
				var s wire.Status
				if err := wire.Decode(p.must(wire.MethodStatus), &s); err != nil {
					t.Fatal(err)
				}
				return s.Clients == 1
			})
		})
	}
	t.Logf("at most %d MiB, %d threads, %d descriptors", most.resident>>20, most.threads, most.descriptors)
	if most.resident > floodResidentMax {
		t.Errorf("the daemon had %d bytes, more than %d", most.resident, floodResidentMax)
	}
	if most.threads > floodThreadsMax {
		t.Errorf("the daemon had %d threads, more than %d", most.threads, floodThreadsMax)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if uint64(most.descriptors) > limit.Max/2 {
		t.Errorf("one user took %d of %d descriptors", most.descriptors, limit.Max)
	}
}
