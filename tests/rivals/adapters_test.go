package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each adapter that is built moves messages whose every byte is checked, and does its other
// work once: an adapter that loses something would be measured all the same.

// watchdog is far above what any of these takes.
const watchdog = 2 * time.Minute

// system is an adapter, and how it is called.
type system struct {
	program   string
	mode      string
	hasServer bool
}

func (s system) String() string { return strings.TrimSuffix(s.program+"-"+s.mode, "-") }

var systems = []system{
	{program: "boost"},
	{program: "boost", mode: "named"},
	{program: "zeromq"},
	{program: "zeromq", mode: "pair"},
	{program: "redis", hasServer: true},
	{program: "nats", hasServer: true},
	{program: "nats", mode: "js", hasServer: true},
}

// forSystems runs test with each system that is built, and its server.
func forSystems(t *testing.T, test func(t *testing.T, r *row)) {
	build := os.Getenv("SHMD_BUILD")
	if build == "" {
		t.Skip("SHMD_BUILD is not set: run it by make")
	}
	for _, s := range systems {
		t.Run(s.String(), func(t *testing.T) {
			path := filepath.Join(build, "tests", "rivals", "adapters", s.program)
			if _, err := os.Stat(path); err != nil {
				t.Skipf("not built: %v", err)
			}
			test(t, &row{system: s, path: path})
		})
	}
}

// row is one system at one kind of work.
type row struct {
	system
	path string
	args []string
}

// with sets the arguments of the processes to come, and their names and directory.
func (r *row) with(t *testing.T, args ...string) *row {
	t.Helper()
	// Sockets have paths of 107 bytes at most, which those of t.TempDir exceed.
	dir, err := os.MkdirTemp("", "rival")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What was killed has left its names.
		left, _ := filepath.Glob("/dev/shm/*" + filepath.Base(dir) + "*")
		for _, path := range append(left, dir) {
			if err := os.RemoveAll(path); err != nil {
				t.Error(err)
			}
		}
	})
	row := *r
	row.args = append([]string{"name=" + filepath.Base(dir), "dir=" + dir, "mode=" + r.mode}, args...)
	if r.hasServer {
		row.start(t, "serve", "server")
	}
	return &row
}

// process is an adapter that is ready.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader

	killed bool
}

// kill ends a process that may be asleep, and hear of nothing.
func (p *process) kill() {
	p.t.Helper()
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
}

// start starts a process and waits until it is ready. It is ended with the test, which then
// fails if it ended with an error.
func (r *row) start(t *testing.T, workload, role string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, r.path, append(append([]string{workload, role}, r.args...), args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout)}
	t.Cleanup(func() {
		err := errors.Join(stdin.Close(), cmd.Wait())
		if (err != nil && !p.killed) || stderr.Len() > 0 {
			t.Errorf("%s: %v\n%s", cmd, err, stderr.String())
		}
	})
	line := p.line()
	if reason, found := strings.CutPrefix(line, "unsupported "); found {
		t.Skipf("unsupported: %s", reason)
	}
	if line != "ready" && !strings.HasPrefix(line, "ready ") {
		t.Fatalf("%s said %q instead of ready", cmd, line)
	}
	return p
}

func (p *process) send(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		p.t.Fatalf("%s: %v", p.cmd, err)
	}
}

func (p *process) line() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%s ended early: %v", p.cmd, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// done reads the answer to `go`: how long it took, and what was counted.
func (p *process) done() map[string]uint64 {
	p.t.Helper()
	answer := map[string]uint64{}
	fields := strings.Fields(p.line())
	if len(fields) < 2 || fields[0] != "done" {
		p.t.Fatalf("%s said %q", p.cmd, fields)
	}
	for _, field := range append([]string{"ns=" + fields[1]}, fields[2:]...) {
		key, value, _ := strings.Cut(field, "=")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			p.t.Fatalf("%s said %q", p.cmd, fields)
		}
		answer[key] = n
	}
	if answer["ns"] == 0 || answer["end"]-answer["begin"] != answer["ns"] {
		p.t.Errorf("%s said %q", p.cmd, fields)
	}
	return answer
}

// sizes of messages, in bytes, and how many of them show what there is to see.
var sizes = []struct{ bytes, count int }{
	{8, 2000}, {64, 2000}, {1024, 2000}, {4096, 2000}, {64 << 10, 200}, {1 << 20, 40}, {4 << 20, 16},
}

func TestRoundTrip(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		for _, wait := range []string{"block", "spin"} {
			for _, size := range sizes {
				t.Run(fmt.Sprintf("%s/%d", wait, size.bytes), func(t *testing.T) {
					r := r.with(t, "wait="+wait, fmt.Sprintf("size=%d", size.bytes), "verify=1")
					ping, pong := r.start(t, "roundtrip", "ping"), r.start(t, "roundtrip", "pong")
					for _, count := range []int{1, size.count / 4} {
						for _, p := range []*process{pong, ping} {
							p.send(fmt.Sprintf("go %d", count))
						}
						there, back := ping.done(), pong.done()
						if there["sum"] == 0 || there["sum"] != back["sum"] {
							t.Errorf("the sums of both sides are %d and %d", there["sum"], back["sum"])
						}
					}
				})
			}
		}
	})
}

func TestOneWay(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		for _, many := range []struct{ producers, consumers int }{{1, 1}, {4, 1}, {1, 4}, {4, 4}} {
			for _, batch := range []int{1, 32} {
				for _, size := range sizes {
					if batch > 1 && size.bytes > 64<<10 {
						continue
					}
					name := fmt.Sprintf("%dx%d/batch %d/%d", many.producers, many.consumers, batch, size.bytes)
					t.Run(name, func(t *testing.T) {
						r := r.with(t, fmt.Sprintf("size=%d", size.bytes), fmt.Sprintf("batch=%d", batch), "verify=1",
							fmt.Sprintf("producers=%d", many.producers), fmt.Sprintf("consumers=%d", many.consumers))
						oneWay(t, r, many.producers, many.consumers, size.count)
					})
				}
			}
		}
	})
}

func oneWay(t *testing.T, r *row, producers, consumers, count int) {
	var puts, takes []*process
	for i := range producers {
		puts = append(puts, r.start(t, "oneway", "put", fmt.Sprintf("index=%d", i)))
	}
	for i := range consumers {
		takes = append(takes, r.start(t, "oneway", "take", fmt.Sprintf("index=%d", i)))
	}
	for _, count := range []int{4, count} {
		for _, p := range takes {
			p.send(fmt.Sprintf("go %d", count*producers/consumers))
		}
		for _, p := range puts {
			p.send(fmt.Sprintf("go %d", count))
		}
		var put, taken uint64
		for _, p := range puts {
			put += p.done()["sum"]
		}
		for _, p := range takes {
			taken += p.done()["sum"]
		}
		if put == 0 || put != taken {
			t.Errorf("the sum of what was put is %d, of what was taken %d", put, taken)
		}
	}
}

// The messages themselves are written and read, or only their first bytes; without checks.
func TestTouch(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		for _, touch := range []int{0, 1} {
			t.Run(strconv.Itoa(touch), func(t *testing.T) {
				r := r.with(t, "size=4096", fmt.Sprintf("touch=%d", touch))
				put, take := r.start(t, "oneway", "put"), r.start(t, "oneway", "take")
				put.send("go 2000")
				take.send("go 2000")
				put.done()
				take.done()
			})
		}
	})
}

func TestOtherWork(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		for _, work := range []struct {
			workload, role string
			processes      int
		}{
			{"lock", "worker", 3}, {"semaphore", "worker", 3}, {"counter", "worker", 3}, {"value", "worker", 2},
			{"attach", "opener", 2}, {"memory", "maker", 1},
		} {
			t.Run(work.workload, func(t *testing.T) {
				r := r.with(t, fmt.Sprintf("processes=%d", work.processes))
				var all []*process
				for i := range work.processes {
					samples := filepath.Join(t.TempDir(), "samples")
					p := r.start(t, work.workload, work.role, fmt.Sprintf("index=%d", i), "samples="+samples)
					all = append(all, p)
				}
				for _, p := range all {
					p.send("go 50")
				}
				for _, p := range all {
					p.done()
				}
			})
		}
	})
}

// Who sleeps until a message comes says so before, and nothing after.
func TestIdle(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		r = r.with(t)
		p := r.start(t, "idle", "sleeper")
		p.send("go 1")
		if line := p.line(); line != "waiting" {
			t.Errorf("it said %q", line)
		}
		p.kill()
	})
}

// The runner kills the owner when the waiter waits; here both go, for not each lock comes free.
func TestRecovery(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		r = r.with(t)
		owner := r.start(t, "recovery", "owner")
		waiter := r.start(t, "recovery", "waiter")
		owner.send("go 1")
		if line := owner.line(); line != "held" {
			t.Fatalf("the owner said %q", line)
		}
		waiter.send("go 1")
		if line := waiter.line(); line != "waiting" {
			t.Fatalf("the waiter said %q", line)
		}
		owner.kill()
		waiter.kill()
	})
}

func TestDescribe(t *testing.T) {
	forSystems(t, func(t *testing.T, r *row) {
		out, err := exec.Command(r.path, "describe").Output()
		if err != nil || strings.Count(string(out), "\n") != 1 || len(out) < 10 {
			t.Errorf("%q, %v", out, err)
		}
	})
}
