package shmd

import "github.com/shmd/shmd/status"

// Errors that errors.Is matches. Several also match the standard library's
// sentinel: ErrNotFound is fs.ErrNotExist, ErrTimedOut is
// context.DeadlineExceeded, ErrClosed is os.ErrClosed, ErrEnded is io.EOF, and so
// on.
const (
	ErrWouldBlock     = status.WouldBlock
	ErrTimedOut       = status.TimedOut
	ErrCancelled      = status.Cancelled
	ErrClosed         = status.Closed
	ErrRemoved        = status.Removed
	ErrLost           = status.Lost
	ErrEnded          = status.Ended
	ErrNotRecoverable = status.NotRecoverable
	ErrBroken         = status.Broken
	ErrPeerDied       = status.PeerDied
	ErrOutcomeUnknown = status.OutcomeUnknown
	ErrTaken          = status.Taken
	ErrInvalid        = status.Invalid
	ErrBadName        = status.BadName
	ErrBadType        = status.BadType
	ErrOutOfRange     = status.OutOfRange
	ErrBadIndex       = status.BadIndex
	ErrNotFound       = status.NotFound
	ErrExists         = status.Exists
	ErrKindMismatch   = status.KindMismatch
	ErrTypeMismatch   = status.TypeMismatch
	ErrShapeMismatch  = status.ShapeMismatch
	ErrOptionMismatch = status.OptionMismatch
	ErrPermission     = status.Permission
	ErrNotOwner       = status.NotOwner
	ErrDeadlock       = status.Deadlock
	ErrSeatsFull      = status.SeatsFull
	ErrQuota          = status.Quota
	ErrNoSpace        = status.NoSpace
	ErrUnsupported    = status.Unsupported
	ErrTooLarge       = status.TooLarge
	ErrOverflow       = status.Overflow
	ErrCorrupt        = status.Corrupt
	ErrVersion        = status.Version
	ErrNoDaemon       = status.NoDaemon
)

// wrap gives a bare code its operation and object.
func wrap(op, object string, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case status.Code:
		return &status.Error{Code: e, Op: op, Object: object}
	case *status.Error:
		if e.Op == "" {
			c := *e
			c.Op, c.Object = op, object
			return &c
		}
	}
	return err
}
