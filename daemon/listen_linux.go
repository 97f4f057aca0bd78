package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// ErrRunning means that another daemon owns the socket.
var ErrRunning = errors.New("another shmd daemon runs on this socket")

const (
	// newSuffix is what the socket is called until its mode and owner are set.
	newSuffix = ".new"
	// socketPathMax is what sockaddr_un holds, with its terminating zero.
	socketPathMax = 107
)

// endpoint is the socket in the file system, and the lock that makes it ours.
type endpoint struct {
	path     string            // immutable
	lock     *os.File          // immutable; flock; the kernel frees it when we die
	listener *net.UnixListener // immutable
	adopted  bool              // immutable; a supervisor's
}

// reserve takes the lock beside the socket. The lock file stays for ever: removing it
// would let two daemons lock two files of one name.
func reserve(c Config) (*endpoint, error) {
	fail := func(err error, what string) (*endpoint, error) {
		return nil, status.Wrap(status.System, "listen", err, "%s", what).On(c.Socket)
	}
	if err := os.MkdirAll(filepath.Dir(c.Socket), 0o755); err != nil {
		return fail(err, "make the directory of the socket")
	}
	lock, err := os.OpenFile(c.Socket+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fail(err, "open the lock file")
	}
	e := &endpoint{path: c.Socket, lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fail(ErrRunning, "stop it, or choose another socket")
		}
		return fail(err, "lock the lock file")
	}
	return e, nil
}

// listen removes what a dead daemon left, and listens. It keeps the lock if it fails.
func (e *endpoint) listen(ctx context.Context, c Config) (err error) {
	fail := func(err error, what string) error {
		return status.Wrap(status.System, "listen", err, "%s", what).On(c.Socket)
	}
	if c.Listener != nil {
		return e.adopt(c)
	}
	// A socket of that name belongs to nobody alive.
	for _, path := range []string{c.Socket, c.Socket + newSuffix} {
		if err := removeSocket(path); err != nil {
			return fail(err, "remove the socket of a daemon that is gone")
		}
	}
	if e.listener, err = bind(ctx, c); err != nil {
		return fail(err, "bind the socket")
	}
	if err := os.Rename(c.Socket+newSuffix, c.Socket); err != nil {
		return fail(err, "name the socket")
	}
	return nil
}

// adopt takes the socket of a supervisor. It closes it if it fails.
func (e *endpoint) adopt(c Config) error {
	l := c.Listener
	l.SetUnlinkOnClose(false)
	raw, err := l.SyscallConn()
	if err == nil {
		passes := 0
		var failed error
		err = raw.Control(func(fd uintptr) {
			passes, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED)
		})
		if err = errors.Join(err, failed); err == nil && passes == 0 {
			c.Logger.Warn("the supervisor's socket does not pass credentials: clients that connected before the "+
				"daemon started are refused; set PassCredentials=yes in its unit", "socket", e.path)
			err = passCredentials(raw)
		}
	}
	if err != nil {
		err = status.Wrap(status.System, "listen", err, "take the supervisor's socket").On(e.path)
		return errors.Join(err, l.Close())
	}
	e.listener, e.adopted = l, true
	return nil
}

// passCredentials makes all sockets that are accepted, which inherit it, carry the
// sender's credentials, even with bytes sent before accept.
func passCredentials(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	})
	return errors.Join(err, failed)
}

// bind makes the socket under its temporary name, with mode and owner, so that
// nobody meets it half made.
func bind(ctx context.Context, c Config) (*net.UnixListener, error) {
	path := c.Socket + newSuffix
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return passCredentials(raw) }}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	listener := l.(*net.UnixListener)
	listener.SetUnlinkOnClose(false)
	if err := permit(path, c); err != nil {
		listener.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return listener, nil
}

// permit gives a socket its owner and mode.
func permit(path string, c Config) error {
	uid, gid := -1, -1
	if c.SocketUID != nil {
		uid = *c.SocketUID
	}
	if c.SocketGID != nil {
		gid = *c.SocketGID
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(path, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, c.SocketMode)
}

// permit gives our socket another owner and mode; those of a supervisor's are its own affair.
func (e *endpoint) permit(c Config) error {
	if e.adopted {
		return nil
	}
	if err := permit(e.path, c); err != nil {
		return status.Wrap(status.System, "reload", err, "the socket's owner and mode").On(e.path)
	}
	return nil
}

// removeSocket removes a socket and nothing else.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New(path + " exists and is no socket: move it away")
	}
	return os.Remove(path)
}

// close stops listening; the name goes first, so that nobody connects to a
// socket that nobody serves.
func (e *endpoint) close() {
	if e.listener != nil && !e.adopted {
		_ = removeSocket(e.path)
		_ = removeSocket(e.path + newSuffix)
	}
	if e.listener != nil {
		e.listener.Close()
	}
	e.lock.Close()
}
