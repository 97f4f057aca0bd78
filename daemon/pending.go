package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Why a waiting call was ended from outside; the text goes to the client.
var (
	errCancelled    = status.New(status.Cancelled, "", "its client cancelled it")
	errHandleClosed = status.New(status.Cancelled, "", "its handle was closed")
	errGone         = status.New(status.Cancelled, "", "its connection ended")
	errShutdown     = status.New(status.Lost, "", "the daemon shuts down")
)

// pendingCall is a call that waits.
type pendingCall struct {
	handles []*handle               // immutable; that it works on
	cancel  context.CancelCauseFunc // for its client; ends the wait
	end     context.CancelCauseFunc // for its handle and connection; ends all of it
}

// pendingSet holds the waiting calls of one connection.
type pendingSet struct {
	mu    sync.Mutex
	calls map[uint32]*pendingCall // protected by mu; by request id
	ended error                   // protected by mu; why no more may wait; nil = they may
	wg    sync.WaitGroup          // their goroutines
}

// add makes a call known to cancel.
func (p *pendingSet) add(id uint32, call *pendingCall) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended != nil:
		return p.ended
	case p.calls[id] != nil:
		return status.New(status.Invalid, "", "request id %d waits already: use another", id)
	case len(p.calls) >= wire.PendingMax:
		return status.New(status.Busy, "", "%d calls of this connection wait already", wire.PendingMax)
	}
	if p.calls == nil {
		p.calls = make(map[uint32]*pendingCall)
	}
	p.calls[id] = call
	p.wg.Add(1)
	return nil
}

// remove forgets a call that is about to be answered.
func (p *pendingSet) remove(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, id)
}

// cancel ends one call, if it waits.
func (p *pendingSet) cancel(id uint32, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if call := p.calls[id]; call != nil {
		call.cancel(why)
	}
}

// cancelHandle ends the calls that wait on a handle.
func (p *pendingSet) cancelHandle(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, call := range p.calls {
		if slices.ContainsFunc(call.handles, func(h *handle) bool { return h.number == number }) {
			call.end(errHandleClosed)
		}
	}
}

// end ends all calls and refuses new ones; wg tells when they are over.
func (p *pendingSet) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil {
		p.ended = why
	}
	for _, call := range p.calls {
		call.end(p.ended)
	}
}

// appender appends a result to a message.
type appender func(b []byte) ([]byte, error)

// wait sets the call aside: work runs in a goroutine of its own until it is done
// or ctx ends. handles are those that it works on; bytes is the size of the
// buffers it keeps. undo, if not nil, takes back what a work that succeeded got,
// when nobody is left to be told. After an error work was not and will not be run.
func (c *call) wait(handles []*handle, bytes int, work func(ctx context.Context) (appender, error), undo func()) error {
	return c.waitBound(handles, bytes, func(ctx, _ context.Context) (appender, error) { return work(ctx) }, undo)
}

// waitBound is wait for a work that has more to do once it is cancelled: life ends
// with the handle and the connection only, and ctx with it.
func (c *call) waitBound(handles []*handle, bytes int, work func(ctx, life context.Context) (appender, error),
	undo func()) error {
	srv, session := c.session.server, c.session
	cost := []amount{{resWaiting, 1}, {resBuffers, uint64(bytes)}}
	if err := srv.quota.charge(session.uid, cost...); err != nil {
		return err
	}
	life, end := context.WithCancelCause(context.Background())
	ctx, cancel := context.WithCancelCause(life)
	p := &pendingCall{handles: handles, cancel: cancel, end: end}
	if err := session.pending.add(c.id, p); err != nil {
		end(nil)
		srv.quota.release(session.uid, cost...)
		return err
	}
	for _, h := range handles {
		srv.registry.retain(h.seat)
		h.seat.waiting.Add(1)
	}
	c.answered = true
	later := *c // the read loop goes on with another call
	later.out = nil
	go func() {
		defer session.pending.wg.Done()
		defer end(nil)
		later.finish(ctx, func() (appender, error) { return work(ctx, life) }, undo)
		srv.quota.release(session.uid, cost...)
		for _, h := range handles {
			h.seat.waiting.Add(-1)
			if srv.registry.release(h.seat) {
				srv.sweep(h.seat)
			}
		}
	}()
	return nil
}

// finish runs a waiting call to its end and answers it.
func (c *call) finish(ctx context.Context, work func() (appender, error), undo func()) {
	granted := false
	err := c.guarded(func() error {
		result, err := work()
		if err != nil {
			return err
		}
		granted = true
		c.out, err = result(wire.AppendResultHeader(nil, c.id))
		if err == nil && len(c.out) > wire.MessageMax {
			err = tooLarge(len(c.out))
		}
		return err
	})
	if errors.Is(err, status.Cancelled) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
	}
	// From here on the id may be used again.
	c.session.pending.remove(c.id)
	if err != nil {
		c.out = c.appendError(nil, err)
	}
	if sent := c.session.write(c.out); granted && (err != nil || sent != nil) && undo != nil {
		undo()
	}
}
