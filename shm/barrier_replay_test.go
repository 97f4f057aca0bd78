//go:build shmd_replay

package shm

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the barrier. Properties, for every operation of a dying
// client, every prefix of its stores, and every prefix of recovery's own stores
// after that (the daemon dies too), with what clients may do before it comes again:
//
//  1. after recovery the cell of the dead is 0 and the word does not name it;
//  2. if it was a party, its death has broken exactly one generation, else none;
//  3. what was over before is as it was: no outcome in the history changes;
//  4. whoever might sleep finds another word, unless it was broken already;
//  5. after a reset, live clients fill the barrier and are released.

// barrierCase starts with a barrier of two parties in which nobody has arrived.
type barrierCase struct {
	name    string
	prepare func(*Barrier)
	op      func(*Barrier)
}

func barrierCases() []barrierCase {
	me, live := actor(victimSeat), actor(liveSeat)
	arrived := func(b *Barrier) { must(b.join(live.Seat)); b.set(b.load().in(barrierFill, 1)) }
	party := func(b *Barrier) { must(b.Declare(me)) }
	leading := func(b *Barrier) {
		arrived(b)
		must(second(b.Arrive(background, nil, me, 0, true)))
	}
	led := func(b *Barrier) { // by a live one
		arrived(b)
		must(second(b.Arrive(background, nil, live, 0, true)))
	}
	ends := func(want status.Code, ctx context.Context, timeout time.Duration) func(*Barrier) {
		return func(b *Barrier) {
			if _, err := b.Arrive(ctx, NewParker(ParkerOptions{}), me, timeout, false); err != want {
				panic(err)
			}
		}
	}
	timesOut := ends(status.TimedOut, background, 1)
	gone, cancel := context.WithCancel(background)
	cancel()
	old := func(b *Barrier) { // beyond the history, in which deaths are
		party(b)
		for range 9 {
			must(b.Abort(live))
			must(second(b.Reset(live)))
		}
	}
	current := func(ok bool) func(*Barrier) { return func(b *Barrier) { must(b.CompleteCurrent(me, ok)) } }
	return []barrierCase{
		{"declare", nil, party},
		{"arrive and time out", nil, timesOut},
		{"arrive again and time out", party, timesOut},
		{"arrive and be cancelled", nil, ends(status.Cancelled, gone, -1)},
		{"arrive last", arrived, func(b *Barrier) { must(second(b.Arrive(background, nil, me, 0, false))) }},
		{"arrive last as a party of old", func(b *Barrier) { old(b); arrived(b) },
			func(b *Barrier) { must(second(b.Arrive(background, nil, me, 0, false))) }},
		{"lead", arrived, func(b *Barrier) { must(second(b.Arrive(background, nil, me, 0, true))) }},
		{"complete", leading, current(true)},
		{"complete as failed", leading, current(false)},
		{"arrive during an action", led, ends(status.Cancelled, gone, -1)},
		{"abort", arrived, func(b *Barrier) { must(b.Abort(me)) }},
		{"abort as a party", func(b *Barrier) { party(b); arrived(b) }, func(b *Barrier) { must(b.Abort(me)) }},
		{"reset", arrived, func(b *Barrier) { must(second(b.Reset(me))) }},
		{"reset as a party", func(b *Barrier) { party(b); must(b.Abort(live)) },
			func(b *Barrier) { must(second(b.Reset(me))) }},
		{"reset what a death has broken", func(b *Barrier) {
			party(b)
			must(b.join(client(3)))
			b.seg.Recover(deathOf(3))
		}, func(b *Barrier) { must(second(b.Reset(me))) }},
	}
}

func TestBarrierPrefixReplay(t *testing.T) {
	images := 0
	for _, c := range barrierCases() {
		t.Run(c.name, func(t *testing.T) {
			start := newBarrier(t, 2)
			if c.prepare != nil {
				c.prepare(start)
			}
			whole := clone(start.seg)
			stores := storesOf(t, whole, func() { c.op(whole.Barrier()) })
			for k, image := range stores.prefixes(start.seg) {
				for name, between := range betweenRecoveries() {
					n, err := replayBarrier(image, between)
					if images += n; err != nil {
						t.Errorf("prefix %d of %d, then %s: %v", k, len(stores), name, err)
					}
				}
			}
		})
	}
	t.Logf("%d images recovered", images)
}

// betweenRecoveries is what live clients do while no daemon is there; they have no
// part in the deaths.
func betweenRecoveries() map[string]func(*Barrier) {
	reset := func(b *Barrier) { must(second(b.Reset(actor(liveSeat)))) }
	fill := func(b *Barrier) { // the live party and another one go through
		for w := b.load(); w.phase() == barrierFill; w = b.load() {
			if b.move(w, w.next(barrierWasOK)) {
				return
			}
		}
	}
	return map[string]func(*Barrier){
		"nothing":      func(*Barrier) {},
		"reset":        reset,
		"reset twice":  func(b *Barrier) { reset(b); reset(b) },
		"fill":         fill,
		"reset, fill":  func(b *Barrier) { reset(b); fill(b) },
		"abort":        func(b *Barrier) { must(b.Abort(actor(liveSeat))) },
		"abort, reset": func(b *Barrier) { must(b.Abort(actor(liveSeat))); reset(b) },
		"fill, reset, ...": func(b *Barrier) {
			fill(b)
			reset(b)
			fill(b)
			reset(b)
			fill(b)
			reset(b)
		},
	}
}

// replayBarrier recovers the image once in full, and once more after each prefix of
// recovery's stores and what happens between.
func replayBarrier(image *Segment, between func(*Barrier)) (images int, err error) {
	v := deathOf(victimSeat, liveSeat, 3)
	full := clone(image)
	done := false
	stores := recordStores(full, func() { _, done = full.Recover(v) })
	if !done {
		return 0, fmt.Errorf("recovery is not done")
	}
	for j, again := range stores.prefixes(image) {
		between(again.Barrier())
		if _, done := again.Recover(v); !done {
			return images, fmt.Errorf("recovery after %d of %d stores of the last is not done", j, len(stores))
		}
		images++
		if err := checkBarrier(image.Barrier(), again.Barrier()); err != nil {
			return images, fmt.Errorf("recovery prefix %d of %d: %w", j, len(stores), err)
		}
	}
	return images, nil
}

// deaths counts the generations since g that a death has broken, g included.
func deaths(w barrierWord, g uint64) int {
	n := 0
	if w.phase() == barrierBroken && w.field()&barrierByDeath != 0 {
		n++
	}
	for since := uint64(1); since <= w.since(g) && since <= barrierHistoryLength; since++ {
		if w.outcome(since) == barrierWasDeath {
			n++
		}
	}
	return n
}

func checkBarrier(image, b *Barrier) error {
	was, is := image.load(), b.load()
	if b.cells[victimSeat].Word != 0 || b.led(is, client(victimSeat)) || b.seg.Waiting(victimSeat) != 0 {
		return fmt.Errorf("words still name the dead client: %#x", is)
	}
	before, after := deaths(was, was.generation()), deaths(is, was.generation())
	party := image.cells[victimSeat].Word != 0
	switch {
	case !party && after != before:
		return fmt.Errorf("%d generations are broken by the death of an observer", after-before)
	case party && (after < 1 || after > before+1):
		return fmt.Errorf("%d generations are broken by a death, and %d were", after, before)
	case party && is == was && was.phase() != barrierBroken:
		return fmt.Errorf("the word has not moved")
	case party && b.lines.Death.Pid != 7:
		return fmt.Errorf("nobody knows who died")
	}
	kept := is.since(was.generation())
	for since := uint64(1); since+kept <= barrierHistoryLength; since++ {
		if is.outcome(since+kept) != was.outcome(since) {
			return fmt.Errorf("the history %#x has changed to %#x", was, is)
		}
	}
	return useBarrier(b)
}

// useBarrier does what live clients would do next.
func useBarrier(b *Barrier) error {
	if _, err := b.Reset(actor(liveSeat)); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	ended := make(chan error)
	go func() {
		ended <- second(b.Arrive(background, NewParker(ParkerOptions{}), actor(liveSeat), -1, false))
	}()
	await(func() bool { return b.Status().Waiting == 1 })
	if r, err := b.Arrive(background, nil, actor(3), 0, false); err != nil || r.Index != 1 {
		return fmt.Errorf("arrive: %v, %w", r, err)
	}
	return <-ended
}
