package step

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// registers are what is looked at of a stopped victim.
type registers struct{ unix.PtraceRegs }

func (r *registers) load(pid int) error { return unix.PtraceGetRegs(pid, &r.PtraceRegs) }

func (r *registers) at() uint64 { return r.Rip }

// breakpoint stops whoever executes it.
const breakpoint = "\xcc"

// trappedAt is where the breakpoint lies that has just stopped it: it was executed.
func (r *registers) trappedAt() uint64 { return r.Rip - 1 }

// jump lets it go on elsewhere.
func (r *registers) jump(pid int, to uint64) error {
	r.Rip = to
	return unix.PtraceSetRegs(pid, &r.PtraceRegs)
}

// call is the system call that the code at hand is about to make.
func (r *registers) call(code []byte) (number, operation uint64, ok bool) {
	return r.Rax, r.Rsi, bytes.HasPrefix(code, []byte{0x0f, 0x05})
}
