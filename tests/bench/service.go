package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

// service is a daemon of its own on a socket of its own.
type service struct {
	flags  []string
	cmd    *exec.Cmd
	dir    string
	socket string
	client *shmd.Client // this process's
}

// startService runs bin/shmd serve, with further flags, and connects to it.
func startService(ctx context.Context, flags ...string) (_ *service, err error) {
	s := &service{flags: flags}
	if s.dir, err = os.MkdirTemp("", "shmd-bench"); err != nil {
		return nil, err
	}
	s.socket = filepath.Join(s.dir, "shmd.sock")
	if err := s.launch(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if s.client, err = s.dial(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// launch runs a daemon until it is ready.
func (s *service) launch(ctx context.Context) (err error) {
	s.cmd, err = measure.StartDaemon(ctx, s.socket, s.flags...)
	return err
}

// relaunch kills the daemon, and runs another that goes on.
func (s *service) relaunch(ctx context.Context) error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = s.cmd.Wait() // it was killed
	return s.launch(ctx)
}

func (s *service) dial(ctx context.Context) (*shmd.Client, error) {
	return shmd.Dial(ctx, shmd.Options{Socket: s.socket, Software: "shmd-bench"})
}

func (s *service) pid() int { return s.cmd.Process.Pid }

// stop ends it in an orderly way; its objects go with it.
func (s *service) stop() error {
	var errs []error
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	errs = append(errs, s.cmd.Process.Signal(syscall.SIGINT), s.cmd.Wait(), os.RemoveAll(s.dir))
	return errors.Join(errs...)
}

// withService runs work with a daemon, and reports what goes wrong in either.
func withService(ctx context.Context, work func(s *service) error, flags ...string) error {
	s, err := startService(ctx, flags...)
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.stop())
}
