package status

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
)

// Code is a status number. The zero Code is OK and is never an error value.
//
// Code implements error so that it can be the target of errors.Is:
//
//	if errors.Is(err, status.NotFound) { ... }
type Code int32

// OK and OwnerDied are successes; every other code means that nothing was
// acquired and nothing was changed, unless the code's text says otherwise.
const (
	// OK is success.
	OK Code = 0
	// OwnerDied is success with a notice: the lock is held, and its previous
	// owner died while holding it. Only the C library returns it as a result.
	OwnerDied Code = 1
)

// Conditions.
const (
	// WouldBlock: the call had timeout 0 and could not be done at once.
	WouldBlock Code = 2
	// TimedOut: the timeout passed first.
	TimedOut Code = 3
	// Cancelled: the caller cancelled the call before it was granted.
	Cancelled Code = 4
	// Closed: the handle or the client was closed by its own process.
	Closed Code = 5
	// Removed: the object was destroyed.
	Removed Code = 6
	// Lost: the daemon is gone; mapped objects go on working among their
	// clients, control calls do not.
	Lost Code = 7
	// NotRecoverable: a strict lock was unlocked after its owner's death
	// without being marked consistent.
	NotRecoverable Code = 8
	// Ended: the queue was shut down: it takes no more messages, or has none left. Or
	// the other side of a stream or pipe closed it.
	Ended Code = 9
	// Broken: the barrier is broken, by a timeout, an abort or a failed action,
	// until it is reset.
	Broken Code = 10
	// PeerDied: a party of the barrier died; it is broken until it is reset. Or the
	// other side of a stream or pipe died.
	PeerDied Code = 11
	// OutcomeUnknown: the operation may have taken effect or not.
	OutcomeUnknown Code = 12
	// Taken: another client has the role.
	Taken Code = 13
)

// Failures.
const (
	// Invalid: an argument is outside its documented domain.
	Invalid Code = 20
	// BadName: the object name breaks the naming rule.
	BadName Code = 21
	// BadType: an unknown type code, or a value of the wrong type.
	BadType Code = 22
	// OutOfRange: a value does not fit its type code.
	OutOfRange Code = 23
	// BadIndex: an index or slice is outside the array.
	BadIndex Code = 24
	// NotFound: no object has that name.
	NotFound Code = 25
	// Exists: an object of that name exists already.
	Exists Code = 26
	// KindMismatch: the object is of another kind.
	KindMismatch Code = 27
	// TypeMismatch: the object has another type code.
	TypeMismatch Code = 28
	// ShapeMismatch: the object has another shape.
	ShapeMismatch Code = 29
	// OptionMismatch: the object exists with other creation options.
	OptionMismatch Code = 30
	// Permission: mode, owner or read-only access forbid it.
	Permission Code = 31
	// NotOwner: the caller does not hold the lock.
	NotOwner Code = 32
	// Deadlock: the caller holds this non-recursive lock already.
	Deadlock Code = 33
	// SeatsFull: the object has as many clients as it has seats.
	SeatsFull Code = 34
	// Quota: the user's quota is exhausted.
	Quota Code = 35
	// NoSpace: the daemon's memory budget or the machine's memory is exhausted.
	NoSpace Code = 36
	// TooLarge: a message or a request exceeds a limit of the protocol.
	TooLarge Code = 37
	// BadFrame: the bytes are not a well-formed message; the connection closes.
	BadFrame Code = 38
	// UnknownMethod: the daemon has no such method.
	UnknownMethod Code = 39
	// BadParams: wrong number or wrong types of parameters.
	BadParams Code = 40
	// Version: the peers speak no common protocol version, or the segment's
	// layout is not the one this build knows.
	Version Code = 41
	// Corrupt: the shared bytes break an invariant.
	Corrupt Code = 42
	// Unsupported: the object or its type code does not offer this operation.
	Unsupported Code = 43
	// Busy: too many calls of this connection are waiting already.
	Busy Code = 44
	// BadHandle: the connection has no such handle.
	BadHandle Code = 45
	// Identity: the daemon could not prove who the peer is.
	Identity Code = 46
	// NoDaemon: nobody listens on the socket.
	NoDaemon Code = 47
	// Forked: the handle belongs to the parent process and cannot be used in
	// this forked child.
	Forked Code = 48
	// Overflow: a counter is at its maximum.
	Overflow Code = 49
	// System: the operating system refused; the message carries its error.
	System Code = 50
	// Internal: the daemon failed; its log says more.
	Internal Code = 51
)

// info is what is known of a code beyond its number.
type info struct {
	code Code
	name string
	text string
	// is are foreign sentinels that errors.Is shall match.
	is []error
}

// table is ordered by code. The names are the wire's and, behind "SHMD_E_",
// those of the C header.
var table = []info{
	{OK, "OK", "success", nil},
	{OwnerDied, "OWNER_DIED", "lock held; its previous owner died holding it", nil},
	{WouldBlock, "WOULD_BLOCK", "would block", nil},
	{TimedOut, "TIMED_OUT", "timed out", []error{context.DeadlineExceeded, os.ErrDeadlineExceeded}},
	{Cancelled, "CANCELLED", "cancelled", []error{context.Canceled}},
	{Closed, "CLOSED", "closed", []error{os.ErrClosed, net.ErrClosed}},
	{Removed, "REMOVED", "object was destroyed", nil},
	{Lost, "LOST", "daemon is gone", nil},
	{NotRecoverable, "NOT_RECOVERABLE", "state was never marked consistent after an owner died", nil},
	{Ended, "ENDED", "ended or shut down", []error{io.EOF}},
	{Broken, "BROKEN", "barrier is broken", nil},
	{PeerDied, "PEER_DIED", "another party died", nil},
	{OutcomeUnknown, "OUTCOME_UNKNOWN", "outcome is unknown", nil},
	{Taken, "TAKEN", "role is taken by another client", nil},
	{Invalid, "INVALID", "invalid argument", []error{fs.ErrInvalid}},
	{BadName, "BAD_NAME", "malformed object name", []error{fs.ErrInvalid}},
	{BadType, "BAD_TYPE", "wrong type", nil},
	{OutOfRange, "OUT_OF_RANGE", "value out of range", nil},
	{BadIndex, "BAD_INDEX", "index out of range", nil},
	{NotFound, "NOT_FOUND", "no such object", []error{fs.ErrNotExist}},
	{Exists, "EXISTS", "object exists", []error{fs.ErrExist}},
	{KindMismatch, "KIND_MISMATCH", "object is of another kind", nil},
	{TypeMismatch, "TYPE_MISMATCH", "object has another type code", nil},
	{ShapeMismatch, "SHAPE_MISMATCH", "object has another shape", nil},
	{OptionMismatch, "OPTION_MISMATCH", "object has other options", nil},
	{Permission, "PERMISSION", "permission denied", []error{fs.ErrPermission}},
	{NotOwner, "NOT_OWNER", "not held by the caller", nil},
	{Deadlock, "DEADLOCK", "lock is already held by the caller", nil},
	{SeatsFull, "SEATS_FULL", "object has no free seat", nil},
	{Quota, "QUOTA", "quota exhausted", nil},
	{NoSpace, "NO_SPACE", "not enough memory", nil},
	{TooLarge, "TOO_LARGE", "message too large", nil},
	{BadFrame, "BAD_FRAME", "malformed message", nil},
	{UnknownMethod, "UNKNOWN_METHOD", "unknown method", nil},
	{BadParams, "BAD_PARAMS", "wrong parameters", nil},
	{Version, "VERSION", "incompatible version", nil},
	{Corrupt, "CORRUPT", "shared state is corrupt", nil},
	{Unsupported, "UNSUPPORTED", "operation not supported by this object", nil},
	{Busy, "BUSY", "too many calls are waiting", nil},
	{BadHandle, "BAD_HANDLE", "no such handle", nil},
	{Identity, "IDENTITY", "peer identity could not be proved", nil},
	{NoDaemon, "NO_DAEMON", "no daemon is listening", nil},
	{Forked, "FORKED", "handle belongs to the parent process", nil},
	{Overflow, "OVERFLOW", "counter overflow", nil},
	{System, "SYSTEM", "system call failed", nil},
	{Internal, "INTERNAL", "internal error", nil},
}

var byCode = func() map[Code]*info {
	m := make(map[Code]*info, len(table))
	for i := range table {
		m[table[i].code] = &table[i]
	}
	return m
}()

// Codes returns every code in ascending order.
func Codes() []Code {
	codes := make([]Code, len(table))
	for i := range table {
		codes[i] = table[i].code
	}
	return codes
}

// Known reports whether c is in the table.
func (c Code) Known() bool { return byCode[c] != nil }

// Name is the symbolic name, such as "NOT_FOUND"; unknown codes, which a newer
// peer may send, read "CODE_n".
func (c Code) Name() string {
	if i := byCode[c]; i != nil {
		return i.name
	}
	return fmt.Sprintf("CODE_%d", int32(c))
}

// Error is the code's text, so that a Code can stand as an error by itself.
func (c Code) Error() string {
	if i := byCode[c]; i != nil {
		return i.text
	}
	return fmt.Sprintf("unknown status %d", int32(c))
}

// Is makes a Code match the standard library's sentinel of the same meaning.
func (c Code) Is(target error) bool {
	if i := byCode[c]; i != nil {
		for _, e := range i.is {
			if e == target {
				return true
			}
		}
	}
	return false
}

// Timeout makes a TimedOut code satisfy net.Error's method.
func (c Code) Timeout() bool { return c == TimedOut }
