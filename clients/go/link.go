package shmd

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// link carries calls over one connection, many at a time: callers append their
// requests to one buffer, and whoever finds nobody writing writes for all. Who
// reads stands in reader.go.
type link struct {
	conn  *wire.Conn    // immutable; read by the one reader, written by the one writer
	ended chan struct{} // closed after cause is set, and broken has returned
	// broken is told of the end, before the calls under way are; nil = nobody. Set it before
	// the first one that matters.
	broken atomic.Pointer[func(l *link, cause error, pending []*call)]

	mu       sync.Mutex
	pending  calls  // protected by mu
	lastID   uint32 // protected by mu; of a request
	out      []byte // protected by mu; requests not written yet
	batch    uint64 // protected by mu; the number of what is in out
	unsent   uint64 // protected by mu; the first batch of which nothing left; 0 = that in out
	writing  bool   // protected by mu
	flushing bool   // protected by mu; flushLeft is on its way
	left     uint64 // protected by mu; the batch that the timer late is for
	leaves   bool   // protected by mu; who starts requests leaves them lying
	unread   int    // protected by mu; bytes written since nobody reads
	cause    error  // protected by mu; why the link ended
	reading  bool   // protected by mu; somebody is the reader
	recent   bool   // protected by mu; there was a reader since the timer was set
	armed    bool   // protected by mu; the timer is set

	waiters atomic.Int32 // goroutines in wait
	idle    *time.Timer  // calls watch; immutable
	late    *time.Timer  // calls flushLeft; immutable
	input   input        // belongs to the reader
}

const (
	// flushAt bounds the requests that are collected before they are written.
	flushAt = 64 << 10
	// unreadMax is what is written while nobody reads: so little that it never waits for the
	// daemon, which may be waiting for somebody to read its answers.
	unreadMax = 16 << 10
	// leftAfter is how long started requests are left to those who wait, at least; at most
	// twice as long.
	leftAfter = time.Millisecond
)

// carries says whether an answer brings a descriptor.
type carries uint8

const (
	noFile carries = iota
	oneFile
	maybeFile // if the answer says so
)

// call is one request under way.
type call struct {
	id     uint32  // immutable
	method string  // immutable
	file   carries // immutable
	batch  uint64  // immutable; that it left with

	answered bool          // protected by link.mu
	answer   answer        // immutable once answered
	ready    chan struct{} // protected by link.mu; closed when answered; nil = nobody sleeps
}

// settle gives a call its one answer. Called with mu of its link held.
func (c *call) settle(a answer) {
	c.answered, c.answer = true, a
	if c.ready != nil {
		close(c.ready)
	}
}

// answer is what came back. The receiver owns file, -1 if none.
type answer struct {
	result []byte
	file   int
	err    error
	broken bool // the link ended first, and err is why
	unsent bool // and before the request left
}

func newLink(conn *wire.Conn, lastID uint32) *link {
	l := &link{conn: conn, lastID: lastID, batch: 1, ended: make(chan struct{})}
	l.mu.Lock() // before watch looks
	defer l.mu.Unlock()
	l.armed, l.idle = true, time.AfterFunc(idleAfter, l.watch)
	l.late = time.AfterFunc(leftAfter, l.flushLeft)
	l.flushing = true
	return l
}

// fail ends the link; the first cause stays. Calls under way get it.
func (l *link) fail(cause error) {
	l.mu.Lock()
	if l.cause != nil {
		l.mu.Unlock()
		return
	}
	l.cause = cause
	pending := l.pending.takeAll()
	unsent := l.unsent
	if unsent == 0 {
		unsent = l.batch
	}
	nobodyReads := !l.reading
	l.reading = true // for ever
	l.mu.Unlock()
	_ = l.conn.Close() // ends the reader; nothing is left to say to the peer
	l.idle.Stop()
	l.late.Stop()
	if nobodyReads {
		l.input.drop()
	}
	if told := l.broken.Load(); told != nil {
		(*told)(l, cause, pending)
	}
	close(l.ended)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range pending {
		c.settle(answer{file: -1, err: cause, broken: true, unsent: c.batch >= unsent})
	}
}

// start adds a request to the buffer, for whoever waits to write; params appends exactly
// n values.
func (l *link) start(c *call, n int, params func([]byte) ([]byte, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(c, n, params)
}

// startSoon is start for those who may not wait.
func (l *link) startSoon(c *call, n int, params func([]byte) ([]byte, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.add(c, n, params)
	l.flushSoon()
	return err
}

// add is start with mu held, which it may release.
func (l *link) add(c *call, n int, params func([]byte) ([]byte, error)) error {
	if l.cause != nil {
		return l.cause
	}
	l.pending.add(c, l.lastID)
	before := len(l.out)
	b, err := params(wire.AppendRequestHeader(l.out, c.id, c.method, n))
	if err == nil && len(b)-before > wire.MessageMax {
		err = status.New(status.TooLarge, c.method, "the request has %d bytes, a message at most %d",
			len(b)-before, wire.MessageMax)
	}
	if err != nil {
		l.pending.take(c.id)
		return err
	}
	l.out, l.lastID = b, c.id
	c.batch = l.batch
	if len(l.out) >= flushAt {
		l.flush()
	}
	return nil
}

// flushSoon leaves the buffer to whoever waits for its answer first, so that requests that
// are started in a row travel together, and at the latest to flushLeft. To start a
// goroutine or a timer wakes a thread, which costs as much as a call: where those who
// start requests also wait for them, there is one timer in leftAfter; where requests were
// left lying, a goroutine, which runs when the starter pauses. Called with mu held.
func (l *link) flushSoon() {
	if l.writing || l.flushing || len(l.out) == 0 {
		return
	}
	l.flushing = true
	if l.leaves {
		go l.flushLeft()
		return
	}
	l.left = l.batch
	l.late.Reset(leftAfter)
}

// flushLeft writes what nobody who waits has written.
func (l *link) flushLeft() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.out) == 0:
		l.flushing = false
	case !l.leaves && l.batch != l.left: // what was there has left, and this is not so old
		l.left = l.batch
		l.late.Reset(leftAfter)
	default:
		l.flushing, l.leaves = false, true
		l.readInBackground()
		l.flush()
	}
}

// flush writes the buffer, unless somebody does. Called with mu held, which it
// releases meanwhile.
func (l *link) flush() {
	if l.writing {
		return
	}
	l.writing = true
	if l.waiters.Load() > 1 {
		// Others are calling too: let them add to this write.
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	var spare []byte
	for len(l.out) > 0 {
		b := l.out
		l.out = spare[:0]
		batch := l.batch
		l.batch++
		if l.unread += len(b); l.unread > unreadMax {
			l.readInBackground()
		}
		l.mu.Unlock()
		if n, err := l.conn.Send(b); err != nil {
			if n > 0 {
				batch++
			}
			l.mu.Lock()
			l.unsent = batch
			l.mu.Unlock()
			l.fail(lost(err))
		}
		spare = b
		l.mu.Lock()
	}
	l.writing = false
}

// lost is the cause of a connection that broke.
func lost(err error) error {
	return status.Wrap(status.Lost, "", err, "open objects go on working; connect again for new ones")
}

// cancel asks the daemon to end a waiting call. Its answer still comes.
func (l *link) cancel(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending.has(c) {
		l.out = wire.AppendCancel(l.out, c.id)
		l.flush()
	}
}

// wait returns the call's one answer. When ctx ends first, the daemon decides
// whether the grant or the cancellation won; for a call that never waits there,
// the answer is abandoned.
func (l *link) wait(ctx context.Context, c *call) answer {
	l.mu.Lock()
	if !c.answered {
		l.waiters.Add(1)
		defer l.waiters.Add(-1)
		l.readFor(ctx, c)
	}
	if c.answered {
		defer l.mu.Unlock()
		return c.answer
	}
	c.ready = make(chan struct{})
	l.mu.Unlock()
	select {
	case <-c.ready:
		return c.answer
	case <-ctx.Done():
	}
	if waiting[c.method] {
		l.cancel(c)
		<-c.ready
		a := c.answer
		if errors.Is(a.err, status.Cancelled) {
			a.err = endOf(ctx)
		}
		return a
	}
	go func() {
		<-c.ready
		if c.answer.file >= 0 {
			_ = unix.Close(c.answer.file) // nobody wants it any more
		}
	}()
	return answer{file: -1, err: endOf(ctx)}
}

func endOf(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return status.TimedOut
	}
	return status.Cancelled
}
