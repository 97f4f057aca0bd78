package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// run is one run of the demo, as the coordinator sees it.
type run struct {
	options
	programs programs
	dir      string // of the socket and other files of this run
	paths    []string
	client   *shmd.Client
	board    board
	crew     crew
	display  *display
	report   report
	started  time.Time
}

// coordinate does everything but print the result.
func coordinate(ctx context.Context, o options) (r *report, err error) {
	if o.dir == "" {
		if o.dir, err = goSource(ctx); err != nil {
			return nil, err
		}
	}
	paths, err := listTree(o.dir)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "shmd-demo-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := findPrograms(dir)
	if err != nil {
		return nil, err
	}
	server, err := startServer(p.shmd, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	client, err := shmd.Dial(ctx, shmd.Options{Socket: server.socket, Software: "demo coordinator"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	run := &run{options: o, programs: p, dir: dir, paths: paths, client: client,
		crew: crew{events: make(chan event)}, display: newDisplay(len(paths), o.json)}
	run.report = report{Dir: o.dir, Server: client.Server(), Files: len(paths), Wrong: []string{}}
	if run.board, err = createBoard(ctx, client, len(paths), len(o.workers)); err != nil {
		return nil, err
	}
	if err := run.measure(ctx, server.socket); err != nil {
		return nil, err
	}
	return &run.report, run.judge(ctx)
}

// measure lets the workers do their work, and kills the victim when it asks for it.
func (r *run) measure(ctx context.Context, socket string) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer r.crew.drain()
	defer cancel() // kills whoever is left
	if err := r.hire(ctx, socket); err != nil {
		return err
	}
	r.display.say("%s: %d files, %d workers", r.report.Dir, len(r.paths), len(r.workers))
	r.started = time.Now()
	if err := r.crew.start(); err != nil {
		return err
	}
	followed := make(chan error, 1)
	go func() { followed <- r.display.follow(ctx, r.board.progress) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-followed)
		r.display.end()
	}()
	for r.crew.running > 0 {
		e, err := r.crew.next()
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		if !e.ended {
			if err := r.heard(ctx, e); err != nil {
				return err
			}
		}
	}
	r.report.Seconds = time.Since(r.started).Seconds()
	return nil
}

// hire starts the workers and writes down who they are.
func (r *run) hire(ctx context.Context, socket string) error {
	list := filepath.Join(r.dir, "files")
	if err := writeList(list, r.paths); err != nil {
		return err
	}
	if r.victim != 0 {
		r.report.Recovery = &recovery{}
	}
	for i, language := range r.workers {
		number := i + 1
		line := r.programs.worker(language, list, number, len(r.workers), number == r.victim)
		m, err := r.crew.add(ctx, language, socket, line)
		if err != nil {
			return err
		}
		// The daemon is our child as they are: it knows them by the same numbers.
		if err := r.board.workers.Store(number, uint32(m.cmd.Process.Pid)); err != nil {
			return err
		}
	}
	return nil
}

// heard acts on what a worker says.
func (r *run) heard(ctx context.Context, e event) error {
	recovery := r.report.Recovery
	switch {
	case recovery == nil:
		return fmt.Errorf("%s says %q, and nobody was to die", e.member, e.line)
	case e.member.number == r.victim:
		if err := recovery.heard(e.member, e.line); err != nil {
			return err
		}
		r.display.say("%s holds the lock and a claim, in the middle of an update: killed", e.member)
	default:
		if err := recovery.repaired(e.member, e.line); err != nil {
			return err
		}
		if err := r.askDaemon(ctx, recovery); err != nil {
			return err
		}
		r.display.say("%s was told, and has repaired and freed what the dead held", e.member)
	}
	return nil
}

// askDaemon learns how long the daemon took. The lock comes back first, so that
// the next owner may be faster than the end of the recovery: until the daemon has
// forgotten the victim, ask again.
func (r *run) askDaemon(ctx context.Context, recovery *recovery) error {
	const coordinators = 1
	for {
		var status wire.Status
		if err := r.client.Call(ctx, wire.MethodStatus, &status); err != nil {
			return err
		}
		if status.Clients < uint64(len(r.workers)+coordinators) {
			recovery.DaemonNS, recovery.Deaths = status.LastRecoveryNS, status.Deaths
			return nil
		}
	}
}

// judge reads the result off the board and compares it with the reference.
func (r *run) judge(ctx context.Context) error {
	rows, err := r.board.rows(ctx)
	if err != nil {
		return err
	}
	claims := make([]uint32, len(r.paths))
	if _, _, err := r.board.claims.Read(ctx, 0, claims); err != nil {
		return err
	}
	for _, row := range rows {
		r.report.Total.add(row)
	}
	var wrong []string
	r.report.Workers, wrong = shares(r.crew.members, claims, rows, r.started)
	if recovery := r.report.Recovery; recovery != nil {
		recovery.FinishedBy = int(claims[recovery.KeptFile] &^ claimDone)
		wrong = append(wrong, recovery.check()...)
	}
	var differences []string
	if r.report.Reference, differences, err = count(ctx, r.paths, rows); err != nil {
		return err
	}
	r.report.Wrong = append(append(r.report.Wrong, wrong...), differences...)
	if r.report.Total != r.report.Reference.Total {
		r.report.Wrong = append(r.report.Wrong, fmt.Sprintf("the totals differ: the workers' %v, the reference %v",
			r.report.Total, r.report.Reference.Total))
	}
	return nil
}
