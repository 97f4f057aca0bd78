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

// breakpoint stops whoever is about to execute it.
const breakpoint = "\x00\x00\x20\xd4"

// trappedAt is where the breakpoint lies that has just stopped it.
func (r *registers) trappedAt() uint64 { return r.Pc }

// jump lets it go on elsewhere.
func (r *registers) jump(pid int, to uint64) error {
	r.Pc = to
	return unix.PtraceSetRegSetArm64(pid, generalRegisters, &r.PtraceRegsArm64)
}

// call is the system call that the code at hand is about to make.
func (r *registers) call(code []byte) (number, operation uint64, ok bool) {
	return r.Regs[8], r.Regs[1], bytes.HasPrefix(code, []byte{0x01, 0x00, 0x00, 0xd4})
}
