package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// operationsMax bounds a round.
const operationsMax = 1 << 28

// outcome is what a process answers to `go`.
type outcome struct {
	tookNS, beginNS, endNS int64
	sum                    uint64
	hasSum                 bool
}

func parseDone(line string) (o outcome, err error) {
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "done" {
		return o, fmt.Errorf("%q instead of done", line)
	}
	if o.tookNS, err = strconv.ParseInt(words[1], 10, 64); err != nil {
		return o, err
	}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "begin":
			o.beginNS, err = strconv.ParseInt(value, 10, 64)
		case "end":
			o.endNS, err = strconv.ParseInt(value, 10, 64)
		case "sum":
			o.hasSum = true
			o.sum, err = strconv.ParseUint(value, 10, 64)
		}
		if err != nil {
			return o, fmt.Errorf("%q: %w", line, err)
		}
	}
	return o, nil
}

// round lets the session do n operations for each process of the first role; nanoseconds for
// one operation of all.
func (s *session) round(n int) (float64, error) {
	doing := s.processes
	if s.row.Workload == "attach" {
		doing = doing[1:]
	}
	// Those of the second role first: they wait for the others.
	for i := len(doing) - 1; i >= 0; i-- {
		if err := doing[i].Send("go %d", s.share(doing[i], n)); err != nil {
			return 0, errors.Join(err, errors.New(doing[i].stderr.last()))
		}
	}
	outcomes := make([]outcome, len(doing))
	for i, p := range doing {
		line, err := p.await(replyLimit)
		if err != nil {
			return 0, err
		}
		if outcomes[i], err = parseDone(line); err != nil {
			return 0, fmt.Errorf("%s: %w", p.role, err)
		}
	}
	if err := s.compareSums(doing, outcomes); err != nil {
		return 0, err
	}
	if s.row.Workload == "roundtrip" {
		return float64(outcomes[0].tookNS) / float64(n), nil
	}
	return float64(tookAll(outcomes)) / float64(n*s.firsts()), nil
}

// firsts is how many processes do n operations each.
func (s *session) firsts() int {
	return max(1, s.setting.Processes, s.setting.Producers)
}

// share is how many operations that process does.
func (s *session) share(p *process, n int) int {
	if p.role == "take" {
		return n * s.setting.Producers / s.setting.Consumers
	}
	return n
}

// tookAll is from the beginning of the first to the end of the last, if all say when that was.
func tookAll(outcomes []outcome) int64 {
	longest, begin, end := int64(0), outcomes[0].beginNS, int64(0)
	for _, o := range outcomes {
		if o.endNS == 0 {
			begin = 0
		}
		longest, begin, end = max(longest, o.tookNS), min(begin, o.beginNS), max(end, o.endNS)
	}
	if begin == 0 {
		return longest
	}
	return end - begin
}

// compareSums says whether what was put is what was taken.
func (s *session) compareSums(doing []*process, outcomes []outcome) error {
	if s.row.Workload != "oneway" {
		return nil
	}
	var put, taken uint64
	for i, o := range outcomes {
		if !o.hasSum {
			return nil // it cannot say; each of its processes has checked what it saw
		}
		if doing[i].role == "put" {
			put += o.sum
		} else {
			taken += o.sum
		}
	}
	if put != taken {
		return errors.New("what was taken is not what was put")
	}
	return nil
}

// granularity is what n has to be a multiple of.
func (s *session) granularity() int {
	return max(1, s.setting.Batch) * max(1, s.setting.Consumers)
}

// calibrate finds out how many operations a round of that length has, which also warms up.
// Who is interrupted is slow once: the faster of two rounds counts.
func (s *session) calibrate(roundNS float64) (int, error) {
	step := s.granularity()
	n := step
	for {
		each, err := s.round(n)
		if err != nil {
			return 0, err
		}
		again, err := s.round(n)
		if err != nil {
			return 0, err
		}
		each = min(each, again)
		took := each * float64(n*s.firsts())
		if took >= roundNS/2 || n >= operationsMax {
			return roundTo(roundNS/each/float64(s.firsts()), step), nil
		}
		n = roundTo(float64(n)*min(8, max(2, roundNS/took)), step)
	}
}

// roundTo is the multiple of step that is nearest below n, and at least one step.
func roundTo(n float64, step int) int {
	return max(step, int(min(n, operationsMax))/step*step)
}

// runTimed measures all sessions in turn.
func (b *bench) runTimed(ctx context.Context, r *row, at setting, entrants []*adapter, result *caseResult) {
	var sessions []*session
	var all []*series
	var turns []int
	fail := func(i int, err error) {
		all[i].fail(err)
		sessions[i].kill()
		sessions[i] = nil
	}
	for _, a := range entrants {
		into := result.add(a)
		s, err := b.openSession(ctx, a, r, at, false)
		if err != nil {
			into.fail(err)
			continue
		}
		sessions, all, turns = append(sessions, s), append(all, into), append(turns, 0)
	}
	for i, s := range sessions {
		var err error
		if turns[i], err = s.calibrate(b.roundNS()); err != nil {
			fail(i, err)
		}
	}
	for round := range b.rounds() + 1 {
		for i, s := range sessions {
			if s == nil {
				continue
			}
			each, err := s.round(turns[i])
			if err != nil {
				fail(i, err)
			} else if round > 0 { // the first one warms up
				all[i].Values = append(all[i].Values, each)
			}
		}
	}
	for i, s := range sessions {
		if s == nil {
			continue
		}
		all[i].Operations = turns[i]
		if err := s.close(); err != nil {
			all[i].fail(err)
			s.sweep()
		} else if r.Samples {
			all[i].note(b.sample(ctx, all[i], s, turns[i]))
		}
	}
}

// sample measures once more, with the times of single operations, and the clock in them.
func (b *bench) sample(ctx context.Context, into *series, like *session, turns int) error {
	s, err := b.openSession(ctx, like.adapter, like.row, like.setting, true)
	if err != nil {
		return err
	}
	for range 2 { // the first one warms up
		if _, err := s.round(turns); err != nil {
			s.kill()
			return err
		}
	}
	bytes, err := os.ReadFile(s.samples)
	if errors.Is(err, os.ErrNotExist) {
		return s.close() // it takes no samples
	}
	if err == nil {
		into.Percentiles, err = percentilesOf(bytes)
	}
	return errors.Join(err, s.close())
}

// percentiles are of the times of single operations, in ns.
type percentiles struct {
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Count int     `json:"count"`
}

// percentilesOf reads what an adapter has written.
func percentilesOf(samples []byte) (*percentiles, error) {
	if len(samples) == 0 || len(samples)%8 != 0 {
		return nil, fmt.Errorf("samples of %d bytes", len(samples))
	}
	histogram := hdrhistogram.New(1, int64(replyLimit), 3)
	for i := 0; i < len(samples); i += 8 {
		if err := histogram.RecordValue(max(1, int64(binary.LittleEndian.Uint64(samples[i:])))); err != nil {
			return nil, err
		}
	}
	at := func(q float64) float64 { return float64(histogram.ValueAtQuantile(q)) }
	return &percentiles{at(50), at(99), at(99.9), len(samples) / 8}, nil
}
