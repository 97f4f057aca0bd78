package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// flavour is a kind of client.
type flavour string

const (
	flavourGo     flavour = "go"     // mapped memory
	flavourSocket flavour = "socket" // the socket alone
	flavourC      flavour = "c"      // c/client.c: mapped memory
)

var flavours = []flavour{flavourGo, flavourSocket, flavourC}

// daemons are the ways to run the daemon: with what the kernel offers, and with
// the fallbacks.
var daemons = []struct {
	name  string
	flags []string
}{
	{"kernel", nil},
	{"fallbacks", []string{"--without=peerpidfd,futex_waitv,noexec_seal"}},
}

// forDaemons runs a test with every way to run the daemon.
func forDaemons(t *testing.T, test func(t *testing.T, flags []string)) {
	for _, d := range daemons {
		t.Run(d.name, func(t *testing.T) { test(t, d.flags) })
	}
}

// subject is an object and what its clients lock.
type subject struct {
	name    string // of the subtest
	kind    string // of what clients open, and lock
	object  string
	lockBy  string // the object that the lock is in, where its waiters sleep
	bracket bool   // the holder writes
}

var subjects = []subject{
	{"mutex", "mutex", "lock", "lock", false},
	{"own lock", "array", "data", "data", true},
	{"foreign lock", "array", "foreign", "lock", true},
}

const (
	cellStop  = 2 // see worker_test.go
	cellSlots = 3
	slots     = 6
)

// scene is a daemon with the objects of all subjects.
type scene struct {
	t *testing.T
	*harness.Daemon
	ctl *shmd.Client
}

func newScene(t *testing.T, flags ...string) *scene {
	t.Helper()
	return newSceneWith(t, harness.DaemonOptions{Flags: flags})
}

func newSceneWith(t *testing.T, o harness.DaemonOptions) *scene {
	t.Helper()
	harness.NoLeaks(t)
	d := harness.StartDaemonWith(t, o)
	s := &scene{t, d, d.Dial(t)}
	s.create("lock", wire.KindMutex, wire.CreateOptions{})
	s.create("data", wire.KindArray, arrayOptions(nil))
	s.create("foreign", wire.KindArray, arrayOptions("@lock"))
	return s
}

func arrayOptions(lock any) wire.CreateOptions {
	return wire.CreateOptions{Code: new("q"), Length: new(uint64(cellSlots + slots)), Lock: lock}
}

// create makes an object and keeps no handle on it.
func (s *scene) create(name, kind string, o wire.CreateOptions) {
	s.t.Helper()
	var a wire.Attachment
	s.call(wire.MethodCreate, &a, name, kind, o)
	s.call(wire.MethodClose, nil, a.Handle)
}

func (s *scene) call(method string, result any, params ...any) {
	s.t.Helper()
	if err := s.ctl.Call(s.t.Context(), method, result, params...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) stat(name string) *wire.Stat {
	s.t.Helper()
	var result wire.Stat
	s.call(wire.MethodStat, &result, name)
	return &result
}

// awaitStat asks for an object's stat until ok likes it.
func (s *scene) awaitStat(name, what string, ok func(*wire.Stat) bool) {
	s.t.Helper()
	var last *wire.Stat
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s is %+v", name, last)
		}
	}()
	harness.Await(s.t, name+" has "+what, func() bool {
		last = s.stat(name)
		return ok(last)
	})
}

// awaitSleepers waits until n clients sleep for a lock. Of those whose calls the
// daemon makes, one at a time is in the kernel, and the others show in the object
// that they opened.
func (s *scene) awaitSleepers(sub subject, n int) {
	s.t.Helper()
	s.awaitStat(sub.lockBy, fmt.Sprintf("%d sleepers", n), func(st *wire.Stat) bool {
		sleepers, mapped := make(map[uint64]bool), uint64(0)
		for _, seat := range st.Seats {
			if seat.Waiting {
				sleepers[seat.Client] = true
				if seat.Mapped {
					mapped++
				}
			}
		}
		for _, seat := range s.stat(sub.object).Seats {
			if seat.Waiting {
				sleepers[seat.Client] = true
			}
		}
		return len(sleepers) == n && st.Waiters > 0 && st.Waiters >= mapped
	})
}

// awaitGone waits until the daemon has recovered all but n clients, the test's
// own included.
func (s *scene) awaitGone(n int) {
	s.t.Helper()
	s.awaitStatus(fmt.Sprintf("%d clients", n), func(st *wire.Status) bool { return st.Clients == uint64(n) })
}

// awaitStatus asks for the daemon's status until ok likes it.
func (s *scene) awaitStatus(what string, ok func(*wire.Status) bool) {
	s.t.Helper()
	var last wire.Status
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the daemon's status is %+v", last)
		}
	}()
	harness.Await(s.t, "the daemon has "+what, func() bool {
		s.call(wire.MethodStatus, &last)
		return ok(&last)
	})
}

// client is a process that obeys.
type client struct {
	t *testing.T
	*harness.Process
	flavour flavour
}

// start starts a client; attr may be nil.
func (s *scene) start(f flavour, attr *syscall.SysProcAttr) *client {
	s.t.Helper()
	c := s.startAny(f, attr)
	c.Expect("ok")
	return c
}

// startAny is start without the wish that it can connect.
func (s *scene) startAny(f flavour, attr *syscall.SysProcAttr) *client {
	s.t.Helper()
	return s.startProgram(f, "client", attr)
}

// startProgram starts a client, with the C program of its own if it is a C one.
func (s *scene) startProgram(f flavour, program string, attr *syscall.SysProcAttr) *client {
	s.t.Helper()
	cmd := exec.Command("/proc/self/exe") // of the child, before it becomes another program: this binary
	if f == flavourC {
		cmd = harness.Command(s.cProgram(program, attr))
	}
	return &client{s.t, s.run(cmd, attr, flavourVariable+"="+string(f)), f}
}

// run starts a program that finds the daemon.
func (s *scene) run(cmd *exec.Cmd, attr *syscall.SysProcAttr, env ...string) *harness.Process {
	s.t.Helper()
	cmd.Env = append(append(os.Environ(), "SHMD_SOCKET="+s.Socket), env...)
	cmd.SysProcAttr = attr
	return harness.StartCmd(s.t, cmd)
}

// cProgram is the path of a C program; of a copy, if it shall run as a user who
// may not enter this tree.
func (s *scene) cProgram(name string, attr *syscall.SysProcAttr) string {
	s.t.Helper()
	path := harness.Program(s.t, "tests/crash/c/"+name)
	if attr == nil || attr.Credential == nil {
		return path
	}
	program, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	copied := filepath.Join(filepath.Dir(s.Socket), name)
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return copied
}

// do sends a command and wants a line.
func (c *client) do(command, want string) {
	c.t.Helper()
	if got := c.Ask(command); got != want {
		c.t.Fatalf("the %s client answers %q to %q, want %q\n%s", c.flavour, got, command, want, c.Stderr())
	}
}

// notice reads what a client that waited for a lock says, and wants a notice.
func (c *client) notice() wire.Notice {
	c.t.Helper()
	line := c.Line()
	var n wire.Notice
	if _, err := fmt.Sscanf(line, "notice %d %d %d %d %d", &n.Seat, &n.PID, &n.UID, &n.Deaths, &n.DiedNS); err != nil {
		c.t.Fatalf("the %s client says %q, want a notice: %v", c.flavour, strings.TrimSpace(line), err)
	}
	return n
}

// startWaiters starts one client of each flavour that sleep for the subject's
// lock, one after the other; sleepers is how many do already.
func (s *scene) startWaiters(sub subject, sleepers int) []*client {
	s.t.Helper()
	waiters := make([]*client, 0, len(flavours))
	for i, f := range flavours {
		w := s.start(f, nil)
		w.do("open "+sub.kind+" "+sub.object, "ok")
		w.Send("lock " + sub.object)
		s.awaitSleepers(sub, sleepers+i+1)
		waiters = append(waiters, w)
	}
	return waiters
}

// awaitHolder waits until one of the clients holds the lock, and returns it.
func (s *scene) awaitHolder(sub subject, among []*client) *client {
	s.t.Helper()
	var holder *client
	s.awaitStat(sub.lockBy, "a holder", func(st *wire.Stat) bool {
		for _, c := range among {
			if st.Held != nil && st.Held.PID == int32(c.PID()) {
				holder = c
			}
		}
		return holder != nil
	})
	return holder
}

// seatOf is the seat of a client in an object.
func (s *scene) seatOf(name string, pid int32) uint32 {
	s.t.Helper()
	for _, seat := range s.stat(name).Seats {
		if seat.PID == pid {
			return seat.Seat
		}
	}
	s.t.Fatalf("process %d has no seat in %s", pid, name)
	return 0
}
