package keeper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// Path is the socket of the keeper of a daemon on socket.
func Path(socket string) string { return socket + ".keeper" }

// idleMax is how long a keeper that holds nothing waits for a daemon.
const idleMax = 10 * time.Second

// Config says how a keeper runs.
type Config struct {
	Socket string // the keeper's own, as Path has it
	// Supervised keepers stay when they hold nothing and there is no daemon.
	Supervised bool
	Logger     *slog.Logger // discarded if nil
	// Ready is called once the socket is there.
	Ready func() error
}

// keeper is a running keeper; one goroutine.
type keeper struct {
	Config
	listener *net.UnixListener
	name     os.FileInfo    // of the socket that is ours
	held     map[string]int // descriptors
}

// Run keeps what a daemon puts, until it is told to quit, ctx ends, or it is of no use
// any more. What it holds is closed when it returns.
func Run(ctx context.Context, c Config) error {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	k := &keeper{Config: c, held: make(map[string]int)}
	if err := k.listen(ctx); err != nil {
		return status.Wrap(status.System, "keep", err, "listen").On(c.Socket)
	}
	stop := context.AfterFunc(ctx, func() { k.listener.Close() })
	defer stop()
	defer k.clear()
	if c.Ready != nil {
		if err := c.Ready(); err != nil {
			return errors.Join(err, k.close())
		}
	}
	for {
		var conn *net.UnixConn
		err := k.patience()
		if err == nil {
			conn, err = k.listener.AcceptUnix()
		}
		switch {
		case err == nil:
			quit := k.serve(ctx, conn)
			if quit { // first, so that whoever waits for the end of the connection meets nobody
				err = k.close()
			}
			if closed := conn.Close(); !errors.Is(closed, net.ErrClosed) {
				err = errors.Join(err, closed)
			}
			if quit {
				return err
			}
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return k.close()
		default:
			return errors.Join(status.Wrap(status.System, "keep", err, "accept"), k.close())
		}
	}
}

// listen makes the socket under another name first, so that nobody meets one that
// nobody listens on. A socket there is that of a keeper that is gone, or given up.
func (k *keeper) listen(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(k.Socket), 0o755); err != nil {
		return err
	}
	path := k.Socket + ".new"
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unixpacket", path)
	if err != nil {
		return err
	}
	k.listener = l.(*net.UnixListener)
	k.listener.SetUnlinkOnClose(false)
	if k.name, err = os.Lstat(path); err == nil {
		err = errors.Join(os.Chmod(path, 0o600), k.alone(func() error { return os.Rename(path, k.Socket) }))
	}
	if err != nil {
		return errors.Join(err, k.listener.Close(), os.Remove(path))
	}
	return nil
}

// alone runs what changes the name while no other keeper does.
func (k *keeper) alone(change func() error) error {
	dir, err := os.Open(filepath.Dir(k.Socket))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	return change()
}

// patience bounds the wait for a daemon, if there is nothing to keep for one.
func (k *keeper) patience() error {
	if k.Supervised || len(k.held) > 0 {
		return k.listener.SetDeadline(time.Time{})
	}
	return k.listener.SetDeadline(time.Now().Add(idleMax))
}

// close ends the keeper; the name goes first, so that nobody connects to it any more. It
// may be another keeper's by now.
func (k *keeper) close() error {
	err := k.alone(func() error {
		if now, err := os.Lstat(k.Socket); err != nil || !os.SameFile(now, k.name) {
			return err
		}
		return os.Remove(k.Socket)
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if closed := k.listener.Close(); !errors.Is(closed, net.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}

// clear closes everything.
func (k *keeper) clear() {
	for _, fd := range k.held {
		_ = unix.Close(fd) // only references are given up
	}
	clear(k.held)
}

// serve serves one daemon to its end; quit = end too. The caller closes the connection.
func (k *keeper) serve(ctx context.Context, conn *net.UnixConn) (quit bool) {
	if _, err := samePeer(conn); err != nil {
		k.Logger.Warn("connection refused", "error", err)
		return false
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for {
		verb, key, fd, err := receive(conn, true)
		if err == nil {
			quit, err = k.obey(conn, verb, key, fd)
		}
		switch {
		case quit:
			return true
		case gone(err):
			return !k.Supervised && len(k.held) == 0
		case err != nil:
			// The daemon notices, and takes another keeper.
			k.Logger.Error("connection given up", "error", err)
			return true
		}
	}
}

// obey does what a message says. fd is its own.
func (k *keeper) obey(conn *net.UnixConn, verb byte, key string, fd int) (quit bool, err error) {
	if verb != verbPut && fd >= 0 {
		return false, errors.Join(errProtocol, unix.Close(fd))
	}
	switch verb {
	case verbPut:
		if fd < 0 {
			return false, errProtocol
		}
		k.drop(key)
		k.held[key] = fd
		return false, nil
	case verbDrop:
		k.drop(key)
		return false, nil
	case verbList:
		return false, k.list(conn)
	case verbQuit:
		k.clear()
		if k.Supervised {
			return false, io.EOF
		}
		return true, nil
	}
	return false, errProtocol
}

var errProtocol = status.New(status.BadFrame, "receive", "that is no message to a keeper")

func (k *keeper) drop(key string) {
	if fd, ok := k.held[key]; ok {
		_ = unix.Close(fd) // only a reference is given up
		delete(k.held, key)
	}
}

func (k *keeper) list(conn *net.UnixConn) error {
	for key, fd := range k.held {
		if err := send(conn, verbEntry, key, fd); err != nil {
			return err
		}
	}
	return send(conn, verbEnd, "", -1)
}
