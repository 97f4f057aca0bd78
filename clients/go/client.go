package shmd

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Options configure Dial. The zero value is fine.
type Options struct {
	// Socket is the daemon's socket; "" looks at $SHMD_SOCKET, then
	// $XDG_RUNTIME_DIR/shmd/shmd.sock, then /run/shmd/shmd.sock.
	Socket string
	// Software names the program in the daemon's list of clients; "" = its
	// executable's name.
	Software string
	// ReattachTimeout is how long a control call waits while the daemon is away; 0 = 5 s,
	// negative = not at all: with the connection the client is lost.
	ReattachTimeout time.Duration
}

// Client is one client of the daemon. When that ends, open objects go on working, and
// the client comes back to its successor by itself: control calls wait for that, up to
// Options.ReattachTimeout, and then answer ErrLost; a call that was under way is repeated
// if it may be, and else answers ErrOutcomeUnknown. Safe for concurrent use.
type Client struct {
	options Options       // immutable
	uuid    [16]byte      // immutable
	serial  atomic.Uint32 // source of owners
	claims  claims        // roles of streams and pipes
	lost    chan struct{} // closed after cause is set

	link  atomic.Pointer[link] // nil while there is none
	hello atomic.Pointer[wire.HelloResult]

	mu       sync.Mutex
	cause    error         // protected by mu; why the client is lost
	ready    chan struct{} // protected by mu; closed when there is a link
	lastID   uint32        // protected by mu; of a request on a former link
	doubtful []uint32      // protected by mu; requests to attach that were not answered
	closing  []uint64      // protected by mu; handles to close when there is a link
}

// DefaultSocket is the socket that Dial uses when none is named.
func DefaultSocket() string {
	paths := wire.SocketPaths()
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return paths[0]
}

// parker puts the goroutines of all clients to sleep: one for the process, so that
// many connections do not take more threads than one.
var parker = shm.NewParker(shm.ParkerOptions{})

// Dial connects to the daemon. Errors: ErrNoDaemon, ErrVersion, ErrPermission,
// ErrTimedOut and ErrCancelled by ctx.
func Dial(ctx context.Context, o Options) (*Client, error) {
	if o.Socket == "" {
		o.Socket = DefaultSocket()
	}
	if o.Software == "" {
		o.Software = filepath.Base(os.Args[0])
	}
	c := &Client{options: o, lost: make(chan struct{}), ready: make(chan struct{})}
	_, _ = rand.Read(c.uuid[:]) // never fails, by its contract
	if err := c.connect(ctx, false); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes a link: the client's first, or to come back.
func (c *Client) connect(ctx context.Context, again bool) error {
	socket, err := reach(ctx, c.options.Socket)
	if err != nil {
		return dialError(c.options.Socket, err)
	}
	conn, err := wire.NewConn(socket.(*net.UnixConn))
	if err != nil {
		return errors.Join(status.Wrap(status.System, "dial", err, "%s", c.options.Socket), socket.Close())
	}
	l := newLink(conn, c.lastID)
	hello, err := c.greet(ctx, l, again)
	if err != nil {
		l.fail(status.Closed)
		return err
	}
	c.join(l, hello)
	return nil
}

// reach connects a socket. While more wait there than there is room for, it tries again, as
// a connect that blocks would wait.
func reach(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for pause := reattachMin; ; pause = min(2*pause, reattachMax) {
		socket, err := d.DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) {
			return socket, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func dialError(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return status.Wrap(status.NoDaemon, "dial", err, "start one with \"shmd serve\" or set SHMD_SOCKET")
	case errors.Is(err, fs.ErrPermission):
		return status.Wrap(status.Permission, "dial", err, "this user may not use %s", socket)
	case errors.Is(err, context.DeadlineExceeded):
		return status.Wrap(status.TimedOut, "dial", err, "%s", socket)
	case errors.Is(err, context.Canceled):
		return status.Wrap(status.Cancelled, "dial", err, "%s", socket)
	}
	return status.Wrap(status.System, "dial", err, "%s", socket)
}

func (c *Client) greet(ctx context.Context, l *link, again bool) (*wire.HelloResult, error) {
	params := []any{wire.VersionMin, wire.VersionMax, c.uuid[:], c.options.Software}
	if again {
		params = append(params, wire.List[uint32](c.doubtful))
	}
	call := &call{method: wire.MethodHello}
	err := l.start(call, len(params), func(b []byte) ([]byte, error) { return appendParams(b, params) })
	if err != nil {
		return nil, wrap(wire.MethodHello, "", err)
	}
	hello := new(wire.HelloResult)
	a := l.wait(ctx, call)
	switch {
	case a.err == nil:
		a.err = wire.Decode(a.result, hello)
	case a.broken && again:
		a.err = status.Wrap(status.NoDaemon, "", a.err, "it ended")
	}
	return hello, wrap(wire.MethodHello, "", a.err)
}

// Close says goodbye and closes the connection. Objects that are still open are
// given back: a lock that this client holds goes to its next owner with a
// notice. Do not use them afterwards. While the daemon is away it waits as every call; if that
// is in vain, what is mapped is given back when this process ends.
func (c *Client) Close() error {
	for {
		l, err := c.current(context.Background())
		if err != nil {
			c.finish(status.Closed)
			return nil // gone already
		}
		err = c.ask(context.Background(), l, wire.MethodBye)
		if err != nil && l.over() && c.resumable() {
			<-l.ended // and the client comes back to the next daemon, which has to be told, too
			continue
		}
		c.finish(status.Closed)
		l.fail(status.Closed)
		switch status.Of(err) {
		case status.Lost, status.Closed, status.OutcomeUnknown:
			return nil // gone already
		}
		return err
	}
}

// ID is the daemon's number for this client.
func (c *Client) ID() uint64 { return c.hello.Load().Client }

// Server is the daemon's name and version.
func (c *Client) Server() string { return c.hello.Load().Server }

// Lost is closed when the client has ended: by Close, or because the daemon is gone and
// no successor knows the client. While it may come back it is not lost.
func (c *Client) Lost() <-chan struct{} { return c.lost }

// Unlink removes a name. Handles and waits go on; a new object of that name is
// another object.
func (c *Client) Unlink(ctx context.Context, name string) error {
	return c.Call(ctx, wire.MethodUnlink, nil, name)
}

// Chmod sets who may read and write an object, for whoever opens it from now on: mode is
// that of a file, of 0666 at most. Only its owner and root may.
func (c *Client) Chmod(ctx context.Context, name string, mode uint32) error {
	return c.Call(ctx, wire.MethodChmod, nil, name, mode)
}

// Chown gives an object another owner and group; -1 leaves one as it is. The new owner is
// charged for it, else the error is status.Quota. As of files, only root gives to another
// user, and an owner to a group that he is of.
func (c *Client) Chown(ctx context.Context, name string, uid, gid int64) error {
	return c.Call(ctx, wire.MethodChown, nil, name, uid, gid)
}

// Destroy removes an object for everybody: whoever waits, and every later call,
// gets ErrRemoved.
func (c *Client) Destroy(ctx context.Context, name string) error {
	return c.Call(ctx, wire.MethodDestroy, nil, name)
}
