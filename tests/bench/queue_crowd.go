package main

import (
	"context"
	"errors"
	"fmt"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/measure"
)

const (
	crowdEach = 4       // who put, and who take
	crowdGoal = 1 / 0.6 // of the time that one and one take
)

// mob is processes of c/messenger.c at one queue, half of each sort on either of two
// processors.
type mob struct{ putting, taking []*measure.Child }

// queueCrowds compares four that put and four that take with one and one.
func queueCrowds(ctx context.Context, b *bench) error {
	cpus, err := twoProcessors()
	if err != nil {
		return err
	}
	return withService(ctx, func(s *service) error {
		const jobs, unused, line = "bench/jobs", "bench/unused", "bench/line"
		for _, name := range []string{jobs, unused} {
			if _, err := shmd.CreateQueue(ctx, s.client, name,
				shmd.QueueOptions{MaxSize: queueSize, SlotSize: messageBytes, Raw: true}); err != nil {
				return err
			}
		}
		if _, err := shmd.CreateArray[int64](ctx, s.client, line, shmd.ArrayOptions{Length: 8}); err != nil {
			return err
		}
		m := new(mob)
		for i := range 2 * crowdEach {
			c, err := startC(ctx, "messenger", s.socket, jobs, jobs, line)
			if err != nil {
				return errors.Join(err, m.stop())
			}
			if i%2 == 0 {
				m.putting = append(m.putting, c)
			} else {
				m.taking = append(m.taking, c)
			}
			// One and one are on two processors: the first of either sort.
			if err := c.Do("pin %d", cpus[(i/2+i)%2]); err != nil {
				return errors.Join(err, m.stop())
			}
		}
		return errors.Join(m.compare(b), m.stop())
	})
}

func (m *mob) stop() error {
	var errs []error
	for _, c := range append(m.putting, m.taking...) {
		errs = append(errs, c.Stop())
	}
	return errors.Join(errs...)
}

func (m *mob) compare(b *bench) error {
	total := b.scaled(queueMessages) / crowdEach * crowdEach
	for _, each := range []struct{ name, put, take string }{
		{"C: put, take", "put", "share"},
		{"C: put_many, take_many", "put-many", "share-many"},
	} {
		p, err := interleave(b.rounds(),
			func() (float64, error) { return m.took(1, each.put, each.take, total) },
			func() (float64, error) { return m.took(crowdEach, each.put, each.take, total) })
		if err != nil {
			return err
		}
		w := compared(each.name, "ns", p, crowdGoal)
		w.Note = "time for one of 64 bytes: 4 processes put and 4 take, on two processors, against 1 and 1"
		b.report.add(w)
	}
	return nil
}

// took is nanoseconds for one of total messages between n of either sort, from when the
// first began to when the last ended.
func (m *mob) took(n int, put, take string, total int) (float64, error) {
	sent := append(append([]*measure.Child(nil), m.taking[:n]...), m.putting[:n]...)
	for i, c := range sent {
		command := take
		if i >= n {
			command = put
		}
		if err := c.Send("%s %d", command, total/n); err != nil {
			return 0, err
		}
	}
	var first, last int64
	for i, c := range sent {
		text, err := c.Line()
		if err != nil {
			return 0, err
		}
		var begin, end int64
		if _, err := fmt.Sscan(text, &begin, &end); err != nil {
			return 0, err
		}
		if i == n || i > n && begin < first { // of those who put
			first = begin
		}
		last = max(last, end)
	}
	return float64(last-first) / float64(total), nil
}
