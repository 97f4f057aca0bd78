package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

const (
	handOffTurns = 20_000
	spinTurns    = 200_000
	fightTurns   = 1_000_000
)

// duo is two processes that work with each other.
type duo struct{ one, other *measure.Child }

// duos are the two of c/pair_linux.c, and their twins in Go, with the same objects: one
// duo at a time.
type duos struct {
	inC, inGo duo
	objects   []io.Closer
}

func startDuos(ctx context.Context, s *service) (_ *duos, err error) {
	d := new(duos)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	for _, name := range []string{"bench/ping", "bench/pong"} {
		e, err := shmd.CreateEvent(ctx, s.client, name, shmd.EventOptions{AutoReset: true})
		if err != nil {
			return d, err
		}
		d.objects = append(d.objects, e)
	}
	m, err := shmd.CreateMutex(ctx, s.client, "bench/fought", shmd.MutexOptions{})
	if err != nil {
		return d, err
	}
	d.objects = append(d.objects, m)
	page := filepath.Join(s.dir, "page")
	if err := os.WriteFile(page, make([]byte, os.Getpagesize()), 0o600); err != nil {
		return d, err
	}
	for i, first := range []string{"1", "0"} {
		c, err := startC(ctx, "pair_linux", s.socket, page, first)
		if err != nil {
			return d, err
		}
		*[]**measure.Child{&d.inC.one, &d.inC.other}[i] = c
		g, err := startSelf(ctx, "partner", s.socket, first)
		if err != nil {
			return d, err
		}
		*[]**measure.Child{&d.inGo.one, &d.inGo.other}[i] = g
		if err := errors.Join(c.Expect("ready"), g.Expect("ready")); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (d *duos) stop() error {
	var errs []error
	for _, c := range []*measure.Child{d.inC.one, d.inC.other, d.inGo.one, d.inGo.other} {
		if c != nil {
			errs = append(errs, c.Stop())
		}
	}
	for _, o := range d.objects {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// pin puts the two on processors; -1 = anywhere.
func (d *duo) pin(one, other int) error {
	return errors.Join(d.one.Do("pin %d", one), d.other.Do("pin %d", other))
}

// turns lets both make n turns; nanoseconds for one, of the slower.
func (d *duo) turns(command string, n int) (float64, error) {
	a, b, err := both(d.one, d.other, func(c *measure.Child) error { return c.Send("%s %d", command, n) })
	if err != nil {
		return 0, err
	}
	first, err := strconv.ParseFloat(a, 64)
	second, otherErr := strconv.ParseFloat(b, 64)
	return max(first, second), errors.Join(err, otherErr)
}

// handOffs compares round trips between two processes with what they cannot be
// faster than, and the throughput of a lock for which two fight with pthread's; and
// Go's with C's.
func handOffs(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		d, err := startDuos(ctx, s)
		if err != nil {
			return err
		}
		return errors.Join(compareHandOffs(b, d), d.stop())
	})
}

func compareHandOffs(b *bench, d *duos) error {
	for _, each := range []handOff{
		{"round trip, on one processor", 0, 0, "futex", "event", handOffTurns, 1.15,
			"two events against bare futexes: nobody can spin usefully"},
		{"round trip, on two processors", 0, 1, "word", "event", spinTurns, 2,
			"two events against a word there and back, spinning"},
		{"two fight for a lock", 0, 1, "pthread", "mutex", fightTurns, 1.0,
			"against a robust pthread mutex; time for one turn of both"},
	} {
		if err := each.compare(b, d); err != nil {
			return err
		}
	}
	return nil
}

// handOff is what two do with each other, on these processors.
type handOff struct {
	name        string
	one, other  int
	rival, ours string
	turns       int
	limit       float64
	note        string
}

func (h *handOff) compare(b *bench, d *duos) error {
	if err := errors.Join(d.inC.pin(h.one, h.other), d.inGo.pin(h.one, h.other)); err != nil {
		return err
	}
	n := b.scaled(h.turns)
	return b.trio(h.name, h.limit, h.note,
		func() (float64, error) { return d.inC.turns(h.rival, n) },
		func() (float64, error) { return d.inC.turns(h.ours, n) },
		func() (float64, error) { return d.inGo.turns(h.ours, n) })
}
