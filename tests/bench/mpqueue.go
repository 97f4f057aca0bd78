package main

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"

	"github.com/shmd/shmd/tests/measure"
)

// mpMessages are fewer than ours: each takes microseconds.
const mpMessages = 20_000

// pythonQueues compares multiprocessing.Queue with the same work of Go processes on the
// same processors.
func pythonQueues(ctx context.Context, b *bench) error {
	python, err := measure.Built("SHMD_PYTHON", filepath.Join("build", "venv", "bin", "python"))
	if err != nil {
		return err
	}
	return withRoute(ctx, startSelf, byQueue, func(ours *route) error {
		rival, err := measure.Start(ctx, python, filepath.Join("tests", "bench", "mpqueue.py"),
			strconv.Itoa(ours.cpus[0]), strconv.Itoa(ours.cpus[1]))
		if err != nil {
			return err
		}
		return errors.Join(comparePython(b, rival, ours), rival.Stop())
	})
}

func comparePython(b *bench, rival *measure.Child, ours *route) error {
	turns := b.scaled(mpMessages)
	for _, each := range []struct{ name, theirs, near, far string }{
		{"Go: Put, Take", "way", "put", "take"},
		{"Go: PutMany, TakeMany", "way", "put-many", "take-many"},
		{"Go: round trip", "trip", "ping-wait", "pong-wait"},
	} {
		p, err := interleave(b.rounds(),
			func() (float64, error) { return rival.Number("%s %d", each.theirs, turns) },
			func() (float64, error) { return ours.took(each.near, each.far, turns) })
		if err != nil {
			return err
		}
		w := compared(each.name, "ns", p, aheadOf)
		w.Note = "64 bytes, two processes on two processors, against put and get in Python"
		b.report.add(w)
	}
	return nil
}
