package shm

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// newEvent makes an event on the heap, in epoch 1.
func newEvent(t *testing.T, set bool, flags Flags) *Event {
	t.Helper()
	g, err := NewEventGeometry(set, flags, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).Event()
}

func bothResets(t *testing.T, test func(t *testing.T, flags Flags)) {
	for _, flags := range []Flags{0, FlagAutoReset} {
		t.Run(map[Flags]string{0: "manual", FlagAutoReset: "auto"}[flags], func(t *testing.T) { test(t, flags) })
	}
}

// everyParker runs a test with direct sleepers, with ones that share a thread, with ones
// that are looked at every tick, and on one processor, where who spins keeps all from running.
func everyParker(t *testing.T, test func(t *testing.T, o ParkerOptions)) {
	for name, o := range map[string]ParkerOptions{
		"direct":   {DirectMax: 64},
		"shared":   {DirectMax: 1},
		"fallback": {DirectMax: 1, WithoutWaitv: true},
	} {
		t.Run(name, func(t *testing.T) { test(t, o) })
	}
	t.Run("one processor", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		test(t, ParkerOptions{DirectMax: 2})
	})
}

func (e *Event) try(seat uint16) error { return e.Wait(background, nil, actor(seat), 0) }

// sleepers starts n waits, and returns when all sleep.
func (e *Event) sleepers(p *Parker, count int) <-chan error {
	ended := make(chan error, count)
	for i := range count {
		a, view := actor(uint16(10+i)), e.seg.Event()
		go func() { ended <- view.Wait(background, p, a, -1) }()
		await(func() bool { return e.seg.Waiting(SeatOf(a.Seat)) == 1 && e.Waiters() })
	}
	return ended
}

func TestEventGeometry(t *testing.T) {
	for _, c := range []struct {
		flags Flags
		seats uint32
		good  bool
	}{
		{0, 1, true},
		{FlagAutoReset, SeatsLimit, true},
		{FlagUndo, 1, false},
		{FlagRecursive, 1, false},
		{0, 0, false},
		{0, SeatsLimit + 1, false},
	} {
		g, err := NewEventGeometry(true, c.flags, c.seats)
		if c.good != (err == nil) || err != nil && !errors.Is(err, status.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil {
			g.ID = 7
			if err := g.Validate(); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		}
	}
}

// What each operation makes of each state, and what a wait says before and after it. A try
// of auto reset takes the set.
func TestEventOperations(t *testing.T) {
	me := actor(1)
	for _, c := range []struct {
		op    string
		flags Flags
		first bool
		do    func(e *Event) error
		set   bool
		err   status.Code
	}{
		{"nothing", 0, false, nil, false, status.OK},
		{"nothing", 0, true, nil, true, status.OK},
		{"nothing", FlagAutoReset, false, nil, false, status.OK},
		{"nothing", FlagAutoReset, true, nil, true, status.OK},
		{"set", 0, false, func(e *Event) error { return e.Set(me) }, true, status.OK},
		{"set", 0, true, func(e *Event) error { return e.Set(me) }, true, status.OK},
		{"set", FlagAutoReset, false, func(e *Event) error { return e.Set(me) }, true, status.OK},
		{"set", FlagAutoReset, true, func(e *Event) error { return e.Set(me) }, true, status.OK},
		{"reset", 0, false, func(e *Event) error { return e.Reset(me) }, false, status.OK},
		{"reset", 0, true, func(e *Event) error { return e.Reset(me) }, false, status.OK},
		{"reset", FlagAutoReset, false, func(e *Event) error { return e.Reset(me) }, false, status.OK},
		{"reset", FlagAutoReset, true, func(e *Event) error { return e.Reset(me) }, false, status.OK},
		{"pulse", 0, false, func(e *Event) error { return e.Pulse(me) }, false, status.OK},
		{"pulse", 0, true, func(e *Event) error { return e.Pulse(me) }, false, status.OK},
		{"pulse", FlagAutoReset, false, func(e *Event) error { return e.Pulse(me) }, false, status.Unsupported},
		{"pulse", FlagAutoReset, true, func(e *Event) error { return e.Pulse(me) }, true, status.Unsupported},
		{"wait", 0, true, func(e *Event) error { return e.Wait(background, nil, me, -1) }, true, status.OK},
		{"wait", FlagAutoReset, true, func(e *Event) error { return e.Wait(background, nil, me, -1) }, false,
			status.OK},
	} {
		e := newEvent(t, c.first, c.flags)
		before := *e.word
		if c.do != nil {
			if err := c.do(e); status.Of(err) != c.err {
				t.Errorf("%+v: %v", c, err)
			}
		}
		if c.op != "pulse" && c.set == c.first && *e.word != before {
			t.Errorf("%+v: it was so already, and the word has changed to %#x", c, *e.word)
		}
		if set, err := e.IsSet(); set != c.set || err != nil || e.Waiters() {
			t.Errorf("%+v: set %v, waiters %v, %v", c, set, e.Waiters(), err)
		}
		want := map[bool]error{false: status.WouldBlock}[c.set]
		if err := e.try(2); err != want {
			t.Errorf("%+v: try: %v", c, err)
		}
		stays := c.set && c.flags == 0
		if set, _ := e.IsSet(); set != stays {
			t.Errorf("%+v: set %v after a try", c, set)
		}
	}
}

// What an event refuses leaves it as it was; looking is allowed to whoever may read.
func TestEventRefuses(t *testing.T) {
	operations := map[string]func(e *Event, a Actor) error{
		"set":   (*Event).Set,
		"reset": (*Event).Reset,
		"pulse": (*Event).Pulse,
		"wait":  func(e *Event, a Actor) error { return e.Wait(background, nil, a, -1) },
	}
	bothResets(t, func(t *testing.T, flags Flags) {
		for name, do := range operations {
			for _, c := range []struct {
				what     string
				readOnly bool
				a        Actor
				want     status.Code
			}{
				{"read-only", true, actor(1), status.Permission},
				{"nobody", false, Actor{}, status.Invalid},
				{"a seat that is not there", false, actor(SeatsDefault + 1), status.Invalid},
				{"the daemon's seat", false, ClientActor(daemonOf(1)), status.Invalid},
			} {
				e := newEvent(t, true, flags)
				e.seg.readOnly = c.readOnly
				before := append([]byte(nil), e.seg.mem...)
				if err := do(e, c.a); status.Of(err) != c.want {
					t.Errorf("%s, %s: %v, want %v", name, c.what, err, c.want)
				}
				if set, err := e.IsSet(); !set || err != nil {
					t.Errorf("%s, %s: is_set: %v %v", name, c.what, set, err)
				}
				if string(before) != string(e.seg.mem) {
					t.Errorf("%s, %s: something was changed", name, c.what)
				}
			}
		}
	})
}

// Whoever waits is released by what is set, pulsed, or set and reset at once.
func TestEventReleases(t *testing.T) {
	me := actor(1)
	for name, release := range map[string]func(e *Event) error{
		"set":   func(e *Event) error { return e.Set(me) },
		"pulse": func(e *Event) error { return e.Pulse(me) },
		"set and reset": func(e *Event) error {
			if err := e.Set(me); err != nil {
				return err
			}
			return e.Reset(me)
		},
	} {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			// The generation wraps, too.
			for _, word := range []uint32{0, eventGenerationMask, eventGenerationMask - eventGenerationUnit} {
				e, p := newEvent(t, false, 0), NewParker(o)
				*e.word = word
				ended := e.sleepers(p, 3)
				if err := release(e); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := <-ended; err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if set, _ := e.IsSet(); set != (name == "set") || e.Waiters() {
					t.Errorf("%s: set %v, waiters %v afterwards", name, set, e.Waiters())
				}
			}
		})
	}
}

// With auto reset one wait ends for each set.
func TestEventReleasesOne(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		e, p := newEvent(t, false, FlagAutoReset), NewParker(o)
		ended := e.sleepers(p, 3)
		for range 3 {
			if err := e.Set(actor(1)); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if set, _ := e.IsSet(); set {
				t.Error("the wait has left the event set")
			}
		}
		for range 2 { // setting what is set changes nothing
			if err := e.Set(actor(1)); err != nil {
				t.Error(err)
			}
		}
		if err := e.try(1); err != nil {
			t.Error(err)
		}
		if err := e.try(1); err != status.WouldBlock {
			t.Errorf("two sets, two waits: %v", err)
		}
	})
}

func TestEventEndsInVain(t *testing.T) {
	bothResets(t, func(t *testing.T, flags Flags) {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			e, p := newEvent(t, false, flags), NewParker(o)
			busy, stop := context.WithCancel(background)
			first := make(chan error)
			go func() { first <- e.Wait(busy, p, actor(9), -1) }() // takes a direct place
			await(func() bool { return e.seg.Waiting(9) == 1 })
			if err := e.Wait(background, p, actor(1), time.Microsecond); err != status.TimedOut {
				t.Errorf("timeout: %v", err)
			}
			short, end := context.WithTimeout(background, time.Microsecond)
			defer end()
			if err := e.Wait(short, p, actor(1), -1); err != status.TimedOut {
				t.Errorf("ctx's deadline: %v", err)
			}
			gone, cancel := context.WithCancel(background)
			cancel()
			if err := e.Wait(gone, p, actor(1), -1); err != status.Cancelled {
				t.Errorf("cancelled before: %v", err)
			}
			stop()
			if err := <-first; err != status.Cancelled {
				t.Errorf("cancelled asleep: %v", err)
			}
			if n := e.seg.Waiting(1) + e.seg.Waiting(9); n != 0 {
				t.Errorf("%d still wait, as the seat cells say", n)
			}
			// The bit that they left behind costs the next set a call, and no further one.
			if err := e.Set(actor(1)); err != nil {
				t.Error(err)
			}
			if e.Waiters() {
				t.Error("the waiters bit is left set")
			}
		})
	})
}

// What was written before a set is there after the wait that it ends: the race detector
// sees to it. Rounds of a manual event need two, one for each direction.
func TestEventOrders(t *testing.T) {
	bothResets(t, func(t *testing.T, flags Flags) {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			there, back := newEvent(t, false, flags), newEvent(t, false, flags)
			p, n, rounds := NewParker(o), 0, 100
			side := func(me Actor, mine, others *Event, goes bool) error {
				for range rounds {
					if !goes {
						if err := mine.Wait(background, p, me, -1); err != nil {
							return err
						}
						if err := mine.Reset(me); err != nil {
							return err
						}
					}
					n, goes = n+1, false
					if err := others.Set(me); err != nil {
						return err
					}
				}
				return nil
			}
			ended := make(chan error)
			go func() { ended <- side(actor(1), there.seg.Event(), back, true) }()
			if err := side(actor(2), back.seg.Event(), there, false); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil || n != 2*rounds {
				t.Errorf("%d rounds: %v", n, err)
			}
		})
	})
}

// An event with auto reset that begins set excludes like a lock. Clients that time out and
// are cancelled take nothing with them.
func TestEventConserves(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		const threads, rounds = 6, 100
		e, p := newEvent(t, true, FlagAutoReset), NewParker(o)
		counter := 0 // not atomic: the race detector proves the exclusion
		var taken atomic.Int32
		var wg sync.WaitGroup
		for i := range threads {
			view, a := e.seg.Event(), actor(uint16(i/2+1))
			wg.Go(func() {
				for r := range rounds {
					ctx, cancel, timeout := patience(r + i)
					err := view.Wait(ctx, p, a, timeout)
					cancel()
					switch {
					case err == nil:
						counter++
						taken.Add(1)
						if err := view.Set(a); err != nil {
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
		if set, _ := e.IsSet(); !set || counter != int(taken.Load()) {
			t.Errorf("set %v, counted %d of %d", set, counter, taken.Load())
		}
		for range 2 {
			if err := errors.Join(e.Wait(background, p, actor(1), -1), e.Set(actor(1))); err != nil {
				t.Error(err)
			}
		}
		if e.Waiters() {
			t.Error("the waiters bit is left set")
		}
	})
}

func TestEventRemoved(t *testing.T) {
	bothResets(t, func(t *testing.T, flags Flags) {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			e, p := newEvent(t, false, flags), NewParker(o)
			ended := e.sleepers(p, 3)
			for range 2 { // it may be repeated
				if !e.seg.Remove() {
					t.Error("not done")
				}
			}
			for range 3 {
				if err := <-ended; err != status.Removed {
					t.Error(err)
				}
			}
			_, looked := e.IsSet()
			for name, err := range map[string]error{
				"wait": e.Wait(background, p, actor(1), -1), "try": e.try(1), "set": e.Set(actor(1)),
				"reset": e.Reset(actor(1)), "is_set": looked,
			} {
				if err != status.Removed {
					t.Errorf("%s: %v", name, err)
				}
			}
			if err := e.Pulse(actor(1)); flags == 0 && err != status.Removed {
				t.Errorf("pulse: %v", err)
			}
			if e.Waiters() || *e.word != eventRemoved {
				t.Errorf("the word is left as %#x", *e.word)
			}
		})
	})
}
