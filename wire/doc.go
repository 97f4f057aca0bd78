// Package wire is the protocol between shmd and its clients, as bytes: where a
// message ends, what it says, how it is written, and the socket it travels on.
// PROTOCOL.md is the contract; vectors/ is the same contract in bytes.
//
// # Layers
//
// Scanner finds the end of a message in arriving bytes and refuses what breaks
// a limit as soon as its header says so. ParseRequest and ParseResponse take
// one message apart without copying. Params reads a request's parameters one
// by one, MapReader an option map. The Append functions write messages. The
// structs in messages.go are the maps of the protocol.
//
// # Ownership
//
// Every []byte that a parser returns is part of the []byte it was given and
// lives as long. Strings are copies. Appenders never keep what they are given.
// Descriptors that Conn.Read returns belong to the caller.
//
// # Trust model
//
// The bytes come from peers. Whatever they hold, the result is a value or a
// *status.Error: no panic, no recursion before the depth is known to be at most
// DepthMax, and no allocation taken from a declared length.
//
// # Limits
//
// The package knows no methods beyond their names: what a call means is the
// daemon's business. Nothing here is safe for concurrent use on one value; a
// Conn has one reader and one writer, which may be two goroutines.
package wire
