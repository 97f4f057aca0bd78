package shm

import (
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

// The crash table: where a party dies, and what the others are told.
func TestBarrierDeath(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, b *Barrier) // seat 3 of three parties is the victim
		breaks bool
	}{
		{"an observer", func(*testing.T, *Barrier) {}, false},
		{"declared", func(t *testing.T, b *Barrier) {
			if err := b.Declare(actor(3)); err != nil {
				t.Error(err)
			}
		}, true},
		{"arrived", func(_ *testing.T, b *Barrier) { // and asleep, in another process
			must(b.join(client(3)))
			b.set(b.load().in(barrierFill, b.load().field()+1))
		}, true},
		{"acting", func(_ *testing.T, b *Barrier) {
			must(b.join(client(3)))
			b.set(b.load().in(barrierAction, 3))
		}, true},
	} {
		p := NewParker(ParkerOptions{})
		b := newBarrier(t, 3)
		ended := b.arrivals(background, p, 1)
		c.before(t, b)
		v := deathOf(3, 1, 2)
		for run := range 2 {
			if held, done := b.seg.Recover(v); held != (c.breaks && run == 0) || !done {
				t.Errorf("%s: held %v, done %v", c.name, held, done)
			}
		}
		if b.cells[3].Word != 0 {
			t.Errorf("%s: the cell is %#x", c.name, b.cells[3].Word)
		}
		if !c.breaks {
			if st := b.Status(); st.Broken || st.LastDeath != nil || len(ended) != 0 {
				t.Errorf("%s: %+v", c.name, st)
			}
			continue
		}
		err := <-ended
		wantCode(t, c.name, err, status.PeerDied)
		for _, part := range []string{"pid 7 ", "uid 8,", "seat 3;"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", c.name, err, part)
			}
		}
		if st := b.Status(); st.Reasons != BrokenByDeath || st.LastDeath == nil || st.LastDeath.Deaths != 1 {
			t.Errorf("%s: %+v", c.name, st)
		}
	}
}

// A party that dies after its generation ended breaks the next one: who waited for
// the old one is released.
func TestBarrierDeathAfterTheEnd(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	ended := b.arrivals(background, p, 1)
	// As if seat 2 had died between its store and its wake.
	must(b.join(client(2)))
	if !b.move(b.load(), b.load().next(barrierWasOK)) {
		t.Fatal("not moved")
	}
	if held, done := b.seg.Recover(deathOf(2, 1)); !held || !done {
		t.Error(held, done)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_, err := b.Arrive(background, p, actor(1), -1, false)
	wantCode(t, "the next one", err, status.PeerDied)
}

// Who leaves in an orderly way breaks nothing, unless it should have acted.
func TestBarrierOrderlyEnd(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	if err := b.Declare(actor(2)); err != nil {
		t.Fatal(err)
	}
	ended := b.arrivals(background, p, 1)
	v := victimOf(2, 1)
	if held, done := b.seg.Recover(v); held || !done || b.cells[2].Word != 0 || b.Status().Broken {
		t.Errorf("%v, %v, %+v", held, done, b.Status())
	}
	b.lead(t)
	if held, done := b.seg.Recover(v); !held || !done {
		t.Errorf("%v, %v", held, done)
	}
	wantCode(t, "who waited for the action", <-ended, status.Broken)
	if st := b.Status(); st.Reasons != BrokenByAbort || b.cells[2].Word != 0 {
		t.Errorf("%+v", st)
	}
}

// One generation for each death, at most: none is silent, none breaks two.
func TestBarrierDeathsAreCharged(t *testing.T) {
	b := newBarrier(t, 4)
	for seat := range uint16(4) {
		if err := b.Declare(actor(seat + 1)); err != nil {
			t.Fatal(err)
		}
	}
	b.seg.Recover(deathOf(1))
	b.seg.Recover(deathOf(2)) // finds it broken
	if st := b.Status(); st.Generation != 0 || st.Reasons != BrokenByDeath || st.LastDeath.Deaths != 2 {
		t.Errorf("%+v", st)
	}
	if n, err := b.Reset(actor(4)); err != nil || n == nil || n.Seat != 2 {
		t.Error(n, err)
	}
	if n, err := b.Reset(actor(4)); err != nil || n != nil {
		t.Error(n, err)
	}
	// The daemon dies after the break, and a client resets before its successor comes.
	b.cells[3].Word = charge(b.Status().Generation)
	w := b.load()
	b.set(w.broken(barrierByDeath).next(barrierWasDeath))
	if held, done := b.seg.Recover(deathOf(3)); held || !done || b.Status().Broken {
		t.Errorf("%v, %v, %+v", held, done, b.Status())
	}
	// The same before the break: the current generation is as good.
	b.cells[4].Word = charge(b.Status().Generation - 2)
	if held, done := b.seg.Recover(deathOf(4)); !held || !done || b.Status().Reasons != BrokenByDeath {
		t.Errorf("%v, %v, %+v", held, done, b.Status())
	}
	// Charged longer ago than the history goes.
	if _, err := b.Reset(actor(5)); err != nil {
		t.Error(err)
	}
	b.cells[4].Word = charge((b.Status().Generation - 9) & barrierGenerationMax)
	if held, done := b.seg.Recover(deathOf(4)); !held || !done || b.Status().Reasons != BrokenByDeath {
		t.Errorf("%v, %v, %+v", held, done, b.Status())
	}
}

// What the daemon still does for a client whose death is charged does not make it a
// party again: its recovery would break another generation.
func TestBarrierDeadArrivesNoMore(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	must(b.Declare(actor(1)))
	if broke, done := b.PartyDied(deathOf(1)); !broke || !done {
		t.Error(broke, done)
	}
	if n, err := b.Reset(actor(2)); err != nil || n == nil || n.Seat != 1 {
		t.Error(n, err)
	}
	_, err := b.Arrive(background, p, actor(1), -1, false)
	wantCode(t, "the dead one's call", err, status.Corrupt)
	if held, done := b.seg.Recover(deathOf(1)); held || !done || b.Status().Broken || b.cells[1].Word != 0 {
		t.Errorf("%v, %v, %+v", held, done, b.Status())
	}
}

// A seat that the object lacks is nobody's.
func TestBarrierDeathOfNobody(t *testing.T) {
	b := newBarrier(t, 2)
	before := bytesOf(b.seg)
	for _, owner := range []uint32{0, OwnerWord(SeatsDefault+1, 1), daemonOf(1)} {
		if held, done := b.recover(Victim{Owner: owner, Died: true}); held || !done {
			t.Errorf("%#x: %v, %v", owner, held, done)
		}
	}
	if before != bytesOf(b.seg) {
		t.Error("something was changed")
	}
}
