package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// nobody is another user than the one that runs the tests and the daemon.
const nobody = 65534

func asNobody() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// newPublicScene is a scene whose socket every user may reach.
func newPublicScene(t *testing.T, flags ...string) *scene {
	t.Helper()
	return newReachableScene(t, append(flags, "--socket-mode=0666")...)
}

// newReachableScene is a scene whose socket lies where every user may go.
func newReachableScene(t *testing.T, flags ...string) *scene {
	t.Helper()
	needRoot(t, "a client of another user")
	s := newScene(t, flags...)
	// What testing makes above its temporary directories is for its user only.
	if err := os.Chmod(filepath.Dir(filepath.Dir(s.Socket)), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOtherUser kills a holder of another user, who may do what the object's mode
// says and nothing more.
func TestOtherUser(t *testing.T) {
	forDaemons(t, func(t *testing.T, flags []string) {
		for _, f := range flavours {
			t.Run(string(f), func(t *testing.T) {
				s := newPublicScene(t, flags...)
				c := s.start(f, asNobody())
				c.do("open array data", "error PERMISSION")
				s.call(wire.MethodChmod, nil, "data", 0o644)
				c.do("open array data", "error PERMISSION") // for reading and writing
				s.call(wire.MethodChmod, nil, "data", 0o666)
				pair := hold(c, own)
				s.inheritFrom(own, heir{int32(c.PID()), nobody}, pair, c.Kill)
			})
		}
	})
}

// TestSocketOfOtherUser connects to a socket that is for its owner.
func TestSocketOfOtherUser(t *testing.T) {
	s := newPublicScene(t)
	if err := os.Chmod(s.Socket, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range flavours {
		s.startAny(f, asNobody()).Expect("error PERMISSION")
	}
}

// TestSocketOwner gives the socket away in the configuration file: its owner may connect,
// and nobody else.
func TestSocketOwner(t *testing.T) {
	needRoot(t, "a socket of another user")
	path := filepath.Join(t.TempDir(), "shmd.toml")
	if err := os.WriteFile(path, []byte("[socket]\nowner = \"65534\"\nmode = \"0600\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newReachableScene(t, "--config="+path)
	if err := os.WriteFile(path, []byte("[socket]\nowner = \"65534:65533\"\nmode = \"0660\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody - 1, Gid: nobody - 1}}
	for _, f := range flavours {
		s.start(f, asNobody()).MustEnd()
		s.startAny(f, other).Expect("error PERMISSION")
	}
	s.Signal(syscall.SIGHUP)
	harness.Await(t, "the group may connect", func() bool {
		info, err := os.Stat(s.Socket)
		return err == nil && info.Mode().Perm() == 0o660
	})
	for _, f := range flavours {
		s.start(f, other).MustEnd()
	}
}

// TestReadOnlyDescriptor attaches read-only and tries to write all the same: not
// by mapping the descriptor, and, for another user, not by opening it again.
func TestReadOnlyDescriptor(t *testing.T) {
	s := newPublicScene(t)
	s.call(wire.MethodChmod, nil, "data", 0o644)
	s.start(flavourGo, asNobody()).do("readonly data", "map EACCES, open EACCES")
	// Root may everything, so that the answer above says something.
	s.start(flavourGo, nil).do("readonly data", "map EACCES, open OK")
}

// readOnly receives the descriptor of a read-only attachment past the library,
// and says how writing through it fails.
func readOnly(name string) string {
	fd, err := receiveDescriptor(name)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	memory, mapped := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if mapped == nil {
		mapped = unix.Munmap(memory)
	}
	again, opened := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if opened == nil {
		opened = unix.Close(again)
	}
	return fmt.Sprintf("map %s, open %s", errnoName(mapped), errnoName(opened))
}

func errnoName(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return "OK"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// receiveDescriptor opens an object for reading on a connection of its own.
func receiveDescriptor(name string) (fd int, err error) {
	conn, _, fd, err := attachRaw(name, wire.AccessRead)
	if err != nil {
		return -1, err
	}
	return fd, conn.Close()
}

// exchange makes one call and receives its answer, and what came along.
func exchange(conn *wire.Conn, method string, params ...any) (result []byte, fds []int, err error) {
	request := wire.AppendRequestHeader(nil, 1, method, len(params))
	for _, p := range params {
		if request, err = wire.AppendEncoded(request, p); err != nil {
			return nil, nil, err
		}
	}
	if err := conn.Write(request); err != nil {
		return nil, nil, err
	}
	var scanner wire.Scanner
	buffer := make([]byte, 0, 64<<10)
	for {
		n, files, _, err := conn.Read(buffer[len(buffer):cap(buffer)])
		if err != nil {
			return nil, nil, err
		}
		fds = append(fds, files...)
		buffer = buffer[:len(buffer)+n]
		size, err := scanner.Next(buffer)
		if err != nil {
			return nil, nil, err
		}
		if size == 0 {
			continue
		}
		response, err := wire.ParseResponse(buffer[:size])
		if err != nil {
			return nil, nil, err
		}
		if response.Err != nil {
			return nil, nil, response.Err
		}
		return response.Result, fds, nil
	}
}

// TestOwnerOutlivesDaemon gives objects away, and kills the daemon: the next one knows the
// owners and modes, and who is charged.
func TestOwnerOutlivesDaemon(t *testing.T) {
	s := newPublicScene(t)
	s.call(wire.MethodChmod, nil, "data", 0o640)
	s.call(wire.MethodChown, nil, "data", nobody, 7)
	s.call(wire.MethodChown, nil, "lock", nobody, -1)
	s.Kill()
	s = s.restarted(harness.DaemonOptions{Flags: []string{"--socket-mode=0666", "--quota-objects=2"}})
	if st := s.stat("data"); st.UID != nobody || st.GID != 7 || st.Mode != 0o640 {
		t.Errorf("the next daemon knows uid %d, gid %d, mode %#o", st.UID, st.GID, st.Mode)
	}
	if st := s.stat("lock"); st.UID != nobody || st.GID != 0 {
		t.Errorf("the next daemon knows uid %d, gid %d", st.UID, st.GID)
	}
	if err := s.ctl.Chown(t.Context(), "foreign", nobody, -1); status.Of(err) != status.Quota {
		t.Errorf("a third object for who may have two: %v", err)
	}
	c := s.start(flavourGo, asNobody())
	c.do("open array data", "ok")
	c.MustEnd()
}

// inNamespaces are the ways to be elsewhere: what the kernel says of who connects is as the
// daemon sees it, not as the client does.
var inNamespaces = []struct {
	name string
	attr syscall.SysProcAttr
	root bool // as the daemon sees it
}{
	{"pid", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, true},
	{"mount", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, true},
	// Root of its own world, and nobody in ours.
	{"user", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}}, false},
	{"all", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: true}}, false},
}

// TestClientInNamespaces runs clients in namespaces of their own, and kills them while they
// hold a lock: they may what their user outside may, and are recovered as any other.
func TestClientInNamespaces(t *testing.T) {
	needRoot(t, "new namespaces")
	for _, n := range inNamespaces {
		t.Run(n.name, func(t *testing.T) {
			probe := exec.Command("true")
			probe.SysProcAttr = &n.attr
			if err := probe.Run(); err != nil {
				t.Skipf("the kernel makes no such namespace here: %v", err)
			}
			for _, f := range flavours {
				t.Run(string(f), func(t *testing.T) { holdElsewhere(t, f, n.attr, n.root) })
			}
		})
	}
}

// holdElsewhere runs one client in its namespaces.
func holdElsewhere(t *testing.T, f flavour, attr syscall.SysProcAttr, root bool) {
	s := newPublicScene(t)
	c := s.start(f, &attr)
	want := heir{int32(c.PID()), 0}
	if !root {
		want.uid = nobody
		c.do("open array data", "error PERMISSION")
		s.call(wire.MethodChmod, nil, "data", 0o644)
		c.do("open array data", "error PERMISSION") // for reading and writing
		s.call(wire.MethodChmod, nil, "data", 0o666)
	}
	s.inheritFrom(own, want, hold(c, own), c.Kill)
}

// TestDaemonInPidNamespace runs the daemon where it cannot see its clients'
// numbers: it knows their processes all the same, or refuses with the reason.
func TestDaemonInPidNamespace(t *testing.T) {
	needRoot(t, "a new pid namespace")
	inside := harness.DaemonOptions{Attr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}}
	t.Run("kernel", func(t *testing.T) {
		s := newSceneWith(t, inside)
		for _, f := range flavours {
			holder, waiter := s.start(f, nil), s.start(f, nil)
			hold(holder, own)
			waiter.do("open array data", "ok")
			waiter.Send("lock data")
			s.awaitSleepers(own, 1)
			holder.Kill()
			if n := waiter.notice(); n.PID != 0 || n.Seat == 0 {
				t.Errorf("the notice is %+v, want pid 0: it is not in the daemon's namespace", n)
			}
			s.repair(own, waiter, "values 7 0")
			waiter.do("unlock data", "ok")
			waiter.MustEnd()
		}
	})
	t.Run("without peerpidfd", func(t *testing.T) {
		inside.Flags = []string{"--without=peerpidfd"}
		harness.NoLeaks(t)
		s := &scene{t: t, Daemon: harness.StartDaemonWith(t, inside)}
		for _, f := range flavours {
			c := s.startAny(f, nil)
			c.Expect("error IDENTITY")
			c.MustEnd()
			if f != flavourC && !strings.Contains(c.Stderr(), "pid namespace") {
				t.Errorf("the reason is not given: %s", c.Stderr())
			}
		}
		s.Kill() // the leak check could not connect either
	})
}
