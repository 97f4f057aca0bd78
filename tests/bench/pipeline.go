package main

import (
	"context"
	"errors"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
	"github.com/shmd/shmd/wire"
)

const (
	pipelineDepth = 64
	pipelineCalls = 200_000
	pipelineGoal  = 300_000
)

// pipelines measures calls per second with 64 under way on one connection.
func pipelines(ctx context.Context, b *bench) error {
	return withService(ctx, func(s *service) error {
		handle, err := s.createCounter(ctx, "bench/value")
		if err != nil {
			return err
		}
		for _, form := range []struct {
			name string
			run  func(ctx context.Context, s *service, handle uint64, calls int) error
		}{
			{"Go: 64 goroutines calling", crowd},
			{"Go: one goroutine, 64 under way", window},
		} {
			var rates []float64
			for round := range b.rounds() + 1 {
				calls := b.scaled(pipelineCalls)
				begin := time.Now()
				if err := form.run(ctx, s, handle, calls); err != nil {
					return err
				}
				if round > 0 { // the first one warms up
					rates = append(rates, float64(calls)/time.Since(begin).Seconds()/1000)
				}
			}
			b.report.add(single(form.name, "thousand calls/s", rates, "at least 300 (median)",
				measure.SpreadOf(rates).Median*1000 >= pipelineGoal))
		}
		return nil
	})
}

// crowd lets 64 goroutines make one call after the other.
func crowd(ctx context.Context, s *service, handle uint64, calls int) error {
	ended := make(chan error, pipelineDepth)
	for range pipelineDepth {
		go func() {
			for range calls / pipelineDepth {
				if err := s.get(ctx, handle); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	var errs []error
	for range pipelineDepth {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// window keeps 64 calls of one goroutine under way.
func window(ctx context.Context, s *service, handle uint64, calls int) error {
	return inWindows(ctx, calls,
		func(int) (*shmd.Pending, error) { return s.client.Start(wire.MethodGet, handle) },
		func(_ int, p *shmd.Pending) error {
			var got int64
			return p.Wait(ctx, &got)
		})
}

// inWindows keeps 64 calls of one goroutine under way.
func inWindows(ctx context.Context, count int, start func(i int) (*shmd.Pending, error),
	wait func(i int, p *shmd.Pending) error) error {
	var under [pipelineDepth]*shmd.Pending
	for i := range count + pipelineDepth {
		slot := &under[i%pipelineDepth]
		if *slot != nil {
			if err := wait(i-pipelineDepth, *slot); err != nil {
				return err
			}
			*slot = nil
		}
		if i < count {
			started, err := start(i)
			if err != nil {
				return err
			}
			*slot = started
		}
	}
	return ctx.Err()
}
