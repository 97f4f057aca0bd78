//go:build shmd_replay

package shm

import (
	"fmt"
	"testing"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the event. Properties, for every operation of a dying client,
// every prefix of its stores, and every prefix of recovery's own stores after that (the
// daemon dies too):
//
//  1. recovery leaves the word alone, which is right after every prefix;
//  2. whoever slept through it finds another word, or is announced in the one it sleeps on;
//     with auto reset, somebody has been woken or the bit is set, unless nobody is needed;
//  3. the seat of the dead counts no sleepers;
//  4. a live client can set, wait, reset and, without auto reset, pulse.
//
// Wakes are no stores: that recovery repeats them is in event_death_test.go.

type eventCase struct {
	name    string
	flags   Flags
	prepare func(*Event)
	op      func(*Event)
}

func eventCases() []eventCase {
	a := actor(victimSeat)
	set := func(e *Event) { must(e.Set(a)) }
	reset := func(e *Event) { must(e.Reset(a)) }
	pulse := func(e *Event) { must(e.Pulse(a)) }
	take := func(e *Event) { must(e.try(victimSeat)) }
	giveUp := func(e *Event) {
		if err := e.Wait(background, NewParker(ParkerOptions{}), a, 1); err != status.TimedOut {
			panic(err)
		}
	}
	armed := func(e *Event) {
		*e.word |= map[bool]uint32{false: eventWaiters, true: semaphoreWaiters}[e.auto != nil]
	}
	asDaemon := func(e *Event) { must(e.Set(forClient(victimSeat))) }
	return []eventCase{
		{"set", 0, nil, set},
		{"set what is set", 0, set, set},
		{"set with waiters", 0, armed, set},
		{"pulse", 0, nil, pulse},
		{"pulse what is set", 0, set, pulse},
		{"pulse with waiters", 0, armed, pulse},
		{"reset", 0, set, reset},
		{"set and reset with waiters", 0, armed, func(e *Event) { set(e); reset(e) }},
		{"announce and give up", 0, nil, giveUp},
		{"give up beside waiters", 0, armed, giveUp},
		{"the daemon's set for a client", 0, armed, asDaemon},
		{"auto: set", FlagAutoReset, nil, set},
		{"auto: set what is set", FlagAutoReset, set, set},
		{"auto: set with waiters", FlagAutoReset, armed, set},
		{"auto: take", FlagAutoReset, set, take},
		{"auto: reset", FlagAutoReset, set, reset},
		{"auto: announce and give up", FlagAutoReset, nil, giveUp},
		{"auto: give up beside waiters", FlagAutoReset, armed, giveUp},
		{"auto: the daemon's set for a client", FlagAutoReset, armed, asDaemon},
	}
}

func TestEventPrefixReplay(t *testing.T) {
	for _, c := range eventCases() {
		t.Run(c.name, func(t *testing.T) {
			start := newEvent(t, false, c.flags)
			if c.prepare != nil {
				c.prepare(start)
			}
			whole := clone(start.seg)
			stores := storesOf(t, whole, func() { c.op(whole.Event()) })
			seen := []uint32{*start.word} // what stood in the word, in order
			for k, image := range stores.prefixes(start.seg) {
				seen = append(seen, *image.Event().word)
				full := clone(image)
				recovering := recordStores(full, func() { full.Recover(victimOf(victimSeat)) })
				for j, again := range recovering.prefixes(image) {
					if _, done := again.Recover(victimOf(victimSeat)); !done {
						t.Fatalf("prefix %d, recovery prefix %d: not done", k, j)
					}
					if err := checkEvent(seen, again.Event()); err != nil {
						t.Errorf("prefix %d of %d, recovery prefix %d of %d: %v",
							k, len(stores), j, len(recovering), err)
					}
				}
			}
		})
	}
}

// checkEvent looks at a recovered event in whose word these stood before, the first before
// the operation and the last when its client died.
func checkEvent(seen []uint32, e *Event) error {
	if n := e.seg.Waiting(victimSeat); n != 0 {
		return fmt.Errorf("%d of the dead wait", n)
	}
	if is, died := *e.word, seen[len(seen)-1]; is != died {
		return fmt.Errorf("recovery has made %#x of %#x", is, died)
	}
	for _, was := range seen {
		if e.auto != nil {
			// Asleep on the bare bit, or about to. Recovery has woken one, who needs
			// the bit only if there is nothing for it.
			if was == semaphoreWaiters && *e.word < semaphoreStep && *e.word != semaphoreWaiters {
				return fmt.Errorf("nothing is set, and nobody is announced: %#x", *e.word)
			}
			continue
		}
		if was&eventWaiters != 0 && *e.word != was && !eventOver(*e.word, was) {
			return fmt.Errorf("whoever sleeps on %#x is not released by %#x", was, *e.word)
		}
	}
	return useEvent(e)
}

// useEvent does what a live client would do next.
func useEvent(e *Event) error {
	me := actor(liveSeat)
	if err := e.Set(me); err != nil {
		return fmt.Errorf("set: %w", err)
	}
	if set, err := e.IsSet(); !set || err != nil || e.Waiters() {
		return fmt.Errorf("set %v, waiters %v, %w", set, e.Waiters(), err)
	}
	if err := e.Wait(background, nil, me, -1); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	if e.auto == nil {
		if err := e.Pulse(me); err != nil {
			return fmt.Errorf("pulse: %w", err)
		}
		must(e.Set(me))
		must(e.Reset(me))
	}
	if err := e.try(liveSeat); err != status.WouldBlock {
		return fmt.Errorf("try: %w", err)
	}
	return nil
}
