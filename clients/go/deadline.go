package shmd

import (
	"context"
	"sync"
	"time"
)

// deadline is one that may be set again while somebody waits under it, as net.Conn
// wants.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer   // protected by mu; nil = no deadline is to come
	passed chan struct{} // protected by mu; closed when it has passed
}

// set moves the deadline; the zero time is none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // the timer's function is about to close it
	}
	d.timer = nil
	select {
	case <-d.passed: // a new one for who waits from now on
		d.passed = nil
	default:
	}
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	passed := d.passed
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(passed) })
		return
	}
	close(passed)
}

// wait is a context that ends when the deadline passes.
func (d *deadline) wait() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return until{context.Background(), d.passed}
}

// until is a context that ends when a channel is closed, by its deadline.
type until struct {
	context.Context
	passed <-chan struct{}
}

func (u until) Done() <-chan struct{} { return u.passed }

func (u until) Err() error {
	select {
	case <-u.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
