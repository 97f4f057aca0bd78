package wire

import "time"

// Limits of the protocol, section 1 of PROTOCOL.md.
const (
	// MessageMax is the length of the longest message, in bytes, either way.
	MessageMax = 1 << 20
	// DepthMax is how deep arrays and maps may nest; the message is level 1.
	DepthMax = 16
	// PendingMax is how many calls of one connection may wait at once.
	PendingMax = 1024
	// HandlesMax is how many handles one connection may have open.
	HandlesMax = 4096
	// TokensMax is how many tokens of one connection may hold rwlocks at once,
	// counted for each rwlock.
	TokensMax = 4096
	// WaitItemsMax is how many items one wait_any may wait for.
	WaitItemsMax = 64
	// NameMax is the length of the longest object name, in bytes.
	NameMax = 255
	// HelloTimeout is how long a connection may be silent before hello.
	HelloTimeout = 10 * time.Second
	// ReattachGrace is how long after a restart of the daemon a client that has mapped
	// nothing may take to come back.
	ReattachGrace = 30 * time.Second
	// TicketSize is the length of a ticket, in bytes.
	TicketSize = 16
	// TicketTimeout is how long a ticket is good if its maker does not say, TicketTimeoutMax
	// how long at most.
	TicketTimeout    = time.Minute
	TicketTimeoutMax = time.Hour
	// ListPage is the number of objects that one list answers at most.
	ListPage = 256
	// VersionMin and VersionMax are the protocol versions this package speaks.
	VersionMin = 1
	VersionMax = 1
)

// errorTextMax bounds the text of an error on the wire: it may quote what the
// peer sent, which may be long.
const errorTextMax = 4096
