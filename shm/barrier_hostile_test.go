package shm

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/status"
)

// Any bit pattern in word and cell: every operation ends, with an error of a
// documented kind, and so do recovery and removal.
func TestBarrierAnyWord(t *testing.T) {
	p := NewParker(ParkerOptions{})
	me := actor(1)
	var words []barrierWord
	for _, field := range []uint32{0, 1, 2, 3, 64, 65, 4095} {
		for phase := range uint32(4) {
			for _, rest := range []uint64{0, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, 1<<64 - 1} {
				words = append(words, barrierWord(rest).in(phase, field))
			}
		}
	}
	for _, word := range words {
		for _, cell := range []uint64{0, partyParty, partyCharged, 3, charge(word.generation()), charge(7), 1 << 63,
			1<<64 - 1} {
			fresh := func() *Barrier {
				b := newBarrier(t, 3)
				b.set(word)
				b.cells[1].Word = cell
				return b
			}
			for what, do := range map[string]func(*Barrier) error{
				"arrive":    func(b *Barrier) error { return second(b.Arrive(background, p, me, 1, false)) },
				"try":       func(b *Barrier) error { return second(b.Arrive(background, nil, me, 0, true)) },
				"wait":      func(b *Barrier) error { return b.await(background, p, me, word.generation(), 1) },
				"wait late": func(b *Barrier) error { return b.await(background, p, me, word.generation()-3, 1) },
				"complete": func(b *Barrier) error {
					return b.Complete(me, Arrival{Leader: true, generation: word.generation()}, true)
				},
				"complete current": func(b *Barrier) error { return b.CompleteCurrent(me, false) },
				"abort":            func(b *Barrier) error { return b.Abort(me) },
				"declare":          func(b *Barrier) error { return b.Declare(me) },
			} {
				b := fresh()
				err := do(b)
				if !barrierMaySay(err) {
					t.Errorf("%s at %#x: %v", what, word, err)
				}
				_ = fmt.Sprint(err, b.Status(), b.Status().Reasons)
			}
			for _, v := range []Victim{deathOf(1), victimOf(1)} {
				b := fresh()
				if _, done := b.seg.Recover(v); !done || b.cells[1].Word != 0 {
					t.Errorf("recovery at %#x, %#x: done %v, cell %#x", word, cell, done, b.cells[1].Word)
				}
			}
			// A reset repairs whatever it was.
			b := fresh()
			if _, err := b.Reset(me); err != nil {
				t.Errorf("reset of %#x: %v", word, err)
			}
			next := BarrierStatus{Parties: 3, Generation: (word.generation() + 1) & barrierGenerationMax}
			if st := b.Status(); st != next {
				t.Errorf("reset of %#x: %+v", word, st)
			}
			if b = fresh(); !b.seg.Remove() {
				t.Errorf("removal at %#x is not done", word)
			}
		}
	}
}

func barrierMaySay(err error) bool {
	return slices.Contains([]status.Code{status.OK, status.WouldBlock, status.TimedOut, status.Broken,
		status.PeerDied, status.OutcomeUnknown, status.NotOwner, status.Corrupt}, status.Of(err))
}

// scribbledTwice maps a segment twice, so that only the scribbler's stores are wild.
func scribbledTwice(t *testing.T, g Geometry) (tame, wild *Segment) {
	t.Helper()
	tame, f, err := CreateSegment(g, SegmentOptions{Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmap(t, tame); _ = f.Close() })
	tame.Publish()
	if wild, err = MapSegment(f, g, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unmap(t, wild) })
	return tame, wild
}

// scribbling runs the workers while somebody writes random words over what the kind
// has of its own, and the daemon recovers.
func scribbling(t *testing.T, g Geometry, worker func(s *Segment, seat uint16, rng *rand.Rand)) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s, wild := scribbledTwice(t, g)
	var workers, enemies sync.WaitGroup
	var over atomic.Bool
	for seat := range uint16(4) {
		rng := rand.New(rand.NewPCG(seed, uint64(seat)))
		workers.Go(func() { worker(s, seat+1, rng) })
	}
	enemies.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 99))
		places := []uint64{kindOffset, kindOffset + 8}
		for seat := range uint64(6) {
			places = append(places, g.CellsOffset+seat*(g.SegmentSize-g.CellsOffset)/uint64(g.SeatsMax+1)&^7)
		}
		for !over.Load() {
			word := rng.Uint64() >> (rng.IntN(4) * 16) << (rng.IntN(4) * 16)
			at := places[rng.IntN(len(places))]
			atomic.StoreUint64((*uint64)(unsafe.Pointer(&wild.mem[at])), word)
		}
	})
	enemies.Go(func() {
		for !over.Load() {
			s.Recover(deathOf(1, 2, 3, 4)) // what it takes away is an error to its thread
			s.Recover(victimOf(9, 1, 2, 3, 4))
		}
	})
	workers.Wait()
	over.Store(true)
	enemies.Wait()
}

func TestBarrierScribbler(t *testing.T) {
	g, err := NewBarrierGeometry(2, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	p := NewParker(ParkerOptions{DirectMax: 1})
	scribbling(t, g, func(s *Segment, seat uint16, rng *rand.Rand) {
		b, me := s.Barrier(), actor(seat)
		var r Arrival
		for range 3000 {
			var err error
			switch rng.IntN(8) {
			case 0, 1, 2:
				r, err = b.Arrive(background, p, me, time.Duration(rng.IntN(20))*time.Microsecond, rng.IntN(2) == 0)
			case 3:
				err = b.Complete(me, r, rng.IntN(2) == 0)
			case 4:
				err = b.CompleteCurrent(me, true)
			case 5:
				err = b.Abort(me)
			case 6:
				_, err = b.Reset(me)
			case 7:
				err = b.Declare(me)
			}
			if !barrierMaySay(err) {
				t.Errorf("seat %d: %v", seat, err)
			}
		}
	})
}
