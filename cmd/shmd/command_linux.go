package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
)

// passedSignals are those that somebody may send to the wrapper and mean the
// command. SIGTSTP and SIGCONT act on both by the terminal.
var passedSignals = []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2}

// dieTogether makes the kernel kill the command when we die. SIGKILL, because a
// command that catches SIGTERM would go on in a section that is no longer its
// own. The kernel watches the thread that starts the command, so the caller
// keeps its thread until it calls release, after the command's end.
func dieTogether(command *exec.Cmd) (release func()) {
	runtime.LockOSThread()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return runtime.UnlockOSThread
}

// endingSignals are those of them that mean that no other command shall follow.
var endingSignals = []os.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP}

// messageFile is a file in memory that holds a message, at its beginning: as a
// command's stdin, unlike a pipe, it needs nobody who feeds it while the command
// may not read.
func messageFile(message []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("shmd-message", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, status.Wrap(status.System, "take", err, "create a file in memory for the command's stdin")
	}
	f := os.NewFile(uintptr(fd), "shmd-message")
	if _, err = f.Write(message); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(status.Wrap(status.System, "take", err, "write the command's stdin"), f.Close())
	}
	return f, nil
}

// passOn sends a signal on to the command. What is typed at the terminal goes
// to the whole foreground group, the command included; twice would be one Ctrl-C
// too many.
func passOn(p *os.Process, s os.Signal) error {
	if (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground() {
		return nil
	}
	if err := p.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// inForeground reports whether we belong to the terminal's foreground group.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false // there is none
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// commandStatus is the exit status as a shell tells it.
func commandStatus(state *os.ProcessState) int {
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return exitSignalled + int(s.Signal())
	}
	return state.ExitCode()
}
