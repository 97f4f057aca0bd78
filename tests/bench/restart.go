package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shmd/shmd/tests/measure"
	"github.com/shmd/shmd/wire"
)

const (
	restartRounds   = 5
	restartGoalMs   = 1_000
	restartMessages = 10_000_000 // about a second
	restartSlowdown = 1.05
)

// restarts kills a daemon that has many objects and clients, starts another, and measures
// when it serves again, when all clients have been served, and what two processes lose
// that send messages to each other meanwhile.
func restarts(ctx context.Context, b *bench) error {
	for _, share := range []int{12, 3, 1} {
		err := withPopulation(ctx, b.objects/share, b.clients, func(p *population) error {
			if err := p.restart(ctx, b); err != nil || share > 1 {
				return err
			}
			return p.restartUnderTraffic(ctx, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func withPopulation(ctx context.Context, objects, clients int, work func(p *population) error) error {
	p, err := populate(ctx, objects, clients)
	if err != nil {
		return err
	}
	return errors.Join(work(p), p.stop())
}

func (p *population) restart(ctx context.Context, b *bench) error {
	var serves, served []float64
	for round := range restartRounds + 1 {
		begin := time.Now()
		if err := p.relaunch(ctx); err != nil {
			return err
		}
		ready := time.Since(begin)
		if err := p.greetAll(ctx); err != nil {
			return err
		}
		if round > 0 { // the first one warms up
			serves = append(serves, float64(ready.Microseconds())/1000)
			served = append(served, float64(time.Since(begin).Microseconds())/1000)
		}
	}
	w := single(fmt.Sprintf("%d objects: serves again", p.objects), "ms", serves, "below 1,000 ms (max)",
		measure.SpreadOf(serves).Max < restartGoalMs)
	w.Note = fmt.Sprintf("from the SIGKILL to the new daemon's readiness, %d clients", len(p.clients))
	b.report.add(w)
	b.report.add(row{Name: fmt.Sprintf("%d objects: all clients served", p.objects), Unit: "ms",
		Ours: measure.SpreadOf(served),
		Note: "each has come back, in the background or for its call, and has had an answer"})
	return nil
}

// greetAll lets each client make a call, all at once.
func (p *population) greetAll(ctx context.Context) error {
	var calls sync.WaitGroup
	failures := make([]error, len(p.clients))
	for i, c := range p.clients {
		calls.Go(func() { failures[i] = c.Call(ctx, wire.MethodPing, nil) })
	}
	calls.Wait()
	return errors.Join(failures...)
}

func (p *population) restartUnderTraffic(ctx context.Context, b *bench) error {
	const there, back, line = "bench/there", "bench/back", "bench/line"
	if err := byQueue.createAll(ctx, p.service, there, back, line); err != nil {
		return err
	}
	return withTwo(ctx, startC, byQueue.program, []string{p.socket, there, back, line},
		[]string{p.socket, back, there, line}, func(r *route) error {
			if err := r.pin(-1, -1); err != nil {
				return err
			}
			messages := b.scaled(restartMessages)
			pairs, err := interleave(restartRounds,
				func() (float64, error) { return r.took("put", "take", messages) },
				func() (float64, error) {
					restarted := make(chan error, 1)
					go func() { restarted <- errors.Join(p.relaunch(ctx), p.greetAll(ctx)) }()
					ns, err := r.took("put", "take", messages)
					return ns, errors.Join(err, <-restarted)
				})
			if err != nil {
				return err
			}
			w := compared("C: put and take during a restart", "ns", pairs, restartSlowdown)
			w.Note = fmt.Sprintf("%d messages, against the same without; daemon and clients share the processors",
				messages)
			b.report.add(w)
			return nil
		})
}
