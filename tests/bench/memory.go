package main

import (
	"context"
	"fmt"

	"github.com/shmd/shmd/tests/measure"
)

const (
	memoryObjects = 2000
	memoryGoalKiB = 8
)

// memories measures how the daemon grows with its objects.
func memories(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		// The first objects also pay for what is there once.
		if err := s.createMany(ctx, "warm", 100); err != nil {
			return err
		}
		before, err := measure.MemoryOf(s.pid())
		if err != nil {
			return err
		}
		objects := memoryObjects
		if err := s.createMany(ctx, "bench", objects); err != nil {
			return err
		}
		after, err := measure.MemoryOf(s.pid())
		if err != nil {
			return err
		}
		own := (after.Anonymous - before.Anonymous) / float64(objects)
		w := single("daemon's own memory, per object", "KiB", []float64{own}, "at most 8 KiB", own <= memoryGoalKiB)
		w.Note = "Anonymous of smaps_rollup, 2,000 scalar values open in one client"
		b.report.add(w)
		all := (after.Resident - before.Resident) / float64(objects)
		w = single("resident, with page 0 of the segment", "KiB", []float64{all}, "at most 8 KiB", all <= memoryGoalKiB)
		w.Note = "Rss; what the kernel keeps for a memfd and its mapping is in no file of the process"
		b.report.add(w)
		return nil
	})
}

func (s *service) createMany(ctx context.Context, prefix string, n int) error {
	for i := range n {
		if _, err := s.createCounter(ctx, fmt.Sprintf("%s/%d", prefix, i)); err != nil {
			return err
		}
	}
	return nil
}
