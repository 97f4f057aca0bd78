package shmd

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

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
}

// Client is a connection to the daemon. Safe for concurrent use.
type Client struct {
	link   *link            // immutable
	hello  wire.HelloResult // immutable
	serial atomic.Uint32    // source of owners
	claims claims           // roles of streams and pipes
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
	var d net.Dialer
	socket, err := d.DialContext(ctx, "unix", o.Socket)
	if err != nil {
		return nil, dialError(o.Socket, err)
	}
	conn, err := wire.NewConn(socket.(*net.UnixConn))
	if err != nil {
		return nil, errors.Join(status.Wrap(status.System, "dial", err, "%s", o.Socket), socket.Close())
	}
	c := &Client{link: newLink(conn)}
	if err := c.greet(ctx, o.Software); err != nil {
		c.link.fail(status.Closed)
		return nil, err
	}
	return c, nil
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

func (c *Client) greet(ctx context.Context, software string) error {
	var uuid [16]byte
	_, _ = rand.Read(uuid[:]) // never fails, by its contract
	return c.Call(ctx, wire.MethodHello, &c.hello, wire.VersionMin, wire.VersionMax, uuid[:], software)
}

// Close says goodbye and closes the connection. Objects that are still open are
// given back: a lock that this client holds goes to its next owner with a
// notice. Do not use them afterwards.
func (c *Client) Close() error {
	err := c.Call(context.Background(), wire.MethodBye, nil)
	c.link.fail(status.Closed)
	if errors.Is(err, status.Lost) || errors.Is(err, status.Closed) {
		return nil // gone already
	}
	return err
}

// ID is the daemon's number for this client.
func (c *Client) ID() uint64 { return c.hello.Client }

// Server is the daemon's name and version.
func (c *Client) Server() string { return c.hello.Server }

// Lost is closed when the connection has ended, by Close or because the daemon
// is gone.
func (c *Client) Lost() <-chan struct{} { return c.link.ended }

// Unlink removes a name. Handles and waits go on; a new object of that name is
// another object.
func (c *Client) Unlink(ctx context.Context, name string) error {
	return c.Call(ctx, wire.MethodUnlink, nil, name)
}

// Destroy removes an object for everybody: whoever waits, and every later call,
// gets ErrRemoved.
func (c *Client) Destroy(ctx context.Context, name string) error {
	return c.Call(ctx, wire.MethodDestroy, nil, name)
}
