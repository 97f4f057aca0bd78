package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/shmd/shmd/tests/measure"
)

// watchdog bounds one part; it says nothing about speed.
const watchdog = 10 * time.Minute

// part is one group of measurements.
type part struct {
	name string
	what string
	run  func(ctx context.Context, b *bench) error
}

var parts = []part{
	{"element", "an element through the mapping", elements},
	{"lock", "lock and unlock, nobody else wants it", locks},
	{"semaphore", "acquire and release, nobody else wants it", semaphores},
	{"sync", "event, rwlock and recursive mutex, nobody else wants it", synchronisers},
	{"handoff", "between two processes: round trips, and a fight for a lock", handOffs},
	{"crowd", "10,000 goroutines blocked on 10,000 objects", crowds},
	{"syscalls", "system calls of what nobody else wants, counted", syscalls},
	{"queue", "messages from process to process", queues},
	{"queuecrowd", "messages between several and several", queueCrowds},
	{"stream", "messages from process to process, in streaming mode", streams},
	{"roundtrip", "a message there and one back, spinning", spinningTrips},
	{"blocking", "a message there and one back, both asleep", sleepingTrips},
	{"long", "messages of 1 MiB in place", hauls},
	{"consumers", "1,000 consumers blocked at one queue", consumers},
	{"slots", "what a queue needs for its slots", slots},
	{"socket", "one call over the socket", roundTrips},
	{"pipeline", "many calls at once over one connection", pipelines},
	{"depth", "put and take over the socket, 16 calls at once", depths},
	{"recovery", "from the SIGKILL of an owner to its successor running", recoveries},
	{"life", "create, open, close and unlink, among few and many", lives},
	{"restart", "a daemon that is killed and goes on", restarts},
	{"memory", "what the daemon needs for an object", memories},
	{"idle", "a daemon with nothing to do", idling},
}

// bench is one run.
type bench struct {
	quick  bool
	report *report
	// What life and restart have many of.
	objects, clients int
}

// rounds is how many pairs are measured.
func (b *bench) rounds() int {
	if b.quick {
		return 3
	}
	return 11
}

// scaled is n, or a tenth of it in a quick run.
func (b *bench) scaled(n int) int {
	if b.quick {
		return max(1, n/10)
	}
	return n
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		child, known := children[os.Args[2]]
		if !known {
			fail(fmt.Errorf("no child %q", os.Args[2]))
		}
		if err := child(os.Args[3:]); err != nil {
			fail(err)
		}
		return
	}
	if err := run(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "shmd-bench:", err)
	os.Exit(1)
}

func run() error {
	asJSON := flag.Bool("json", false, "print JSON")
	only := flag.String("only", "", "measure only these `PARTS`, separated by commas")
	quick := flag.Bool("quick", os.Getenv("QUICK") == "1", "fewer and shorter rounds; also QUICK=1")
	b := &bench{report: &report{Machine: measure.DescribeMachine()}}
	flag.IntVar(&b.objects, "objects", 12_000, "objects that life and restart go up to; each takes a descriptor")
	flag.IntVar(&b.clients, "clients", 1_000, "clients of life and restart; each takes two descriptors there, one here")
	flag.Usage = usage
	flag.Parse()
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b.quick, b.report.Quick = *quick, *quick
	if !*asJSON {
		b.report.live = os.Stdout
		b.report.Machine.Print(os.Stdout)
	}
	var failed []error
	for _, p := range chosen {
		b.report.begin(p)
		if err := b.measure(ctx, p); err != nil {
			failed = append(failed, fmt.Errorf("%s could not be measured: %w", p.name, err))
		}
	}
	if *asJSON {
		failed = append(failed, b.report.json(os.Stdout))
	} else {
		b.report.conclude()
	}
	return errors.Join(failed...)
}

func (b *bench) measure(ctx context.Context, p part) error {
	ctx, cancel := context.WithTimeout(ctx, watchdog)
	defer cancel()
	return p.run(ctx, b)
}

func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no part %q: see --help", name)
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

func usage() {
	w := flag.CommandLine.Output()
	fmt.Fprintln(w, "Usage: shmd-bench [FLAGS]")
	fmt.Fprintln(w, "Run it from the root of the source tree, after `make build`; `make bench` does that.")
	fmt.Fprintln(w)
	flag.PrintDefaults()
	fmt.Fprintf(w, "\nParts:\n")
	for _, p := range parts {
		fmt.Fprintf(w, "  %-10s %s\n", p.name, p.what)
	}
}
