package shmd

import (
	"errors"
	"io"
	"syscall"

	"github.com/shmd/shmd/status"
)

// sideError is the news that the other side is gone, with what the standard library
// calls it, which depends on what was attempted.
type sideError struct {
	err *status.Error
	is  []error
}

func (e *sideError) Error() string { return e.err.Error() }

// Is matches the code and the standard library's sentinels. It does not unwrap: who
// sends is not at the end of a file.
func (e *sideError) Is(target error) bool {
	if target == error(e.err.Code) {
		return true
	}
	for _, each := range e.is {
		if target == each {
			return true
		}
	}
	return false
}

// As finds the status error.
func (e *sideError) As(target any) bool {
	if t, ok := target.(**status.Error); ok {
		*t = e.err
		return true
	}
	return false
}

var (
	isBrokenPipe    = []error{syscall.EPIPE, io.ErrClosedPipe}
	isUnexpectedEOF = []error{io.ErrUnexpectedEOF}
)

// sendError is wrap for who sends.
func sendError(op, object string, err error) error {
	if err == nil {
		return nil
	}
	return sided(wrap(op, object, err), status.Ended, isBrokenPipe)
}

// recvError is wrap for who receives.
func recvError(op, object string, err error) error {
	if err == nil {
		return nil
	}
	return sided(wrap(op, object, err), status.PeerDied, isUnexpectedEOF)
}

// sided adds sentinels to PeerDied, and to another code.
func sided(err error, other status.Code, is []error) error {
	var e *status.Error
	if errors.As(err, &e) && (e.Code == status.PeerDied || e.Code == other) {
		return &sideError{e, is}
	}
	return err
}
