package clib

import "testing"

// Every wait that shmd_set_interrupt ends, with sanitizers.
func TestInterrupts(t *testing.T) { behave(t, program(t, "interrupts", sanitized(t)...)) }
