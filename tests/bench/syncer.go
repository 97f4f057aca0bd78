package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

// synced is an object that syncers use, and what is expected of it.
type synced struct {
	kind, name string
	turn       string // what is measured
	rival      string
	create     func(ctx context.Context, s *service) (io.Closer, error)
}

var syncedObjects = []synced{
	{"event", "bench/event", "is an event set", "sem_getvalue",
		func(ctx context.Context, s *service) (io.Closer, error) {
			return shmd.CreateEvent(ctx, s.client, "bench/event", shmd.EventOptions{Set: true})
		}},
	{"rwlock", "bench/rwlock", "read lock+unlock", "a process-shared pthread rwlock",
		func(ctx context.Context, s *service) (io.Closer, error) {
			return shmd.CreateRWLock(ctx, s.client, "bench/rwlock", shmd.RWLockOptions{})
		}},
	{"recursive", "bench/recursive", "two locks, two unlocks", "a robust recursive pthread mutex",
		func(ctx context.Context, s *service) (io.Closer, error) {
			return shmd.CreateMutex(ctx, s.client, "bench/recursive", shmd.MutexOptions{Recursive: true})
		}},
}

// startSynced creates the object and starts both syncers.
func startSynced(ctx context.Context, s *service, o synced) (*twins, error) {
	return startTwins(ctx, s, "syncer", o.name, o.create, o.kind)
}

// synchronisers compares what needs no waiting at events, rwlocks and recursive
// mutexes with libc's, and Go's with C's.
func synchronisers(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		for _, o := range syncedObjects {
			t, err := startSynced(ctx, s, o)
			if err != nil {
				return err
			}
			if err := errors.Join(compareSynced(b, t, o), t.stop()); err != nil {
				return err
			}
		}
		return nil
	})
}

func compareSynced(b *bench, t *twins, o synced) error {
	turns := b.scaled(lockTurns)
	return b.trio(o.turn, 1.0, "against "+o.rival,
		func() (float64, error) { return t.inC.Number("rival %d", turns) },
		func() (float64, error) { return t.inC.Number("ours %d", turns) },
		func() (float64, error) { return t.inGo.Number("ours %d", turns) })
}

// syncer is the twin of c/syncer.c. Its commands are those, without the rival, and
// "tid", the thread that they run on.
func syncer(args []string) error { return asTwin(args, "SOCKET KIND NAME", syncWhenTold) }

// syncTurns is what a syncer does with its object.
type syncTurns struct {
	object     io.Closer
	ours       func(turns int) error
	take, give func() error
}

func syncWhenTold(ctx context.Context, c *shmd.Client, names []string) error {
	t, err := openSynced(ctx, c, names[0], names[1])
	if err != nil {
		return err
	}
	err = measure.Serve(func(command string, n int) (string, error) {
		switch command {
		case "take":
			return "done", t.take()
		case "give":
			return "done", t.give()
		}
		return turns(command, n, t.ours)
	})
	return errors.Join(err, t.object.Close())
}

func openSynced(ctx context.Context, c *shmd.Client, kind, name string) (*syncTurns, error) {
	switch kind {
	case "event":
		return openSyncedEvent(ctx, c, name)
	case "rwlock":
		return openSyncedRWLock(ctx, c, name)
	case "recursive":
		return openSyncedMutex(ctx, c, name)
	}
	return nil, fmt.Errorf("no kind %q", kind)
}

func openSyncedEvent(ctx context.Context, c *shmd.Client, name string) (*syncTurns, error) {
	e, err := shmd.OpenEvent(ctx, c, name)
	if err != nil {
		return nil, err
	}
	return &syncTurns{
		object: e,
		ours: func(turns int) error {
			for range turns {
				if _, err := e.IsSet(); err != nil {
					return err
				}
			}
			return nil
		},
		take: func() error { return errors.Join(e.Wait(ctx), e.Reset()) },
		give: e.Set,
	}, nil
}

func openSyncedRWLock(ctx context.Context, c *shmd.Client, name string) (*syncTurns, error) {
	l, err := shmd.OpenRWLock(ctx, c, name)
	if err != nil {
		return nil, err
	}
	return &syncTurns{
		object: l,
		ours: func(turns int) error {
			for range turns {
				if _, err := l.RLock(ctx); err != nil {
					return err
				}
				if err := l.RUnlock(); err != nil {
					return err
				}
			}
			return nil
		},
		take: func() error {
			_, err := l.Lock(ctx)
			return err
		},
		give: l.Unlock,
	}, nil
}

func openSyncedMutex(ctx context.Context, c *shmd.Client, name string) (*syncTurns, error) {
	m, err := shmd.OpenMutex(ctx, c, name)
	if err != nil {
		return nil, err
	}
	owner := m.NewOwner()
	lock := func() error {
		_, err := owner.Lock(ctx)
		return err
	}
	return &syncTurns{
		object: m,
		ours: func(turns int) error {
			for range turns {
				for range 2 {
					if _, err := owner.Lock(ctx); err != nil {
						return err
					}
				}
				for range 2 {
					if err := owner.Unlock(); err != nil {
						return err
					}
				}
			}
			return nil
		},
		take: lock,
		give: owner.Unlock,
	}, nil
}
