package step

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// registers are what is looked at of a stopped victim.
type registers struct{ unix.PtraceRegsArm64 }

// generalRegisters is NT_PRSTATUS.
const generalRegisters = 1

func (r *registers) load(pid int) error {
	return unix.PtraceGetRegSetArm64(pid, generalRegisters, &r.PtraceRegsArm64)
}

func (r *registers) at() uint64 { return r.Pc }

// passBreakpoint goes on to the instruction behind the mark's breakpoint.
func (r *registers) passBreakpoint(pid int) error {
	r.Pc += 4
	return unix.PtraceSetRegSetArm64(pid, generalRegisters, &r.PtraceRegsArm64)
}

// call is the system call that the code at hand is about to make.
func (r *registers) call(code []byte) (number, operation uint64, ok bool) {
	return r.Regs[8], r.Regs[1], bytes.HasPrefix(code, []byte{0x01, 0x00, 0x00, 0xd4})
}
