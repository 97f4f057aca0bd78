package shmd

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Pollable is a descriptor for poll, epoll and event loops that is readable while a
// try on an object may succeed. It stays readable, whatever is done to the object,
// until Rearm, which belongs after a try that answered ErrWouldBlock. In Go itself a
// goroutine in WaitAny is simpler.
//
// Safe for concurrent use.
type Pollable struct {
	item   Waitable
	fd     int                // immutable; an eventfd
	cancel context.CancelFunc // ends watch
	armed  chan struct{}      // from Rearm to watch
	done   chan struct{}      // closed when watch has ended

	mu     sync.Mutex
	fired  bool         // protected by mu; the descriptor is readable
	next   shm.Waitable // protected by mu; what watch waits for
	closed bool         // protected by mu
}

// NewPollable makes a pollable, armed. Errors: ErrInvalid, ErrClosed, ErrPermission
// (read-only), ErrCorrupt, and of the system: too many descriptors.
func NewPollable(item Waitable) (*Pollable, error) {
	if _, err := waitAny(context.Background(), []Waitable{item}, 0); err != nil && !errors.Is(err, status.WouldBlock) {
		return nil, wrap("poll", "", err)
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, status.Wrap(status.System, "poll", err, "making an eventfd")
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pollable{item: item, fd: fd, cancel: cancel, armed: make(chan struct{}, 1), done: make(chan struct{}),
		next: item.item()}
	go p.watch(ctx)
	return p, nil
}

// Fd is the descriptor. It belongs to the pollable: never read, write or close it.
func (p *Pollable) Fd() int { return p.fd }

// watch makes the descriptor readable each time that it was armed and something
// can be had.
func (p *Pollable) watch(ctx context.Context) {
	defer close(p.done)
	for {
		p.mu.Lock()
		next := p.next
		p.mu.Unlock()
		// An error is the try's to tell.
		_, _ = waitAny(ctx, p.once(next), -1)
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return
		}
		p.fired = true
		p.write()
		p.mu.Unlock()
		select {
		case <-p.armed:
		case <-ctx.Done():
			return
		}
	}
}

// once is one wait for what is next.
func (p *Pollable) once(next shm.Waitable) []Waitable {
	return []Waitable{{object: p.item.object, item: func() shm.Waitable { return next }}}
}

// write makes the descriptor readable: the counter is 0 or 1, so it cannot fail.
func (p *Pollable) write() { _, _ = unix.Write(p.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// Rearm makes the descriptor unreadable until something can be had again; if
// something can be had now it stays readable throughout. Of values and arrays what
// counts is a change after Rearm. Errors: ErrClosed.
func (p *Pollable) Rearm() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return status.New(status.Closed, "poll", "the pollable was closed")
	}
	again := p.item.again
	if again == nil {
		again = p.item.item
	}
	if !p.fired {
		return nil
	}
	next := again()
	_, err := waitAny(context.Background(), p.once(next), 0)
	if !errors.Is(err, status.WouldBlock) {
		if errors.Is(err, status.Closed) {
			return wrap("poll", p.item.object.info.Name, err)
		}
		return nil
	}
	p.next, p.fired = next, false
	var count [8]byte
	_, _ = unix.Read(p.fd, count[:]) // it is 1: cannot fail
	p.armed <- struct{}{}
	return nil
}

// Close ends the pollable and its descriptor. Closing twice is os.ErrClosed.
func (p *Pollable) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return os.ErrClosed
	}
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	<-p.done
	return os.NewSyscallError("close", unix.Close(p.fd))
}
