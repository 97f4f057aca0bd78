package systemd

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
)

// supervisor hears what a service tells systemd.
type supervisor struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newSupervisor(t *testing.T) *supervisor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &supervisor{t: t, path: path, conn: conn}
}

// expect waits for a message, past others.
func (s *supervisor) expect(want string) {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
		s.t.Fatal(err)
	}
	for {
		buf := make([]byte, 4096)
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatalf("no %s: %v", want, err)
		}
		for line := range strings.Lines(string(buf[:n])) {
			if strings.TrimSpace(line) == want {
				return
			}
		}
	}
}

// start runs a command of shmd under the supervisor, until the test ends.
func (s *supervisor) start(env []string, args ...string) *harness.Process {
	s.t.Helper()
	cmd := exec.Command(harness.Binary(s.t), args...)
	cmd.Env = append(os.Environ(), append(env, "NOTIFY_SOCKET="+s.path)...)
	return harness.StartCmd(s.t, cmd)
}

// Daemon and keeper say when they are ready, the daemon also that it lives, as often as it
// is asked to, that it reads its configuration again, and that it ends.
func TestNotify(t *testing.T) {
	s := newSupervisor(t)
	socket := filepath.Join(t.TempDir(), "shmd.sock")
	keeper := s.start(nil, "keeper", "--supervised", "--socket", socket)
	s.expect("READY=1")
	daemon := s.start([]string{"WATCHDOG_USEC=50000"}, "serve", "--socket", socket, "--keeper=external")
	s.expect("READY=1")
	for range 3 {
		s.expect("WATCHDOG=1")
	}
	daemon.Signal(syscall.SIGHUP)
	s.expect("RELOADING=1")
	s.expect("READY=1")
	daemon.Signal(syscall.SIGTERM)
	s.expect("STOPPING=1")
	if err := daemon.Wait(); err != nil {
		t.Error(err)
	}
	keeper.Signal(syscall.SIGTERM)
	if err := keeper.Wait(); err != nil {
		t.Error(err)
	}
}

// touch connects once, which is what a daemon is started for.
func touch(t *testing.T, network, path string) {
	t.Helper()
	harness.Await(t, "somebody listens on "+path, func() bool {
		conn, err := net.Dial(network, path)
		if err != nil {
			return false
		}
		defer conn.Close()
		if network == "unixgram" {
			_, err = conn.Write([]byte("x"))
		}
		return err == nil
	})
}

// systemd listens, the first client starts the daemon, and the socket outlives it. This
// tool of systemd cannot do PassCredentials=yes, without which that first client would be
// refused: here it has nothing to say.
func TestActivation(t *testing.T) {
	activate := systemTool(t, "systemd-socket-activate")
	socket := filepath.Join(t.TempDir(), "shmd.sock")
	start := func() *harness.Process {
		cmd := exec.Command(activate, "--listen", socket, harness.Binary(t), "serve", "--keeper=none")
		return harness.StartCmd(t, cmd)
	}
	for range 2 {
		p := start()
		touch(t, "unix", socket)
		harness.Await(t, "the daemon runs", func() bool { return strings.Contains(p.Stderr(), "msg=ready") })
		c, err := shmd.Dial(t.Context(), shmd.Options{Socket: socket})
		if err != nil {
			t.Fatal(err)
		}
		v, err := shmd.CreateValue[int64](t.Context(), c, "x", 42, shmd.ValueOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, closing := range []interface{ Close() error }{v, c} {
			if err := closing.Close(); err != nil {
				t.Error(err)
			}
		}
		p.Signal(syscall.SIGTERM)
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(socket); err != nil {
			t.Errorf("the supervisor's socket is gone with the daemon: %v", err)
		}
	}
}

// What systemd may be made to give by mistake is refused with the reason.
func TestActivationRefuses(t *testing.T) {
	activate := systemTool(t, "systemd-socket-activate")
	for _, c := range []struct {
		name  string
		flags []string // of systemd-socket-activate
		args  []string // of serve
		want  string
	}{
		{"two sockets", []string{"--listen", "@/a", "--listen", "@/b"}, nil, "it must be one"},
		{"datagrams", []string{"--datagram", "--listen", "@/a"}, nil, "no stream socket"},
		{"another path", []string{"--listen", "@/a"}, []string{"--socket", "@/b"}, "and --socket says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			within := func(words []string) (all []string) {
				for _, word := range words {
					all = append(all, strings.ReplaceAll(word, "@", dir))
				}
				return all
			}
			args := append(within(c.flags), harness.Binary(t), "serve", "--keeper=none")
			p := harness.StartCmd(t, exec.Command(activate, append(args, within(c.args)...)...))
			path := filepath.Join(dir, "a")
			network := "unix"
			if c.name == "datagrams" {
				network = "unixgram"
			}
			touch(t, network, path)
			if err := p.Wait(); err == nil || !strings.Contains(p.Stderr(), c.want) {
				t.Errorf("%v, want %q in\n%s", err, c.want, p.Stderr())
			}
		})
	}
}
