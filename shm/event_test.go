package shm

import (
	"testing"

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

func (e *Event) try(seat uint16) error { return e.Wait(background, nil, actor(seat), 0) }

func TestEventIsSetAtFirst(t *testing.T) {
	bothResets(t, func(t *testing.T, flags Flags) {
		for _, first := range []bool{false, true} {
			e := newEvent(t, first, flags)
			if set, err := e.IsSet(); set != first || err != nil {
				t.Errorf("set %v: %v %v", first, set, err)
			}
			want := map[bool]error{false: status.WouldBlock}[first]
			if err := e.try(1); err != want {
				t.Errorf("set %v: try: %v", first, err)
			}
		}
	})
}

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
		for _, direct := range []int{1, 16} {
			e, p := newEvent(t, false, 0), NewParker(ParkerOptions{DirectMax: direct})
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
	}
}

// With auto reset one wait ends for each set.
func TestEventReleasesOne(t *testing.T) {
	e, p := newEvent(t, false, FlagAutoReset), NewParker(ParkerOptions{})
	ended := e.sleepers(p, 3)
	for range 3 {
		if err := e.Set(actor(1)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
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
		t.Errorf("one set, two waits: %v", err)
	}
}
