//go:build models

// The properties checked are listed on top of each model. Here:
//
//  1. a run that must pass completes its search and finds no error;
//  2. a run that must fail fails, and for the reason that the table names: a
//     model that cannot fail proves nothing;
//  3. every variant that a model calls must-fail has such a run, and every flag
//     in the table is one that its model knows.
package models

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// The largest exact search stores 16 million states, in 1.7 GB.
	memoryLimitMiB = 3000
	runTimeout     = time.Hour

	// The deepest search is far below. Too small is an error, not a miss.
	depthMax = 100_000
)

// slots bounds the searches at once by memory rather than by processors.
var slots = make(chan struct{}, 2)

// outcome is what one search said.
type outcome struct {
	errors   int
	reason   string  // of the first error
	states   float64 // stored
	complete bool
	took     time.Duration // of processor time
}

func TestModels(t *testing.T) {
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: apt-get install %[1]s", tool)
		}
	}
	var mu sync.Mutex
	lines := map[string]string{} // by name; guarded by mu
	var names []string

	// The group returns when all of its parallel subtests have.
	t.Run("run", func(t *testing.T) {
		for _, group := range runs {
			for _, r := range group {
				if r.full && testing.Short() {
					continue
				}
				name := strings.TrimSpace(r.model + " " + strings.ReplaceAll(r.defs, "-D", ""))
				names = append(names, name)
				t.Run(strings.ReplaceAll(name, " ", ","), func(t *testing.T) {
					t.Parallel()
					slots <- struct{}{}
					defer func() { <-slots }()

					got := search(t, r)
					t.Logf("%s: %.0f states in %.1fs, %s", name, got.states, got.took.Seconds(), got)
					judge(t, r, got)

					mu.Lock()
					defer mu.Unlock()
					lines[name] = fmt.Sprintf("| %s | `%s` | %s | %.0f |",
						r.model, strings.TrimSpace(strings.ReplaceAll(r.defs, "-D", "")), got, got.states)
				})
			}
		}
	})

	var table strings.Builder
	for _, name := range names {
		fmt.Fprintln(&table, lines[name])
	}
	t.Logf("for README.md:\n%s", table.String())
}

func (o outcome) String() string {
	switch {
	case o.errors > 0:
		return "fails: `" + o.reason + "`"
	case !o.complete:
		return "not completed"
	}
	return "passes"
}

// judge compares what came out with what the table wants.
func judge(t *testing.T, r run, got outcome) {
	t.Helper()
	switch {
	case r.fails == "" && got.errors > 0:
		t.Errorf("must pass, but: %s", got.reason)
	case r.fails == "" && !got.complete && !r.bitstate:
		t.Errorf("the search did not complete, so nothing is shown")
	case r.fails != "" && got.errors == 0:
		t.Errorf("must fail by %q, but passes", r.fails)
	case r.fails != "" && !strings.Contains(got.reason, r.fails):
		t.Errorf("must fail by %q, but fails by %q", r.fails, got.reason)
	}
}

// search translates, compiles and runs one model in a directory of its own.
func search(t *testing.T, r run) outcome {
	t.Helper()
	dir := t.TempDir()
	source := r.model + ".pml"
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, source), text, 0o644); err != nil {
		t.Fatal(err)
	}

	defs := strings.Fields(r.defs)
	output, _ := command(t, dir, "spin", append(defs, "-a", source)...)
	if strings.Contains(output, "Error") {
		t.Fatalf("spin: %s", output)
	}

	// Compiling costs more than a short search, and pays in a long one.
	compile := []string{"-O0", "-w", fmt.Sprintf("-DMEMLIM=%d", memoryLimitMiB)}
	if r.full {
		compile[0] = "-O2"
	}
	explore := []string{fmt.Sprintf("-m%d", depthMax), "-w20"}
	if strings.Contains(r.defs, "-DLIVE_") {
		// That something comes at last: cycles, of which weak fairness rules out
		// those in which somebody who could go on never does.
		compile = append(compile, "-DNFAIR=4")
		explore = append(explore, "-a", "-f")
	} else {
		compile = append(compile, "-DSAFETY")
	}
	if r.bitstate {
		compile = append(compile, "-DBITSTATE")
		explore[1] = "-w32"
	}
	command(t, dir, "gcc", append(compile, "-o", "pan", "pan.c")...)

	output, took := command(t, dir, "./pan", explore...)
	got := parse(t, output)
	got.took = took

	if got.errors > 0 && r.fails == "" {
		trail, _ := command(t, dir, "spin", append(defs, "-t", "-p", "-g", source)...)
		t.Logf("the end of the way there:\n%s", last(trail, 120))
	}
	return got
}

// command runs one tool in dir and says how much processor time it took. Its output
// is what counts: pan's exit status is the same for an error found and none.
func command(t *testing.T, dir, name string, args ...string) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s: longer than %v", name, strings.Join(args, " "), runTimeout)
	}
	if err != nil && name != "./pan" {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output.String())
	}
	return output.String(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

var (
	errorsLine = regexp.MustCompile(`errors: (\d+)`)
	statesLine = regexp.MustCompile(`(?m)^\s*([\d.e+]+) states, stored`)
	reasonLine = regexp.MustCompile(`(?m)^pan:\d+: (.*?)(?: \(at depth \d+\))?$`)

	// What pan prints when there was more to see than it saw.
	cutShort = []string{
		"Search not completed", "max search depth too small", "out of memory", "MEMLIM", "aborting",
	}
)

func parse(t *testing.T, output string) outcome {
	t.Helper()
	var got outcome
	errors := errorsLine.FindStringSubmatch(output)
	states := statesLine.FindStringSubmatch(output)
	if errors == nil || states == nil {
		t.Fatalf("pan said nothing of use:\n%s", last(output, 40))
	}
	got.errors, _ = strconv.Atoi(errors[1])
	got.states, _ = strconv.ParseFloat(states[1], 64)
	if reason := reasonLine.FindStringSubmatch(output); reason != nil {
		got.reason = reason[1]
	}
	got.complete = true
	for _, s := range cutShort {
		if strings.Contains(output, s) {
			got.complete = false
		}
	}
	return got
}

func last(s string, count int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// A misspelt flag changes nothing and shows nothing; a variant without a run is
// a claim without a proof.
func TestTableKnowsTheModels(t *testing.T) {
	flag := regexp.MustCompile(`-D([A-Z0-9_]+)`)
	variant := regexp.MustCompile(`(?m)^     ([A-Z_]+) `)

	failing := map[string]bool{}
	for _, group := range runs {
		for _, r := range group {
			text, err := os.ReadFile(r.model + ".pml")
			if err != nil {
				t.Fatal(err)
			}
			_, code, _ := strings.Cut(string(text), "*/")
			for _, f := range flag.FindAllStringSubmatch(r.defs, -1) {
				if !regexp.MustCompile(`\b` + f[1] + `\b`).MatchString(code) {
					t.Errorf("%s %s: the model has no %s", r.model, r.defs, f[1])
				}
				if r.fails != "" {
					failing[r.model+" "+f[1]] = true
				}
			}
		}
	}
	files, err := filepath.Glob("*.pml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models here: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "*/")
		_, list, ok := strings.Cut(head, "Must fail:")
		if !ok {
			t.Errorf("%s lists no variant that must fail", file)
		}
		model := strings.TrimSuffix(file, ".pml")
		for _, v := range variant.FindAllStringSubmatch(list, -1) {
			if !failing[model+" "+v[1]] {
				t.Errorf("%s: %s must fail, and no run says so", file, v[1])
			}
		}
	}
}
