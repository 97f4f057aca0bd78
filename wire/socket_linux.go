package wire

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// fdsMax is how many descriptors one read takes; a peer sends one at a time.
const fdsMax = 16

// ancillaryMax is room for fdsMax descriptors and one set of credentials.
const ancillaryMax = 24 + 4*fdsMax + 16 + unix.SizeofUcred + 16

// Conn is a Unix stream socket that carries descriptors and credentials beside
// the bytes. One goroutine may read while another writes.
type Conn struct {
	socket *net.UnixConn
	raw    syscall.RawConn

	// The state of one Read, kept here so that none allocates.
	receive func(fd uintptr) bool // c.recvmsg, bound once
	header  unix.Msghdr
	vector  unix.Iovec
	control [(ancillaryMax + 7) / 8]uint64
	got     int
	errno   unix.Errno
	fds     [fdsMax]int
	cred    unix.Ucred

	// The state of one Send.
	transmit func(fd uintptr) bool // c.sendto, bound once
	unsent   []byte
	failed   unix.Errno
}

// NewConn takes a connected socket, which it owns from now on.
func NewConn(socket *net.UnixConn) (*Conn, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, status.Wrap(status.System, "connect", err, "the socket gives no access to its descriptor")
	}
	c := &Conn{socket: socket, raw: raw}
	c.receive, c.transmit = c.recvmsg, c.sendto
	return c, nil
}

// EnableCredentials asks the kernel to say with all bytes who sent them. Bytes
// sent before may come without.
func (c *Conn) EnableCredentials() error {
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	})
	if err = errors.Join(err, failed); err != nil {
		return status.Wrap(status.System, "enable credentials", err, "SO_PASSCRED")
	}
	return nil
}

// PeerCredentials says who connected (SO_PEERCRED).
func (c *Conn) PeerCredentials() (unix.Ucred, error) {
	var cred *unix.Ucred
	var failed error
	err := c.raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return unix.Ucred{}, status.Wrap(status.System, "identify the peer", err, "SO_PEERCRED")
	}
	return *cred, nil
}

// Socket is the socket itself, for socket options; Conn still owns it.
func (c *Conn) Socket() *net.UnixConn { return c.socket }

// Read waits for bytes and receives them with one recvmsg. The caller takes the
// descriptors and must close them; the slice and cred are valid until the next
// Read. cred is nil if none came. The error is io.EOF at the end, what the net
// package says of a closed socket or a deadline, or a *status.Error: BadFrame
// if descriptors were lost because too many came, and then none is left open.
func (c *Conn) Read(b []byte) (n int, fds []int, cred *unix.Ucred, err error) {
	if len(b) == 0 {
		return 0, nil, nil, nil
	}
	c.vector.Base = &b[0]
	c.vector.SetLen(len(b))
	c.header = unix.Msghdr{Iov: &c.vector, Control: (*byte)(unsafe.Pointer(&c.control[0]))}
	c.header.SetIovlen(1)
	c.header.SetControllen(ancillaryMax)
	err = c.raw.Read(c.receive)
	c.vector.Base = nil
	if err != nil {
		return 0, nil, nil, err
	}
	if c.errno != 0 {
		return 0, nil, nil, status.Wrap(status.System, "receive", c.errno, "recvmsg")
	}
	fds, cred, whole := c.ancillary()
	if !whole || c.header.Flags&unix.MSG_CTRUNC != 0 {
		closeAll(fds)
		return 0, nil, nil, status.New(status.BadFrame, "receive", "more than %d descriptors came at once, "+
			"or this process may open no more", fdsMax)
	}
	if c.got == 0 {
		closeAll(fds)
		return 0, nil, nil, io.EOF
	}
	return c.got, fds, cred, nil
}

// Neither attempt blocks, so neither is a Syscall, which wakes the runtime's monitor after
// each pause of the process, for nothing: a third of what a short call costs.

// recvmsg is one attempt; false means that the socket had nothing.
func (c *Conn) recvmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&c.header)),
			unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		c.got, c.errno = int(n), errno
		return true
	}
}

// ancillary takes the control messages apart; not whole if one does not fit.
func (c *Conn) ancillary() (fds []int, cred *unix.Ucred, whole bool) {
	const headerSize = unix.SizeofCmsghdr
	fds = c.fds[:0]
	buffer := unsafe.Slice((*byte)(unsafe.Pointer(&c.control[0])), ancillaryMax)
	buffer = buffer[:min(int(c.header.Controllen), ancillaryMax)]
	whole = true
	for len(buffer) >= headerSize {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&buffer[0]))
		length := int(h.Len)
		if length < headerSize || length > len(buffer) {
			return fds, cred, false
		}
		payload := buffer[headerSize:length]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS:
			for ; len(payload) >= 4; payload = payload[4:] {
				fd := int(*(*int32)(unsafe.Pointer(&payload[0])))
				if len(fds) == fdsMax {
					_ = unix.Close(fd)
					whole = false
					continue
				}
				fds = append(fds, fd)
			}
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_CREDENTIALS && len(payload) >= unix.SizeofUcred:
			c.cred = *(*unix.Ucred)(unsafe.Pointer(&payload[0]))
			cred = &c.cred
		}
		// The next one is aligned.
		buffer = buffer[min(len(buffer), (length+7)&^7):]
	}
	if len(fds) == 0 {
		fds = nil
	}
	return fds, cred, whole
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// sendto is one attempt, or several; false means that the socket is full.
func (c *Conn) sendto(fd uintptr) bool {
	for len(c.unsent) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&c.unsent[0])),
			uintptr(len(c.unsent)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			c.unsent = c.unsent[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			c.failed = errno
			return true
		}
	}
	return true
}

// Send sends all of b, or says how much of it was sent before an error.
func (c *Conn) Send(b []byte) (n int, err error) {
	c.unsent, c.failed = b, 0
	if err = c.raw.Write(c.transmit); err == nil && c.failed != 0 {
		err = status.Wrap(status.System, "send", c.failed, "sendto")
	}
	n, c.unsent = len(b)-len(c.unsent), nil
	return n, err
}

// Write is Send for those who do not ask how much was sent.
func (c *Conn) Write(b []byte) error {
	_, err := c.Send(b)
	return err
}

// WriteWithFiles sends all of b; the first byte carries the descriptors, which
// are borrowed.
func (c *Conn) WriteWithFiles(b []byte, fds []int) error {
	if len(fds) == 0 {
		return c.Write(b)
	}
	if len(b) == 0 || len(fds) > fdsMax {
		return status.New(status.Invalid, "send descriptors", "%d with %d bytes: want 1 to %d with at least one byte",
			len(fds), len(b), fdsMax)
	}
	n, _, err := c.socket.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	if err != nil || n == len(b) {
		return err
	}
	return c.Write(b[n:])
}

// Close closes the socket; a Read or Write under way ends with net.ErrClosed.
func (c *Conn) Close() error { return c.socket.Close() }

// SetDeadline bounds reads and writes; the zero time takes the bound away.
func (c *Conn) SetDeadline(t time.Time) error { return c.socket.SetDeadline(t) }

// SetReadDeadline bounds reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.socket.SetReadDeadline(t) }

// SetWriteDeadline bounds writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.socket.SetWriteDeadline(t) }
