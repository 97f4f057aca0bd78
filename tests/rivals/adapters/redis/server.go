package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/shmd/shmd/tests/rivals/adapter"
)

// serverTimeout bounds the start of a server; it is there in some milliseconds.
const serverTimeout = 20 * time.Second

// serverCommand finds the server. Debian has the program in redis-tools as redis-check-rdb,
// and the link redis-server to it in a package that runs a system service, which nobody wants
// here. The name that it is called by says what it is.
func serverCommand(args ...string) (*exec.Cmd, error) {
	for _, name := range []string{"redis-server", "redis-check-rdb"} {
		if path, err := exec.LookPath(name); err == nil {
			cmd := exec.Command(path, args...)
			cmd.Args[0] = "redis-server"
			return cmd, nil
		}
	}
	return nil, errors.New("there is no redis-server: scripts/setup.sh redis says why it could not be had")
}

// serverVersion is what redis-server says of itself: "Redis server v=7.0.15 sha=...".
func serverVersion() (string, error) {
	cmd, err := serverCommand("--version")
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	for _, field := range strings.Fields(string(out)) {
		if version, found := strings.CutPrefix(field, "v="); found {
			return version, nil
		}
	}
	return "", fmt.Errorf("redis-server says %q of its version", out)
}

// server is redis-server as a child, which ends with this process.
type server struct {
	cmd  *exec.Cmd
	gone chan error
}

func openServer(row *adapter.Row) (adapter.Session, error) {
	socket := socketPath(row)
	// Nothing is kept, nothing is logged or counted beside the work, and a queue whose
	// consumers are slow fails before it takes the machine's memory.
	cmd, err := serverCommand("--port", "0", "--unixsocket", socket, "--dir", row.Dir, "--save", "",
		"--appendonly", "no", "--loglevel", "warning", "--latency-tracking", "no", "--slowlog-log-slower-than", "-1",
		"--maxmemory", "4gb", "--maxmemory-policy", "noeviction")
	if err != nil {
		return nil, adapter.Unsupported(err.Error())
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s := &server{cmd, make(chan error, 1)}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the death signal follows that of the thread which started it
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		s.gone <- cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	row.Pids = []int{cmd.Process.Pid}
	return s, s.await(row)
}

// await returns when the server answers.
func (s *server) await(row *adapter.Row) error {
	for deadline := time.Now().Add(serverTimeout); ; {
		c := connect(row)
		err := errors.Join(c.Ping(c.ctx).Err(), c.close())
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("redis-server does not answer: %w", err), s.Close())
		}
		select {
		case err := <-s.gone:
			return fmt.Errorf("redis-server ended at once: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *server) Run(uint64) error { return errors.New("a server does nothing by itself") }

func (s *server) Close() error {
	return errors.Join(s.cmd.Process.Signal(syscall.SIGTERM), <-s.gone)
}
