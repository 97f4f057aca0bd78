package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if run.board, err = createBoard(ctx, client, paths); err != nil {
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

// hire starts the producer and the workers.
func (r *run) hire(ctx context.Context, socket string) error {
	list := filepath.Join(r.dir, "files")
	if err := writeList(list, r.paths); err != nil {
		return err
	}
	environment := []string{"SHMD_SOCKET=" + socket, "SHMD_BIN=" + r.programs.shmd}
	producer := append(slices.Clone(r.programs.producer), list)
	if err := r.crew.add(ctx, producerNumber, "go", producer, environment); err != nil {
		return err
	}
	if r.victim != 0 {
		r.report.Recovery = &recovery{}
	}
	for i, language := range r.workers {
		number := i + 1
		line := r.programs.worker(language, number, number == r.victim)
		if err := r.crew.add(ctx, number, language, line, environment); err != nil {
			return err
		}
	}
	return nil
}

// heard acts on what a member says.
func (r *run) heard(ctx context.Context, e event) error {
	recovery := r.report.Recovery
	what, _, _ := strings.Cut(e.line, " ")
	switch {
	case recovery == nil:
		return fmt.Errorf("%s says %q, and nobody was to die", e.member, e.line)
	case e.member.number == r.victim:
		return r.strike(ctx, e)
	case what == "redelivered":
		if err := recovery.redelivered(e.member, e.line); err != nil {
			return err
		}
		r.display.say("%s has a lease on the message that the dead had", e.member)
	default:
		if err := recovery.repaired(e.member, e.line); err != nil {
			return err
		}
		r.display.say("%s has the lock, was told, and has repaired the progress", e.member)
	}
	return nil
}

// strike kills the victim, which says that it holds a lease, a permit and the lock,
// and waits until the daemon has given back all that.
func (r *run) strike(ctx context.Context, e event) error {
	recovery := r.report.Recovery
	if err := recovery.holding(e.member, e.line, r.paths); err != nil {
		return err
	}
	// Does it? Nothing else is a proof that they come back.
	var progress wire.Stat
	if err := r.client.Call(ctx, wire.MethodStat, &progress, nameProgress); err != nil {
		return err
	}
	if progress.Held != nil {
		recovery.LockHolderPID = int(progress.Held.PID)
	}
	permits, messages, err := r.levels()
	if err != nil {
		return err
	}
	recovery.PermitsHeld, recovery.Leases = int(permits.Total-permits.Available), int(messages.Leased)
	if err := recovery.kill(e.member); err != nil {
		return err
	}
	r.display.say("%s holds a lease, a permit and the lock, in the middle of an update: killed", e.member)
	for { // until a client that died is forgotten
		var status wire.Status
		if err := r.client.Call(ctx, wire.MethodStatus, &status); err != nil {
			return err
		}
		if status.LastRecoveryNS != 0 {
			recovery.DaemonNS, recovery.Deaths = status.LastRecoveryNS, status.Deaths
			break
		}
	}
	return recovery.gaveBack()
}

// judge reads the result off the board and compares it with the reference.
func (r *run) judge(ctx context.Context) error {
	rows, err := r.board.rows(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r.report.Total.add(row.counts)
	}
	var wrong []string
	r.report.Workers, wrong = shares(r.crew.members, rows, r.started)
	r.report.deliveries(rows, r.paths)
	if recovery := r.report.Recovery; recovery != nil {
		recovery.FinishedBy = int(rows[recovery.File].worker)
		wrong = append(wrong, recovery.check()...)
	}
	wrong = append(wrong, r.report.checkDeliveries()...)
	permits, messages, err := r.levels()
	if err != nil {
		return err
	}
	r.report.Permits, r.report.PermitsLeft = openFiles, int(permits.Available)
	wrong = append(wrong, leftovers(permits, messages)...)
	counted, err := r.board.progress.Load()
	if err != nil {
		return err
	}
	if counted != uint64(len(r.paths)) {
		wrong = append(wrong, fmt.Sprintf("the progress is %d in the end, of %d files", counted, len(r.paths)))
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

// levels looks at semaphore and queue.
func (r *run) levels() (permits shmd.Permits, messages shmd.QueueCounts, err error) {
	if permits, err = r.board.files.Permits(); err != nil {
		return permits, messages, err
	}
	messages, err = r.board.queue.Counts()
	return permits, messages, err
}

// leftovers says what is not back where it was in the beginning.
func leftovers(permits shmd.Permits, messages shmd.QueueCounts) (wrong []string) {
	if permits.Available != openFiles || permits.Total != openFiles {
		wrong = append(wrong, fmt.Sprintf("%d of %d permits are there in the end, and %d available",
			permits.Total, openFiles, permits.Available))
	}
	if messages.Ready+messages.Leased+messages.Writing+messages.Dead != 0 {
		wrong = append(wrong, fmt.Sprintf("the queue is not empty in the end: %+v", messages))
	}
	return wrong
}
