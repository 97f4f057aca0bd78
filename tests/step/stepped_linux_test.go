package step

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/harness"
)

// stepped is a C player whose operation is executed one instruction at a time. All
// its methods belong to one thread of this process: the tracer.
type stepped struct {
	*process
	image *image
	regs  registers
	where place
	route []place // the boundaries that another came through before it; nil = not known
	trace []place // the boundaries so far, those on a known route excepted
}

// The operations of futex(2) that sleep, without flags.
const (
	futexWait       = 0
	futexWaitBitset = 9
	futexCommand    = 0x7f
)

// seize makes this thread the tracer of a process that waits for a line.
func seize(p *process, i *image) (*stepped, error) {
	if err := unix.PtraceSeize(p.id); err != nil {
		return nil, fmt.Errorf("seize process %d: %w (may this process trace its children?)", p.id, err)
	}
	return &stepped{process: p, image: i}, nil
}

// advance begins an operation and goes n boundaries on: 0 is before the first
// instruction. Where it sleeps on the way, whileAsleep is called until it does not;
// nil leaves it to its timeout. over = it ended before.
func (v *stepped) advance(line string, n int, whileAsleep func() error) (over bool, err error) {
	if err := v.send("step " + line); err != nil {
		return false, err
	}
	if err := v.awaitStop(); err != nil {
		return false, err
	}
	if v.regs.trappedAt() != v.image.beginAt {
		return false, fmt.Errorf("process %d stops at %v instead of the mark", v.id, v.where)
	}
	if err := v.regs.jump(v.id, v.image.beginAt+uint64(len(breakpoint))); err != nil {
		return false, err
	}
	for v.where.at >= v.image.beginAt && v.where.at < v.image.beganAt {
		if err := v.step(); err != nil {
			return false, err
		}
	}
	v.trace = nil
	if v.route != nil {
		ahead, over, err := v.run(n, whileAsleep)
		if over || err != nil {
			return over, err
		}
		n -= ahead
	}
	for {
		v.trace = append(v.trace, v.where)
		if v.where.at == v.image.endAt {
			return true, nil
		}
		if len(v.trace) > n {
			return false, nil
		}
		if err := v.next(whileAsleep); err != nil {
			return false, err
		}
	}
}

// next goes to the next boundary.
func (v *stepped) next(whileAsleep func() error) error {
	if !v.where.asleep && !v.sleeps() {
		return v.step()
	}
	if !v.where.asleep {
		if err := unix.PtraceSingleStep(v.id); err != nil {
			return fmt.Errorf("step process %d: %w", v.id, err)
		}
	}
	return v.awaitSleep(func() (bool, error) {
		if v.where.asleep && whileAsleep != nil {
			return false, whileAsleep()
		}
		fell := !v.where.asleep && inFutex(v.id)
		v.where.asleep = v.where.asleep || fell
		return fell, nil
	})
}

// awaitSleep waits for it to stop, and meanwhile looks again and again; looking may
// end it.
func (v *stepped) awaitSleep(look func() (enough bool, err error)) error {
	for giveUp := deadline(); ; {
		var ws unix.WaitStatus
		got, err := unix.Wait4(v.id, &ws, unix.WALL|unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", v.id, err)
		case got == v.id:
			return v.stopped(ws)
		case giveUp.passed():
			return fmt.Errorf("the victim, process %d, stays at %v", v.id, v.where)
		}
		if enough, err := look(); enough || err != nil {
			return err
		}
	}
}

// sleeps reports whether the instruction is a system call that may sleep.
func (v *stepped) sleeps() bool {
	number, operation, ok := v.regs.call(v.image.code(v.where.at))
	operation &= futexCommand
	return ok && number == unix.SYS_FUTEX && (operation == futexWait || operation == futexWaitBitset)
}

func (v *stepped) step() error {
	if err := unix.PtraceSingleStep(v.id); err != nil {
		return fmt.Errorf("step process %d: %w", v.id, err)
	}
	return v.awaitStop()
}

// awaitStop waits until it stops, which takes no time.
func (v *stepped) awaitStop() error {
	watchdog := time.AfterFunc(harness.Patience, func() { _ = unix.Kill(v.id, unix.SIGKILL) })
	defer watchdog.Stop()
	for {
		var ws unix.WaitStatus
		_, err := unix.Wait4(v.id, &ws, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for process %d: %w", v.id, err)
		}
		return v.stopped(ws)
	}
}

func (v *stepped) stopped(ws unix.WaitStatus) error {
	if !ws.Stopped() || ws.StopSignal() != unix.SIGTRAP {
		v.gone = v.gone || ws.Exited() || ws.Signaled()
		return fmt.Errorf("process %d does not stop at an instruction: wait status %#x", v.id, int(ws))
	}
	if err := v.regs.load(v.id); err != nil {
		return fmt.Errorf("registers of process %d: %w", v.id, err)
	}
	v.where = place{at: v.regs.at()}
	return nil
}

func (v *stepped) end() (string, error) {
	if err := unix.PtraceDetach(v.id); err != nil {
		return "", fmt.Errorf("detach process %d: %w", v.id, err)
	}
	return v.line()
}

// inFutex reports whether a process of one thread sleeps in the kernel in a futex call.
func inFutex(pid int) bool { return inCall(pid, unix.SYS_FUTEX) }

// inCall reports whether it sleeps in a system call.
func inCall(pid int, number int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall")
	return err == nil && bytes.HasPrefix(text, []byte(strconv.Itoa(number)+" "))
}
