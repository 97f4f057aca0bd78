package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shmd/shmd/tests/measure"
)

// bench is one run.
type bench struct {
	table *table
	quick bool
	cpus  []int
	there []*adapter // those whose program is
	results
}

// rounds is how many are measured, after the first.
func (b *bench) rounds() int {
	if b.quick {
		return 3
	}
	return 7
}

func (b *bench) roundNS() float64 {
	if b.quick {
		return 5e6
	}
	return 25e6
}

// never is how long a waiter is waited for.
func (b *bench) never() time.Duration {
	if b.quick {
		return 2 * time.Second
	}
	return 10 * time.Second
}

func (b *bench) idleTime() time.Duration {
	if b.quick {
		return 2 * time.Second
	}
	return 10 * time.Second
}

func (b *bench) objects() int {
	if b.quick {
		return 200
	}
	return 2000
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shmd-rivals:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "report" {
		return reportCommand(args[1:])
	}
	if len(args) > 0 && args[0] == "benchstat" {
		return benchstatCommand(args[1:])
	}
	flags := flag.NewFlagSet("shmd-rivals", flag.ContinueOnError)
	only := flags.String("only", "", "measure only these `ROWS`, separated by commas")
	systems := flags.String("systems", "", "only adapters whose ID has one of these `PREFIXES`, separated by commas")
	list := flags.Bool("list", false, "list rows and adapters")
	quick := flags.Bool("quick", os.Getenv("QUICK") == "1", "one point of few rows, in short rounds; also QUICK=1")
	before := flags.String("before", "", "measure shmd of this `TREE` and of the one here in turn, and nothing else")
	out := flags.String("out", "", "`FILE` for the results; default: build/rivals.json")
	flags.Usage = func() { usage(flags) }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	t, err := loadTable(rowsJSON)
	if err != nil {
		return fmt.Errorf("rows.json: %w", err)
	}
	if *before != "" {
		t.compareWith(*before)
	}
	b := &bench{table: t, quick: *quick}
	if b.cpus, err = measure.Processors(); err != nil {
		return err
	}
	chosen, err := b.choose(*only)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b.lookAtSystems(*systems)
	if *list {
		b.list()
		return nil
	}
	b.results.Machine, b.results.Begun, b.results.Quick = measure.DescribeMachine(), time.Now().UTC(), *quick
	b.results.Rounds, b.results.RoundMS = b.rounds(), b.roundNS()/1e6
	b.results.Revision = revision()
	b.results.Machine.Print(os.Stdout)
	path := cmp.Or(*out, filepath.Join("build", "rivals.json"))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for _, r := range chosen {
		b.runRow(ctx, r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.results.save(path); err != nil { // so that what was measured is not lost
			return err
		}
	}
	fmt.Printf("\nresults are in %s\n", path)
	return nil
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprintln(w, "Usage: shmd-rivals [FLAGS]")
	fmt.Fprintln(w, "       shmd-rivals report RESULTS.json [DIRECTORY]")
	fmt.Fprintln(w, "       shmd-rivals benchstat RESULTS.json DIRECTORY")
	fmt.Fprintln(w, "Run it from the root of the source tree; `make bench-rivals` does that.")
	fmt.Fprintln(w)
	flags.PrintDefaults()
}

// revision is the commit of the source tree, as git has it.
func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func (b *bench) choose(only string) ([]*row, error) {
	var chosen []*row
	if only == "" {
		for i := range b.table.Rows {
			if r := &b.table.Rows[i]; r.Quick || !b.quick {
				chosen = append(chosen, r)
			}
		}
		return chosen, nil
	}
	for id := range strings.SplitSeq(only, ",") {
		r := b.table.row(id)
		if r == nil {
			return nil, fmt.Errorf("no row %q: see --list", id)
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

// resolve replaces what stands in braces in the words of a command of the adapter.
func (a *adapter) resolve(command []string) (path string, args []string, err error) {
	build := cmp.Or(os.Getenv("SHMD_BUILD"), "build")
	if a.tree != "" {
		build = filepath.Join(a.tree, "build")
	}
	python := cmp.Or(os.Getenv("SHMD_PYTHON_PACKAGE"), filepath.Join(build, "python", "bin", "python"))
	words := slices.Clone(command)
	for i := range words {
		words[i] = strings.NewReplacer("{build}", build, "{python}", python).Replace(words[i])
	}
	if _, err := os.Stat(words[0]); err != nil {
		return "", nil, err
	}
	return words[0], words[1:], nil
}

// lookAtSystems finds out which adapters are there, and what they are.
func (b *bench) lookAtSystems(prefixes string) {
	for i := range b.table.Adapters {
		a := &b.table.Adapters[i]
		matches := func(prefix string) bool { return strings.HasPrefix(a.ID, prefix) }
		if prefixes != "" && !slices.ContainsFunc(strings.Split(prefixes, ","), matches) {
			continue
		}
		s := system{ID: a.ID, Label: a.Label, Kind: a.Kind}
		if described, err := b.describe(a); err != nil {
			s.Missing = err.Error()
		} else {
			s.Described = described
			b.there = append(b.there, a)
		}
		b.results.Systems = append(b.results.Systems, s)
	}
}

// describe asks the adapter what it is.
func (b *bench) describe(a *adapter) (string, error) {
	path, args, err := a.resolve(a.Command)
	if err == nil {
		// A file of an interpreter, or a server, may be what is missing.
		for _, other := range append(slices.Clone(args), a.Server...) {
			if _, _, e := a.resolve([]string{other}); e != nil {
				err = e
			}
		}
	}
	if err != nil {
		hint := "make bench-rivals builds it"
		if a.Setup != "" {
			hint = "scripts/setup.sh " + a.Setup + " says why it cannot be had"
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("not there: %s", hint)
		}
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyLimit)
	defer cancel()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, path, append(args, "describe")...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(complaints.String()), "\n")
		return "", fmt.Errorf("cannot be run: %w: %s", err, lines[len(lines)-1])
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

func (b *bench) list() {
	fmt.Println("Rows:")
	for i := range b.table.Rows {
		r := &b.table.Rows[i]
		fmt.Printf("  %-20s %s (%d points, %d adapters)\n", r.ID, r.Title, len(r.settings(false)),
			len(b.table.entrants(r)))
	}
	fmt.Println("Adapters:")
	for _, s := range b.results.Systems {
		fmt.Printf("  %-24s %-8s %s\n", s.ID, s.Kind, cmp.Or(s.Missing, s.Described))
	}
}

// cpusOf is where a process of that role runs; none = anywhere.
func (b *bench) cpusOf(placement, role string, index int) []int {
	switch {
	case placement == "one":
		return b.cpus[:1]
	case placement == "free" || role == "server":
		return nil
	case slices.Contains([]string{"pong", "take"}, role):
		return b.cpus[1:2]
	case slices.Contains([]string{"ping", "put"}, role):
		return b.cpus[:1]
	}
	return b.cpus[index%2 : index%2+1]
}

func (b *bench) runRow(ctx context.Context, r *row) {
	fmt.Printf("\n%s: %s\n", r.ID, r.Title)
	var entrants []*adapter
	for _, a := range b.table.entrants(r) {
		if slices.Contains(b.there, a) {
			entrants = append(entrants, a)
		}
	}
	for _, at := range r.settings(b.quick) {
		if ctx.Err() != nil {
			return
		}
		if at.Placement == "across" && len(b.cpus) < 2 {
			fmt.Printf("  %s: skipped, there is one processor only\n", at)
			continue
		}
		c := &caseResult{Row: r.ID, Setting: at, Unit: "ns", Floor: r.Floor}
		switch r.Workload {
		case "recovery":
			b.runRecovery(ctx, r, at, entrants, c)
		case "idle":
			c.Unit = "ticks"
			b.runIdle(ctx, r, at, entrants, c)
		case "memory":
			c.Unit = "KiB"
			b.runMemory(ctx, r, at, entrants, c)
		default:
			b.runTimed(ctx, r, at, entrants, c)
		}
		b.results.Cases = append(b.results.Cases, c)
		printCase(os.Stdout, &b.results, c)
	}
}
