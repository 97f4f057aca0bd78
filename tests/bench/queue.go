package main

import (
	"context"
	"errors"

	"github.com/shmd/shmd/tests/measure"
)

const (
	queueSize     = 1024
	queueMessages = 500_000
	manyMessages  = 2_000_000
	queueGoal     = 8 // million messages/s, one by one; and so on:
	leaseGoal     = 4
	manyGoal      = 20
	goGoal        = 4
	goManyGoal    = 10
)

const (
	one   = "64 bytes, one by one, two processes"
	whole = "64 bytes, one by one, every byte written, and checked"
	many  = "64 bytes, up to 64 in one call, two processes"

	intoOwn = ", into memory of the caller, as in C"
	intoNew = ", into memory of its own"
)

// queues measures messages per second from one process to another.
func queues(ctx context.Context, b *bench) error {
	err := withRoute(ctx, startC, byQueue, func(r *route) error {
		return errors.Join(r.flows(b,
			flow{"C: put, take", "put", "take", queueMessages, queueGoal, one},
			flow{"C: put, take, whole", "put-whole", "take-whole", queueMessages, 0, whole},
			flow{"C: put, lease, ack", "put", "lease", queueMessages, leaseGoal, one},
			flow{"C: put_many, take_many", "put-many", "take-many", manyMessages, manyGoal, many},
			flow{"C: put_many, lease_many, ack_many", "put-many", "lease-many", manyMessages, 0, many},
		), r.distance(b))
	})
	if err != nil {
		return err
	}
	return withRoute(ctx, startSelf, byQueue, func(r *route) error {
		return r.flows(b,
			flow{"Go: Put, TakeAppend", "put", "take-append", queueMessages, goGoal, one + intoOwn},
			flow{"Go: Put, Take", "put", "take", queueMessages, goGoal, one + intoNew},
			flow{"Go: PutMany, TakeManyAppend", "put-many", "take-many-append", queueMessages, goManyGoal,
				many + intoOwn},
			flow{"Go: PutMany, TakeMany", "put-many", "take-many", queueMessages, goManyGoal, many + intoNew})
	})
}

// distance tells how far the processors are from each other at the moment.
func (r *route) distance(b *bench) error {
	var took []float64
	for range b.rounds() {
		ns, err := r.took("ping-line", "pong-line", b.scaled(trips))
		if err != nil {
			return err
		}
		took = append(took, ns)
	}
	b.report.add(row{Name: "a word there and back", Unit: "ns", Ours: measure.SpreadOf(took),
		Note: "for information: what these two processors make of one cache line"})
	return nil
}
