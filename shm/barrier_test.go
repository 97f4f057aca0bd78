package shm

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

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

// set puts a word there, as somebody else might.
func (b *Barrier) set(w barrierWord) { atomic.StoreUint64(&b.lines.Word, uint64(w)) }

// bytesOf is the segment's bytes, also while others are at it.
func bytesOf(s *Segment) string {
	all := make([]byte, 0, len(s.mem))
	for i := 0; i < len(s.mem); i += 8 {
		all = binary.LittleEndian.AppendUint64(all, atomic.LoadUint64((*uint64)(unsafe.Pointer(&s.mem[i]))))
	}
	return string(all)
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
		await(func() bool { return b.Status().Waiting == before+1 && b.seg.Waiting(seat) == 1 })
	}
	return ended
}

// lead brings a barrier of two parties, of which seat 1 has arrived, into the action
// of seat 2.
func (b *Barrier) lead(t *testing.T) Arrival {
	t.Helper()
	r, err := b.Arrive(background, nil, actor(2), 0, true)
	if err != nil || !r.Leader || r.Index != 1 {
		t.Fatal(r, err)
	}
	return r
}

func wantCode(t *testing.T, what string, err error, want status.Code) {
	t.Helper()
	if status.Of(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want.Name())
	}
}

func TestBarrierFillsAgainAndAgain(t *testing.T) {
	for _, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		defer runtime.GOMAXPROCS(before)
		for _, direct := range []int{1, 16} {
			fillBarrier(t, newBarrier(t, 3), NewParker(ParkerOptions{DirectMax: direct}))
		}
	}
}

func fillBarrier(t *testing.T, b *Barrier, p *Parker) {
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

// More arrive than there are parties: each generation has as many as it should, each
// index once. Who is slow finds that more have ended since than the barrier remembers.
func TestBarrierOverSubscribed(t *testing.T) {
	p := NewParker(ParkerOptions{DirectMax: 2})
	b := newBarrier(t, 2)
	var mu sync.Mutex
	seen := map[uint64]uint32{} // bits of the indices, by generation
	var unknown atomic.Int32
	var wg sync.WaitGroup
	for i := range uint16(5) {
		a, act := actor(i/2+1), i%2 == 0
		wg.Go(func() {
			for {
				r, err := b.Arrive(background, p, a, -1, act)
				if err == nil && r.Leader {
					err = b.Complete(a, r, true)
				}
				if status.Of(err) == status.OutcomeUnknown {
					unknown.Add(1)
					continue
				}
				if err != nil {
					wantCode(t, "arrive", err, status.Broken)
					return
				}
				mu.Lock()
				if seen[r.generation]&(1<<r.Index) != 0 {
					t.Errorf("generation %d has two with index %d", r.generation, r.Index)
				}
				seen[r.generation] |= 1 << r.Index
				mu.Unlock()
			}
		})
	}
	await(func() bool { return b.Status().Generation >= 300 })
	if err := b.Abort(actor(9)); err != nil {
		t.Error(err)
	}
	wg.Wait()
	missing := int32(2*b.Status().Generation) - unknown.Load()
	for _, bits := range seen {
		missing -= int32(bits&1 + bits>>1)
	}
	if missing != 0 {
		t.Errorf("%d arrivals are not accounted for", missing)
	}
}

// Who arrives while the parties before act belongs to the next generation.
func TestBarrierArrivalDuringAnAction(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	ended := b.arrivals(background, p, 1)
	r := b.lead(t)
	before := b.load()
	_, err := b.Arrive(background, p, actor(3), time.Microsecond, false)
	wantCode(t, "a timeout there", err, status.TimedOut)
	gone, cancel := context.WithCancel(background)
	cancel()
	_, err = b.Arrive(gone, p, actor(3), -1, false)
	wantCode(t, "a cancellation there", err, status.Cancelled)
	if b.load() != before || atomic.LoadUint64(&b.cells[3].Word) != 0 {
		t.Errorf("the word %#x, was %#x; or the cell", b.load(), before)
	}
	late := make(chan Arrival)
	go func() {
		r, err := b.Arrive(background, p, actor(3), -1, false)
		if err != nil {
			t.Error(err)
		}
		late <- r
	}()
	await(func() bool { return b.seg.Waiting(3) == 1 })
	if err := b.Complete(actor(2), r, true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	await(func() bool { return b.Status().Waiting == 1 })
	if _, err := b.Arrive(background, p, actor(1), 0, false); err != nil {
		t.Error(err)
	}
	if r := <-late; r.Index != 0 || r.generation != 1 {
		t.Errorf("%+v", r)
	}
}

func TestBarrierTry(t *testing.T) {
	p := NewParker(ParkerOptions{})
	b := newBarrier(t, 2)
	refused := func(what string, want status.Code) {
		t.Helper()
		before := bytesOf(b.seg)
		_, err := b.Arrive(background, nil, actor(3), 0, false)
		wantCode(t, what, err, want)
		if before != bytesOf(b.seg) {
			t.Errorf("%s: something was changed", what)
		}
	}
	refused("the first", status.WouldBlock)
	ended := b.arrivals(background, p, 1)
	r := b.lead(t)
	refused("during the action", status.WouldBlock)
	if err := b.Complete(actor(2), r, true); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ended = b.arrivals(background, p, 1)
	if r, err := b.Arrive(background, nil, actor(3), 0, false); err != nil || r.Index != 1 || r.Leader {
		t.Error(r, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := b.Abort(actor(1)); err != nil {
		t.Error(err)
	}
	refused("broken", status.Broken)
}

// A barrier for one opens at once; the largest counts to its end.
func TestBarrierLimits(t *testing.T) {
	one := newBarrier(t, 1)
	for round := range uint64(3) {
		r, err := one.Arrive(background, nil, actor(1), 0, round == 1)
		if err != nil || r.Index != 0 || r.Leader != (round == 1) {
			t.Error(r, err)
		}
		if r.Leader {
			if err := one.Complete(actor(1), r, true); err != nil {
				t.Error(err)
			}
		}
	}
	large := newBarrier(t, PartiesMax)
	large.set(barrierWord(0).in(barrierFill, PartiesMax-2))
	more := large.arrivals(background, NewParker(ParkerOptions{}), 1)
	if r, err := large.Arrive(background, nil, actor(2), 0, false); err != nil || r.Index != PartiesMax-1 {
		t.Error(r, err)
	}
	if err := <-more; err != nil {
		t.Error(err)
	}
}

// What a barrier refuses leaves it as it was.
func TestBarrierRefuses(t *testing.T) {
	for name, do := range map[string]func(*Barrier, Actor) error{
		"arrive": func(b *Barrier, a Actor) error {
			_, err := b.Arrive(background, nil, a, -1, false)
			return err
		},
		"complete":         func(b *Barrier, a Actor) error { return b.Complete(a, Arrival{Leader: true}, true) },
		"complete current": func(b *Barrier, a Actor) error { return b.CompleteCurrent(a, true) },
		"abort":            (*Barrier).Abort,
		"reset":            func(b *Barrier, a Actor) error { _, err := b.Reset(a); return err },
		"declare":          (*Barrier).Declare,
	} {
		b := newBarrier(t, 2)
		before := bytesOf(b.seg)
		for _, a := range []Actor{{}, actor(SeatsDefault + 1), ClientActor(daemonOf(1))} {
			wantCode(t, name, do(b, a), status.Invalid)
		}
		b.seg.readOnly = true
		wantCode(t, name, do(b, actor(1)), status.Permission)
		if before != bytesOf(b.seg) {
			t.Errorf("%s: something was changed", name)
		}
	}
	for _, c := range []struct {
		parties uint64
		seats   uint32
	}{{0, 1}, {PartiesMax + 1, 1}, {1 << 40, 1}, {1, 0}, {1, SeatsLimit + 1}} {
		if _, err := NewBarrierGeometry(c.parties, c.seats); !errors.Is(err, status.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
