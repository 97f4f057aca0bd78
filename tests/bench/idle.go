package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

const (
	idleObjects = 100
	idleClients = 10
	idleTime    = 10 * time.Second
	// idleSettle lets what the set-up began end: the collector, and the last timer.
	idleSettle       = 6 * time.Second
	idleSwitchesGoal = 10
	idleTicksGoal    = 1
)

// idling counts what a daemon does while nobody asks for anything: objects are
// open, clients connected, and one of them waits for a lock at the daemon.
func idling(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) (err error) {
		if err := s.createMany(ctx, "bench", idleObjects); err != nil {
			return err
		}
		mutex, err := shmd.CreateMutex(ctx, s.client, lockName, shmd.MutexOptions{})
		if err != nil {
			return err
		}
		if _, err := mutex.Lock(ctx); err != nil {
			return err
		}
		for range idleClients {
			c, e := s.dial(ctx)
			if e != nil {
				return e
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			if err := s.waitAtDaemon(ctx, c); err != nil {
				return err
			}
		}
		if err := pass(ctx, idleSettle); err != nil {
			return err
		}
		before, err := activityOf(s.pid())
		if err != nil {
			return err
		}
		if err := pass(ctx, idleTime); err != nil {
			return err
		}
		after, err := activityOf(s.pid())
		if err != nil {
			return err
		}
		b.addIdle(after.switches-before.switches, after.ticks-before.ticks,
			"all threads; 101 objects, 11 clients, 10 calls waiting")
		return errors.Join(mutex.Unlock(), mutex.Close())
	})
}

func (b *bench) addIdle(switches, ticks int, note string) {
	w := single("voluntary switches in 10 s", "", []float64{float64(switches)}, "at most 10",
		switches <= idleSwitchesGoal)
	w.Note = note
	b.report.add(w)
	w = single("processor time in 10 s", "ticks", []float64{float64(ticks)}, "at most 1 tick", ticks <= idleTicksGoal)
	w.Note = "user and system, as /proc counts them"
	b.report.add(w)
}

// waitAtDaemon starts a lock that the daemon waits for on behalf of a client.
func (s *service) waitAtDaemon(ctx context.Context, c *shmd.Client) error {
	var a wire.Attachment
	if err := c.Call(ctx, wire.MethodOpen, &a, lockName); err != nil {
		return err
	}
	if _, err := c.Start(wire.MethodLock, a.Handle); err != nil {
		return err
	}
	return s.untilWaiting(ctx, lockName)
}

// pass lets time go by: here it is what is measured over.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type activity struct{ switches, ticks int }

func activityOf(pid int) (a activity, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return a, err
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			return a, err
		}
		n, err := strconv.Atoi(field(string(text), "voluntary_ctxt_switches"))
		if err != nil {
			return a, err
		}
		a.switches += n
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return a, err
	}
	// Behind the name, which may contain anything; utime and stime are 14 and 15.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return a, fmt.Errorf("unknown form of /proc/%d/stat", pid)
	}
	for _, number := range fields[11:13] {
		n, err := strconv.Atoi(number)
		if err != nil {
			return a, err
		}
		a.ticks += n
	}
	return a, nil
}
