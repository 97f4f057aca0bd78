package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

// partner is the twin of c/pair_linux.c: one of two processes that hand over to each
// other, or fight for a lock. Its commands are those, without libc's and the kernel's.
func partner(args []string) error { return asTwin(args, "SOCKET FIRST", workWithTheOther) }

// partnership is what the two have in common.
type partnership struct {
	first      bool
	ping, pong *shmd.Event
	mutex      *shmd.Mutex
}

func workWithTheOther(ctx context.Context, c *shmd.Client, args []string) (err error) {
	p := &partnership{first: args[0] == "1"}
	if p.ping, err = shmd.OpenEvent(ctx, c, "bench/ping"); err != nil {
		return err
	}
	if p.pong, err = shmd.OpenEvent(ctx, c, "bench/pong"); err != nil {
		return err
	}
	if p.mutex, err = shmd.OpenMutex(ctx, c, "bench/fought"); err != nil {
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	err = measure.Serve(func(command string, n int) (string, error) {
		switch command {
		case "pin":
			return "done", pinTo(n)
		case "event":
			return timed(n, func(n int) error { return p.handOver(ctx, n) })
		case "mutex":
			return timed(n, func(n int) error { return lockAndUnlock(ctx, p.mutex, n) })
		}
		return "", errors.New("no such command")
	})
	return errors.Join(err, p.ping.Close(), p.pong.Close(), p.mutex.Close())
}

// pinTo chooses the processor of the calling thread, -1 = any.
func pinTo(cpu int) error {
	var set unix.CPUSet
	for i := range runtime.NumCPU() {
		if cpu < 0 || i == cpu {
			set.Set(i)
		}
	}
	return unix.SchedSetaffinity(0, &set)
}

func (p *partnership) handOver(ctx context.Context, turns int) error {
	for range turns {
		if p.first {
			if err := p.ping.Set(); err != nil {
				return err
			}
			if err := p.pong.Wait(ctx); err != nil {
				return err
			}
			continue
		}
		if err := p.ping.Wait(ctx); err != nil {
			return err
		}
		if err := p.pong.Set(); err != nil {
			return err
		}
	}
	return nil
}
