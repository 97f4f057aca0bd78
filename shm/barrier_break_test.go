package shm

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// deathOf is victimOf for a client that ended without saying so.
func deathOf(seat uint16, living ...uint16) Victim {
	v := victimOf(seat, living...)
	v.UID, v.Died = 8, true
	return v
}

// A party that leaves breaks the barrier for the others, and says why.
func TestBarrierBreaksByWhoLeaves(t *testing.T) {
	short, stop := context.WithTimeout(background, time.Microsecond)
	defer stop()
	gone, cancel := context.WithCancel(background)
	cancel()
	for _, c := range []struct {
		name    string
		ctx     context.Context
		timeout time.Duration
		want    status.Code
		reasons BarrierReasons
		text    string
	}{
		{"timeout", background, time.Microsecond, status.TimedOut, BrokenByTimeout, "by timeout"},
		{"deadline", short, -1, status.TimedOut, BrokenByTimeout, "by timeout"},
		{"cancellation", gone, -1, status.Cancelled, BrokenByAbort, "by abort"},
	} {
		for _, acting := range []bool{false, true} {
			p := NewParker(ParkerOptions{DirectMax: 1})
			b := newBarrier(t, 3)
			ended := b.arrivals(background, p, 1)
			var r Arrival
			if acting { // it has arrived, and finds the word as the leader left it
				first := b.arrivals(background, p, 2)
				var err error
				if r, err = b.Arrive(background, nil, actor(3), 0, true); err != nil {
					t.Fatal(err)
				}
				deadline := deadlineWithin(c.ctx, c.timeout)
				wantCode(t, c.name, b.await(c.ctx, p, actor(4), r.generation, deadline), c.want)
				wantCode(t, c.name, <-first, status.Broken)
				wantCode(t, c.name, b.Complete(actor(3), r, true), status.Broken)
			} else {
				_, err := b.Arrive(c.ctx, p, actor(2), c.timeout, false)
				wantCode(t, c.name, err, c.want)
			}
			err := <-ended
			wantCode(t, c.name, err, status.Broken)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.name, err)
			}
			if st := b.Status(); !st.Broken || st.Reasons != c.reasons || st.Waiting != 0 || st.Generation != 0 {
				t.Errorf("%s: %+v", c.name, st)
			}
			_, err = b.Arrive(background, p, actor(1), -1, false)
			wantCode(t, "arriving at a broken one", err, status.Broken)
			for seat := range uint16(5) {
				if n := b.seg.Waiting(seat); n != 0 {
					t.Errorf("%s: seat %d still waits", c.name, seat)
				}
			}
		}
	}
}

func TestBarrierAbort(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 3)
	ended := b.arrivals(background, p, 1, 2)
	for range 2 {
		if err := b.Abort(actor(9)); err != nil { // an observer may
			t.Error(err)
		}
	}
	for range 2 {
		wantCode(t, "who waited", <-ended, status.Broken)
	}
	if st := b.Status(); st.Reasons != BrokenByAbort || b.cells[9].Word != 0 {
		t.Errorf("%+v", st)
	}
}

// Reset begins the next generation from every phase, and reports a death.
func TestBarrierReset(t *testing.T) {
	p := NewParker(ParkerOptions{})
	for _, c := range []struct {
		name   string
		before func(t *testing.T, b *Barrier)
		waited status.Code
		notice bool
	}{
		{"filling", func(*testing.T, *Barrier) {}, status.Broken, false},
		{"acting", func(t *testing.T, b *Barrier) { b.lead(t) }, status.Broken, false},
		{"broken", func(t *testing.T, b *Barrier) {
			if err := b.Abort(actor(3)); err != nil {
				t.Error(err)
			}
		}, status.Broken, false},
		{"a party died", func(_ *testing.T, b *Barrier) { b.seg.Recover(deathOf(1)) }, status.PeerDied, true},
		{"broken, and a party died", func(t *testing.T, b *Barrier) {
			if err := b.Abort(actor(3)); err != nil {
				t.Error(err)
			}
			b.seg.Recover(deathOf(1))
		}, 0, true},
	} {
		b := newBarrier(t, 2)
		ended := b.arrivals(background, p, 1)
		c.before(t, b)
		n, err := b.Reset(actor(3))
		if err != nil || (n != nil) != c.notice {
			t.Errorf("%s: %v, %v", c.name, n, err)
		}
		if err := <-ended; c.waited != 0 {
			wantCode(t, c.name, err, c.waited)
		} else if err == nil {
			t.Errorf("%s: who waited was released", c.name)
		}
		if st := b.Status(); st.Generation != 1 || st.Broken || st.Acting || st.Waiting != 0 {
			t.Errorf("%s: %+v", c.name, st)
		}
		ended = b.arrivals(background, p, 4)
		if r, err := b.Arrive(background, p, actor(5), -1, false); err != nil || r.Index != 1 {
			t.Errorf("%s: %v, %v", c.name, r, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Who is late learns from the history how its generation ended, across the end of
// the 34 bits too, and after more generations than that holds, that nobody knows.
func TestBarrierLateWaiter(t *testing.T) {
	want := map[uint64]status.Code{barrierWasBad: status.Broken, barrierWasOK: status.OK,
		barrierWasDeath: status.PeerDied, 3: status.Broken}
	for _, first := range []uint64{0, 1<<18 - 4, barrierGenerationMax - 3} {
		for outcome, code := range want {
			b := newBarrier(t, 2)
			start := barrierWord(first>>18<<barrierGenerationHighShift |
				first<<barrierGenerationLowShift&barrierGenerationLowMask)
			if start.generation() != first {
				t.Fatalf("generation %d is packed as %d", first, start.generation())
			}
			w := start.next(outcome)
			for since := uint64(1); since <= 2*barrierHistoryLength; since++ {
				b.set(w)
				err := b.await(background, nil, actor(1), first, 0)
				if since > barrierHistoryLength {
					wantCode(t, "forgotten", err, status.OutcomeUnknown)
				} else {
					wantCode(t, "remembered", err, code)
				}
				w = w.next((outcome + since) % 3) // whatever comes after
			}
		}
	}
}

func TestBarrierRemoved(t *testing.T) {
	for _, direct := range []int{1, 16} {
		p := NewParker(ParkerOptions{DirectMax: direct})
		b := newBarrier(t, 2)
		ended := b.arrivals(background, p, 1)
		r := b.lead(t)
		over := make(chan error)
		go func() {
			_, err := b.Arrive(background, p, actor(3), -1, false)
			over <- err
		}()
		await(func() bool { return b.seg.Waiting(3) == 1 })
		for range 2 { // it may be repeated
			if !b.seg.Remove() {
				t.Error("not done")
			}
		}
		wantCode(t, "who waited", <-ended, status.Removed)
		wantCode(t, "who came during the action", <-over, status.Removed)
		// Whoever looked at the state before may still reset it.
		w := b.load()
		if !b.release(w, w.next(barrierWasBad)) {
			t.Error("not reset")
		}
		for name, err := range map[string]error{
			"arrive":           second(b.Arrive(background, p, actor(1), -1, false)),
			"try":              second(b.Arrive(background, p, actor(1), 0, false)),
			"complete":         b.Complete(actor(2), r, true),
			"complete current": b.CompleteCurrent(actor(2), true),
			"abort":            b.Abort(actor(1)),
			"reset":            second(b.Reset(actor(1))),
			"declare":          b.Declare(actor(1)),
			"wait":             b.await(background, p, actor(1), b.Status().Generation, 0),
		} {
			wantCode(t, name, err, status.Removed)
		}
	}
}

func second[T any](_ T, err error) error { return err }
