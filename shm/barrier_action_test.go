package shm

import (
	"testing"

	"github.com/shmd/shmd/status"
)

func TestBarrierActionRunsBeforeTheRelease(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	ended := b.arrivals(background, p, 1)
	r := b.lead(t)
	if st := b.Status(); !st.Acting || st.Waiting != 0 || len(ended) != 0 {
		t.Errorf("%+v, %d released", st, len(ended))
	}
	if err := b.Complete(actor(2), r, true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wantCode(t, "completed twice", b.Complete(actor(2), r, true), status.NotOwner)
	wantCode(t, "completed by none", b.Complete(actor(2), Arrival{}, true), status.NotOwner)
}

func TestBarrierActionFails(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	ended := b.arrivals(background, p, 1)
	r := b.lead(t)
	if err := b.Complete(actor(2), r, false); err != nil {
		t.Error(err)
	}
	wantCode(t, "who waited", <-ended, status.Broken)
	if st := b.Status(); st.Reasons != BrokenByAction || st.Acting {
		t.Errorf("%+v", st)
	}
}

// Whoever does not remember its arrival ends the action by its seat.
func TestBarrierCompleteCurrent(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	wantCode(t, "nobody has arrived", b.CompleteCurrent(actor(2), true), status.NotOwner)
	ended := b.arrivals(background, p, 1)
	r := b.lead(t)
	wantCode(t, "another's seat", b.CompleteCurrent(actor(1), true), status.NotOwner)
	if err := b.CompleteCurrent(forClient(2), true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wantCode(t, "again", b.Complete(actor(2), r, true), status.NotOwner)
	ended = b.arrivals(background, p, 1)
	b.lead(t)
	if err := b.Abort(actor(9)); err != nil {
		t.Error(err)
	}
	wantCode(t, "who waited", <-ended, status.Broken)
	wantCode(t, "of a broken one", b.CompleteCurrent(actor(2), true), status.Broken)
}

// Nor does it end the action of another thread of its client.
func TestBarrierCompletesItsOwn(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	ended := b.arrivals(background, p, 1)
	old := b.lead(t)
	if _, err := b.Reset(actor(9)); err != nil {
		t.Error(err)
	}
	wantCode(t, "who waited", <-ended, status.Broken)
	ended = b.arrivals(background, p, 1)
	r := b.lead(t)
	wantCode(t, "the old one", b.Complete(actor(2), old, true), status.Broken)
	if !b.Status().Acting {
		t.Errorf("%+v", b.Status())
	}
	if err := b.Complete(actor(2), r, true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A leader whose generation is gone is told so, although the action ran.
func TestBarrierLeaderIsTooLate(t *testing.T) {
	reset := func(t *testing.T, b *Barrier) {
		if _, err := b.Reset(actor(9)); err != nil {
			t.Error(err)
		}
	}
	abort := func(t *testing.T, b *Barrier) {
		if err := b.Abort(actor(9)); err != nil {
			t.Error(err)
		}
	}
	die := func(_ *testing.T, b *Barrier) { b.seg.Recover(deathOf(1)) }
	for _, c := range []struct {
		name  string
		steps []func(*testing.T, *Barrier)
		want  status.Code
	}{
		{"aborted", []func(*testing.T, *Barrier){abort}, status.Broken},
		{"reset", []func(*testing.T, *Barrier){reset}, status.Broken},
		{"aborted and reset", []func(*testing.T, *Barrier){abort, reset}, status.Broken},
		{"a party died", []func(*testing.T, *Barrier){die}, status.PeerDied},
		{"a party died, and reset", []func(*testing.T, *Barrier){die, reset, reset}, status.PeerDied},
		{"forgotten", []func(*testing.T, *Barrier){reset, reset, reset, reset, reset, reset, reset, reset, reset},
			status.OutcomeUnknown},
	} {
		for _, ok := range []bool{true, false} {
			b := newBarrier(t, 2)
			ended := b.arrivals(background, NewParker(ParkerOptions{}), 1)
			r := b.lead(t)
			for _, step := range c.steps {
				step(t, b)
			}
			before := b.load()
			wantCode(t, c.name, b.Complete(actor(2), r, ok), c.want)
			if b.load() != before {
				t.Errorf("%s: the word has changed", c.name)
			}
			if err := <-ended; err == nil {
				t.Errorf("%s: who waited was released", c.name)
			}
		}
	}
}
