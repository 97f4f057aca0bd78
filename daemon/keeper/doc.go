// Package keeper holds a daemon's descriptors while there is no daemon: the segments,
// the clients' pidfds, and the journal that says what they are. Run is the keeper's
// process; Link is a daemon's connection to it.
//
// # Protocol
//
// A SOCK_SEQPACKET socket beside the daemon's; each message is a verb, one byte, and a
// key.
//
//	P key + descriptor   put: hold it, in place of what has the key; no answer
//	D key                drop: close it; no answer
//	L                    list: answered by one "E key" + descriptor each, and "Z" at last
//	Q                    quit: close everything and end; answered by the end of the connection
//
// A put is safe once it is sent: a message in the socket of a keeper that lives is
// received, though its sender dies. So it needs no answer, and the keeper lets messages
// gather for a moment before it waits for more. One daemon is served at a time,
// and up to its last message: the next one's list comes behind what the last one put.
//
// # Trust
//
// The socket's mode is 0600, and each side refuses a peer of another uid than its own.
// Nothing but uid 0 and the user himself can reach the descriptors.
package keeper
