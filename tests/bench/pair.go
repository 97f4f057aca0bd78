package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	shmd "github.com/shmd/shmd/clients/go"
)

const (
	handOffTurns = 20_000
	spinTurns    = 200_000
	fightTurns   = 1_000_000
)

// duo is the two processes of c/pair_linux.c.
type duo struct {
	one, other *child
	objects    []io.Closer
}

func startDuo(ctx context.Context, s *service) (_ *duo, err error) {
	d := new(duo)
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
	for i, c := range []**child{&d.one, &d.other} {
		if *c, err = startC(ctx, "pair_linux", s.socket, page, strconv.Itoa(1-i)); err != nil {
			return d, err
		}
		if err := (*c).expect("ready"); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (d *duo) stop() error {
	var errs []error
	for _, c := range []*child{d.one, d.other} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	for _, o := range d.objects {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// pin puts the two on processors; -1 = anywhere.
func (d *duo) pin(one, other int) error {
	return errors.Join(d.one.do("pin %d", one), d.other.do("pin %d", other))
}

// turns lets both make n turns; nanoseconds for one, of the slower.
func (d *duo) turns(command string, n int) (float64, error) {
	a, b, err := both(d.one, d.other, func(c *child) error { return c.send("%s %d", command, n) })
	if err != nil {
		return 0, err
	}
	first, err := strconv.ParseFloat(a, 64)
	second, otherErr := strconv.ParseFloat(b, 64)
	return max(first, second), errors.Join(err, otherErr)
}

// handOffs compares round trips between two processes with what they cannot be
// faster than, and the throughput of a lock for which two fight with pthread's.
func handOffs(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		d, err := startDuo(ctx, s)
		if err != nil {
			return err
		}
		return errors.Join(compareHandOffs(b, d), d.stop())
	})
}

func compareHandOffs(b *bench, d *duo) error {
	for _, each := range []struct {
		name        string
		one, other  int // processors
		rival, ours string
		turns       int
		limit       float64
		note        string
	}{
		{"round trip, on one processor", 0, 0, "futex", "event", handOffTurns, 1.15,
			"two events against bare futexes: nobody can spin usefully"},
		{"round trip, on two processors", 0, 1, "word", "event", spinTurns, 2,
			"two events against a word there and back, spinning"},
		{"two fight for a lock", 0, 1, "pthread", "mutex", fightTurns, 1.0,
			"against a robust pthread mutex; time for one turn of both"},
	} {
		if err := d.pin(each.one, each.other); err != nil {
			return err
		}
		n := b.scaled(each.turns)
		p, err := interleave(b.rounds(),
			func() (float64, error) { return d.turns(each.rival, n) },
			func() (float64, error) { return d.turns(each.ours, n) })
		if err != nil {
			return err
		}
		w := compared("C: "+each.name, "ns", p, each.limit)
		w.Note = each.note
		b.report.add(w)
	}
	return d.pin(-1, -1)
}
