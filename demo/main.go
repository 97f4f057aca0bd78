package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

// The daemon's life is tied to the thread that starts it; the main thread lives
// as long as the process.
func init() { runtime.LockOSThread() }

// members are the subcommands by which this program is in its own crew.
var members = map[string]func(ctx context.Context, args []string) error{
	"producer": runProducer,
	"worker":   runWorker,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		if member := members[os.Args[1]]; member != nil {
			if err := member(ctx, os.Args[2:]); err != nil {
				fail(exitFailure, err)
			}
			return
		}
	}
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(usage)
		return
	}
	if err != nil {
		fail(exitUsage, fmt.Errorf("%w (see --help)", err))
	}
	if err := show(ctx, o); err != nil {
		fail(exitFailure, err)
	}
}

// show runs the demo and prints the result.
func show(ctx context.Context, o options) error {
	report, err := coordinate(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		err = report.printJSON(os.Stdout)
	} else {
		err = report.print(os.Stdout)
	}
	return errors.Join(err, report.err())
}

func fail(code int, err error) {
	fmt.Fprintln(os.Stderr, "shmd-demo:", err)
	os.Exit(code)
}
