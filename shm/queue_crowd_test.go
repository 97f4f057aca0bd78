package shm

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Producers and consumers that come and go, time out, are cancelled, nack, reserve
// and abort: every message is acknowledged exactly once, those of one producer are
// first delivered in its order, and the derived state is right.
func TestQueueDeliversAll(t *testing.T) {
	for _, direct := range []int{1, 16} {
		seed := uint64(time.Now().UnixNano())
		t.Logf("direct %d, seed %d", direct, seed)
		q := newQueue(t, 5, 600, 0)
		p := NewParker(ParkerOptions{DirectMax: direct})
		const producers, consumers, rounds = 3, 3, 300
		var wg sync.WaitGroup
		var acked [producers][rounds]atomic.Uint32
		var writers atomic.Int32
		writers.Store(producers)
		for i := range producers {
			q, rng := q.seg.Queue(), rand.New(rand.NewPCG(seed, uint64(i)))
			wg.Go(func() {
				a := actor(uint16(1 + i))
				for r := 0; r < rounds; {
					err := produce(q, p, a, rng, i, r)
					if err == nil {
						r++
					} else if !hasGivenUp(err) {
						t.Errorf("producer %d: %v", i, err)
						return
					}
				}
				if writers.Add(-1) == 0 {
					if err := q.Shutdown(background, p, a, -1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for i := range consumers {
			q, rng := q.seg.Queue(), rand.New(rand.NewPCG(seed, uint64(100+i)))
			wg.Go(func() {
				a := actor(uint16(20 + i))
				var last [producers]int // + 1, of the first deliveries
				for {
					m, first, err := consume(q, p, a, rng)
					if err == status.Ended {
						if c, err := q.Counts(background, p, a, -1); err != nil || c.Ready+c.Leased+c.Writing == 0 {
							return
						}
						continue // somebody may nack
					}
					if hasGivenUp(err) || err == nil && m == nil {
						continue
					}
					if err != nil {
						t.Errorf("consumer %d: %v", i, err)
						return
					}
					who, round := int(m[0]), int(binary.LittleEndian.Uint16(m[1:]))
					acked[who][round].Add(1)
					if first {
						if round < last[who] {
							t.Errorf("consumer %d: message %d of producer %d after %d", i, round, who, last[who]-1)
						}
						last[who] = round + 1
					}
				}
			})
		}
		wg.Wait()
		for i := range acked {
			for r := range acked[i] {
				if n := acked[i][r].Load(); n != 1 {
					t.Errorf("message %d of producer %d was acknowledged %d times", r, i, n)
				}
			}
		}
		if c := counts(t, q); c != (QueueCounts{Free: q.size, Closed: true}) {
			t.Errorf("left: %+v", c)
		}
		if err := checkDerived(q); err != nil {
			t.Error(err)
		}
	}
}

func produce(q *Queue, p *Parker, a Actor, rng *rand.Rand, who, round int) error {
	ctx, cancel, timeout := patience(rng.IntN(4))
	defer cancel()
	m := make([]byte, 3+rng.IntN(590))
	m[0] = byte(who)
	binary.LittleEndian.PutUint16(m[1:], uint16(round))
	switch rng.IntN(3) {
	case 0:
		return q.Put(ctx, p, a, m, timeout)
	case 1:
		_, err := q.PutMany(ctx, p, a, [][]byte{m}, timeout)
		return err
	}
	r, err := q.Reserve(ctx, p, a, timeout)
	if err != nil {
		return err
	}
	if rng.IntN(3) == 0 {
		if err := q.Abort(background, p, a, r, -1); err != nil {
			return err
		}
		return status.Cancelled
	}
	copy(q.Buffer(r), m)
	return q.Commit(background, p, a, r, uint32(len(m)), -1)
}

// consume returns a message that is done, and whether that was its first delivery;
// nil for one that it gave back.
func consume(q *Queue, p *Parker, a Actor, rng *rand.Rand) (m []byte, first bool, err error) {
	ctx, cancel, timeout := patience(rng.IntN(4))
	defer cancel()
	switch rng.IntN(4) {
	case 0:
		m, err = q.Take(ctx, p, a, nil, timeout)
		return m, false, err
	case 1:
		all, err := q.TakeMany(ctx, p, a, nil, 1, timeout)
		return slices.Concat(all...), false, err
	}
	l, err := q.Lease(ctx, p, a, timeout)
	if err != nil {
		return nil, false, err
	}
	m = slices.Clone(q.Message(l))
	if rng.IntN(3) == 0 {
		return nil, false, q.Nack(background, p, a, l, -1)
	}
	return m, l.Deliveries == 1, q.Ack(background, p, a, l, -1)
}
