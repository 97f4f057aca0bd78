package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shmd/shmd/tests/measure"
)

// work is a command of a Go twin, as c/works.h describes it.
type work struct {
	run  func(count int) error
	turn func(i int) error // nil = its turns are not timed one by one
}

// repeated is work of which each turn can be timed.
func repeated(turn func(i int) error) work {
	return work{turn: turn, run: func(count int) error {
		for i := range count {
			if err := turn(i); err != nil {
				return err
			}
		}
		return nil
	}}
}

// serveWorks answers "pin CPU", "NAME N" and "each-NAME N".
func serveWorks(works map[string]work) error {
	return measure.Serve(func(command string, n int) (string, error) {
		if command == "pin" {
			return "done", pinTo(n)
		}
		if w, known := works[command]; known {
			return between(func() error { return w.run(n) })
		}
		name, each := strings.CutPrefix(command, "each-")
		if w := works[name]; each && w.turn != nil {
			return timeEach(n, w.turn)
		}
		return "", errors.New("no such command")
	})
}

// between runs work and answers when it began and when it ended.
func between(work func() error) (string, error) {
	begin, err := measure.MonotonicNs()
	if err != nil {
		return "", err
	}
	if err := work(); err != nil {
		return "", err
	}
	end, err := measure.MonotonicNs()
	return fmt.Sprintf("%d %d", begin, end), err
}

// timeEach answers the percentiles 50, 99 and 99.9 of the turns' times, in ns.
func timeEach(count int, turn func(i int) error) (string, error) {
	took := make([]float64, count)
	begin, err := measure.MonotonicNs()
	if err != nil {
		return "", err
	}
	for i := range took {
		if err := turn(i); err != nil {
			return "", err
		}
		end, err := measure.MonotonicNs()
		if err != nil {
			return "", err
		}
		took[i] = float64(end - begin)
		begin = end
	}
	slices.Sort(took)
	return fmt.Sprint(measure.Percentile(took, 500), measure.Percentile(took, 990), measure.Percentile(took, 999)), nil
}
