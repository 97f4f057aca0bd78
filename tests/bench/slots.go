package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

const (
	slotsName     = "bench/slots"
	slotsCount    = 64 << 10
	slotsBytes    = 256
	slotsOverhead = 64 // bytes a slot
	slotsInFlight = 1000
)

// slots measures the memory of a queue: what it has for each slot beside the slot,
// and that only slots which were used have any.
func slots(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		queue, err := shmd.CreateQueue(ctx, s.client, slotsName,
			shmd.QueueOptions{MaxSize: slotsCount, SlotSize: slotsBytes, Raw: true})
		if err != nil {
			return err
		}
		return errors.Join(measureSlots(ctx, b, s, queue), queue.Close())
	})
}

func measureSlots(ctx context.Context, b *bench, s *service, queue *shmd.Queue) error {
	var st wire.Stat
	if err := s.client.Call(ctx, wire.MethodStat, &st, slotsName); err != nil {
		return err
	}
	beside := float64(st.SegmentSize)/slotsCount - slotsBytes
	w := single("segment beside its slots, per slot", "bytes", []float64{beside}, "at most 64 bytes",
		beside <= slotsOverhead)
	w.Note = fmt.Sprintf("%d KiB for 65,536 slots of 256 bytes", st.SegmentSize>>10)
	b.report.add(w)

	fresh, err := s.allocated(st.SegmentSize)
	if err != nil {
		return err
	}
	geometry := float64(st.SegmentSize) / 1024
	w = single("memory of the new queue", "KiB", []float64{fresh}, "at most 1/20 of its size", fresh <= geometry/20)
	w.Note = "st_blocks of the segment"
	b.report.add(w)

	// First so many at once, then as many again a hundred times, one at a time.
	if err := fillAndEmpty(ctx, queue, slotsInFlight); err != nil {
		return err
	}
	used, err := s.allocated(st.SegmentSize)
	if err != nil {
		return err
	}
	each := (used - fresh) * 1024 / slotsInFlight
	limit := float64(slotsBytes + slotsOverhead)
	w = single("growth by 1,000 messages in flight, each", "bytes", []float64{each}, "at most 320 bytes", each <= limit)
	b.report.add(w)
	for range 100 * slotsInFlight {
		if err := fillAndEmpty(ctx, queue, 1); err != nil {
			return err
		}
	}
	after, err := s.allocated(st.SegmentSize)
	if err != nil {
		return err
	}
	// The rings of entries go round. The goal is of the one ring of 4 bytes a slot that there was.
	grown := after - used
	w = single("growth by 100,000 more, one at a time", "KiB", []float64{grown}, "at most 256 KiB, the ready ring",
		grown <= slotsCount*4/1024)
	b.report.add(w)
	return nil
}

func fillAndEmpty(ctx context.Context, queue *shmd.Queue, n int) error {
	message := make([]byte, slotsBytes)
	for range n {
		if err := queue.Put(ctx, message); err != nil {
			return err
		}
	}
	for range n {
		if _, err := queue.Take(ctx); err != nil {
			return err
		}
	}
	return nil
}

// allocated is how many KiB the daemon's segment of that size has; there must be one.
func (s *service) allocated(size uint64) (float64, error) {
	dir := fmt.Sprintf("/proc/%d/fd", s.pid())
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		var st unix.Stat_t
		if err := unix.Stat(dir+"/"+entry.Name(), &st); err != nil {
			return 0, fmt.Errorf("stat of a descriptor of the daemon: %w", err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && uint64(st.Size) == size {
			return float64(st.Blocks) * 512 / 1024, nil
		}
	}
	return 0, fmt.Errorf("the daemon has no segment of %d bytes", size)
}
