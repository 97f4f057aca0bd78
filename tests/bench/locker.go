package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

// locker is the twin of c/locker.c: a process that locks when it is told to.
// Its commands are those, without pthread, and "tid", the thread that they run on.
func locker(args []string) error { return asTwin(args, "SOCKET NAME", lockWhenTold) }

func lockWhenTold(ctx context.Context, c *shmd.Client, names []string) error {
	mutex, err := shmd.OpenMutex(ctx, c, names[0])
	if err != nil {
		return err
	}
	err = measure.Serve(func(command string, n int) (string, error) {
		switch command {
		case "take":
			return take(ctx, mutex)
		case "give":
			return "done", mutex.Unlock()
		}
		return turns(command, n, func(n int) error { return lockAndUnlock(ctx, mutex, n) })
	})
	return errors.Join(err, mutex.Close())
}

// turns answers the commands of all who make turns, like lock and unlock; run makes
// n of them.
func turns(command string, n int, run func(n int) error) (string, error) {
	switch command {
	case "tid":
		return strconv.Itoa(unix.Gettid()), nil
	case "ours":
		return timed(n, run)
	case "count":
		unix.Getppid()
		err := run(n)
		unix.Getppid()
		return "done", err
	}
	return "", errors.New("no such command")
}

// timed answers the nanoseconds of one of n turns.
func timed(n int, run func(n int) error) (string, error) {
	begin := time.Now()
	err := run(n)
	return fmt.Sprintf("%.3f", float64(time.Since(begin).Nanoseconds())/float64(n)), err
}

func lockAndUnlock(ctx context.Context, m *shmd.Mutex, turns int) error {
	for range turns {
		if _, err := m.Lock(ctx); err != nil {
			return err
		}
		if err := m.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

func take(ctx context.Context, m *shmd.Mutex) (string, error) {
	notice, err := m.Lock(ctx)
	if err != nil {
		return "", err
	}
	at, err := measure.MonotonicNs()
	died := 0
	if notice != nil {
		died = 1
		err = errors.Join(err, m.MarkConsistent())
	}
	return fmt.Sprintf("%d %d", at, died), err
}
