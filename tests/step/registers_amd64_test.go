package step

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// registers are what is looked at of a stopped victim.
type registers struct{ unix.PtraceRegs }

func (r *registers) load(pid int) error { return unix.PtraceGetRegs(pid, &r.PtraceRegs) }

func (r *registers) at() uint64 { return r.Rip }

// passBreakpoint does nothing: the breakpoint of the mark was executed.
func (r *registers) passBreakpoint(int) error { return nil }

// call is the system call that the code at hand is about to make.
func (r *registers) call(code []byte) (number, operation uint64, ok bool) {
	return r.Rax, r.Rsi, bytes.HasPrefix(code, []byte{0x0f, 0x05})
}
