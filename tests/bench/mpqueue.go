package main

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
)

// mpMessages are fewer than ours: each takes microseconds.
const mpMessages = 20_000

// pythonQueues compares multiprocessing.Queue with the same work of Go processes on the
// same processors.
func pythonQueues(ctx context.Context, b *bench) error {
	python, err := built("SHMD_PYTHON", filepath.Join("build", "venv", "bin", "python"))
	if err != nil {
		return err
	}
	return withRoute(ctx, startSelf, byQueue, func(ours *route) error {
		rival, err := start(ctx, python, filepath.Join("tests", "bench", "mpqueue.py"),
			strconv.Itoa(ours.cpus[0]), strconv.Itoa(ours.cpus[1]))
		if err != nil {
			return err
		}
		return errors.Join(comparePython(b, rival, ours), rival.stop())
	})
}

func comparePython(b *bench, rival *child, ours *route) error {
	turns := b.scaled(mpMessages)
	for _, each := range []struct{ name, theirs, near, far string }{
		{"Go: Put, Take", "way", "put", "take"},
		{"Go: PutMany, TakeMany", "way", "put-many", "take-many"},
		{"Go: round trip", "trip", "ping-wait", "pong-wait"},
	} {
		p, err := interleave(b.rounds(),
			func() (float64, error) { return rival.number("%s %d", each.theirs, turns) },
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
