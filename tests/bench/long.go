package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	shmd "github.com/shmd/shmd/clients/go"
)

const (
	longBytes     = 1 << 20 // LONG_BYTES of c/hauler.c
	longPlaces    = 4       // PLACES
	longMessages  = 2_000
	longTurns     = 20_000  // of what touches nothing
	longGoal      = 1 / 0.9 // of the time of a memcpy
	untouchedGoal = 2       // of the time of a short message
	longQueue     = "bench/long"
)

// hauls compares messages of 1 MiB, made and read in place, with memcpy; and with
// short messages when nobody touches what is in them.
func hauls(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("/dev/shm", "shmd-bench") // in memory, as segments are
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "places")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	return withService(ctx, func(s *service) error {
		if _, err := shmd.CreateQueue(ctx, s.client, longQueue, shmd.QueueOptions{
			MaxSize: longPlaces, SlotSize: messageBytes, MessageMax: longBytes, Raw: true}); err != nil {
			return err
		}
		args := []string{s.socket, longQueue, file}
		return withTwo(ctx, startC, "hauler", args, args, func(r *route) error { return compareHauls(b, r) })
	})
}

func compareHauls(b *bench, r *route) error {
	messages, turns := b.scaled(longMessages), b.scaled(longTurns)
	for _, each := range []struct {
		name        string
		rival, ours func() (float64, error)
		limit       float64
		note        string
	}{
		{"C: 1 MiB written, read and checked",
			func() (float64, error) { return r.alone("copy", messages) },
			func() (float64, error) { return r.took("write", "read", messages) }, longGoal,
			"reserve_size, lease and ack, two processes; against memcpy by one: 90 % of its bandwidth"},
		{"C: the same",
			func() (float64, error) { return r.took("bare-write", "bare-read", messages) },
			func() (float64, error) { return r.took("write", "read", messages) }, longGoal,
			"against the same two with bare shared memory and two words, spinning: the floor"},
		{"C: 1 MiB, untouched",
			func() (float64, error) { return r.took("pass-short", "get", turns) },
			func() (float64, error) { return r.took("pass", "get", turns) }, untouchedGoal,
			"reserve_size, commit, lease, ack; against 64 bytes in the same queue"},
	} {
		p, err := interleave(b.rounds(), each.rival, each.ours)
		if err != nil {
			return err
		}
		w := compared(each.name, "ns", p, each.limit)
		w.Note = each.note
		b.report.add(w)
	}
	return nil
}
