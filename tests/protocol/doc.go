// Package protocol replays the golden vectors of wire/vectors against a daemon,
// byte for byte: what is written there is what a client of any language meets.
package protocol
