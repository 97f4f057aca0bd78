package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/shmd/shmd/tests/measure"
)

// aheadOf is the limit of who shall be faster than a rival.
const aheadOf = 1.0

// rivalTrips are fewer than there could be: some rivals take a tenth of a millisecond.
const rivalTrips = 10_000

// The rivals are queues that are compared with ours, by the same work of the same processes
// on the same processors. Either end is a C program that includes c/rival.h. Those of
// rivals/ need libraries that nothing else here needs.

func mails(ctx context.Context, b *bench) error { return rivals(ctx, b, startC, "mailer") }

func boostQueues(ctx context.Context, b *bench) error { return ifBuilt(ctx, b, "boost") }

func zeromqs(ctx context.Context, b *bench) error { return ifBuilt(ctx, b, "zeromq") }

// ifBuilt compares with a program of rivals/, or says that it is not there.
func ifBuilt(ctx context.Context, b *bench, program string) error {
	path, err := measure.Built("SHMD_BUILD", "build", "tests", "bench", "rivals", program)
	if errors.Is(err, fs.ErrNotExist) {
		b.report.skip(fmt.Sprintf("%s is not here: `make bench` says why it could not be had", program))
		return nil
	}
	return rivals(ctx, b, func(ctx context.Context, _ string, args ...string) (*measure.Child, error) {
		return measure.Start(ctx, path, args...)
	}, program)
}

func rivals(ctx context.Context, b *bench, start starter, program string) error {
	there, back := rivalName("there"), rivalName("back")
	return withRoute(ctx, startC, byQueue, func(ours *route) error {
		return withTwo(ctx, start, program, []string{there, back}, []string{back, there}, func(theirs *route) error {
			return compareRival(b, theirs, ours)
		})
	})
}

func rivalName(which string) string { return fmt.Sprintf("/shmd-bench-%d-%s", os.Getpid(), which) }

func compareRival(b *bench, theirs, ours *route) error {
	if err := theirs.near.Do("unlink"); err != nil { // both have them open
		return err
	}
	what, err := theirs.near.Ask("describe")
	if err != nil {
		return err
	}
	oneWay := func(put, take string, note string) error {
		turns := b.scaled(queueMessages)
		p, err := interleave(b.rounds(),
			func() (float64, error) { return theirs.took("put", "take", turns) },
			func() (float64, error) { return ours.took(put, take, turns) })
		if err == nil {
			w := compared("C: "+note, "ns", p, aheadOf)
			w.Note = "time for one of 64 bytes, against " + what
			b.report.add(w)
		}
		return err
	}
	roundTrip := func(name string) error {
		t := trip{"C: " + name, ours, "ping-wait", "pong-wait", rivalTrips, aheadOf,
			"put, and take the answer, waiting; against " + what,
			func(turns int) (float64, error) { return theirs.took("ping-wait", "pong-wait", turns) }}
		return t.measure(b)
	}
	err = errors.Join(oneWay("put", "take", "put, take"), oneWay("put-many", "take-many", "put_many, take_many"),
		roundTrip("round trip, on two processors"))
	if err != nil {
		return err
	}
	one := ours.cpus[0]
	if err := errors.Join(theirs.pin(one, one), ours.pin(one, one)); err != nil {
		return err
	}
	return roundTrip("round trip, on one processor")
}
