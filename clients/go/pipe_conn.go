package shmd

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Conn is the end of a pipe of bytes as a net.Conn. Read ends with io.EOF when the other
// end was closed, and with an error that is io.ErrUnexpectedEOF and ErrPeerDied when its
// client died; Write with one that is syscall.EPIPE. Closing it closes the end. A pipe of
// messages is ErrUnsupported.
func (e *PipeEnd) Conn() (net.Conn, error) {
	if !e.pipe.segment.Geometry().Flags.Has(shm.FlagBytes) {
		return nil, wrap("make a connection of", e.pipe.info.Name, status.New(status.Unsupported, "",
			"it is a pipe of messages: create it with Bytes"))
	}
	return &pipeConn{end: e}, nil
}

// pipeConn is the end of a pipe as a net.Conn.
type pipeConn struct {
	end         *PipeEnd
	writing     sync.Mutex // a Write is not mixed with another
	read, write deadline
}

// pipeAddr is one end of a pipe as a net.Addr.
type pipeAddr struct {
	pipe string
	end  End
}

func (a pipeAddr) Network() string { return "shmd" }
func (a pipeAddr) String() string  { return a.pipe + ":" + a.end.String() }

func (c *pipeConn) LocalAddr() net.Addr  { return pipeAddr{c.end.pipe.info.Name, c.end.Which()} }
func (c *pipeConn) RemoteAddr() net.Addr { return pipeAddr{c.end.pipe.info.Name, 1 - c.end.Which()} }

func (c *pipeConn) Read(b []byte) (int, error) {
	ctx := c.read.wait()
	if ctx.Err() != nil {
		return 0, c.failed("read", os.ErrDeadlineExceeded)
	}
	if len(b) == 0 {
		return 0, c.failed("read", c.end.receiver.usable())
	}
	n, err := c.end.ReadBytes(ctx, b)
	return n, c.failed("read", err)
}

func (c *pipeConn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	ctx := c.write.wait()
	if ctx.Err() != nil {
		return 0, c.failed("write", os.ErrDeadlineExceeded)
	}
	if err := c.end.sender.usable(); err != nil {
		return 0, c.failed("write", err)
	}
	for n < len(b) {
		wrote, err := c.end.WriteBytes(ctx, b[n:])
		n += wrote
		if err != nil {
			return n, c.failed("write", err)
		}
	}
	return n, nil
}

// failed is an error as package net words it.
func (c *pipeConn) failed(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case op == "read" && errors.Is(err, status.Ended):
		return io.EOF
	case errors.Is(err, status.TimedOut):
		err = os.ErrDeadlineExceeded
	case errors.Is(err, status.Closed):
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "shmd", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *pipeConn) Close() error { return c.end.Close() }

func (c *pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.read, t, c.end.receiver.direction)
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.write, t, c.end.sender.direction)
}

func (c *pipeConn) setDeadline(d *deadline, t time.Time, which *direction) error {
	if err := which.usable(); err != nil {
		return c.failed("set deadline", err)
	}
	d.set(t)
	return nil
}
