package adapter

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Unsupported is the error of an Open for what the system cannot do. The runner shows it.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// Session is one process at its work.
type Session interface {
	// Run does that many operations.
	Run(count uint64) error
	// Close gives all back, names too.
	Close() error
}

// Work is what an adapter can do.
type Work struct {
	Workload, Role string
	// Open makes the objects if row.Makes, and opens them.
	Open func(row *Row) (Session, error)
	// Own: Run prints what answers `go`, with Say, and the end of the input may come before it
	// returns, which ends the process.
	Own bool
}

// Say prints a line to the runner.
func Say(format string, args ...any) error {
	_, err := fmt.Printf(format+"\n", args...)
	return err
}

// Main is that of an adapter. describe is one line: the system, its version, how it is set.
func Main(describe func() (string, error), works []Work) {
	if err := run(os.Args[1:], describe, works); err != nil {
		Fail(err)
	}
}

// Fail ends the process, for errors that no Session can return.
func Fail(err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", strings.Join(os.Args[1:min(3, len(os.Args))], " "), err)
	os.Exit(1)
}

func run(args []string, describe func() (string, error), works []Work) error {
	if len(args) == 1 && args[0] == "describe" {
		line, err := describe()
		if err != nil {
			return err
		}
		return Say("%s", line)
	}
	if len(args) < 2 {
		return errors.New("usage: WORKLOAD ROLE KEY=VALUE..., or describe")
	}
	row, err := parse(args)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(works, func(w Work) bool { return w.Workload == row.Workload && w.Role == row.Role })
	if i < 0 {
		err = Unsupported("has no such operation")
	} else {
		err = row.serve(works[i])
	}
	if reason := Unsupported(""); errors.As(err, &reason) {
		return Say("unsupported %s", reason)
	}
	return err
}

func (r *Row) serve(work Work) error {
	session, err := work.Open(r)
	if err != nil {
		return err
	}
	if err := r.sayReady(); err != nil {
		return errors.Join(err, session.Close())
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := r.obey(work, session, in.Text()); err != nil {
			return errors.Join(err, session.Close())
		}
	}
	r.isEnding.Store(true)
	return errors.Join(in.Err(), session.Close())
}

func (r *Row) sayReady() error {
	if len(r.Pids) == 0 {
		return Say("ready")
	}
	pids := make([]string, len(r.Pids))
	for i, pid := range r.Pids {
		pids[i] = strconv.Itoa(pid)
	}
	return Say("ready pids=%s", strings.Join(pids, ","))
}

func (r *Row) obey(work Work, session Session, line string) error {
	number, isGo := strings.CutPrefix(line, "go ")
	count, err := strconv.ParseUint(number, 10, 64)
	if !isGo || err != nil {
		return fmt.Errorf("no command: %q", line)
	}
	if work.Own {
		go func() {
			if err := session.Run(count); err != nil && !r.isEnding.Load() {
				Fail(err)
			}
		}()
		return nil
	}
	return r.timed(session, count)
}

func (r *Row) timed(session Session, count uint64) error {
	r.sum = 0
	begin := NowNS()
	r.sampler.begin(begin, count)
	if err := session.Run(count); err != nil {
		return err
	}
	end := NowNS()
	if r.endedNS != 0 {
		end, r.endedNS = r.endedNS, 0
	}
	r.Done += count
	if err := r.sampler.write(r.Samples); err != nil {
		return err
	}
	line := fmt.Sprintf("done %d begin=%d end=%d", end-begin, begin, end)
	if r.Verify {
		line += fmt.Sprintf(" sum=%d", r.sum)
	}
	return Say("%s", line)
}

// calls is a Session that does up to max operations in a call.
type calls struct {
	row  *Row
	max  uint64
	call func(first, count uint64) error
	end  func() error
}

// Loop does operations count by count, from first: one by one if samples are wanted, and
// else all at once, so that what takes nanoseconds is measured without a call for each. end
// may be nil.
func Loop(row *Row, loop func(first, count uint64) error, end func() error) Session {
	most := uint64(1)
	if row.Samples == "" {
		most = math.MaxUint64
	}
	return &calls{row, most, loop, end}
}

// Turns does operations one by one, each timed if samples are wanted. end may be nil.
func Turns(row *Row, turn func(i uint64) error, end func() error) Session {
	return &calls{row, 1, func(first, _ uint64) error { return turn(first) }, end}
}

// Batches does up to row.Batch operations in a call, and times calls. end may be nil.
func Batches(row *Row, call func(first, count uint64) error, end func() error) Session {
	return &calls{row, row.Batch, call, end}
}

func (c *calls) Run(count uint64) error {
	for i, end := c.row.Done, c.row.Done+count; i < end; {
		n := min(c.max, end-i)
		if err := c.call(i, n); err != nil {
			return err
		}
		i += n
		c.row.Sample()
	}
	return nil
}

func (c *calls) Close() error {
	if c.end == nil {
		return nil
	}
	return c.end()
}
