package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// peer is the process at the other end of a connection, as the kernel knows it.
type peer struct {
	pid      int32    // immutable; in the daemon's pid namespace; 0 if it is not in there
	uid, gid uint32   // immutable
	groups   []uint32 // immutable; supplementary groups

	pidfd *os.File        // immutable
	raw   syscall.RawConn // immutable; of pidfd
}

// Socket options that package unix does not know, or has no call for.
const (
	soPeerPIDFD  = 77 // Linux 6.5
	soPeerGroups = 59 // Linux 4.13
)

// clockTick is the unit of start times in /proc; it is 100 Hz on every
// architecture that Linux offers to user programs here.
const clockTick = 10 * time.Millisecond

// identify finds out who connected, on a connection accepted at a time after
// boot.
//
// A pid alone may have been given to another process since. SO_PEERPIDFD names
// the process itself; without it, the process that has the pid now must have
// been started before the connection was accepted.
func identify(socket *net.UnixConn, acceptedAt time.Duration, withoutPeerPIDFD bool) (*peer, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, status.Wrap(status.Identity, "connect", err, "the socket is gone")
	}
	p := &peer{}
	pidfd := -1
	var failed error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed != nil {
			failed = fmt.Errorf("SO_PEERCRED: %w", failed)
			return
		}
		p.pid, p.uid, p.gid = cred.Pid, cred.Uid, cred.Gid
		if p.groups, failed = peerGroups(int(fd)); failed != nil {
			failed = fmt.Errorf("SO_PEERGROUPS: %w", failed)
			return
		}
		if withoutPeerPIDFD {
			return
		}
		pidfd, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, soPeerPIDFD)
		if errors.Is(failed, unix.ENOPROTOOPT) {
			pidfd, failed = -1, nil // an older kernel
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, status.Wrap(status.Identity, "connect", err, "the kernel does not say who connected")
	}
	if pidfd < 0 {
		if pidfd, err = openPIDFD(p.pid, acceptedAt); err != nil {
			return nil, err
		}
	}
	if err := p.watch(pidfd); err != nil {
		_ = unix.Close(pidfd)
		return nil, err
	}
	return p, nil
}

// openPIDFD is the way of kernels without SO_PEERPIDFD.
func openPIDFD(pid int32, acceptedAt time.Duration) (int, error) {
	if pid <= 0 {
		return -1, status.New(status.Identity, "connect", "the process is in another pid namespace and this kernel "+
			"has no SO_PEERPIDFD: run the daemon in the outer namespace, or on Linux 6.5 or newer")
	}
	pidfd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return -1, status.Wrap(status.Identity, "connect", err, "process %d is gone", pid)
	}
	startedAt, err := startTime(pid)
	if err != nil {
		_ = unix.Close(pidfd)
		return -1, status.Wrap(status.Identity, "connect", err, "process %d does not say when it was started", pid)
	}
	if startedAt > acceptedAt+clockTick {
		_ = unix.Close(pidfd)
		return -1, status.New(status.Identity, "connect", "pid %d was given to another process after it connected", pid)
	}
	return pidfd, nil
}

// inherit takes the pidfd that a daemon before had of the process.
func (p *peer) inherit(f *os.File) error {
	defer f.Close()
	pidfd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return status.Wrap(status.System, "restart", err, "the pidfd of process %d", p.pid)
	}
	return p.watch(pidfd)
}

// is reports whether two are of one process. While that lives its pid is given to no
// other; without one, in a pid namespace of its own, the inode of its pidfd tells, where
// the kernel has one for each process (Linux 6.9).
func (p *peer) is(other *peer) bool {
	if p.uid != other.uid || p.dead() || p.pid != other.pid {
		return false
	}
	return p.pid != 0 || p.inode() != 0 && p.inode() == other.inode()
}

// inode is that of the pidfd; 0 if it says nothing.
func (p *peer) inode() (inode uint64) {
	_ = p.raw.Control(func(fd uintptr) {
		var fs unix.Statfs_t
		var st unix.Stat_t
		if unix.Fstatfs(int(fd), &fs) == nil && fs.Type == unix.PID_FS_MAGIC && unix.Fstat(int(fd), &st) == nil {
			inode = st.Ino
		}
	})
	return inode
}

// watch gives the pidfd to Go's netpoller, which then owns it.
func (p *peer) watch(pidfd int) error {
	unix.CloseOnExec(pidfd)
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return status.Wrap(status.Identity, "connect", err, "make the pidfd non-blocking")
	}
	p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return status.Wrap(status.Identity, "connect", err, "watch the pidfd")
	}
	p.raw = raw
	return nil
}

// waitDeath waits until the process is gone; false means that close came first.
// It sleeps in the netpoller and takes no thread.
func (p *peer) waitDeath() bool {
	return p.raw.Read(func(fd uintptr) bool { return readable(int(fd)) }) == nil
}

// dead reports whether the process is gone.
func (p *peer) dead() bool {
	gone := false
	err := p.raw.Control(func(fd uintptr) { gone = readable(int(fd)) })
	return err == nil && gone
}

// close ends waitDeath.
func (p *peer) close() { p.pidfd.Close() }

// in reports whether the process is of group gid.
func (p *peer) in(gid uint32) bool { return p.gid == gid || slices.Contains(p.groups, gid) }

// readable polls without waiting.
func readable(fd int) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && n == 1 && fds[0].Revents&(unix.POLLIN|unix.POLLHUP) != 0
	}
}

// peerGroups asks for the supplementary groups of the process that connected.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 32)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, soPeerGroups,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size/4) > len(groups):
			groups = make([]uint32, size/4)
		case errno != 0:
			return nil, errno
		default:
			return slices.Clip(groups[:size/4]), nil
		}
	}
}

// sinceBoot is the clock of start times.
func sinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// startTime is when a process was started, after boot.
func startTime(pid int32) (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; the fields behind it count
	// from 3, and the start time is field 22.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("%q has too few fields", text)
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 53)
	return time.Duration(ticks) * clockTick, err
}
