package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
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
		before, err := memoryOf(s.pid())
		if err != nil {
			return err
		}
		objects := memoryObjects
		if err := s.createMany(ctx, "bench", objects); err != nil {
			return err
		}
		after, err := memoryOf(s.pid())
		if err != nil {
			return err
		}
		own := (after.anonymous - before.anonymous) / float64(objects)
		w := single("daemon's own memory, per object", "KiB", []float64{own}, "at most 8 KiB", own <= memoryGoalKiB)
		w.Note = "Anonymous of smaps_rollup, 2,000 scalar values open in one client"
		b.report.add(w)
		all := (after.resident - before.resident) / float64(objects)
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

// processMemory is in KiB.
type processMemory struct{ anonymous, resident float64 }

func memoryOf(pid int) (processMemory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return processMemory{}, err
	}
	anonymous, err := kibibytes(string(text), "Anonymous")
	if err != nil {
		return processMemory{}, err
	}
	resident, err := kibibytes(string(text), "Rss")
	return processMemory{anonymous, resident}, err
}

func kibibytes(text, name string) (float64, error) {
	number, found := strings.CutSuffix(field(text, name), " kB")
	if !found {
		return 0, fmt.Errorf("smaps_rollup has no %s in kB", name)
	}
	return strconv.ParseFloat(strings.TrimSpace(number), 64)
}
