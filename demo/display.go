package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sys/unix"

	shmd "github.com/shmd/shmd/clients/go"
)

// plainSteps is how many lines of progress there are where there is no terminal.
const plainSteps = 10

// frame is the least time between two drawings of the bar; files are done faster.
const frame = 40 * time.Millisecond

// display tells a person how far things are, on standard error: by a bar on a
// terminal, else by a line now and then.
type display struct {
	mu    sync.Mutex
	out   io.Writer
	bar   *progressbar.ProgressBar // protected by mu; nil = no terminal
	total int
	step  int // protected by mu; lines of progress so far
}

func newDisplay(total int, quiet bool) *display {
	d := &display{out: os.Stderr, total: total}
	if quiet {
		d.out = io.Discard
		return d
	}
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		d.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(d.out), progressbar.OptionShowCount(),
			progressbar.OptionSetDescription("files"), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionThrottle(frame))
	}
	return d
}

// say prints a line above the bar.
func (d *display) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear() // only a terminal's looks
	}
	fmt.Fprintf(d.out, format+"\n", args...)
}

// show sets how many files are done.
func (d *display) show(files int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Set(files) // only a terminal's looks
		return
	}
	if step := files * plainSteps / d.total; step > d.step {
		d.step = step
		fmt.Fprintf(d.out, "%6d of %d files\n", files, d.total)
	}
}

// end takes the bar away.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear() // only a terminal's looks
		d.bar = nil
	}
}

// follow shows the progress whenever it changes, until ctx ends. It may go back:
// when a worker died that had counted a file too early.
func (d *display) follow(ctx context.Context, progress *shmd.Value[uint64]) error {
	for {
		version := progress.Version()
		files, err := progress.Load()
		if err != nil {
			return err
		}
		d.show(int(files))
		if _, err := progress.WaitChange(ctx, version); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}
