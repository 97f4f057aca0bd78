package main

import (
	"context"
	"errors"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

// acquirer is the twin of c/acquirer.c: a process that acquires a permit when it is
// told to. Its commands are those, without sem_t, and "tid", the thread that they
// run on.
func acquirer(args []string) error { return asTwin(args, "SOCKET NAME", acquireWhenTold) }

func acquireWhenTold(ctx context.Context, c *shmd.Client, names []string) error {
	semaphore, err := shmd.OpenSemaphore(ctx, c, names[0])
	if err != nil {
		return err
	}
	err = measure.Serve(func(command string, n int) (string, error) {
		switch command {
		case "take":
			return "done", semaphore.Acquire(ctx, 1)
		case "give":
			return "done", semaphore.Release(1)
		}
		return turns(command, n, func(n int) error { return acquireAndRelease(ctx, semaphore, n) })
	})
	return errors.Join(err, semaphore.Close())
}

func acquireAndRelease(ctx context.Context, s *shmd.Semaphore, turns int) error {
	for range turns {
		if err := s.Acquire(ctx, 1); err != nil {
			return err
		}
		if err := s.Release(1); err != nil {
			return err
		}
	}
	return nil
}
