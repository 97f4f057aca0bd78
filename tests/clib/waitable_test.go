package clib

import "testing"

// Waiting for any of several objects, and by poll, with sanitizers.
func TestWaitables(t *testing.T) { behave(t, program(t, "waitables", sanitized(t)...)) }
