package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// server is the daemon of a run: `shmd serve` on a socket of its own.
type server struct {
	socket string
	cmd    *exec.Cmd
	log    bytes.Buffer // valid after stop
}

// startServer starts the daemon and returns when it listens. It must be called
// from the main thread, because the daemon ends when the thread does that started
// it: it shall not survive a coordinator that is killed.
func startServer(shmd, dir string) (*server, error) {
	s := &server{socket: filepath.Join(dir, "shmd.sock")}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	s.cmd = exec.Command(shmd, "serve", "--keeper=none", "--socket", s.socket, "--ready-fd", "3")
	s.cmd.Stderr, s.cmd.ExtraFiles = &s.log, []*os.File{theirs}
	// Of its own group, so that a ^C for us does not end it before its clients.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT, Setpgid: true}
	err = s.cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the daemon does not become ready: %w", err), s.stop())
	}
	return s, nil
}

// stop ends the daemon.
func (s *server) stop() error {
	err := s.cmd.Process.Signal(syscall.SIGINT) // for good
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err = errors.Join(err, s.cmd.Wait()); err != nil {
		return fmt.Errorf("the daemon: %w\n%s", err, &s.log)
	}
	return nil
}
