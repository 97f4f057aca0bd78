package main

import (
	"context"
	"errors"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
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
		if err := measure.Pass(ctx, idleSettle); err != nil {
			return err
		}
		before, err := measure.ActivityOf(s.pid())
		if err != nil {
			return err
		}
		if err := measure.Pass(ctx, idleTime); err != nil {
			return err
		}
		after, err := measure.ActivityOf(s.pid())
		if err != nil {
			return err
		}
		b.addIdle(after.Switches-before.Switches, after.Ticks-before.Ticks,
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
