package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// aheadOf is the limit of who shall be faster than a rival.
const aheadOf = 1.0

// mails compares POSIX message queues with ours, by the same work of the same processes
// on the same processors.
func mails(ctx context.Context, b *bench) error {
	there, back := mailName("there"), mailName("back")
	return withRoute(ctx, startC, byQueue, func(ours *route) error {
		return withTwo(ctx, startC, "mailer", []string{there, back}, []string{back, there}, func(mq *route) error {
			return compareMails(b, mq, ours)
		})
	})
}

func mailName(which string) string { return fmt.Sprintf("/shmd-bench-%d-%s", os.Getpid(), which) }

func compareMails(b *bench, mq, ours *route) error {
	if err := mq.near.do("unlink"); err != nil { // both have them open
		return err
	}
	one := ours.cpus[0]
	oneWay := func(put, take string, note string) error {
		turns := b.scaled(queueMessages)
		p, err := interleave(b.rounds(),
			func() (float64, error) { return mq.took("put", "take", turns) },
			func() (float64, error) { return ours.took(put, take, turns) })
		if err == nil {
			w := compared("C: "+note, "ns", p, aheadOf)
			w.Note = "time for one of 64 bytes, against mq_send and mq_receive"
			b.report.add(w)
		}
		return err
	}
	roundTrip := func(name string) error {
		t := trip{"C: " + name, ours, "ping-wait", "pong-wait", handOffTurns, aheadOf,
			"put, and take the answer, waiting; against mq_send and mq_receive",
			func(turns int) (float64, error) { return mq.took("ping-wait", "pong-wait", turns) }}
		return t.measure(b)
	}
	err := errors.Join(oneWay("put", "take", "put, take"), oneWay("put-many", "take-many", "put_many, take_many"),
		roundTrip("round trip, on two processors"))
	if err != nil {
		return err
	}
	err = errors.Join(mq.pin(one, one), ours.pin(one, one))
	if err != nil {
		return err
	}
	return roundTrip("round trip, on one processor")
}
