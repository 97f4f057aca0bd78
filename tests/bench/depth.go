package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
	"github.com/shmd/shmd/wire"
)

const (
	depth      = 16
	depthCalls = 8_000 // few, and the rounds many, as in socket.go
	depthQueue = "bench/depth"
	depthNote  = "put and take in turn over the socket, 64 bytes, 16 calls at once on one connection; time for one"
)

// depths measures put and take over the socket, 16 calls under way: 16 requests, and then
// 16 answers.
func depths(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		if _, err := shmd.CreateQueue(ctx, s.client, depthQueue,
			shmd.QueueOptions{SlotSize: messageBytes, Raw: true}); err != nil {
			return err
		}
		var a wire.Attachment
		if err := s.client.Call(ctx, wire.MethodOpen, &a, depthQueue); err != nil {
			return err
		}
		var took []float64
		for round := range b.scaled(socketRounds) + 1 {
			us, err := timeBatches(depthCalls, func(first int) error { return s.putAndTake(ctx, a.Handle, first) })
			if err != nil {
				return err
			}
			if round > 0 { // the first one warms up
				took = append(took, us)
			}
		}
		b.report.add(row{Name: "Go: put, take, depth 16", Unit: "us", Ours: measure.SpreadOf(took), Note: depthNote})
		return nil
	})
}

// timeBatches is microseconds for one call of batches of 16; first counts messages.
func timeBatches(calls int, batch func(first int) error) (float64, error) {
	begin := time.Now()
	batches := max(1, calls/depth)
	for i := range batches {
		if err := batch(i * depth / 2); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(batches*depth) / 1000, nil
}

// putAndTake makes 16 calls at once: 8 messages in, and the same out.
func (s *service) putAndTake(ctx context.Context, handle uint64, first int) error {
	var under [depth]*shmd.Pending
	message := make([]byte, messageBytes)
	for i := range under {
		var err error
		if i%2 == 0 {
			binary.LittleEndian.PutUint64(message, uint64(first+i/2))
			under[i], err = s.client.Start(wire.MethodPut, handle, message)
		} else {
			under[i], err = s.client.Start(wire.MethodTake, handle)
		}
		if err != nil {
			return err
		}
	}
	var got sums
	for i, call := range under {
		if i%2 == 0 {
			if err := call.Wait(ctx, nil); err != nil {
				return err
			}
			continue
		}
		var taken []byte
		if err := call.Wait(ctx, &taken); err != nil {
			return err
		}
		got.add(taken)
	}
	return got.check(first)
}

// sums tells whether the messages of a batch are those that went in, in any order.
type sums struct {
	count, numbers, bytes int
}

func (s *sums) add(message []byte) {
	s.count++
	s.bytes += len(message)
	if len(message) >= 8 {
		s.numbers += int(binary.LittleEndian.Uint64(message))
	}
}

func (s *sums) check(first int) error {
	const n = depth / 2
	if want := (sums{n, n*first + n*(n-1)/2, n * messageBytes}); *s != want {
		return fmt.Errorf("messages and their sums are %+v instead of %+v", *s, want)
	}
	return nil
}
