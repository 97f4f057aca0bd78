package protocol

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// fillerVariable turns this test binary into a client that fills the daemon's memory: for
// each line of its input, a number of bytes, it creates objects that large, and writes
// every byte of them, until it may create no more; its output is how many, and the status.
// A negative number is memory of its own.
const fillerVariable = "SHMD_PROTOCOL_FILLER"

func fill(socket string) error {
	ctx := context.Background()
	c, err := shmd.Dial(ctx, shmd.Options{Socket: socket})
	if err != nil {
		return err
	}
	fmt.Println("OK")
	var own [][]byte
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var size int64
		if _, err := fmt.Sscan(lines.Text(), &size); err != nil {
			return err
		}
		if size < 0 {
			memory := make([]byte, -size)
			for i := range memory {
				memory[i] = 1
			}
			own = append(own, memory)
			fmt.Println("OK", len(own))
			continue
		}
		for n := 0; ; n++ {
			a, err := shmd.CreateArray[uint8](ctx, c, fmt.Sprintf("fill/%d/%d", size, n),
				shmd.ArrayOptions{Length: uint64(size)})
			if err != nil {
				fmt.Println(status.Of(err).Name(), n, err)
				break
			}
			view := a.View()
			for i := range view {
				view[i] = 1
			}
		}
	}
	return c.Close()
}

// TestMemoryCgroup runs a daemon in a cgroup and fills it, until it says that there is no
// more: nobody is killed, not by every byte being written, not under a flood of unfinished
// requests, not when others in the cgroup have taken what was there.
func TestMemoryCgroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make a cgroup")
	}
	const mib = 1 << 20
	const limit = 128 * mib
	g := harness.NewCgroup(t, limit)
	d := harness.StartDaemonWith(t, harness.DaemonOptions{Program: g.Within(harness.Binary(t))})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self = g.Within(self)
	startFiller := func() caller {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), fillerVariable+"="+d.Socket)
		c := caller{harness.StartCmd(t, cmd)}
		c.Expect("OK")
		return c
	}
	p := dial(t, d.Socket).greet()
	check := func(when string) {
		t.Helper()
		t.Logf("%s: %d MiB of %d in use", when, g.Used()/mib, limit/mib)
		p.must(wire.MethodPing)
		if killed := g.Killed(); killed != 0 {
			t.Fatalf("%s: the kernel has killed %d processes", when, killed)
		}
	}

	// Every byte that the budget has is there.
	filler := startFiller()
	line := filler.Ask(fmt.Sprint(mib))
	wantLine(t, line, status.Quota, "it needs 1052672 bytes|of at most 67108864|destroy some")
	n := 0
	if _, err := fmt.Sscanf(line, "QUOTA %d", &n); err != nil || n != limit/2/(mib+4096) {
		t.Errorf("%q: want %d objects", line, limit/2/(mib+4096))
	}
	wantLine(t, filler.Ask("40000"), status.Quota, "it needs|of at most 67108864")
	check("full")

	flood := floodOf(t, func() *peer { return dial(t, d.Socket) }, mib)
	check(fmt.Sprintf("full, with %d unfinished requests", len(flood)))
	if len(flood) < 10 {
		t.Errorf("that is no flood")
	}
	for _, one := range flood {
		one.conn.Close()
	}

	// Another in the cgroup takes what the daemon counted on.
	filler.Kill()
	for i := range n {
		p.must(wire.MethodDestroy, fmt.Sprintf("fill/%d/%d", mib, i))
	}
	filler = startFiller()
	filler.Ask(fmt.Sprint(-90 * mib))
	wantLine(t, filler.Ask(fmt.Sprint(50*mib)), status.NoSpace,
		"it needs 52432896 bytes|the daemon's cgroup has|available|raise the limit of the cgroup")
	check("full of something else")
	filler.MustEnd()
}

// floodOf opens connections until the daemon takes no more, each of which begins a
// request of so many bytes, and does not end it.
func floodOf(t *testing.T, connect func() *peer, size int) (flood []*peer) {
	t.Helper()
	long := wire.AppendBin(wire.AppendRequestHeader(nil, 2, wire.MethodPing, 1), make([]byte, size-64))
	for {
		one := connect()
		one.send(one.request(wire.MethodHello, 1, 1, uuid(len(flood)), "flood"))
		a, err := wire.ParseResponse(one.receive())
		if err != nil {
			t.Fatal(err)
		}
		if a.Err != nil {
			wantLine(t, a.Err.Code.Name()+" "+a.Err.Error(), status.Quota, "connections")
			return flood
		}
		flood = append(flood, one)
		one.pour(long[:len(long)-1])
	}
}

// uuid is that of the nth client of a flood.
func uuid(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n)+1) }
