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
	broken atomic.Pointer[func(l *link, cause error, pending map[uint32]*call)]

	mu       sync.Mutex
	pending  map[uint32]*call // protected by mu
	nextID   uint32           // protected by mu
	out      []byte           // protected by mu; requests not written yet
	batch    uint64           // protected by mu; the number of what is in out
	unsent   uint64           // protected by mu; the first batch of which nothing left; 0 = that in out
	writing  bool             // protected by mu
	flushing bool             // protected by mu; a goroutine is on its way to flush
	cause    error            // protected by mu; why the link ended
	reading  bool             // protected by mu; somebody is the reader
	recent   bool             // protected by mu; there was a reader since the timer was set
	armed    bool             // protected by mu; the timer is set

	idle  *time.Timer // calls watch; immutable
	input input       // belongs to the reader
}

// flushAt bounds the requests that are collected before they are written.
const flushAt = 64 << 10

// call is one request under way.
type call struct {
	id       uint32 // immutable
	method   string // immutable
	wantFile bool   // immutable; the answer carries one descriptor
	batch    uint64 // immutable; that it left with
	done     chan answer
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
	l := &link{conn: conn, nextID: lastID, batch: 1, ended: make(chan struct{}), pending: make(map[uint32]*call)}
	l.mu.Lock() // before watch looks
	defer l.mu.Unlock()
	l.armed, l.idle = true, time.AfterFunc(idleAfter, l.watch)
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
	pending := l.pending
	l.pending = nil
	unsent := l.unsent
	if unsent == 0 {
		unsent = l.batch
	}
	nobodyReads := !l.reading
	l.reading = true // for ever
	l.mu.Unlock()
	_ = l.conn.Close() // ends the reader; nothing is left to say to the peer
	l.idle.Stop()
	if nobodyReads {
		l.input.drop()
	}
	if told := l.broken.Load(); told != nil {
		(*told)(l, cause, pending)
	}
	close(l.ended)
	for _, c := range pending {
		c.done <- answer{file: -1, err: cause, broken: true, unsent: c.batch >= unsent}
	}
}

// start sends a request; params appends exactly n values.
func (l *link) start(method string, n int, wantFile bool, params func([]byte) ([]byte, error)) (*call, error) {
	c := &call{method: method, wantFile: wantFile, done: make(chan answer, 1)}
	l.mu.Lock()
	if l.cause != nil {
		defer l.mu.Unlock()
		return nil, l.cause
	}
	for l.nextID++; l.pending[l.nextID] != nil; l.nextID++ {
	}
	c.id = l.nextID
	before := len(l.out)
	b, err := params(wire.AppendRequestHeader(l.out, c.id, method, n))
	if err == nil && len(b)-before > wire.MessageMax {
		err = status.New(status.TooLarge, method, "the request has %d bytes, a message at most %d",
			len(b)-before, wire.MessageMax)
	}
	if err != nil {
		defer l.mu.Unlock()
		return nil, err
	}
	l.out = b
	c.batch = l.batch
	l.pending[c.id] = c
	if len(l.pending) > 1 {
		// Whoever sends much before it waits must not block for want of a reader.
		l.readInBackground()
	}
	if len(l.pending) == 1 || len(l.out) >= flushAt {
		l.flush()
		return c, nil
	}
	l.flushSoon()
	l.mu.Unlock()
	return c, nil
}

// flushSoon leaves the buffer to whoever waits for its answer first, so that
// requests that are started in a row travel together, or else to a goroutine
// that runs when the starting one pauses. Called with mu held.
func (l *link) flushSoon() {
	if l.writing || l.flushing {
		return
	}
	l.flushing = true
	go func() {
		l.mu.Lock()
		l.flushing = false
		l.flush()
	}()
}

// flush writes the buffer, unless somebody does. Called with mu held; returns
// with it released.
func (l *link) flush() {
	if l.writing {
		l.mu.Unlock()
		return
	}
	l.writing = true
	if len(l.pending) > 1 {
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
		l.mu.Unlock()
		if n, err := l.conn.Socket().Write(b); err != nil {
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
	l.mu.Unlock()
}

// lost is the cause of a connection that broke.
func lost(err error) error {
	return status.Wrap(status.Lost, "", err, "open objects go on working; connect again for new ones")
}

// cancel asks the daemon to end a waiting call. Its answer still comes.
func (l *link) cancel(c *call) {
	l.mu.Lock()
	if l.cause != nil || l.pending[c.id] != c {
		l.mu.Unlock()
		return
	}
	l.out = wire.AppendCancel(l.out, c.id)
	l.flush()
}

// wait returns the call's one answer. When ctx ends first, the daemon decides
// whether the grant or the cancellation won; for a call that never waits there,
// the answer is abandoned.
func (l *link) wait(ctx context.Context, c *call, mayWait bool) answer {
	if len(c.done) == 0 {
		l.readFor(ctx, c)
	}
	select {
	case a := <-c.done:
		return a
	case <-ctx.Done():
	}
	if mayWait {
		l.cancel(c)
		a := <-c.done
		if errors.Is(a.err, status.Cancelled) {
			a.err = endOf(ctx)
		}
		return a
	}
	go func() {
		if a := <-c.done; a.file >= 0 {
			_ = unix.Close(a.file) // nobody wants it any more
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
