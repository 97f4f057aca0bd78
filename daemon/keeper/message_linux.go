package keeper

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// Verbs.
const (
	verbPut   = 'P'
	verbDrop  = 'D'
	verbList  = 'L'
	verbEntry = 'E'
	verbEnd   = 'Z'
	verbQuit  = 'Q'
)

const messageMax = 256

// pack makes one message; fd is borrowed, -1 = none.
func pack(verb byte, key string, fd int) (message, rights []byte) {
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	return append(append(make([]byte, 0, messageMax), verb), key...), rights
}

// send sends one message.
func send(conn *net.UnixConn, verb byte, key string, fd int) error {
	message, rights := pack(verb, key, fd)
	_, _, err := conn.WriteMsgUnix(message, rights, nil)
	return err
}

// trySend is send, but returns unix.EAGAIN in place of waiting for room.
func trySend(conn *net.UnixConn, verb byte, key string, fd int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	message, rights := pack(verb, key, fd)
	var failed error
	err = raw.Control(func(socket uintptr) {
		failed = unix.Sendmsg(int(socket), message, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	return errors.Join(err, failed)
}

// gatherMS is how long a keeper lets messages gather, in milliseconds, before it waits
// for one. They are safe where they lie, and being woken for each costs as much as
// creating an object; the socket has room for what comes in that time, and who finds it
// full waits.
const gatherMS = 1

// receive receives one message; fd is the caller's, -1 = none came. With gather it lets
// messages gather before it waits.
func receive(conn *net.UnixConn, gather bool) (verb byte, key string, fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, "", -1, err
	}
	var message [messageMax]byte
	control := make([]byte, unix.CmsgSpace(4*4))
	var n, controlLength, flags int
	var failed error
	attempt := func(fd uintptr) bool {
		n, controlLength, flags, _, failed = unix.Recvmsg(int(fd), message[:], control,
			unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(failed, unix.EAGAIN)
	}
	err = raw.Read(func(fd uintptr) bool {
		if attempt(fd) {
			return true
		}
		if !gather {
			return false
		}
		// Not time.Sleep, with which the runtime would wait for the socket too.
		if _, err := unix.Poll(nil, gatherMS); err != nil && !errors.Is(err, unix.EINTR) {
			failed = err
			return true
		}
		return attempt(fd)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, "", -1, err
	}
	if fd, err = onlyRight(control[:controlLength]); err != nil {
		return 0, "", -1, err
	}
	switch {
	case n == 0:
		return 0, "", -1, io.EOF
	case flags&unix.MSG_CTRUNC != 0:
		return message[0], string(message[1:n]), fd, errNoDescriptors
	}
	return message[0], string(message[1:n]), fd, nil
}

var errNoDescriptors = status.New(status.NoSpace, "receive", "this process may open no more descriptors")

// onlyRight takes the first descriptor out of control messages, and closes others.
func onlyRight(control []byte) (fd int, err error) {
	fd = -1
	parts, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return -1, err
	}
	for i := range parts {
		if parts[i].Header.Level != unix.SOL_SOCKET || parts[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&parts[i])
		if err != nil {
			return fd, err
		}
		for _, each := range fds {
			if fd >= 0 {
				_ = unix.Close(each) // of a peer that breaks the protocol
				continue
			}
			fd = each
		}
	}
	return fd, nil
}

// samePeer refuses a peer of another user, and tells its pid.
func samePeer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	if err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err == nil {
		err = failed
	}
	switch {
	case err != nil:
		return 0, err
	case int(cred.Uid) != os.Geteuid():
		return 0, status.New(status.Permission, "connect", "the peer is of uid %d, this process of uid %d",
			cred.Uid, os.Geteuid())
	}
	return int(cred.Pid), nil
}

// gone reports whether an error is the end of the other side.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) ||
		errors.Is(err, net.ErrClosed)
}
