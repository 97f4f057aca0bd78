package shm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// newLatch makes a latch in the data area of a heap segment of epoch 1.
func newLatch(t *testing.T) (*Segment, *Latch) {
	t.Helper()
	s := newSegment(t, KindArray, ctypes.CodeULongLong, 8, FlagLockNone)
	return s, s.Latch(futexWord32(stockWord(s, 0)))
}

func client(seat uint16) uint32 { return OwnerWord(seat, 1) }

func daemonOf(epoch uint32) uint32 { return OwnerWord(SeatDaemon, epoch) }

func alive(seats ...uint16) func(uint32) bool {
	return func(owner uint32) bool {
		for _, seat := range seats {
			if owner == client(seat) {
				return true
			}
		}
		return false
	}
}

func TestLatchExcludes(t *testing.T) {
	for _, direct := range []int{1, 16} {
		s, l := newLatch(t)
		p := NewParker(ParkerOptions{DirectMax: direct})
		counter := 0
		var wg sync.WaitGroup
		const threads, rounds = 6, 300
		for i := range threads {
			l := s.Latch(l.word)            // a view each, as processes have
			me := client(uint16(i/2%2) + 1) // threads of one client exclude each other too
			wg.Go(func() {
				for range rounds {
					if found, err := l.Latch(context.Background(), p, me, 0); !isFree(found) || err != nil {
						t.Error(found, err)
						return
					}
					counter++
					if err := l.Unlatch(me); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if counter != threads*rounds {
			t.Errorf("direct %d: counted %d, want %d", direct, counter, threads*rounds)
		}
		if w := atomic.LoadUint32(l.word); !isFree(w) {
			t.Errorf("the latch is left as %#x", w)
		}
	}
}

// Who may take the latch from whom, in a segment whose daemon has epoch 3.
func TestLatchRights(t *testing.T) {
	cases := []struct {
		name           string
		word           uint32
		tried, recover bool // what a client's try and recovery get
	}{
		{"free", 0, true, true},
		{"free, a stray waiters bit", ownerWaiters, true, true},
		{"a living client", client(1), false, false},
		{"a living client with waiters", client(1) | ownerWaiters, false, false},
		{"the asker's own client", client(2), false, false},
		{"a dead client", client(7), false, true},
		{"a former client of a living one's seat", OwnerWord(1, 9), false, true},
		{"no seat at all", OwnerWord(0, 5), false, true},
		{"the daemon, this epoch", daemonOf(3), false, false},
		{"the daemon, an older epoch", daemonOf(2) | ownerWaiters, true, true},
		{"a daemon that is yet to come", daemonOf(4), false, true},
		{"the tombstone of a lock", ownerRemoved | ownerWaiters, false, true},
	}
	for _, c := range cases {
		s, l := newLatch(t)
		atomic.StoreUint32(&s.page.Header.DaemonEpoch, 3)
		*l.word = c.word
		found, err := l.TryLatch(client(2))
		if c.tried != (err == nil) || err != nil && err != status.WouldBlock {
			t.Errorf("%s: a client's try: %v", c.name, err)
		}
		if stolen, want := !isFree(found), c.tried && !isFree(c.word); stolen != want {
			t.Errorf("%s: stolen %v, want %v: derived state would be used as the dead left it", c.name, stolen, want)
		}
		if want := client(2) | c.word&ownerWaiters; err == nil && *l.word != want {
			t.Errorf("%s: taken as %#x, want %#x", c.name, *l.word, want)
		}
		if err == nil {
			l.PutBack(client(2), found)
			if want := c.word; *l.word != want && !isFree(want) {
				t.Errorf("%s: put back as %#x", c.name, *l.word)
			}
		}
		*l.word = c.word
		found, got := l.Steal(daemonOf(3), alive(1, 2))
		if got != c.recover || got && found != c.word {
			t.Errorf("%s: recovery: %v, want %v; found %#x", c.name, got, c.recover, found)
		}
		want := c.word
		if c.recover {
			want = daemonOf(3) | c.word&ownerWaiters
		}
		if *l.word != want {
			t.Errorf("%s: recovery left %#x, want %#x", c.name, *l.word, want)
		}
	}
}

func TestLatchMisuse(t *testing.T) {
	_, l := newLatch(t)
	if err := l.Unlatch(client(1)); err != status.NotOwner {
		t.Errorf("unlatch of a free latch: %v", err)
	}
	if _, err := l.TryLatch(client(1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlatch(client(2)); err != status.NotOwner {
		t.Errorf("unlatch by another: %v", err)
	}
	// The daemon waits for no client, however long it is given.
	if _, err := l.Latch(context.Background(), nil, daemonOf(1), 0); err != status.WouldBlock {
		t.Errorf("the daemon: %v", err)
	}
	if hasWaiters(*l.word) {
		t.Error("the daemon has announced itself")
	}
}

// Waiters that time out or are cancelled pass their wake on: the last one gets
// the latch, and nobody is left asleep.
func TestLatchWaitersLeave(t *testing.T) {
	for _, direct := range []int{1, 16} {
		s, l := newLatch(t)
		p := NewParker(ParkerOptions{DirectMax: direct})
		for range 30 {
			if _, err := l.TryLatch(client(1)); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for seat := uint16(2); seat < 5; seat++ {
				ctx, cancel := context.WithCancel(context.Background())
				me := client(seat)
				wg.Go(func() {
					_, err := s.Latch(l.word).Latch(ctx, p, me, 0)
					if err == nil {
						err = l.Unlatch(me)
					} else if errors.Is(err, status.Cancelled) {
						err = nil
					}
					if err != nil {
						t.Error(err)
					}
				})
				wg.Go(func() {
					deadline := monotonicNs() + int64(50*time.Microsecond)
					if _, err := s.Latch(l.word).Latch(context.Background(), p, client(seat+10), deadline); err == nil {
						if err := l.Unlatch(client(seat + 10)); err != nil {
							t.Error(err)
						}
					} else if err != status.TimedOut {
						t.Error(err)
					}
				})
				await(func() bool { return s.Waiting(seat) == 1 })
				if seat%2 == 0 {
					go cancel() // races with the unlatch below: before, between, or after the wake
				}
				defer cancel()
			}
			if err := l.Unlatch(client(1)); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if w := atomic.LoadUint32(l.word); !isFree(w) {
				t.Fatalf("the latch is left as %#x", w)
			}
		}
	}
}

// Who leaves after a wake makes sure that the holder wakes the next one.
func TestLatchLeavingDuty(t *testing.T) {
	for _, duty := range []bool{false, true} {
		s, l := newLatch(t)
		if _, err := l.TryLatch(client(1)); err != nil {
			t.Fatal(err)
		}
		c := contender{seg: s, word: l.word, self: client(2), duty: duty, leave: status.Cancelled}
		if err := c.wait(context.Background(), nil, client(1)); err != status.Cancelled {
			t.Errorf("duty %v: %v", duty, err)
		}
		if hasWaiters(*l.word) != duty {
			t.Errorf("duty %v: left %#x", duty, *l.word)
		}
	}
}

// A waiter behind a dead holder, or behind one that died between its release and
// its wake, is woken by recovery of whichever dead seat.
func TestLatchRecoveryWakes(t *testing.T) {
	for _, released := range []bool{false, true} {
		s, l := newLatch(t)
		p := NewParker(ParkerOptions{})
		if _, err := l.TryLatch(client(1)); err != nil {
			t.Fatal(err)
		}
		got := make(chan error)
		go func() {
			found, err := s.Latch(l.word).Latch(context.Background(), p, client(2), 0)
			if !isFree(found) {
				err = errors.New("stolen from a recovery that had finished")
			}
			got <- err
		}()
		await(func() bool { return s.Waiting(2) == 1 })
		await(func() bool { return hasWaiters(atomic.LoadUint32(l.word)) })
		if released {
			atomic.StoreUint32(l.word, 0) // and no wake: the client died before it
		}
		if _, ok := l.Steal(daemonOf(1), alive(2)); !ok {
			t.Fatal("not stolen")
		}
		if err := l.Restore(daemonOf(1)); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}
