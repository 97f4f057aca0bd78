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

// send sends one message; fd is borrowed, -1 = none.
func send(conn *net.UnixConn, verb byte, key string, fd int) error {
	message := append(append(make([]byte, 0, messageMax), verb), key...)
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	_, _, err := conn.WriteMsgUnix(message, rights, nil)
	return err
}

// receive receives one message; fd is the caller's, -1 = none came.
func receive(conn *net.UnixConn) (verb byte, key string, fd int, err error) {
	var message [messageMax]byte
	control := make([]byte, unix.CmsgSpace(4*4))
	n, controlLength, flags, _, err := conn.ReadMsgUnix(message[:], control)
	fd = -1
	if err != nil {
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
			unix.CloseOnExec(fd)
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
