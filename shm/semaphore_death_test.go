package shm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// victimOf is a death as the daemon of epoch 1 knows it.
func victimOf(seat uint16, living ...uint16) Victim {
	return Victim{Owner: client(seat), PID: 7, NowNs: 9, Alive: alive(living...), Daemon: daemonOf(1)}
}

// A dead client's permits come back, once, to who waits for one or for several.
func TestSemaphoreDeathReturnsOnce(t *testing.T) {
	for _, need := range []uint32{1, 3} {
		m := newSemaphore(t, 3, 9, FlagUndo)
		p := NewParker(ParkerOptions{})
		if err := m.tryAcquire(actor(1), 3); err != nil {
			t.Fatal(err)
		}
		ended := m.sleepers(p, 1, need)
		first := true
		for range 3 {
			held, done := m.seg.Recover(victimOf(1, uint16(10*need)))
			if held != first || !done {
				t.Errorf("held %v, done %v", held, done)
			}
			first = false
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if is := m.Permits(client(1)); is.Available != 3-need || is.Total != 3 || is.Held != 0 {
			t.Errorf("%+v", is)
		}
		if err := m.inOrder(); err != nil {
			t.Error(err)
		}
	}
	// A plain semaphore keeps nothing: what the dead took is gone.
	m := newSemaphore(t, 3, 9, 0)
	if err := m.tryAcquire(actor(1), 1); err != nil {
		t.Fatal(err)
	}
	if held, done := m.seg.Recover(victimOf(1)); held || !done || m.Permits(0).Available != 2 {
		t.Error(held, done, m.Permits(0))
	}
}

// Recovery robs the dead of the latch, whichever seat it sweeps, and never a
// living client; a client robs a daemon of an older epoch, and derives anew.
func TestSemaphoreLatchOfTheDead(t *testing.T) {
	for _, c := range []struct {
		name   string
		latch  uint32
		done   bool
		client bool // a client can go on without recovery
	}{
		{"the victim's", client(1), true, false},
		{"another dead seat's", client(7) | ownerWaiters, true, false},
		{"a living client's", client(2), false, false},
		{"the older daemon's", daemonOf(1), true, true},
		{"this daemon's", daemonOf(2), false, false},
	} {
		m := newSemaphore(t, 4, 9, FlagUndo)
		atomic.StoreUint32(&m.seg.page.Header.DaemonEpoch, 2)
		m.undo.held[2].Permits, m.undo.held[1].Permits = 1, 2
		m.lines.Available = 9 // as whoever had the latch left it
		m.lines.Latch = c.latch
		if c.client {
			if err := m.tryAcquire(actor(2), 2); err != status.WouldBlock {
				t.Errorf("%s: 2 of 1 that are left: %v", c.name, err)
			}
			if err := m.tryAcquire(actor(2), 1); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if err := m.giveBack(actor(2), 1); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			m.lines.Latch = c.latch
		}
		v := victimOf(1, 1, 2) // the victim's seat may still be listed as taken
		v.Daemon = daemonOf(2)
		if _, done := m.seg.Recover(v); done != c.done {
			t.Errorf("%s: done %v", c.name, done)
		}
		if !c.done {
			if m.undo.held[1].Permits != 2 || m.lines.Latch != c.latch {
				t.Errorf("%s: half a recovery", c.name)
			}
			continue
		}
		if err := m.inOrder(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if is := m.Permits(client(2)); is.Available != 3 || is.Held != 1 {
			t.Errorf("%s: %+v", c.name, is)
		}
	}
}

// The daemon waits for no client that has the latch: it is told so, or polls as
// long as it is let.
func TestSemaphoreDaemonAtTheLatch(t *testing.T) {
	m := newSemaphore(t, 4, 9, FlagUndo)
	a := forClient(3)
	m.lines.Latch = client(2)
	for name, err := range map[string]error{
		"acquire": m.AcquireWait(background, nil, a, 1, 0),
		"release": m.Release(background, nil, a, 1, 0),
		"post":    m.Post(background, nil, a, 1, 0),
	} {
		if status.Of(err) != status.Busy {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	if err := m.Release(ctx, nil, a, 1, -1); err != status.Cancelled {
		t.Error(err)
	}
	if err := m.AcquireWait(background, nil, a, 1, 1); err != status.TimedOut {
		t.Error(err)
	}
	if m.lines.Latch != client(2) {
		t.Errorf("the daemon has announced itself: %#x", m.lines.Latch)
	}
	got := make(chan error)
	go func() { got <- m.AcquireWait(background, nil, a, 1, -1) }()
	if err := m.undo.latch.Unlatch(client(2)); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Nobody waits for a dead holder of the latch in an object that was destroyed: its
// recovery may never come.
func TestSemaphoreRemovedUnderLatch(t *testing.T) {
	m := newSemaphore(t, 4, 9, FlagUndo)
	p := NewParker(ParkerOptions{})
	m.lines.Latch = client(1)
	ended := make(chan error)
	go func() { ended <- m.AcquireWait(background, p, actor(2), 1, -1) }()
	await(func() bool { return m.seg.Waiting(2) == 1 })
	if !m.seg.Remove() {
		t.Error("not done")
	}
	if err := <-ended; err != status.Removed {
		t.Error(err)
	}
}

// Who was woken and gives up at the latch wakes another.
func TestSemaphoreGivesUpAtLatch(t *testing.T) {
	for range 20 {
		m := newSemaphore(t, 0, 9, FlagUndo)
		p := NewParker(ParkerOptions{})
		ctx, cancel := context.WithCancel(background)
		gone := make(chan error, 1)
		go func() { gone <- m.AcquireWait(ctx, p, actor(1), 1, -1) }() // sleeps first, so is woken first
		await(func() bool { return m.seg.Waiting(1) == 1 && m.Permits(0).Waiters })
		other := m.sleepers(p, 1, 1)
		if _, err := m.undo.latch.TryLatch(client(5)); err != nil {
			t.Fatal(err)
		}
		m.lines.Total = 1
		m.undo.rebuild()
		if !m.undo.one.signal() {
			t.Fatal("nobody is announced")
		}
		await(func() bool { m.undo.one.wake(1); return hasWaiters(atomic.LoadUint32(&m.lines.Latch)) })
		cancel()
		if err := <-gone; err != status.Cancelled {
			t.Fatal(err)
		}
		if err := m.undo.latch.Unlatch(client(5)); err != nil {
			t.Fatal(err)
		}
		if err := <-other; err != nil {
			t.Error(err)
		}
	}
}

// Words that no client of ours would write are refused, and nothing hangs or is
// made worse.
func TestSemaphoreCorrupt(t *testing.T) {
	for name, scribble := range map[string]func(m *Semaphore){
		"available": func(m *Semaphore) { m.lines.Available = 5 },
		"total":     func(m *Semaphore) { m.lines.Total = 1 << 31 },
		"held":      func(m *Semaphore) { m.undo.held[1].Permits = 1<<32 - 1 },
	} {
		m := newSemaphore(t, 4, 9, FlagUndo)
		scribble(m)
		before := append([]byte(nil), m.seg.mem...)
		for op, err := range map[string]error{
			"acquire": m.AcquireWait(background, nil, actor(1), 1, -1),
			"release": m.giveBack(actor(1), 1),
			"post":    m.Post(background, nil, actor(1), 1, -1),
		} {
			if !errors.Is(err, status.Corrupt) {
				t.Errorf("%s, %s: %v", name, op, err)
			}
		}
		if string(before) != string(m.seg.mem) {
			t.Errorf("%s: something was changed", name)
		}
		if _, done := m.seg.Recover(victimOf(1)); !done {
			t.Errorf("%s: the daemon cannot recover", name)
		}
	}
	// More held than there is: nothing is available until it comes back.
	m := newSemaphore(t, 4, 9, FlagUndo)
	m.undo.held[5].Permits = 1000
	if _, done := m.seg.Recover(victimOf(1)); !done || m.lines.Available != 0 {
		t.Errorf("%d available", m.lines.Available)
	}
	// The word of a plain one may hold anything; only the maximum is kept.
	m = newSemaphore(t, 4, 9, 0)
	m.lines.Word = 500 * semaphoreStep
	if err := m.giveBack(actor(1), 1); !errors.Is(err, status.Overflow) {
		t.Error(err)
	}
}
