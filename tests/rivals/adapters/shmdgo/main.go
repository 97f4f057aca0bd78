// Command shmdgo is the adapter of shmd-rivals for shmd in Go, and its server is the daemon
// for all adapters of shmd. It does what shmd.c does: messages go through a queue, or with
// mode=stream through streams, and those of more than 4 KiB are made and read in place.
package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
	"github.com/shmd/shmd/tests/rivals/adapter"
)

func main() {
	adapter.Main(describe, []adapter.Work{
		{Workload: "serve", Role: "server", Open: openServer},
		{Workload: "lock", Role: "worker", Open: openLock},
		{Workload: "semaphore", Role: "worker", Open: openSemaphore},
		{Workload: "counter", Role: "worker", Open: openCounter},
		{Workload: "value", Role: "worker", Open: openValue},
		{Workload: "attach", Role: "opener", Open: openOpener},
		{Workload: "recovery", Role: "owner", Open: openOwner, Own: true},
		{Workload: "recovery", Role: "waiter", Open: openWaiter, Own: true},
		{Workload: "memory", Role: "maker", Open: openMaker},
		{Workload: "roundtrip", Role: "ping", Open: openPing},
		{Workload: "roundtrip", Role: "pong", Open: openPong},
		{Workload: "oneway", Role: "put", Open: openPut},
		{Workload: "oneway", Role: "take", Open: openTake},
		{Workload: "idle", Role: "sleeper", Open: openSleeper, Own: true},
	})
}

func describe() (string, error) { return "the Go client of this source tree", nil }

// server is a daemon.
type server struct{ cmd *exec.Cmd }

func openServer(row *adapter.Row) (adapter.Session, error) {
	cmd, err := measure.StartDaemon(context.Background(), row.Socket)
	if err != nil {
		return nil, err
	}
	row.Pids = []int{cmd.Process.Pid}
	return server{cmd}, nil
}

func (s server) Run(uint64) error { return errors.New("a server does nothing by itself") }

func (s server) Close() error { return errors.Join(s.cmd.Process.Signal(syscall.SIGINT), s.cmd.Wait()) }

// client is one process's connection.
type client struct {
	*adapter.Row
	*shmd.Client
	ctx context.Context
}

func connect(row *adapter.Row) (*client, error) {
	ctx := context.Background()
	c, err := shmd.Dial(ctx, shmd.Options{Socket: row.Socket, Software: "shmd-rivals"})
	return &client{row, c, ctx}, err
}

// name is the name of an object of the row, the same as in shmd.c.
func (c *client) name(of string) string { return c.Name + "-" + of }

func (c *client) mutex() (*shmd.Mutex, error) {
	return shmd.OpenOrCreateMutex(c.ctx, c.Client, c.name("mutex"), shmd.MutexOptions{})
}

// unlocked values have atomic operations only.
var unlocked = shmd.ValueOptions{DataOptions: shmd.DataOptions{NoLock: true}}

func (c *client) value() (*shmd.Value[int64], error) {
	return shmd.OpenOrCreateValue(c.ctx, c.Client, c.name("value"), int64(0), unlocked)
}

func openLock(row *adapter.Row) (adapter.Session, error) {
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	mutex, err := c.mutex()
	if err != nil {
		return nil, err
	}
	counter, err := shmd.OpenOrCreateArray[int64](c.ctx, c.Client, c.name("counted"), shmd.ArrayOptions{
		DataOptions: unlocked.DataOptions, Length: 1})
	if err != nil {
		return nil, err
	}
	counted := counter.View()
	return adapter.Loop(row, func(_, count uint64) error {
		for range count {
			if _, err := mutex.Lock(c.ctx); err != nil {
				return err
			}
			counted[0]++
			if err := mutex.Unlock(); err != nil {
				return err
			}
		}
		return nil
	}, func() error { return errors.Join(mutex.Close(), counter.Close(), c.Close()) }), nil
}

func openSemaphore(row *adapter.Row) (adapter.Session, error) {
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	s, err := shmd.OpenOrCreateSemaphore(c.ctx, c.Client, c.name("semaphore"), 1, shmd.SemaphoreOptions{})
	if err != nil {
		return nil, err
	}
	return adapter.Loop(row, func(_, count uint64) error {
		for range count {
			if err := s.Acquire(c.ctx, 1); err != nil {
				return err
			}
			if err := s.Release(1); err != nil {
				return err
			}
		}
		return nil
	}, func() error { return errors.Join(s.Close(), c.Close()) }), nil
}

// withValue opens the value for a session of what it is used for.
func withValue(row *adapter.Row, use func(c *client, v *shmd.Value[int64], end func() error) adapter.Session) (
	adapter.Session, error) {
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	v, err := c.value()
	if err != nil {
		return nil, err
	}
	return use(c, v, func() error { return errors.Join(v.Close(), c.Close()) }), nil
}

func openCounter(row *adapter.Row) (adapter.Session, error) {
	return withValue(row, func(_ *client, v *shmd.Value[int64], end func() error) adapter.Session {
		return adapter.Loop(row, func(_, count uint64) error {
			for range count {
				if _, err := v.Add(1); err != nil {
					return err
				}
			}
			return nil
		}, end)
	})
}

func openValue(row *adapter.Row) (adapter.Session, error) {
	return withValue(row, func(_ *client, v *shmd.Value[int64], end func() error) adapter.Session {
		return adapter.Loop(row, func(first, count uint64) error {
			for i := range count {
				if err := v.Store(int64(first + i)); err != nil {
					return err
				}
				if _, err := v.Load(); err != nil {
					return err
				}
			}
			return nil
		}, end)
	})
}

func openOpener(row *adapter.Row) (adapter.Session, error) {
	return withValue(row, func(c *client, _ *shmd.Value[int64], end func() error) adapter.Session {
		return adapter.Turns(row, func(uint64) error {
			v, err := shmd.OpenValue[int64](c.ctx, c.Client, c.name("value"))
			if err != nil {
				return err
			}
			return v.Close()
		}, end)
	})
}

// death is either side of `recovery`.
type death struct {
	*client
	mutex *shmd.Mutex
	isOwn bool
}

func openDeath(row *adapter.Row, isOwn bool) (adapter.Session, error) {
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	mutex, err := c.mutex()
	return death{c, mutex, isOwn}, err
}

func openOwner(row *adapter.Row) (adapter.Session, error)  { return openDeath(row, true) }
func openWaiter(row *adapter.Row) (adapter.Session, error) { return openDeath(row, false) }

func (d death) Run(uint64) error {
	if !d.isOwn {
		if err := adapter.Say("waiting"); err != nil {
			return err
		}
	}
	notice, err := d.mutex.Lock(d.ctx)
	if err != nil {
		return err
	}
	if d.isOwn {
		return adapter.Say("held")
	}
	got := adapter.NowNS()
	if notice == nil {
		return errors.New("nobody said that the owner died")
	}
	return errors.Join(d.mutex.MarkConsistent(), adapter.Say("done %d", got))
}

func (d death) Close() error { return errors.Join(d.mutex.Close(), d.client.Close()) }

func openMaker(row *adapter.Row) (adapter.Session, error) {
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	return adapter.Turns(row, func(i uint64) error {
		_, err := shmd.CreateValue(c.ctx, c.Client, c.name(fmt.Sprint(i)), int64(0), unlocked)
		return err
	}, c.Close), nil
}
