package shm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

var background = context.Background()

// newSemaphore makes a semaphore on the heap, in epoch 1.
func newSemaphore(t *testing.T, initial, maximum uint32, flags Flags) *Semaphore {
	t.Helper()
	g, err := NewSemaphoreGeometry(initial, maximum, flags, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).Semaphore()
}

func bothSorts(t *testing.T, test func(t *testing.T, flags Flags)) {
	for _, flags := range []Flags{0, FlagUndo} {
		t.Run(map[Flags]string{0: "plain", FlagUndo: "undo"}[flags], func(t *testing.T) { test(t, flags) })
	}
}

func actor(seat uint16) Actor { return ClientActor(client(seat)) }

// forClient is the daemon of epoch 1 on behalf of a client of the socket.
func forClient(seat uint16) Actor { return Actor{Latcher: daemonOf(1), Seat: client(seat)} }

func (m *Semaphore) tryAcquire(a Actor, n uint32) error {
	return m.AcquireWait(background, nil, a, n, 0)
}

func (m *Semaphore) giveBack(a Actor, n uint32) error { return m.Release(background, nil, a, n, -1) }

// inOrder checks the invariants of a semaphore at rest.
func (m *Semaphore) inOrder() error {
	u := m.undo
	if u == nil {
		return nil
	}
	sum := uint32(0)
	for i := range u.held {
		sum += u.held[i].Permits
	}
	if !isFree(u.lines.Latch) {
		return fmt.Errorf("the latch is left as %#x", u.lines.Latch)
	}
	if sum > u.lines.Total || u.lines.Available != u.lines.Total-sum {
		return fmt.Errorf("%d available, %d held, %d in all", u.lines.Available, sum, u.lines.Total)
	}
	return nil
}

func TestSemaphoreGeometry(t *testing.T) {
	for _, c := range []struct {
		initial, maximum uint32
		flags            Flags
		seats            uint32
		good             bool
	}{
		{0, 1, 0, 1, true},
		{PermitsMax, PermitsMax, FlagUndo, SeatsLimit, true},
		{2, 1, 0, 1, false},
		{0, 0, 0, 1, false},
		{0, PermitsMax + 1, 0, 1, false},
		{0, 1, FlagRaw, 1, false},
		{0, 1, FlagRecursive, 1, false},
		{0, 1, 0, 0, false},
		{0, 1, 0, SeatsLimit + 1, false},
	} {
		g, err := NewSemaphoreGeometry(c.initial, c.maximum, c.flags, c.seats)
		if c.good != (err == nil) || err != nil && !errors.Is(err, status.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
		if err != nil {
			continue
		}
		g.ID, g.CreatedNs = 7, 8
		if err := g.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if end := g.CellsOffset + uint64(c.seats+1)*heldCellSize; c.flags.Has(FlagUndo) && end > g.SegmentSize {
			t.Errorf("%+v: cells end at %d of %d bytes", c, end, g.SegmentSize)
		}
		for name, forge := range map[string]func(*Geometry){
			"held":    func(g *Geometry) { g.CellsOffset += 64 },
			"size":    func(g *Geometry) { g.SegmentSize += PageSize },
			"maximum": func(g *Geometry) { g.Maximum-- },
			"seats":   func(g *Geometry) { g.SeatsOffset -= 8 },
		} {
			forged := g
			forge(&forged)
			if err := forged.Validate(); !errors.Is(err, status.Version) {
				t.Errorf("%+v, forged %s: %v", c, name, err)
			}
		}
	}
	for _, kind := range []Kind{KindSemaphore, KindQueue, 0, 99} {
		if _, err := NewGeometry(kind, 0, nil, 0, 1); !errors.Is(err, status.Invalid) {
			t.Errorf("NewGeometry of kind %d: %v", kind, err)
		}
	}
}

// What a semaphore refuses leaves it as it was.
func TestSemaphoreRefuses(t *testing.T) {
	me, other := actor(1), actor(2)
	for _, c := range []struct {
		name  string
		flags Flags
		do    func(m *Semaphore) error
		want  status.Code
	}{
		{"acquire 0", 0, func(m *Semaphore) error { return m.tryAcquire(me, 0) }, status.Invalid},
		{"acquire 2 of plain", 0, func(m *Semaphore) error { return m.tryAcquire(me, 2) }, status.Unsupported},
		{"acquire more than all of plain", 0, func(m *Semaphore) error { return m.tryAcquire(me, 5) }, status.Invalid},
		{"release 0", 0, func(m *Semaphore) error { return m.giveBack(me, 0) }, status.Invalid},
		{"release beyond the maximum", 0, func(m *Semaphore) error { return m.giveBack(me, 2) }, status.Overflow},
		{"release far beyond", 0, func(m *Semaphore) error { return m.giveBack(me, PermitsMax) }, status.Overflow},
		{"release 2^32-1", 0, func(m *Semaphore) error { return m.giveBack(me, 1<<32-1) }, status.Overflow},
		{"post beyond the maximum", 0, func(m *Semaphore) error { return m.Post(background, nil, me, 2, 0) },
			status.Overflow},
		{"undo: acquire 0", FlagUndo, func(m *Semaphore) error { return m.tryAcquire(me, 0) }, status.Invalid},
		{"undo: acquire 5 of 4", FlagUndo, func(m *Semaphore) error { return m.tryAcquire(me, 5) }, status.Invalid},
		{"undo: acquire what is not there", FlagUndo, func(m *Semaphore) error { return m.tryAcquire(me, 3) },
			status.WouldBlock},
		{"undo: release 0", FlagUndo, func(m *Semaphore) error { return m.giveBack(me, 0) }, status.Invalid},
		{"undo: release more than held", FlagUndo, func(m *Semaphore) error { return m.giveBack(me, 2) },
			status.NotOwner},
		{"undo: release without any", FlagUndo, func(m *Semaphore) error { return m.giveBack(other, 1) },
			status.NotOwner},
		{"undo: release 2^32-1", FlagUndo, func(m *Semaphore) error { return m.giveBack(me, 1<<32-1) },
			status.NotOwner},
		{"undo: post beyond the maximum", FlagUndo,
			func(m *Semaphore) error { return m.Post(background, nil, me, 2, 0) }, status.Overflow},
		{"undo: post 2^32-1", FlagUndo, func(m *Semaphore) error { return m.Post(background, nil, me, 1<<32-1, 0) },
			status.Overflow},
		{"a seat that is not there", FlagUndo,
			func(m *Semaphore) error { return m.tryAcquire(actor(SeatsDefault+1), 1) }, status.Invalid},
		{"the daemon's seat", FlagUndo,
			func(m *Semaphore) error { return m.tryAcquire(ClientActor(daemonOf(1)), 1) }, status.Invalid},
		{"read-only", FlagUndo, func(m *Semaphore) error {
			m.seg.readOnly = true
			return m.tryAcquire(me, 1)
		}, status.Permission},
	} {
		m := newSemaphore(t, 3, 4, c.flags)
		if err := m.tryAcquire(me, 1); err != nil { // 2 left, of 3, of at most 4
			t.Fatal(err)
		}
		if c.flags == 0 {
			if err := m.giveBack(other, 1); err != nil {
				t.Fatal(err)
			}
		}
		before := append([]byte(nil), m.seg.mem...)
		if err := c.do(m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if string(before) != string(m.seg.mem) {
			t.Errorf("%s: something was changed", c.name)
		}
	}
}

// The maximum is that of the geometry even where the word could hold one more.
func TestSemaphoreLimits(t *testing.T) {
	bothSorts(t, func(t *testing.T, flags Flags) {
		m := newSemaphore(t, PermitsMax-1, PermitsMax, flags)
		me := actor(1)
		if err := m.Post(background, nil, me, 1, -1); err != nil {
			t.Error(err)
		}
		if err := m.Post(background, nil, me, 1, -1); !errors.Is(err, status.Overflow) {
			t.Errorf("one more than 2^31-1: %v", err)
		}
		if p := m.Permits(me.Seat); p.Available != PermitsMax || p.Waiters {
			t.Errorf("%+v", p)
		}
		if err := m.tryAcquire(me, 1); err != nil {
			t.Error(err)
		}
		if err := m.giveBack(me, 1); err != nil {
			t.Error(err)
		}
	})
}

func TestSemaphoreAllOrNothing(t *testing.T) {
	m := newSemaphore(t, 3, 5, FlagUndo)
	me, other := actor(1), forClient(2)
	if err := m.tryAcquire(me, 2); err != nil {
		t.Fatal(err)
	}
	if err := m.tryAcquire(other, 2); err != status.WouldBlock {
		t.Errorf("2 of 1: %v", err)
	}
	if err := m.tryAcquire(other, 1); err != nil {
		t.Error(err)
	}
	if p := m.Permits(other.Seat); p != (Permits{Available: 0, Total: 3, Held: 1}) {
		t.Errorf("%+v: what the daemon takes for a client is the client's", p)
	}
	if err := m.Post(background, nil, me, 2, -1); err != nil {
		t.Error(err)
	}
	if err := m.giveBack(me, 1); err != nil {
		t.Error(err)
	}
	if p := m.Permits(me.Seat); p != (Permits{Available: 3, Total: 5, Held: 1}) {
		t.Errorf("%+v", p)
	}
	if err := m.inOrder(); err != nil {
		t.Error(err)
	}
}

// Clients that come and go, time out and are cancelled: never more inside than
// permits, none lost, nobody left asleep, and no bit left behind.
func TestSemaphoreConserves(t *testing.T) {
	bothSorts(t, func(t *testing.T, flags Flags) {
		for _, direct := range []int{1, 16} {
			const permits, clients, rounds = 3, 6, 150
			m := newSemaphore(t, permits, permits, flags)
			p := NewParker(ParkerOptions{DirectMax: direct})
			var inside atomic.Int32
			var wg sync.WaitGroup
			for i := range clients {
				view, a, n := m.seg.Semaphore(), actor(uint16(i/2+1)), uint32(1)
				if flags.Has(FlagUndo) {
					n = uint32(i%permits + 1)
				}
				wg.Go(func() {
					for r := range rounds {
						ctx, cancel, timeout := patience(r + i)
						err := view.AcquireWait(ctx, p, a, n, timeout)
						cancel()
						switch {
						case err == nil:
							if in := inside.Add(int32(n)); in > permits {
								t.Errorf("%d inside", in)
							}
							inside.Add(-int32(n))
							if err := view.Release(background, p, a, n, -1); err != nil {
								t.Error(err)
							}
						case !hasGivenUp(err):
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			if now := m.Permits(client(1)); now.Available != permits {
				t.Errorf("direct %d: %+v at the end", direct, now)
			}
			if err := m.inOrder(); err != nil {
				t.Error(err)
			}
			m.quiet(t, p)
		}
	})
}

// quiet checks that one past contention does not cost a system call for ever:
// after one more round nobody is announced.
func (m *Semaphore) quiet(t *testing.T, p *Parker) {
	t.Helper()
	for _, n := range []uint32{1, 1} {
		if err := m.AcquireWait(background, p, actor(1), n, -1); err != nil {
			t.Fatal(err)
		}
		if err := m.Release(background, p, actor(1), n, -1); err != nil {
			t.Fatal(err)
		}
	}
	if m.Permits(client(1)).Waiters {
		t.Error("the waiters bit is left set")
	}
}

// sleepers starts n clients that acquire, and returns when all sleep.
func (m *Semaphore) sleepers(p *Parker, count int, n uint32) <-chan error {
	ended := make(chan error, count)
	for i := range count {
		a := actor(uint16(10*n) + uint16(i))
		view := m.seg.Semaphore()
		go func() { ended <- view.AcquireWait(background, p, a, n, -1) }()
		await(func() bool { return m.seg.Waiting(SeatOf(a.Seat)) == 1 })
		await(func() bool { return m.Permits(0).Waiters })
	}
	return ended
}

// Three sleep; permits come one by one, where the woken has to arm the word again
// for the others, and all at once, where it has to pass the wake on.
func TestSemaphoreWakesAll(t *testing.T) {
	bothSorts(t, func(t *testing.T, flags Flags) {
		for _, direct := range []int{1, 16} {
			p := NewParker(ParkerOptions{DirectMax: direct})
			for _, posts := range [][]uint32{{1, 1, 1}, {3}, {2, 1}} {
				m := newSemaphore(t, 0, 3, flags)
				ended := m.sleepers(p, 3, 1)
				for _, n := range posts {
					if err := m.Post(background, p, actor(1), n, -1); err != nil {
						t.Fatal(err)
					}
					for range n {
						if err := <-ended; err != nil {
							t.Error(err)
						}
					}
				}
				if err := m.inOrder(); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// A woken waiter takes with the bit set again, and wakes the next one while there
// are permits: posts may have found the bit clear meanwhile.
func TestSemaphorePassesOn(t *testing.T) {
	m := newSemaphore(t, 0, 9, 0)
	p := NewParker(ParkerOptions{})
	ended := m.sleepers(p, 2, 1)
	// As if a poster had died between its store and its wake, and recovery woke one.
	atomic.StoreUint32(&m.lines.Word, 2*semaphoreStep)
	if held, done := m.seg.Recover(Victim{Owner: client(1)}); held || !done {
		t.Error(held, done)
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Who wants two is not woken in vain by who wants one, and the other way round.
func TestSemaphoreMixedNeeds(t *testing.T) {
	m := newSemaphore(t, 0, 9, FlagUndo)
	p := NewParker(ParkerOptions{})
	many := m.sleepers(p, 2, 2)
	one := m.sleepers(p, 1, 1)
	if err := m.Post(background, p, actor(1), 1, -1); err != nil {
		t.Fatal(err)
	}
	if err := <-one; err != nil {
		t.Error(err)
	}
	if err := m.Post(background, p, actor(1), 2, -1); err != nil {
		t.Fatal(err)
	}
	if err := <-many; err != nil {
		t.Error(err)
	}
	if err := m.Post(background, p, actor(1), 2, -1); err != nil {
		t.Fatal(err)
	}
	if err := <-many; err != nil {
		t.Error(err)
	}
	if err := m.inOrder(); err != nil {
		t.Error(err)
	}
}

func TestSemaphoreTimesOut(t *testing.T) {
	bothSorts(t, func(t *testing.T, flags Flags) {
		p := NewParker(ParkerOptions{})
		m := newSemaphore(t, 0, 1, flags)
		if err := m.AcquireWait(background, p, actor(1), 1, time.Microsecond); err != status.TimedOut {
			t.Error(err)
		}
		short, stop := context.WithTimeout(background, time.Microsecond)
		defer stop()
		if err := m.AcquireWait(short, p, actor(1), 1, -1); err != status.TimedOut {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(background)
		cancel()
		if err := m.AcquireWait(gone, p, actor(1), 1, -1); err != status.Cancelled {
			t.Error(err)
		}
		if n := m.seg.Waiting(1); n != 0 {
			t.Errorf("%d still wait, as the seat cell says", n)
		}
		if err := m.Post(background, p, actor(1), 1, -1); err != nil {
			t.Error(err)
		}
		m.quiet(t, p)
	})
}

func TestSemaphoreRemoved(t *testing.T) {
	bothSorts(t, func(t *testing.T, flags Flags) {
		m := newSemaphore(t, 0, 9, flags)
		p := NewParker(ParkerOptions{})
		ended := m.sleepers(p, 3, 1)
		var many <-chan error
		if flags.Has(FlagUndo) {
			many = m.sleepers(p, 1, 2)
		}
		for range 2 { // it may be repeated
			if !m.seg.Remove() {
				t.Error("not done")
			}
		}
		for range 3 {
			if err := <-ended; err != status.Removed {
				t.Error(err)
			}
		}
		if many != nil {
			if err := <-many; err != status.Removed {
				t.Error(err)
			}
		}
		for name, err := range map[string]error{
			"acquire": m.AcquireWait(background, p, actor(1), 1, -1),
			"try":     m.tryAcquire(actor(1), 1),
			"release": m.giveBack(actor(1), 1),
			"post":    m.Post(background, p, actor(1), 1, -1),
		} {
			if err != status.Removed {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// The daemon gives up on a latch whose holder lives and does nothing: what it does
// for one client must not depend on another that is stopped.
func TestDaemonGivesUpOnALatch(t *testing.T) {
	before := latchPatience
	defer func() { latchPatience = before }()
	latchPatience = time.Millisecond
	m := newSemaphore(t, 1, 1, FlagUndo)
	if _, err := m.undo.latch.TryLatch(client(2)); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"acquire": m.AcquireWait(background, nil, forClient(1), 1, -1),
		"post":    m.Post(background, nil, forClient(1), 1, -1),
	} {
		if status.Of(err) != status.Busy {
			t.Errorf("%s: %v, want Busy", what, err)
		}
	}
	if err := m.undo.latch.Unlatch(client(2)); err != nil {
		t.Fatal(err)
	}
	if err := m.AcquireWait(background, nil, forClient(1), 1, -1); err != nil {
		t.Errorf("after the latch is free: %v", err)
	}
	if err := m.inOrder(); err != nil {
		t.Error(err)
	}
}
