package shm

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// ParkerOptions configure a Parker.
type ParkerOptions struct {
	// WithoutWaitv behaves as on a kernel without futex_waitv.
	WithoutWaitv bool
	// DirectMax is how many goroutines may sleep in the kernel on a thread of
	// their own; 0 = 16. Further ones share threads.
	DirectMax int
}

// Parker puts goroutines to sleep on shared words with few threads: the first
// DirectMax each in a futex wait of their own, which wakes fastest, the others
// up to 127 to a thread by futex_waitv. One per process is enough.
//
// Safe for concurrent use. Not usable after a fork.
type Parker struct {
	directMax    int64        // immutable
	direct       atomic.Int64 // sleepers with a thread of their own, and those who find that there are enough
	withoutWaitv atomic.Bool

	mu      sync.Mutex
	boards  []*board // protected by mu
	nextBit atomic.Uint32
}

// NewParker returns a parker without any thread yet.
func NewParker(o ParkerOptions) *Parker {
	if o.DirectMax <= 0 {
		o.DirectMax = 16
	}
	p := &Parker{directMax: int64(o.DirectMax)}
	p.withoutWaitv.Store(o.WithoutWaitv)
	return p
}

// wait sleeps while *word == expected. ctx may be cancelled at any time;
// deadlineNs is absolute CLOCK_MONOTONIC, 0 = none.
func (p *Parker) wait(ctx context.Context, word *uint32, expected uint32, deadlineNs int64) wakeup {
	if ctx.Err() != nil {
		return cancelled
	}
	direct := p.direct.Add(1) <= p.directMax
	if direct {
		defer p.direct.Add(-1)
		return p.waitDirect(ctx, word, expected, deadlineNs)
	}
	p.direct.Add(-1)
	return p.waitShared(ctx, word, expected, deadlineNs)
}

// waitDirect sleeps on a thread of its own. A cancellation wakes exactly this
// sleeper by a bit of its own.
func (p *Parker) waitDirect(ctx context.Context, word *uint32, expected uint32, deadlineNs int64) wakeup {
	if r, ok := ctx.(Restless); ok {
		return r.Sleeper().sleep(ctx, word, expected, deadlineNs, p.bit())
	}
	done := ctx.Done()
	if done == nil {
		return futexWait(word, expected, deadlineNs, futexAnyBit)
	}
	s, left := new(Sleeper), new(atomic.Bool)
	// The wake may come before the sleep: repeat until the sleeper has left.
	stop := context.AfterFunc(ctx, func() { RouseUntil(s.Rouse, left.Load) })
	w := s.sleep(ctx, word, expected, deadlineNs, p.bit())
	left.Store(true)
	stop()
	return w
}

// bit is one of 32 in turn.
func (p *Parker) bit() uint32 { return 1 << (p.nextBit.Add(1) % 32) }

// waitShared sleeps on a shared board.
func (p *Parker) waitShared(ctx context.Context, word *uint32, expected uint32, deadlineNs int64) wakeup {
	e := &entry{word: word, expected: expected, result: make(chan wakeup, 1)}
	b := p.place(e)
	timer, stop := timerAt(deadlineNs)
	defer stop()
	select {
	case w := <-e.result:
		return w
	case <-ctx.Done():
		b.remove(e)
		<-e.result
		return cancelled
	case <-timer:
		// The board may have consumed a wake for this entry meanwhile: then this is a
		// wake-up with a duty, and the caller finds its deadline passed.
		b.remove(e)
		return <-e.result
	}
}

// waitAny sleeps while every word holds what is expected of it. What wait returns
// for one word is returned here for all: after woken or cancelled a wake may have
// been consumed on any of them.
func (p *Parker) waitAny(ctx context.Context, sleeps []sleep, deadlineNs int64) wakeup {
	if len(sleeps) == 1 {
		return p.wait(ctx, sleeps[0].word, sleeps[0].expected, deadlineNs)
	}
	if ctx.Err() != nil {
		return cancelled
	}
	result := make(chan wakeup, len(sleeps))
	entries := make([]*entry, len(sleeps))
	boards := make([]*board, len(sleeps))
	for i, s := range sleeps {
		entries[i] = &entry{word: s.word, expected: s.expected, result: result}
		boards[i] = p.place(entries[i])
	}
	timer, stop := timerAt(deadlineNs)
	defer stop()
	w, left := woken, len(entries)
	select {
	case w = <-result:
		left--
	case <-ctx.Done():
		w = cancelled
	case <-timer: // woken, for a wake may have been consumed; the caller finds its deadline passed
	}
	for i, e := range entries {
		boards[i].remove(e)
	}
	for range left {
		<-result
	}
	return w
}

// timerAt fires at an absolute CLOCK_MONOTONIC time in ns, never if that is 0.
func timerAt(deadlineNs int64) (fires <-chan time.Time, stop func()) {
	if deadlineNs == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(time.Duration(deadlineNs - monotonicNs()))
	return t.C, func() { t.Stop() }
}

// place puts e on a board with room, or on a new one.
func (p *Parker) place(e *entry) *board {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.boards {
		if b.add(e) {
			return b
		}
	}
	b := &board{parker: p}
	b.add(e)
	p.boards = append(p.boards, b)
	go b.run()
	return b
}

// retire forgets a board that ran empty; false = it got an entry meanwhile.
func (p *Parker) retire(b *board) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) > 0 {
		return false
	}
	b.closed = true
	for i, x := range p.boards {
		if x == b {
			p.boards = append(p.boards[:i], p.boards[i+1:]...)
			break
		}
	}
	return true
}

// entry is one sleeper on a board.
type entry struct {
	word     *uint32
	expected uint32
	removed  bool        // protected by the board's mu
	result   chan wakeup // receives exactly once
}

// board is one thread asleep on many words and a control word of its own.
//
// Lock order: Parker.mu, then board.mu.
type board struct {
	parker  *Parker
	control uint32 // atomic; bumped for every change of entries

	mu      sync.Mutex
	entries []*entry // protected by mu
	closed  bool     // protected by mu
}

// add reports false when the board is full or closed.
func (b *board) add(e *entry) bool {
	b.mu.Lock()
	ok := !b.closed && len(b.entries) < waitvMax-1
	if ok {
		b.entries = append(b.entries, e)
	}
	b.mu.Unlock()
	if ok {
		b.poke()
	}
	return ok
}

// remove asks for e's result: the board's thread answers once e no longer sleeps
// in the kernel, so that e cannot swallow a wake after its caller has left.
func (b *board) remove(e *entry) {
	b.mu.Lock()
	e.removed = true
	b.mu.Unlock()
	b.poke()
}

func (b *board) poke() {
	atomic.AddUint32(&b.control, 1)
	futexWakeN(&b.control, 1)
}

// run is the board's thread. An entry whose word still holds its value goes on
// sleeping although it may have been woken: every protocol here changes the
// word before it wakes, and an equal value means that somebody announced since.
// For the same reason one that is removed then owes nothing: it has expired.
func (b *board) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var waiters []futexWaiter
	for {
		seen := atomic.LoadUint32(&b.control)
		b.mu.Lock()
		kept := b.entries[:0]
		for _, e := range b.entries {
			switch {
			case atomic.LoadUint32(e.word) != e.expected:
				e.result <- woken
			case e.removed:
				e.result <- expired
			default:
				kept = append(kept, e)
			}
		}
		clear(b.entries[len(kept):])
		b.entries = kept
		waiters = append(waiters[:0], waitOn(&b.control, seen))
		for _, e := range kept {
			waiters = append(waiters, waitOn(e.word, e.expected))
		}
		b.mu.Unlock()
		if len(waiters) == 1 && b.parker.retire(b) {
			return
		}
		b.sleep(waiters, seen)
	}
}

// fallbackTick is how often words are looked at without futex_waitv.
const fallbackTick = 5 * time.Millisecond

func (b *board) sleep(waiters []futexWaiter, seen uint32) {
	if !b.parker.withoutWaitv.Load() {
		if _, ok := futexWaitAny(waiters); ok {
			return
		}
		b.parker.withoutWaitv.Store(true)
	}
	futexWait(&b.control, seen, monotonicNs()+int64(fallbackTick), futexAnyBit)
}
