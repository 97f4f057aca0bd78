package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon/keeper"
	"github.com/shmd/shmd/wire"
)

// DaemonOptions are what StartDaemon does without.
type DaemonOptions struct {
	Socket  string               // "" = one of its own
	Attr    *syscall.SysProcAttr // namespaces and credentials
	Flags   []string             // of serve
	Program string               // "" = bin/shmd
	Env     []string             // besides this process's own
}

// Daemon is a running `shmd serve`.
type Daemon struct {
	*Process
	t       testing.TB
	Socket  string
	idleFDs []string
}

// StartDaemon runs bin/shmd serve on a socket of its own until the test ends.
// Then the test fails if the daemon does not stop in an orderly way, which
// includes all its goroutines, or if it holds more descriptors or mappings than
// at the start, or charges anybody for anything, once all clients are gone: a client
// or object leaked. Objects that the test has left linked must be valid and at rest,
// and are destroyed first.
func StartDaemon(t testing.TB, flags ...string) *Daemon {
	t.Helper()
	return StartDaemonWith(t, DaemonOptions{Flags: flags})
}

// StartDaemonWith is StartDaemon with options.
func StartDaemonWith(t testing.TB, o DaemonOptions) *Daemon {
	t.Helper()
	d := &Daemon{t: t, Socket: o.Socket}
	if d.Socket == "" {
		d.Socket = filepath.Join(t.TempDir(), "shmd.sock")
	}
	ready, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	args := append([]string{"serve", "--socket", d.Socket, "--ready-fd", "3", "--log-level", "debug"}, o.Flags...)
	if o.Program == "" {
		o.Program = Binary(t)
	}
	cmd := exec.Command(o.Program, args...)
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{in}, o.Attr
	d.Process = StartCmd(t, cmd)
	in.Close()
	if err := ready.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(ready, new(string)); err != nil {
		t.Fatalf("the daemon does not become ready: %v\n%s", err, d.Stderr())
	}
	d.idleFDs = d.fds()
	t.Cleanup(d.stop)
	return d
}

// Restart starts another daemon on the socket of one that has ended.
func (d *Daemon) Restart(o DaemonOptions) *Daemon {
	d.t.Helper()
	<-d.ended
	o.Socket = d.Socket
	return StartDaemonWith(d.t, o)
}

// KeeperPID is the process that keeps what the daemon has; 0 = there is none.
func (d *Daemon) KeeperPID() int {
	d.t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, path := range processes {
		line, err := os.ReadFile(path)
		words := strings.Split(string(line), "\x00")
		if err != nil || len(words) < 4 || words[1] != "keeper" || words[3] != d.Socket {
			continue // or it is gone
		}
		pid := 0
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil {
			return pid
		}
	}
	return 0
}

// endKeeper ends what a daemon that was killed has left behind.
func (d *Daemon) endKeeper() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := keeper.Quit(ctx, keeper.Path(d.Socket)); err != nil {
		d.t.Errorf("end the keeper: %v", err)
	}
}

// stop ends the daemon and looks for leaks.
func (d *Daemon) stop() {
	select {
	case <-d.ended:
		d.endKeeper() // the test has killed it
		return
	default:
	}
	if !d.t.Failed() {
		d.checkLeaks()
	}
	d.Signal(syscall.SIGTERM)
	if err := d.Wait(); err != nil {
		d.t.Errorf("the daemon did not stop in an orderly way: %v", err)
	}
	d.endKeeper() // if objects are left
}

// checkLeaks destroys what is left and wants the daemon as it was at the start.
func (d *Daemon) checkLeaks() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := shmd.Dial(ctx, shmd.Options{Socket: d.Socket, Software: "leak check"})
	if err != nil {
		d.t.Errorf("leak check: %v", err)
		return
	}
	d.Settle(ctx, c, func(s *wire.Status) bool { return s.Clients == 1 && s.Waiting == 0 })
	if err := d.Validate(); err != nil {
		d.t.Errorf("with all clients gone: %v", err)
	}
	for after := ""; ; {
		var list wire.ListResult
		if err := c.Call(ctx, wire.MethodList, &list, "", after); err != nil {
			d.t.Errorf("leak check: %v", err)
			break
		}
		for _, o := range list.Objects {
			if err := c.Destroy(ctx, o.Name); err != nil {
				d.t.Errorf("leak check: %v", err)
			}
		}
		if after = list.Next; after == "" {
			break
		}
	}
	d.Settle(ctx, c, func(s *wire.Status) bool { return s.Clients == 1 && s.Objects == 0 && s.Waiting == 0 })
	d.checkAccounts(ctx, c)
	if err := c.Close(); err != nil {
		d.t.Errorf("leak check: %v", err)
	}
	for fds := d.fds(); len(fds) > len(d.idleFDs); fds = d.fds() {
		if ctx.Err() != nil {
			d.t.Errorf("descriptors leaked: at the start\n%s\nnow\n%s",
				strings.Join(d.idleFDs, "\n"), strings.Join(fds, "\n"))
			return
		}
	}
	if mapped := Mappings(d.t, d.PID()); len(mapped) > 0 {
		d.t.Errorf("mappings leaked:\n%s", strings.Join(mapped, "\n"))
	}
}

// Settle asks for the daemon's status until ok likes it; what is waited for is
// the daemon noticing what the kernel has told it. It fails the test when ctx
// ends first.
func (d *Daemon) Settle(ctx context.Context, c *shmd.Client, ok func(*wire.Status) bool) *wire.Status {
	d.t.Helper()
	for {
		var s wire.Status
		if err := c.Call(ctx, wire.MethodStatus, &s); err != nil {
			d.t.Errorf("the daemon does not settle: %v; it says %+v", err, s)
			return &s
		}
		if ok(&s) {
			return &s
		}
		if ctx.Err() != nil {
			d.t.Errorf("the daemon does not settle; it says %+v", s)
			return &s
		}
	}
}

// Dial connects a Go client in this process, closed when the test ends.
func (d *Daemon) Dial(t testing.TB) *shmd.Client {
	t.Helper()
	c, err := shmd.Dial(t.Context(), shmd.Options{Socket: d.Socket, Software: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return c
}

// fds lists the daemon's descriptors.
func (d *Daemon) fds() []string { return Descriptors(d.t, d.PID()) }
