package shm

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// newBarrier makes a barrier on the heap, in epoch 1.
func newBarrier(t *testing.T, parties uint64) *Barrier {
	t.Helper()
	g, err := NewBarrierGeometry(parties, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).Barrier()
}

// arrivals starts an arrival of each seat, one after the other, and returns when all
// have arrived; their errors come in the order in which they end.
func (b *Barrier) arrivals(ctx context.Context, p *Parker, seats ...uint16) <-chan error {
	ended := make(chan error, len(seats))
	for _, seat := range seats {
		before := b.Status().Waiting
		go func() {
			_, err := b.Arrive(ctx, p, actor(seat), -1, false)
			ended <- err
		}()
		await(func() bool { return b.Status().Waiting == before+1 })
	}
	return ended
}

func TestBarrierFillsAgainAndAgain(t *testing.T) {
	for _, direct := range []int{1, 16} {
		p := NewParker(ParkerOptions{DirectMax: direct})
		b := newBarrier(t, 3)
		const rounds = 200
		var mu sync.Mutex
		seen := make([]uint32, rounds) // bits of the indices
		inside := make([]int, rounds)
		var wg sync.WaitGroup
		for seat := range uint16(3) {
			view := b.seg.Barrier()
			wg.Go(func() {
				for round := range rounds {
					mu.Lock()
					inside[round]++
					mu.Unlock()
					r, err := view.Arrive(background, p, actor(seat+1), -1, false)
					if err != nil || r.Leader {
						t.Error(r, err)
						return
					}
					mu.Lock()
					seen[round] |= 1 << r.Index
					if inside[round] != 3 {
						t.Errorf("round %d: through with %d of 3", round, inside[round])
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for round, bits := range seen {
			if bits != 7 {
				t.Fatalf("round %d: indices %b", round, bits)
			}
		}
		if st := b.Status(); st.Generation != rounds || st.Waiting != 0 || st.Broken {
			t.Errorf("%+v", st)
		}
	}
}

func TestBarrierActionRunsBeforeTheRelease(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	ended := b.arrivals(background, p, 1)
	r, err := b.Arrive(background, p, actor(2), -1, true)
	if err != nil || !r.Leader || r.Index != 1 {
		t.Fatal(r, err)
	}
	if st := b.Status(); !st.Acting || st.Waiting != 0 || len(ended) != 0 {
		t.Errorf("%+v, %d released", st, len(ended))
	}
	if err := b.Complete(actor(2), r, true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := b.Complete(actor(2), r, true); status.Of(err) != status.NotOwner {
		t.Errorf("completed twice: %v", err)
	}
}

func TestBarrierTimeoutBreaksIt(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 3)
	ended := b.arrivals(background, p, 1)
	if _, err := b.Arrive(background, p, actor(2), time.Microsecond, false); err != status.TimedOut {
		t.Error(err)
	}
	if err := <-ended; status.Of(err) != status.Broken {
		t.Error(err)
	}
	if st := b.Status(); !st.Broken || st.Reasons != BrokenByTimeout {
		t.Errorf("%+v", st)
	}
	if n, err := b.Reset(actor(9)); n != nil || err != nil {
		t.Error(n, err)
	}
}

func TestBarrierPartyDies(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 3)
	ended := b.arrivals(background, p, 1, 2)
	v := victimOf(2)
	v.Died = true
	if held, done := b.seg.Recover(v); !held || !done {
		t.Error(held, done)
	}
	for range 2 {
		if err := <-ended; status.Of(err) != status.PeerDied {
			t.Error(err)
		}
	}
	if n, err := b.Reset(actor(1)); err != nil || n == nil || n.PID != v.PID || n.Seat != 2 {
		t.Error(n, err)
	}
}
