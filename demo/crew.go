package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// member is one worker, or the producer, as the coordinator sees it.
type member struct {
	number   int // producerNumber, or that of a worker
	language string
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	stderr   bytes.Buffer // valid after its end
	killed   bool
	finished time.Time
}

// event is a line that a member has printed, or its end.
type event struct {
	member *member
	line   string
	ended  bool
	err    error // of its end
}

// crew is the producer and the workers of a run.
type crew struct {
	members []*member
	events  chan event
	running int
}

// add starts a member; it is killed when ctx ends.
func (c *crew) add(ctx context.Context, number int, language string, line, environment []string) error {
	m := &member{number: number, language: language}
	m.cmd = exec.CommandContext(ctx, line[0], line[1:]...)
	m.cmd.Env = append(os.Environ(), environment...)
	m.cmd.Stderr = &m.stderr
	m.cmd.Stdout = &lines{member: m, events: c.events}
	// A wrapper's child may hold the pipes longer than the wrapper lives.
	m.cmd.WaitDelay = time.Second
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	c.members = append(c.members, m)
	c.running++
	go func() { c.events <- event{member: m, ended: true, err: m.cmd.Wait()} }()
	return nil
}

// lines turns what a member prints into events.
type lines struct {
	member *member
	events chan<- event
	rest   []byte // a line that is not complete yet
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, complete := bytes.Cut(l.rest, []byte("\n"))
		if !complete {
			return len(b), nil
		}
		l.events <- event{member: l.member, line: string(line)}
		l.rest = rest
	}
}

// next waits for something to happen. It is an error if a worker ends that
// nobody killed, and was not to end.
func (c *crew) next() (event, error) {
	e := <-c.events
	if !e.ended {
		return e, nil
	}
	c.running--
	e.member.finished = time.Now()
	if e.err != nil && !e.member.killed {
		return e, fmt.Errorf("%s: %w: %s", e.member, e.err, bytes.TrimSpace(e.member.stderr.Bytes()))
	}
	return e, nil
}

// start waits until all are ready and lets them go.
func (c *crew) start() error {
	for range c.members {
		e, err := c.next()
		if err != nil {
			return err
		}
		if e.line != "ready" {
			return fmt.Errorf("%s says %q instead of \"ready\"", e.member, e.line)
		}
	}
	for _, m := range c.members {
		if _, err := io.WriteString(m.stdin, "go\n"); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return nil
}

// drain waits for the end of all, whose context has ended.
func (c *crew) drain() {
	for _, m := range c.members {
		_ = m.stdin.Close() // it may be closed already
	}
	for c.running > 0 {
		if e := <-c.events; e.ended {
			c.running--
		}
	}
}

func (m *member) String() string {
	if m.number == producerNumber {
		return fmt.Sprintf("the producer (%s, pid %d)", m.language, m.cmd.Process.Pid)
	}
	return fmt.Sprintf("worker %d (%s, pid %d)", m.number, m.language, m.cmd.Process.Pid)
}
