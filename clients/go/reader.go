package shmd

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// A link has at most one reader at a time.
//
//   - A caller that waits while nobody reads does so itself, for all, until its own answer
//     is there: to be woken by a goroutine that the kernel has woken costs as much again as
//     the whole call, because the runtime starts a thread for each of the two.
//   - When others are under way then, the background reads for all, until none is; and when
//     much is sent, or left to be sent, before anybody waits.
//   - When nobody has called for a while, the background reads too: it is how the
//     end of the connection is noticed.
//
// So whoever waits for an answer can rely on somebody reading it: a reader stops
// only when nothing is under way, or passes the role to the background.

// idleAfter is how long, at least, nobody reads after the last call.
const idleAfter = 10 * time.Millisecond

// inputSize is the first size of the buffer; a longer message doubles it.
const inputSize = 64 << 10

// input is what has arrived.
type input struct {
	scanner wire.Scanner
	buf     []byte // allocated by the first read
	files   []int  // descriptors that no answer has claimed
}

// drop closes what nobody will claim any more.
func (in *input) drop() {
	for _, fd := range in.files {
		_ = unix.Close(fd)
	}
	in.files = nil
}

// readFor sends what is to be sent, and makes the caller the reader, if there is none, until
// its answer is there, ctx ends or the link does. Called with mu held, which it releases
// meanwhile.
func (l *link) readFor(ctx context.Context, c *call) {
	if !l.pending.has(c) {
		return // the link has ended
	}
	l.leaves = false
	l.flush()
	if l.reading || c.answered {
		return
	}
	l.reading = true
	l.mu.Unlock()
	release := l.interruptAt(ctx)
	var err error
	for answered := false; !answered && err == nil; {
		err = l.read()
		l.mu.Lock()
		answered = c.answered
		l.mu.Unlock()
	}
	release()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.end(err)
		l.mu.Lock()
		return
	}
	l.mu.Lock()
	l.stopReading()
	if l.pending.count > 0 {
		l.readInBackground()
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// interruptAt makes the read that is under way fail with os.ErrDeadlineExceeded
// when ctx ends. The function that it returns undoes that, also if it happened.
func (l *link) interruptAt(ctx context.Context) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = l.conn.SetReadDeadline(longAgo) // fails if the link has ended: the read has too
		close(interrupted)
	})
	return func() {
		if !stop() {
			<-interrupted
			_ = l.conn.SetReadDeadline(time.Time{})
		}
	}
}

// readInBackground makes sure that somebody reads. Called with mu held.
func (l *link) readInBackground() {
	if !l.reading {
		l.reading = true
		go l.background()
	}
}

// background is the reader until a read leaves nothing under way.
func (l *link) background() {
	for {
		if err := l.read(); err != nil {
			l.end(err)
			return
		}
		l.mu.Lock()
		if l.pending.count == 0 {
			l.stopReading()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
}

// stopReading gives the role back. Called with mu held, by the reader.
func (l *link) stopReading() {
	if l.cause != nil {
		l.input.drop() // the link has ended: nobody reads after us
		return
	}
	l.reading, l.recent, l.unread = false, true, 0
	if !l.armed {
		l.armed = true
		l.idle.Reset(idleAfter)
	}
}

// watch becomes the reader when nobody has been for a while.
func (l *link) watch() {
	l.mu.Lock()
	l.armed = false
	switch {
	case l.reading: // sets the timer when it stops
	case l.recent:
		l.recent, l.armed = false, true
		l.idle.Reset(idleAfter)
	default:
		l.readInBackground()
	}
	l.mu.Unlock()
}

// end ends the link for what the reader met.
func (l *link) end(err error) {
	l.fail(err)
	l.input.drop()
}

// read receives once and gives each answer that is complete to its call. Called
// by the reader.
func (l *link) read() error {
	in := &l.input
	switch {
	case in.buf == nil:
		in.buf = make([]byte, 0, inputSize)
	case len(in.buf) == cap(in.buf):
		in.buf = append(make([]byte, 0, 2*cap(in.buf)), in.buf...)
	}
	n, fds, _, err := l.conn.Read(in.buf[len(in.buf):cap(in.buf)])
	in.files = append(in.files, fds...)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil:
		return lost(err)
	}
	in.buf = in.buf[:len(in.buf)+n]
	var kept []byte // a copy, of which the results are parts
	at := 0
	for {
		r, size, err := in.scanner.NextResponse(in.buf[at:])
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if kept == nil {
			kept = append([]byte(nil), in.buf...)
		}
		at += size
		if r.Result != nil { // the end of the message
			r.Result = kept[at-len(r.Result) : at]
		}
		if err := l.deliver(r); err != nil {
			return err
		}
	}
	in.buf = in.buf[:copy(in.buf, in.buf[at:])]
	return nil
}

// deliver gives a response to its call, and the descriptor it asks for.
func (l *link) deliver(r wire.Response) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.pending.take(r.ID)
	if c == nil {
		if r.Err != nil {
			return r.Err // the daemon says why it closes
		}
		return status.New(status.BadFrame, "read", "an answer to request %d, which is not under way", r.ID)
	}
	a := answer{file: -1}
	switch files, wanted := l.input.files, c.file == oneFile || c.file == maybeFile && saysFile(r); {
	case r.Err != nil:
		a.err = r.Err
	case wanted && len(files) == 0:
		err = status.New(status.BadFrame, "map", "the answer carries no descriptor")
		a.err = err
	default:
		a.result = r.Result
		if wanted {
			a.file, l.input.files = files[0], files[1:]
		}
	}
	c.settle(a)
	return err
}

// saysFile reports whether a response says that a descriptor comes along.
func saysFile(r wire.Response) bool {
	var said struct {
		Fds uint32 `msgpack:"fds"`
	}
	return r.Err == nil && wire.Decode(r.Result, &said) == nil && said.Fds != 0
}
