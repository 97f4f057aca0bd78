package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	shmd "github.com/shmd/shmd/clients/go"
)

// worker is one process of several that share the board.
type worker struct {
	board
	paths  []string
	number uint32
	cursor int // where to look for the next free claim
	buffer []byte
	input  *bufio.Reader
	victim bool // it shall stop in the middle of an update, to be killed there
	kept   int  // the claim that a victim takes first and never gives up
}

// runWorker is the subcommand "worker": LIST NUMBER WORKERS [victim]. It finds
// the daemon by SHMD_SOCKET.
func runWorker(ctx context.Context, args []string) error {
	if len(args) < 3 {
		return errors.New("usage: worker LIST NUMBER WORKERS [victim]")
	}
	paths, err := readList(args[0])
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	workers, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	client, err := shmd.Dial(ctx, shmd.Options{Software: "demo worker " + args[1] + " (go)"})
	if err != nil {
		return err
	}
	w := &worker{paths: paths, number: uint32(number), victim: len(args) > 3,
		cursor: (number - 1) * len(paths) / workers,
		buffer: make([]byte, 64<<10), input: bufio.NewReader(os.Stdin)}
	if w.board, err = openBoard(ctx, client); err != nil {
		return err
	}
	return errors.Join(w.run(ctx), client.Close())
}

func (w *worker) run(ctx context.Context) (err error) {
	if w.victim {
		// Before the others start, so that it surely gets one.
		if w.kept, err = w.claim(); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if _, err := w.input.ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for go: %w", err)
	}
	for {
		// Before looking, so that no change after the look goes unnoticed.
		version := w.progress.Version()
		file, err := w.claim()
		if err != nil {
			return err
		}
		if file >= 0 {
			if err := w.measure(ctx, file); err != nil {
				return err
			}
			continue
		}
		// Every file is taken. Those of a worker that died come back.
		finished, err := w.look(ctx)
		if finished || err != nil {
			return err
		}
		if _, err := w.progress.WaitChange(ctx, version); err != nil {
			return err
		}
	}
}

// claim takes a free file; -1 if there is none.
func (w *worker) claim() (int, error) {
	for range w.paths {
		file := w.cursor
		w.cursor = (w.cursor + 1) % len(w.paths)
		claim, err := w.claims.Load(file)
		if err != nil {
			return -1, err
		}
		if claim != claimFree {
			continue
		}
		mine, _, err := w.claims.CompareExchange(file, claimFree, w.number)
		if mine || err != nil {
			return file, err
		}
	}
	return -1, nil
}

// measure counts one file and says so on the board.
func (w *worker) measure(ctx context.Context, file int) error {
	c, err := measure(w.paths[file], w.buffer)
	if err != nil {
		return err
	}
	if _, err := w.results.Write(ctx, file*columns, []uint64{c.Bytes, c.Lines, c.Words}); err != nil {
		return err
	}
	if err := w.lock(ctx); err != nil {
		return err
	}
	if err := w.claims.Store(file, w.number|claimDone); err != nil {
		return err
	}
	counted, err := w.progress.Load()
	if err != nil {
		return err
	}
	// Between the two stores: what the lock guards is inconsistent here.
	if w.victim && 3*(counted+1) >= uint64(len(w.paths)) {
		return w.hold()
	}
	if err := w.progress.Store(counted + 1); err != nil {
		return err
	}
	return w.progress.Unlock()
}

// look reports whether every file is done.
func (w *worker) look(ctx context.Context) (finished bool, err error) {
	if err := w.lock(ctx); err != nil {
		return false, err
	}
	if w.victim {
		return false, w.hold()
	}
	counted, err := w.progress.Load()
	if err != nil {
		return false, err
	}
	return counted == uint64(len(w.paths)), w.progress.Unlock()
}

// lock takes the lock, and repairs what it guards if its last owner died.
func (w *worker) lock(ctx context.Context) error {
	notice, err := w.progress.Lock(ctx)
	if err != nil {
		return err // not held
	}
	if notice == nil {
		return nil
	}
	return w.repair(notice)
}

// repair counts anew and frees the claims of the dead.
func (w *worker) repair(notice *shmd.Notice) error {
	locked, err := monotonic()
	if err != nil {
		return err
	}
	dead, err := w.workerOf(notice.PID)
	if err != nil {
		return err
	}
	counted, err := w.progress.Load()
	if err != nil {
		return err
	}
	freed, recount := 0, uint64(0)
	for file := range w.paths {
		claim, err := w.claims.Load(file)
		if err != nil {
			return err
		}
		if claim&claimDone != 0 {
			recount++
		}
		if claim == dead {
			if err := w.claims.Store(file, claimFree); err != nil {
				return err
			}
			freed++
		}
	}
	if err := w.progress.Store(recount); err != nil {
		return err
	}
	if err := w.progress.MarkConsistent(); err != nil {
		return err
	}
	repaired, err := monotonic()
	if err != nil {
		return err
	}
	fmt.Printf("repair pid=%d worker=%d claims=%d counted=%d recount=%d locked_ns=%d repaired_ns=%d\n",
		notice.PID, dead, freed, counted, recount, locked, repaired)
	return nil
}

// workerOf finds a worker by its process.
func (w *worker) workerOf(pid uint32) (uint32, error) {
	for number := 1; number < w.workers.Len(); number++ {
		p, err := w.workers.Load(number)
		if err != nil {
			return 0, err
		}
		if p == pid {
			return uint32(number), nil
		}
	}
	return 0, fmt.Errorf("process %d died holding the lock, and is no worker", pid)
}

// hold says that the lock and a claim are held, and waits to be killed.
func (w *worker) hold() error {
	fmt.Println("holding", w.kept)
	_, err := w.input.ReadString('\n')
	return fmt.Errorf("the victim was not killed: %v", err)
}
