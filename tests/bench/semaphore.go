package main

import (
	"context"
	"errors"
	"io"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

func permitsName(undo bool) string {
	if undo {
		return "bench/undo"
	}
	return "bench/permits"
}

// createPermits makes a semaphore of one permit.
func createPermits(undo bool) func(ctx context.Context, s *service) (io.Closer, error) {
	return func(ctx context.Context, s *service) (io.Closer, error) {
		return shmd.CreateSemaphore(ctx, s.client, permitsName(undo), 1, shmd.SemaphoreOptions{Undo: undo})
	}
}

// semaphores compares acquire and release, which nobody else wants, with sem_t, undo
// with plain, and Go with C.
func semaphores(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		plain, err := startTwins(ctx, s, "acquirer", permitsName(false), createPermits(false))
		if err != nil {
			return err
		}
		undo, err := startTwins(ctx, s, "acquirer", permitsName(true), createPermits(true))
		if err != nil {
			return errors.Join(err, plain.stop())
		}
		return errors.Join(compareSemaphores(b, plain, undo), plain.stop(), undo.stop())
	})
}

func compareSemaphores(b *bench, plain, undo *twins) error {
	steps := []struct {
		of      *measure.Child
		command string
	}{
		{plain.inC, "sem_t"}, {plain.inC, "ours"}, {undo.inC, "ours"}, {plain.inGo, "ours"}, {undo.inGo, "ours"},
	}
	took := make([][]float64, len(steps))
	for round := range b.rounds() + 1 {
		for i, step := range steps {
			ns, err := step.of.Number("%s %d", step.command, b.scaled(lockTurns))
			if err != nil {
				return err
			}
			if round > 0 { // the first one warms up
				took[i] = append(took[i], ns)
			}
		}
	}
	semT, inC, undoC, inGo, undoGo := took[0], took[1], took[2], took[3], took[4]
	for _, each := range []struct {
		name string
		p    pairs
		note string
		goal float64 // 0 = none
	}{
		{"C: acquire+release", pairs{semT, inC}, "against a process-shared sem_t", 1.1},
		{"C: the same with undo", pairs{inC, undoC}, "against the plain one in C", 4},
		{"Go: acquire+release", pairs{inC, inGo}, "against the same in C", 0},
		{"Go: the same with undo", pairs{undoC, undoGo}, "against the same in C", 0},
	} {
		w := compared(each.name, "ns", &each.p, each.goal)
		w.Note = each.note
		b.report.add(w)
	}
	return nil
}
