package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
)

// texts have what a count can get wrong; the numbers are written by hand.
var texts = []struct {
	text         string
	lines, words uint64
}{
	{"", 0, 0},
	{"\n", 1, 0},
	{"word", 0, 1},
	{" \t\v\f\r\n ", 1, 0},
	{"a\vb\fc\rd\te f\n", 1, 6},
	{"no newline\nat the end", 1, 5},
	{"\x00\x00 \x00\n", 1, 2},                 // NUL is no space
	{"\x85 \xa0\xff\xfe\n", 1, 2},             // nor is a high byte
	{"\u00a0 \u2003\u0085x\n", 1, 2},          // nor a space of Unicode
	{"\x1c\x1d\x1e\x1f \b\n", 1, 2},           // nor what other libraries split at
	{strings.Repeat("ab ", 30000), 0, 30000},  // more than a buffer, words across its end
	{strings.Repeat("x", 65536) + " y", 0, 2}, // a word that ends where a buffer does
	{strings.Repeat("x", 65536) + "y\n", 1, 1},
}

// tree makes a tree with copies of every text, and what is no file, and returns
// its totals.
func tree(t *testing.T, copies int) (dir string, files int, total counts) {
	t.Helper()
	dir = t.TempDir()
	for n := range copies {
		sub := filepath.Join(dir, fmt.Sprintf("copy %d", n))
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		for i, x := range texts {
			name := filepath.Join(sub, fmt.Sprintf("text %d\n'\"\xff\n", i))
			if err := os.WriteFile(name, []byte(x.text), 0o600); err != nil {
				t.Fatal(err)
			}
			files++
			total.add(counts{uint64(len(x.text)), x.lines, x.words})
		}
		if err := os.Symlink("nowhere", filepath.Join(sub, "link")); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files, total
}

// demo is the built program.
type demo struct{ program, shmd, build, python string }

func buildDemo(t *testing.T) *demo {
	t.Helper()
	d := &demo{program: filepath.Join(t.TempDir(), "shmd-demo"), shmd: harness.Binary(t), python: harness.Python(t)}
	d.build = filepath.Dir(filepath.Dir(filepath.Dir(harness.Program(t, "demo/c/worker"))))
	cmd := exec.Command("go", "build", "-o", d.program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return d
}

// run runs the program and returns its exit status.
func (d *demo) run(t *testing.T, args ...string) (stdout []byte, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = append(os.Environ(), "SHMD_BIN="+d.shmd, "SHMD_BUILD="+d.build, "SHMD_PYTHON="+d.python,
		"TMPDIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A watchdog's SIGTERM lets it end what it has started.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, harness.Patience
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%q does not end\n%s", args, &errs)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.Bytes(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestDemo(t *testing.T) {
	d := buildDemo(t)
	t.Run("totals", d.testTotals)
	t.Run("failures", d.testFailures)
	t.Run("usage", d.testUsage)
}

func (d *demo) testTotals(t *testing.T) {
	const mixed = "go=2,c=2,python=1,shell=1"
	for _, run := range []struct {
		workers, victim string
		copies          int
	}{
		{mixed, "go", 30}, {mixed, "c", 30}, {mixed, "python", 30}, {mixed, noVictim, 30},
		// Files for one worker only, or none.
		{mixed, "go", 1}, {mixed, "c", 1}, {mixed, "python", 1}, {mixed, noVictim, 1},
		// Who must measure everything, and repair.
		{"go=2", "go", 5}, {"c=2", "c", 5}, {"python=2", "python", 5}, {"go=1,shell=1", "go", 1},
	} {
		// A short name: it becomes part of the path of a socket.
		t.Run(run.victim, func(t *testing.T) {
			dir, files, total := tree(t, run.copies)
			out, stderr, status := d.run(t, "--json", "--dir", dir, "--workers", run.workers, "--victim", run.victim)
			if status != 0 {
				t.Fatalf("exit status %d\n%s", status, stderr)
			}
			var r report
			if err := json.Unmarshal(out, &r); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			if r.Files != files || r.Total != total || r.Reference.Total != total {
				t.Errorf("%d files: %v; reference: %v; want %d: %v", r.Files, r.Total, r.Reference.Total, files, total)
			}
			checkShares(t, &r)
			if run.victim != noVictim {
				checkRecovery(t, &r, run.victim)
			} else if r.Recovery != nil {
				t.Errorf("without a victim: %+v", r.Recovery)
			}
		})
	}
}

func checkShares(t *testing.T, r *report) {
	t.Helper()
	files, size := 0, uint64(0)
	for _, s := range r.Workers {
		files += s.Files
		size += s.Bytes
		if s.Killed != (r.Recovery != nil && r.Recovery.Victim == s.Number) {
			t.Errorf("the wrong one was killed: %+v", s)
		}
	}
	if files != r.Files || size != r.Total.Bytes {
		t.Errorf("the workers did %d files and %d bytes of %d and %d", files, size, r.Files, r.Total.Bytes)
	}
}

func checkRecovery(t *testing.T, r *report, victim string) {
	t.Helper()
	v := r.Recovery
	if v == nil {
		t.Fatal("nobody died")
	}
	if r.Workers[v.Victim-1].Language != victim || v.NoticePID != v.VictimPID || v.LockHolderPID != v.VictimPID {
		t.Errorf("not the victim's death: %+v", v)
	}
	// It took its first message for the last.
	if v.PermitsHeld < 1 || v.Leases < 1 || v.Counted != v.Recount+1 || v.Deliveries != 2 {
		t.Errorf("not what the victim held: %+v", v)
	}
	if v.FinishedBy == v.Victim || v.RepairedBy == v.Victim || v.LeasedBy == v.Victim {
		t.Errorf("the victim goes on: %+v", v)
	}
	if v.NextOwnerNS <= 0 || v.RepairedNS < v.NextOwnerNS || v.LeasedNS <= 0 || v.GaveBackNS < v.DaemonNS ||
		v.DaemonNS <= 0 || v.Deaths != 1 {
		t.Errorf("impossible times: %+v", v)
	}
	if len(r.Redelivered) != 1 || r.Redelivered[0].File != v.File || r.Redelivered[0].Path != v.Path ||
		r.Redelivered[0].Deliveries != 2 || r.Deliveries[2] != 1 {
		t.Errorf("%+v was delivered again, of %v; want %q", r.Redelivered, r.Deliveries, v.Path)
	}
}

// What must not be in the end, and is not as long as the daemon has no bugs.
func TestChecks(t *testing.T) {
	good := recovery{Victim: 1, VictimPID: 7, LockHolderPID: 7, PermitsHeld: 1, Leases: 1, Deaths: 1, NoticePID: 7,
		Counted: 5, Recount: 4, FinishedBy: 2, wasKilled: true, wasRedelivered: true, wasRepaired: true}
	if wrong := good.check(); wrong != nil {
		t.Errorf("of what is right: %q", wrong)
	}
	for i, spoil := range []func(r *recovery){
		func(r *recovery) { r.wasKilled = false },
		func(r *recovery) { r.LockHolderPID = 0 },
		func(r *recovery) { r.PermitsHeld = 0 },
		func(r *recovery) { r.Leases = 0 },
		func(r *recovery) { r.Deaths = 2 },
		func(r *recovery) { r.wasRepaired = false },
		func(r *recovery) { r.NoticePID = 8 },
		func(r *recovery) { r.Recount = 5 },
		func(r *recovery) { r.wasRedelivered = false },
		func(r *recovery) { r.FinishedBy = 1 },
	} {
		bad := good
		if spoil(&bad); bad.check() == nil {
			t.Errorf("%d: nothing is wrong with %+v", i, bad)
		}
	}
	all := shmd.Permits{Available: openFiles, Total: openFiles}
	if wrong := leftovers(all, shmd.QueueCounts{Free: messages, Closed: true}); wrong != nil {
		t.Errorf("of an empty queue: %q", wrong)
	}
	for _, n := range []shmd.QueueCounts{{Ready: 1}, {Leased: 1}, {Writing: 1}, {Dead: 1}} {
		if leftovers(all, n) == nil {
			t.Errorf("nothing is wrong with %+v", n)
		}
	}
	for _, p := range []shmd.Permits{{Available: openFiles - 1, Total: openFiles},
		{Available: openFiles - 1, Total: openFiles - 1}, {Available: openFiles + 1, Total: openFiles + 1}} {
		if leftovers(p, shmd.QueueCounts{}) == nil {
			t.Errorf("nothing is wrong with %+v", p)
		}
	}
	once := []row{{deliveries: 1}, {deliveries: 1}}
	twice := []row{{deliveries: 1}, {deliveries: 2}}
	for _, c := range []struct {
		rows     []row
		recovery *recovery
		right    bool
	}{
		{once, nil, true}, {twice, nil, false},
		{twice, &recovery{File: 1}, true}, {twice, &recovery{File: 0}, false}, {once, &recovery{File: 1}, false},
		{[]row{{deliveries: 1}, {deliveries: 3}}, &recovery{File: 1}, false}, {[]row{{}, {deliveries: 1}}, nil, false},
	} {
		r := report{Files: len(c.rows), Recovery: c.recovery}
		r.deliveries(c.rows, []string{"a", "b"})
		if wrong := r.checkDeliveries(); (wrong == nil) != c.right {
			t.Errorf("%+v with %+v: %q", c.rows, c.recovery, wrong)
		}
	}
}

// inShell is a worker that measures with a command, in which $file is the file's
// number.
func inShell(measure string) string {
	return `echo ready; read -r _; export number="$1"
exec "$SHMD_BIN" take --lease --follow demo/queue -- sh -c '
trap "[ \$? -eq 0 ] || kill \$PPID" EXIT; set -e
read -r m; m=${m#[}; file=${m%%,*}
` + measure + `
exec "$SHMD_BIN" lock demo/progress -- sh -c "set -e; \"\$SHMD_BIN\" set demo/progress --add 1 >/dev/null
\"\$SHMD_BIN\" set demo/results $file,4 $number"'`
}

// A demo that cannot fail shows nothing.
func (d *demo) testFailures(t *testing.T) {
	dir, _, _ := tree(t, 1)
	for _, test := range []struct {
		name, worker, stderr string
	}{
		{"wrong numbers", inShell(`"$SHMD_BIN" set demo/results "$file,0" 1 2 3 1`), "the totals differ"},
		{"a wrong count of deliveries", inShell(`"$SHMD_BIN" set demo/results "$file,3" 2`), "so often: map[2:13]"},
		{"a worker that fails", "exit 3", "exit status 3"},
		{"a worker that talks nonsense", "echo hello; cat", `"hello" instead of`},
		{"a worker that is killed unasked", "kill -9 $$", "killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := *d
			fake.build = t.TempDir()
			path := filepath.Join(fake.build, "demo", "c", "worker")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+test.worker+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			_, stderr, status := fake.run(t, "--dir", dir, "--victim", "none", "--workers", "c=2")
			if status != exitFailure || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit status %d, want %d and %q in\n%s", status, exitFailure, test.stderr, stderr)
			}
		})
	}
}

func (d *demo) testUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--victim", "cobol"}, {"--victim", "shell"}, {"--victim", "c", "--workers", "go=2"},
		{"--workers", "go"}, {"--workers", "go=-1"}, {"--workers", "go=0"}, {"--workers", "go=99"},
		{"--workers", "go=1", "--victim", "go"}, {"--nonsense"}, {"x"},
	} {
		if out, stderr, status := d.run(t, args...); status != exitUsage || len(out) > 0 || stderr == "" {
			t.Errorf("%q: exit status %d, want %d\n%s", args, status, exitUsage, stderr)
		}
	}
	if out, stderr, status := d.run(t, "--help"); status != 0 || !bytes.Contains(out, []byte("--victim")) {
		t.Errorf("--help: exit status %d\n%s%s", status, out, stderr)
	}
}
