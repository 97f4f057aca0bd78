package shmd

import (
	"context"
	"errors"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const (
	// reattachTimeoutDefault is Options.ReattachTimeout if that is 0.
	reattachTimeoutDefault = 5 * time.Second
	// reattachMin and reattachMax bound the pauses between tries to come back.
	reattachMin = 5 * time.Millisecond
	reattachMax = time.Second
	// greetTimeout bounds one try.
	greetTimeout = 10 * time.Second
)

// repeatable lists the methods that are sent again when the daemon ended before it
// answered. They change nothing, or what they change is undone by the resuming hello,
// or is the same when it is done twice.
var repeatable = map[string]bool{
	wire.MethodPing: true, wire.MethodStatus: true, wire.MethodClients: true,
	wire.MethodQuota: true, wire.MethodList: true,
	wire.MethodStat: true, wire.MethodMap: true, wire.MethodSide: true, wire.MethodMapSide: true,
	wire.MethodOpen: true, wire.MethodOpenOrCreate: true, wire.MethodChmod: true, wire.MethodChown: true,
	wire.MethodTicket: true, // one that nobody heard of ends by itself
	wire.MethodGet:    true, wire.MethodRead: true, wire.MethodVersion: true, wire.MethodWaitChange: true,
	wire.MethodPermits: true, wire.MethodCounts: true, wire.MethodHoldings: true, wire.MethodIsSet: true,
	wire.MethodBarrier: true,
}

// attaching lists the methods that make a handle.
var attaching = map[string]bool{wire.MethodCreate: true, wire.MethodOpen: true, wire.MethodOpenOrCreate: true}

// exchange makes one call, on as many links as it takes.
func (c *Client) exchange(ctx context.Context, method string, file carries, params []any) (answer, error) {
	for {
		l, err := c.current(ctx)
		if err != nil {
			return answer{}, err
		}
		call := &call{method: method, file: file}
		err = l.start(call, len(params), func(b []byte) ([]byte, error) { return appendParams(b, params) })
		if err != nil {
			if !l.over() {
				return answer{}, err
			}
			<-l.ended // then there is another, or none
			continue
		}
		a := l.wait(ctx, call)
		switch {
		case a.err == nil:
			return a, nil
		case !a.broken:
			return a, a.err
		case !a.unsent && !repeatable[method]:
			return a, c.unknown(a.err)
		}
	}
}

// over reports whether the link has ended.
func (l *link) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause != nil
}

// current is the link, for which it waits while the client may come back.
func (c *Client) current(ctx context.Context) (*link, error) {
	if l := c.link.Load(); l != nil {
		return l, nil
	}
	timeout := c.options.ReattachTimeout
	if timeout == 0 {
		timeout = reattachTimeoutDefault
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		c.mu.Lock()
		ready := c.ready
		c.mu.Unlock()
		if l := c.link.Load(); l != nil {
			return l, nil
		}
		select {
		case <-ready:
		case <-c.lost:
			return nil, c.away()
		case <-timer.C:
			return nil, c.away()
		case <-ctx.Done():
			return nil, endOf(ctx)
		}
	}
}

// away says why there is no link.
func (c *Client) away() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return status.New(status.Lost, "", "the daemon is away: open objects go on working, and this client comes back "+
		"to the daemon that is started next")
}

// unknown is the error of a call under way when its link broke.
func (c *Client) unknown(cause error) error {
	if !c.resumable() || errors.Is(cause, status.Closed) {
		return cause
	}
	return status.Wrap(status.OutcomeUnknown, "", cause, "the daemon ended before it answered; when it is back, "+
		"holdings tells what this client holds")
}

// resumable reports whether the client may come back when a link breaks.
func (c *Client) resumable() bool {
	hello := c.hello.Load()
	return hello != nil && hello.Resumable && c.options.ReattachTimeout >= 0
}

// join makes a link the client's.
func (c *Client) join(l *link, hello *wire.HelloResult) {
	c.mu.Lock()
	c.hello.Store(hello)
	told := c.broken
	l.broken.Store(&told)
	c.link.Store(l)
	c.doubtful = nil
	closing := c.closing
	c.closing = nil
	close(c.ready)
	lost := c.cause != nil
	c.mu.Unlock()
	if lost {
		l.fail(status.Closed) // meanwhile
	}
	for _, handle := range closing {
		_ = c.closeHandle(handle) // nobody waits for it any more
	}
	if l.over() {
		c.broken(l, l.cause, nil) // it ended before it could tell
	}
}

// broken is told that a link has ended.
func (c *Client) broken(l *link, cause error, pending []*call) {
	c.mu.Lock()
	if !c.link.CompareAndSwap(l, nil) {
		c.mu.Unlock()
		return
	}
	c.ready = make(chan struct{})
	c.lastID = l.lastID
	for _, call := range pending {
		if attaching[call.method] {
			c.doubtful = append(c.doubtful, call.id)
		}
	}
	c.mu.Unlock()
	if !c.resumable() || errors.Is(cause, status.Closed) {
		c.finish(cause)
		return
	}
	go c.reattach()
}

// finish ends the client for good; the first cause stays.
func (c *Client) finish(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.cause = cause
		close(c.lost)
	}
}

// reattach tries to come back until it is back, or lost.
func (c *Client) reattach() {
	for pause := reattachMin; ; pause = min(2*pause, reattachMax) {
		ctx, cancel := context.WithTimeout(context.Background(), greetTimeout)
		err := c.connect(ctx, true)
		cancel()
		switch status.Of(err) {
		case status.OK:
			return
		case status.NoDaemon, status.TimedOut, status.System, status.Busy, status.Closed, status.NoSpace:
		case status.Lost:
			c.finish(err)
			return
		default: // no daemon that is started there later will think otherwise
			c.finish(status.Wrap(status.Lost, "", err, "the daemon that is back does not take this client"))
			return
		}
		select {
		case <-c.lost:
			return
		case <-time.After(pause):
		}
	}
}

// closeHandle closes a handle now, or else when there is a link.
func (c *Client) closeHandle(handle uint64) error {
	if l := c.link.Load(); l != nil {
		err := c.ask(context.Background(), l, wire.MethodClose, handle)
		if err == nil || !l.over() {
			return err
		}
		<-l.ended
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.closing = append(c.closing, handle) // if it is closed already, so much the better
	}
	return c.cause
}
