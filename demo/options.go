package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const usage = `Usage: shmd-demo [FLAGS]

A producer puts the files of a source tree on a queue, and workers in Go, C, Python
and shell take them from it with leases and measure them: bytes, lines and words, in
an array. A semaphore bounds how many files are open. All of it is shared by name
through a daemon that is started for the occasion. One worker is killed with SIGKILL
while it holds a lease, a permit, a lock, and a half-made update; its message is
delivered again, its permit comes back, the next owner of the lock is told and
repairs. The totals are compared with an independent count made in the same run.

Flags:
  --dir DIR        measure the files below DIR (default: the source of the Go
                   installation, GOROOT/src)
  --workers SPEC   how many workers in which language (default
                   go=2,c=2,python=1,shell=1). The Python worker has a socket and
                   msgpack, and no shared memory; the shell worker has the program
                   shmd.
  --victim LANG    in which language the worker to be killed is written: go, c,
                   python or none (default c)
  --json           print the result as JSON on standard output, and nothing else
  --help           show this text

Environment, for a demo that does not lie beside what it needs: SHMD_BIN (the
program shmd), SHMD_BUILD (the directory build/ with the C worker), SHMD_PYTHON (an
interpreter that has msgpack). "make demo" builds them all. The shell worker needs
base64, tr, wc, awk and sed.

Exit status: 0 the totals are right; 1 they are not, or something failed; 2 wrong
usage.
`

// languages are those that workers are written in, in the order of their numbers.
var languages = []string{"go", "c", "python", "shell"}

// victims are those that know how to stop in the middle.
var victims = languages[:3]

// noVictim is the --victim that lets everybody live.
const noVictim = "none"

// workersMax is what a machine may be burdened with.
const workersMax = 60

// options are what the command line says.
type options struct {
	dir     string
	workers []string // the language of each
	victim  int      // worker number; 0 = none
	json    bool
}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("shmd-demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints
	var spec, victim string
	flags.StringVar(&o.dir, "dir", "", "")
	flags.StringVar(&spec, "workers", "go=2,c=2,python=1,shell=1", "")
	flags.StringVar(&victim, "victim", "c", "")
	flags.BoolVar(&o.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if o.workers, err = parseWorkers(spec); err != nil {
		return o, err
	}
	if victim == noVictim {
		return o, nil
	}
	o.victim = slices.Index(o.workers, victim) + 1
	switch {
	case !slices.Contains(victims, victim):
		err = fmt.Errorf("--victim %s: want go, c, python or none", victim)
	case o.victim == 0:
		err = fmt.Errorf("--victim %s: no worker is written in it; choose another, or none", victim)
	case len(o.workers) == 1:
		err = errors.New("a single worker cannot be the victim: nobody would go on; choose --victim none")
	}
	return o, err
}

// parseWorkers reads "go=2,c=1".
func parseWorkers(spec string) ([]string, error) {
	wanted := map[string]int{}
	for part := range strings.SplitSeq(spec, ",") {
		language, number, _ := strings.Cut(part, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || !slices.Contains(languages, language) {
			return nil, fmt.Errorf("--workers: %q: want for example go=2,c=2,python=1,shell=1", part)
		}
		wanted[language] = n
	}
	var workers []string
	for _, language := range languages {
		if len(workers)+wanted[language] > workersMax {
			return nil, fmt.Errorf("--workers: at most %d in all", workersMax)
		}
		workers = append(workers, slices.Repeat([]string{language}, wanted[language])...)
	}
	if len(workers) == 0 {
		return nil, errors.New("--workers: at least one is needed")
	}
	return workers, nil
}
