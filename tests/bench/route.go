package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

// messageBytes is MESSAGE_BYTES of c/message.h.
const messageBytes = 64

// route is two processes that are connected both ways, each on a processor of its own:
// the near one sends "there" and receives from "back".
type route struct {
	near, far *measure.Child
	cpus      []int
}

// starter is startC or startSelf.
type starter func(ctx context.Context, name string, args ...string) (*measure.Child, error)

// means is by what a route is connected: the program of either end, and what makes an
// object for either way.
type means struct {
	program string
	create  func(ctx context.Context, s *service, name string) error
}

var (
	byQueue = means{"messenger", func(ctx context.Context, s *service, name string) error {
		_, err := shmd.CreateQueue(ctx, s.client, name,
			shmd.QueueOptions{MaxSize: queueSize, SlotSize: messageBytes, Raw: true})
		return err
	}}
	byStream = means{"streamer", func(ctx context.Context, s *service, name string) error {
		_, err := shmd.CreateStream(ctx, s.client, name, shmd.StreamOptions{CapacityBytes: streamBytes})
		return err
	}}
	byNothing = means{"bare", func(ctx context.Context, s *service, name string) error {
		_, err := shmd.CreateArray[uint8](ctx, s.client, name, shmd.ArrayOptions{Length: 4096 + 65536})
		return err
	}}
)

// createAll makes what a route needs; who is connected by queues has a line of an array, too.
func (m means) createAll(ctx context.Context, s *service, there, back, line string) error {
	for _, name := range []string{there, back} {
		if err := m.create(ctx, s, name); err != nil {
			return err
		}
	}
	if m.program != byQueue.program {
		return nil
	}
	_, err := shmd.CreateArray[int64](ctx, s.client, line, shmd.ArrayOptions{Length: 8})
	return err
}

// withRoute pins processes of the means' program, started by start, to two processors.
func withRoute(ctx context.Context, start starter, m means, work func(r *route) error) error {
	const there, back, line = "bench/there", "bench/back", "bench/line"
	return withService(ctx, func(s *service) error {
		if err := m.createAll(ctx, s, there, back, line); err != nil {
			return err
		}
		var more []string
		if m.program == byQueue.program {
			more = []string{line}
		}
		return withTwo(ctx, start, m.program, append([]string{s.socket, there, back}, more...),
			append([]string{s.socket, back, there}, more...), work)
	})
}

// withTwo starts the program twice, with these arguments, pins the two, and lets them work.
func withTwo(ctx context.Context, start starter, program string, near, far []string,
	work func(r *route) error) error {
	cpus, err := twoProcessors()
	if err != nil {
		return err
	}
	r := &route{cpus: cpus}
	if r.near, err = start(ctx, program, near...); err != nil {
		return err
	}
	if r.far, err = start(ctx, program, far...); err != nil {
		return errors.Join(err, r.near.Stop())
	}
	if err = r.pin(cpus[0], cpus[1]); err == nil {
		err = work(r)
	}
	return errors.Join(err, r.near.Stop(), r.far.Stop())
}

// twoProcessors are two that this process may use.
func twoProcessors() ([]int, error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < 2 && cpu < 8*len(may)*8; cpu++ {
		if may.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) < 2 {
		return nil, errors.New("it needs two processors")
	}
	return cpus, nil
}

// pin puts the two on processors; -1 = anywhere.
func (r *route) pin(near, far int) error {
	return errors.Join(r.near.Do("pin %d", near), r.far.Do("pin %d", far))
}

// unpinned does work with both anywhere.
func (r *route) unpinned(work func() error) error {
	if err := r.pin(-1, -1); err != nil {
		return err
	}
	return errors.Join(work(), r.pin(r.cpus[0], r.cpus[1]))
}

// took is nanoseconds a turn, from when the near process began to when the one ended
// that ends last.
func (r *route) took(near, far string, turns int) (float64, error) {
	a, b, err := r.both(near, far, turns)
	if err != nil {
		return 0, err
	}
	begin, end, err := interval(a)
	if err != nil {
		return 0, err
	}
	_, farEnd, err := interval(b)
	return float64(max(end, farEnd)-begin) / float64(turns), err
}

// alone is nanoseconds a turn of the near process.
func (r *route) alone(command string, turns int) (float64, error) {
	text, err := r.near.Ask("%s %d", command, turns)
	if err != nil {
		return 0, err
	}
	begin, end, err := interval(text)
	return float64(end-begin) / float64(turns), err
}

// both sends a command to either; their answers.
func (r *route) both(near, far string, turns int) (a, b string, err error) {
	return both(r.near, r.far, func(c *measure.Child) error {
		command := far
		if c == r.near {
			command = near
		}
		return c.Send("%s %d", command, turns)
	})
}

func interval(text string) (begin, end int64, err error) {
	_, err = fmt.Sscan(text, &begin, &end)
	return begin, end, err
}

// flow is a way to send messages one way; goal 0 = none.
type flow struct {
	name, put, take string
	messages        int
	goal            float64 // million/s
	note            string
}

// flows measures each, with both ends pinned; and those of goals once more with both
// anywhere.
func (r *route) flows(b *bench, flows ...flow) error {
	for _, f := range flows {
		if err := r.flow(b, f); err != nil {
			return err
		}
	}
	return r.unpinned(func() error {
		for _, f := range flows {
			if f.goal == 0 {
				continue
			}
			f.name += ", unpinned"
			if err := r.flow(b, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *route) flow(b *bench, f flow) error {
	var rates []float64
	for round := range b.rounds() + 1 {
		ns, err := r.took(f.put, f.take, b.scaled(f.messages))
		if err != nil {
			return err
		}
		if round > 0 { // the first one warms up
			rates = append(rates, 1000/ns)
		}
	}
	w := single(f.name, "million/s", rates, fmt.Sprintf("at least %g (median)", f.goal),
		measure.SpreadOf(rates).Median >= f.goal)
	if f.goal == 0 {
		w.Goal, w.Met = "", nil
	}
	w.Note = f.note
	b.report.add(w)
	return nil
}

// trip is a message there and one back, held against a rival.
type trip struct {
	name       string
	r          *route
	ping, pong string
	turns      int
	limit      float64 // 0 = no goal
	note       string
	rival      func(turns int) (float64, error)
}

// measure adds the row of pairs, and to it the percentiles of trips whose times are taken
// one by one, in as many rounds more.
func (t *trip) measure(b *bench) error {
	turns := b.scaled(t.turns)
	p, err := interleave(b.rounds(),
		func() (float64, error) { return t.rival(turns) },
		func() (float64, error) { return t.r.took(t.ping, t.pong, turns) })
	if err != nil {
		return err
	}
	w := compared(t.name, "ns", p, t.limit)
	w.Note = t.note
	of := make([][]float64, 3)
	for range b.rounds() {
		text, _, err := t.r.both("each-"+t.ping, t.pong, turns)
		if err != nil {
			return err
		}
		var each [3]float64
		if _, err := fmt.Sscan(text, &each[0], &each[1], &each[2]); err != nil {
			return err
		}
		for i, value := range each {
			of[i] = append(of[i], value)
		}
	}
	for i, place := range []**float64{&w.P50, &w.P99, &w.P999} {
		value := measure.SpreadOf(of[i]).Median
		*place = &value
	}
	b.report.add(w)
	return nil
}
