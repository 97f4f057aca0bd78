package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shmd/shmd/tests/measure"
)

const (
	// fallAsleep is how long a waiter has to go to sleep; nothing is wrong if it has not.
	fallAsleep = 50 * time.Millisecond
	// idleSettle lets what the set-up began end.
	idleSettle = 3 * time.Second
)

// runRecovery kills owners, in turn over all systems, each time new processes.
func (b *bench) runRecovery(ctx context.Context, r *row, at setting, entrants []*adapter, result *caseResult) {
	for _, a := range entrants {
		result.add(a)
	}
	for round := range b.rounds() + 1 {
		for i, a := range entrants {
			s := result.Series[i]
			if s.Reason != "" {
				continue
			}
			took, err := b.killOwner(ctx, a, r, at)
			switch {
			case errors.Is(err, errNever):
				s.fail(fmt.Errorf("never: nobody had it %v after the kill", b.never()))
				s.Never, s.Counts = true, map[string]float64{"limit_s": b.never().Seconds()}
			case err != nil:
				s.fail(err)
			case round > 0: // the first one warms up
				s.Values = append(s.Values, took)
			}
		}
	}
}

var errNever = errors.New("never")

// killOwner is one death: nanoseconds from before the kill until the waiter has the lock.
func (b *bench) killOwner(ctx context.Context, a *adapter, r *row, at setting) (float64, error) {
	s, err := b.openSession(ctx, a, r, at, false)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	owner, waiter := s.processes[0], s.processes[1]
	if err := errors.Join(owner.say("held"), waiter.say("waiting"), measure.Pass(ctx, fallAsleep)); err != nil {
		return 0, err
	}
	killed, err := measure.MonotonicNs()
	if err != nil {
		return 0, err
	}
	if err := owner.Cmd.Process.Kill(); err != nil {
		return 0, err
	}
	began := time.Now()
	line, err := waiter.await(b.never())
	if err != nil && time.Since(began) >= b.never() {
		return 0, errNever
	}
	if err != nil {
		return 0, err
	}
	got, err := parseDone(line)
	return float64(got.tookNS - killed), err
}

// say sends `go 1`, and expects that answer.
func (p *process) say(want string) error {
	if err := p.Send("go 1"); err != nil {
		return err
	}
	line, err := p.await(replyLimit)
	if err == nil && line != want {
		err = fmt.Errorf("%s said %q instead of %q", p.role, line, want)
	}
	return err
}

// runIdle puts a process of each system to sleep, and looks at what all do meanwhile.
func (b *bench) runIdle(ctx context.Context, r *row, at setting, entrants []*adapter, result *caseResult) {
	type asleep struct {
		into   *series
		s      *session
		pids   []int
		before measure.Activity
	}
	var all []*asleep
	for _, a := range entrants {
		into := result.add(a)
		s, err := b.openSession(ctx, a, r, at, false)
		if err != nil {
			into.fail(err)
			continue
		}
		defer s.kill()
		if err := s.processes[0].say("waiting"); err != nil {
			into.fail(err)
			continue
		}
		all = append(all, &asleep{into: into, s: s})
	}
	_ = measure.Pass(ctx, idleSettle) // what ends it ends what follows
	for _, each := range all {
		var err error
		if each.pids, err = each.s.everybody(); err == nil {
			each.before, err = measure.ActivityOfAll(each.pids...)
		}
		if err != nil {
			each.into.fail(err)
		}
	}
	_ = measure.Pass(ctx, b.idleTime())
	for _, each := range all {
		if each.into.Reason != "" {
			continue
		}
		after, err := measure.ActivityOfAll(each.pids...)
		if err != nil {
			each.into.fail(err)
			continue
		}
		each.into.Values = []float64{float64(after.Ticks - each.before.Ticks)}
		each.into.Counts = map[string]float64{
			"switches":  float64(after.Switches - each.before.Switches),
			"processes": float64(len(each.pids)),
			"seconds":   b.idleTime().Seconds(),
		}
	}
}

// runMemory lets each system make many objects, and looks at how its processes grow.
func (b *bench) runMemory(ctx context.Context, r *row, at setting, entrants []*adapter, result *caseResult) {
	for _, a := range entrants {
		into := result.add(a)
		perObject, err := b.growth(ctx, a, r, at)
		if err != nil {
			into.fail(err)
			continue
		}
		into.Operations, into.Values = b.objects(), []float64{perObject}
	}
}

// growth is KiB for an object, in all processes of the system.
func (b *bench) growth(ctx context.Context, a *adapter, r *row, at setting) (_ float64, err error) {
	s, err := b.openSession(ctx, a, r, at, false)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	// The first objects also pay for what is there once.
	if _, err := s.round(100); err != nil {
		return 0, err
	}
	before, err := s.memory()
	if err != nil {
		return 0, err
	}
	if _, err := s.round(b.objects()); err != nil {
		return 0, err
	}
	after, err := s.memory()
	return (after - before) / float64(b.objects()), err
}

// memory is the sum of what the processes of the system have, shared pages in parts.
func (s *session) memory() (sum float64, err error) {
	pids, err := s.everybody()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		m, err := measure.MemoryOf(pid)
		if err != nil {
			return 0, err
		}
		sum += m.Proportional
	}
	return sum, nil
}
