package main

import "unsafe"

// bytesOf is what text holds, not to be written. The client makes a text of its own for each
// message, so that a copy of it would be a second one.
func bytesOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }
