package keeper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

const (
	// sendPatience is how long a keeper may let a message lie; then it is given up.
	sendPatience = 5 * time.Second
	// startPatience is how long one may take to start.
	startPatience = 10 * time.Second
	// restartDelay is how long after a start that failed another is tried.
	restartDelay = 200 * time.Millisecond
	// startTries is how often a daemon that starts tries.
	startTries = 3
)

// LinkConfig says which keeper a daemon has.
type LinkConfig struct {
	Socket string // the keeper's, as Path has it
	// Command starts a keeper that writes to its descriptor 3 when it is there; nil = it
	// is started by somebody else.
	Command func() *exec.Cmd
	Logger  *slog.Logger
}

// Link is a daemon's connection to its keeper, which it replaces when it dies. It
// remembers everything that the keeper holds, so that the next one gets it.
//
// Safe for concurrent use. It borrows the files until they are dropped.
type Link struct {
	config LinkConfig // immutable

	mu     sync.Mutex          // held while the keeper is replaced
	conn   *net.UnixConn       // protected by mu; nil = there is none
	held   map[string]*os.File // protected by mu
	closed bool                // protected by mu
	wg     sync.WaitGroup      // the watch
	done   chan struct{}       // closed by Close
}

// Entry is what a keeper had of the daemon before.
type Entry struct {
	Key  string
	File *os.File
}

// Connect finds the keeper, or starts one, and takes over what it holds. The caller owns
// the files, and has to Adopt those that the keeper shall go on holding.
func Connect(ctx context.Context, c LinkConfig) (*Link, []Entry, error) {
	l := &Link{config: c, held: make(map[string]*os.File), done: make(chan struct{})}
	conn, err := l.dial(ctx)
	var entries []Entry
	if err == nil {
		if entries, err = list(conn); err == nil {
			l.attach(conn)
			return l, entries, nil
		}
		conn.Close() // it ended under our hands
		c.Logger.Warn("the keeper ended while it told what it holds", "error", err)
	}
	for try := 1; ; try++ {
		err := l.start(ctx)
		if err == nil {
			return l, nil, nil
		}
		if try == startTries {
			return nil, nil, err
		}
		c.Logger.Warn("no keeper yet", "try", try, "error", err)
		select {
		case <-ctx.Done():
			return nil, nil, err
		case <-time.After(restartDelay):
		}
	}
}

func (l *Link) dial(ctx context.Context) (*net.UnixConn, error) {
	socket, err := new(net.Dialer).DialContext(ctx, "unixpacket", l.config.Socket)
	if err != nil {
		return nil, err
	}
	conn := socket.(*net.UnixConn)
	if _, err := samePeer(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// list asks what the keeper holds.
func list(conn *net.UnixConn) (entries []Entry, err error) {
	defer func() {
		if err != nil {
			for _, e := range entries {
				e.File.Close()
			}
			entries = nil
		}
	}()
	if err := send(conn, verbList, "", -1); err != nil {
		return nil, err
	}
	for {
		verb, key, fd, err := receive(conn, false)
		switch {
		case err != nil:
			return entries, err
		case verb == verbEnd:
			return entries, nil
		case verb != verbEntry || fd < 0:
			return entries, errProtocol
		}
		entries = append(entries, Entry{key, os.NewFile(uintptr(fd), key)})
	}
}

// attach makes a connection the link's. Call it with mu held, or before anybody else has
// the link.
func (l *Link) attach(conn *net.UnixConn) {
	l.conn = conn
	l.wg.Add(1)
	go l.watch(conn)
}

// watch waits for the end of the keeper, and replaces it.
func (l *Link) watch(conn *net.UnixConn) {
	defer l.wg.Done()
	_, _, fd, err := receive(conn, false) // it never says anything unasked
	if fd >= 0 {
		_ = unix.Close(fd)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == conn {
		l.lost(err)
	}
	for !l.closed && l.conn == nil {
		if err := l.replace(); err == nil {
			return
		}
		l.mu.Unlock()
		select {
		case <-l.done:
		case <-time.After(restartDelay):
		}
		l.mu.Lock()
	}
}

// lost gives a keeper up. One that only does not read any more is ended, for it would
// keep the memory for ever. Call it with mu held.
func (l *Link) lost(why error) {
	if l.closed {
		return
	}
	l.config.Logger.Warn("the keeper is gone; another gets everything", "error", why)
	if errors.Is(why, os.ErrDeadlineExceeded) {
		if pid, err := samePeer(l.conn); err == nil && pid > 0 {
			if pidfd, err := unix.PidfdOpen(pid, 0); err == nil {
				_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // if it is gone, so much the better
				_ = unix.Close(pidfd)
			}
		}
	}
	l.conn.Close()
	l.conn = nil
}

// replace starts a keeper and hands everything over. The journal is the last, so that a
// keeper with a journal has all that it speaks of. Call it with mu held.
func (l *Link) replace() error {
	err := l.start(context.Background())
	if err != nil {
		l.config.Logger.Error("no keeper; nothing is created until there is one", "error", err)
		return err
	}
	for key, f := range l.held {
		if key != JournalKey {
			err = l.deliver(key, f)
		}
		if err != nil {
			break
		}
	}
	if f := l.held[JournalKey]; err == nil && f != nil {
		err = l.deliver(JournalKey, f)
	}
	if err != nil {
		l.lost(err)
		return err
	}
	l.config.Logger.Info("the keeper has everything", "descriptors", len(l.held))
	return nil
}

// JournalKey is the key of the journal.
const JournalKey = "journal"

// start starts a keeper, or finds that somebody did, and connects to it. Call it with mu
// held, or before anybody else has the link.
func (l *Link) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if l.config.Command != nil {
		if err := run(ctx, l.config.Command()); err != nil {
			return err
		}
	}
	conn, err := l.dial(ctx)
	if err != nil {
		return status.Wrap(status.System, "keep", err, "connect to the keeper").On(l.config.Socket)
	}
	// Only one that somebody else keeps running can have something: of a daemon that is
	// gone, and whose list came to nothing.
	entries, err := list(conn)
	for _, e := range entries {
		err = errors.Join(err, e.File.Close(), send(conn, verbDrop, e.Key, -1))
	}
	if err != nil {
		return errors.Join(status.Wrap(status.System, "keep", err, "the new keeper").On(l.config.Socket), conn.Close())
	}
	l.attach(conn)
	return nil
}

// run starts the command, in a session of its own, and waits until it says that it is
// ready.
func run(ctx context.Context, cmd *exec.Cmd) error {
	ready, in, err := os.Pipe()
	if err != nil {
		return status.Wrap(status.System, "keep", err, "a pipe to the keeper")
	}
	defer ready.Close()
	cmd.ExtraFiles = []*os.File{in}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = errors.Join(cmd.Start(), in.Close())
	if err != nil {
		return status.Wrap(status.System, "keep", err, "start the keeper")
	}
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }() // it may outlive us
	deadline, _ := ctx.Deadline()
	if err := ready.SetReadDeadline(deadline); err != nil {
		return status.Wrap(status.System, "keep", err, "wait for the keeper")
	}
	switch text, err := io.ReadAll(ready); {
	case err != nil:
		return status.Wrap(status.System, "keep", err, "the keeper does not start")
	case len(text) == 0:
		why := error(io.ErrUnexpectedEOF)
		select {
		case ended := <-end:
			why = errors.Join(ended, why)
		case <-ctx.Done():
		}
		return status.Wrap(status.System, "keep", why, "the keeper does not start; shmd keeper says why, by hand")
	}
	return nil
}

// Put makes the keeper hold a file, in place of what has the key. When it returns nil the
// file is safe. While there is no keeper it waits for the one that is being started; an
// error says that none could be. status.Busy: too many descriptors are on their way from
// this user's processes, which the kernel bounds.
func (l *Link) Put(key string, f *os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil && !l.closed {
		_ = l.replace() // or tell it below
	}
	if l.conn == nil {
		return status.New(status.System, "keep",
			"there is no keeper, and none can be started: the daemon's log says why")
	}
	before, had := l.held[key]
	l.held[key] = f
	err := l.deliver(key, f)
	switch {
	case err == nil, errors.Is(err, os.ErrClosed):
	case errors.Is(err, unix.ETOOMANYREFS): // clients do it, and no other keeper would help
		err = status.New(status.Busy, "keep",
			"clients have not received too many descriptors that were sent to them: receive yours, and try again")
	default:
		l.lost(err)
		err = l.replace()
	}
	if err != nil {
		if delete(l.held, key); had {
			l.held[key] = before
		}
	}
	return err
}

// Adopt is Put of what the keeper holds already.
func (l *Link) Adopt(key string, f *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[key] = f
}

// Drop makes the keeper forget a file, which may be closed from now on.
func (l *Link) Drop(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, key)
	if l.conn == nil {
		return
	}
	if err := l.send(verbDrop, key, -1); err != nil {
		l.lost(err) // the watch replaces it
	}
}

// deliver sends a file. Call it with mu held.
func (l *Link) deliver(key string, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = l.send(verbPut, key, int(fd)) }); err != nil {
		return err
	}
	return failed
}

// send sends a message. A deadline is for a keeper that does not read only.
func (l *Link) send(verb byte, key string, fd int) error {
	err := trySend(l.conn, verb, key, fd)
	if !errors.Is(err, unix.EAGAIN) {
		return err
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return err
	}
	return send(l.conn, verb, key, fd)
}

// Close ends the connection; the keeper goes on holding, unless quit: then it ends, and
// what it holds with it. It returns when a keeper that was told has ended.
func (l *Link) Close(quit bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.closed = true
	conn := l.conn
	if conn != nil && quit {
		_ = l.send(verbQuit, "", -1) // if it is gone, so much the better
	}
	l.mu.Unlock()
	close(l.done)
	if conn != nil && !quit {
		conn.Close()
	}
	l.wg.Wait() // for a keeper that quits: its end
	if conn != nil {
		conn.Close()
	}
}

// Quit ends the keeper on a socket, if there is one.
func Quit(ctx context.Context, socket string) error {
	l := &Link{config: LinkConfig{Socket: socket}}
	conn, err := l.dial(ctx)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return status.Wrap(status.System, "keep", err, "connect to the keeper").On(socket)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := send(conn, verbQuit, "", -1); err != nil {
		return status.Wrap(status.System, "keep", err, "tell the keeper").On(socket)
	}
	if _, _, _, err = receive(conn, false); !gone(err) {
		return status.Wrap(status.System, "keep", err, "it serves a daemon: stop that first").On(socket)
	}
	return nil
}
