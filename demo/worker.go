package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	shmd "github.com/shmd/shmd/clients/go"
)

// worker is one process of several that share the board.
type worker struct {
	board
	number uint64
	buffer []byte
	input  *bufio.Reader
	victim bool        // it shall stop in the middle of an update, to be killed there
	kept   *shmd.Lease // the message that a victim takes first, and dies with
}

// runWorker is the subcommand "worker": NUMBER [victim]. It finds the daemon by
// SHMD_SOCKET.
func runWorker(ctx context.Context, args []string) error {
	if len(args) < 1 {
		return errors.New("usage: worker NUMBER [victim]")
	}
	number, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return err
	}
	client, err := shmd.Dial(ctx, shmd.Options{Software: "demo worker " + args[0] + " (go)"})
	if err != nil {
		return err
	}
	w := &worker{number: number, victim: len(args) > 1, buffer: make([]byte, 64<<10), input: bufio.NewReader(os.Stdin)}
	if w.board, err = openBoard(ctx, client); err != nil {
		return err
	}
	return errors.Join(w.run(ctx), client.Close())
}

func (w *worker) run(ctx context.Context) (err error) {
	if w.victim {
		// Before the others start, so that it surely gets one.
		if w.kept, err = w.queue.Lease(ctx); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if _, err := w.input.ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for go: %w", err)
	}
	for {
		lease, err := w.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.work(ctx, lease); err != nil {
			return err
		}
	}
}

// next takes a lease on a message: io.EOF after the last. A victim goes on to the
// message that it kept when a third is done, or when there is no other.
func (w *worker) next(ctx context.Context) (*shmd.Lease, error) {
	if !w.victim {
		return w.queue.Lease(ctx)
	}
	counted, err := w.progress.Load()
	if err != nil || 3*counted >= w.total() {
		return w.kept, err
	}
	lease, err := w.queue.TryLease()
	if errors.Is(err, shmd.ErrWouldBlock) {
		return w.kept, nil
	}
	return lease, err
}

// work measures a file, and says so on the board. Doing it twice does no harm.
func (w *worker) work(ctx context.Context, lease *shmd.Lease) error {
	var m message
	if err := lease.Decode(&m); err != nil {
		return err
	}
	if lease.Deliveries() > 1 {
		now, err := monotonic()
		if err != nil {
			return err
		}
		fmt.Printf("redelivered %d deliveries=%d leased_ns=%d\n", m.File, lease.Deliveries(), now)
	}
	if err := w.files.Acquire(ctx, 1); err != nil {
		return err
	}
	c, err := measure(string(m.Path), w.buffer)
	if err != nil {
		return err
	}
	var hold func() error
	if lease == w.kept {
		hold = func() error { return w.hold(m.File) } // with the permit
	} else if err := w.files.Release(1); err != nil {
		return err
	}
	row := []uint64{c.Bytes, c.Lines, c.Words, uint64(lease.Deliveries())}
	if _, err := w.results.Write(ctx, m.File*columns, row); err != nil {
		return err
	}
	if err := w.count(ctx, m.File, w.number, hold); err != nil {
		return err
	}
	return lease.Ack()
}

// hold says that a lease, a permit and the lock are held, and waits to be killed.
func (w *worker) hold(file int) error {
	fmt.Println("holding", file)
	_, err := w.input.ReadString('\n')
	return fmt.Errorf("the victim was not killed: %v", err)
}
