package shmd_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// Every wait ends, by what it waits for, by its own context, or by Close, of more
// sleepers than have threads of their own, and no message is lost between them.
func TestWaitsEnd(t *testing.T) {
	const (
		rounds  = 30
		handles = 3
		takers  = 12 // of each handle
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := start(t, daemon.Config{})
	ctx, c := t.Context(), dial(t, s)
	producer, err := shmd.CreateQueue(ctx, dial(t, s), "many", shmd.QueueOptions{Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeObject(t, producer)
	for round := range rounds {
		var cancels, closes []func()
		var bounded, unbounded sync.WaitGroup // takers who are cancelled or have a deadline, and the others
		var taken atomic.Int64
		untimed := uint64(0)
		for range handles {
			q, err := shmd.OpenQueue(ctx, c, "many")
			if err != nil {
				t.Fatal(err)
			}
			closes = append(closes, func() { closeObject(t, q) })
			for range takers {
				own, waits := context.Background(), &unbounded
				how := random.IntN(3) // 0 = cancelled, 1 = by a deadline, too, 2 = only Close ends it
				if how < 2 {
					var cancel func()
					if own, cancel = context.WithCancel(ctx); how == 1 {
						own, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(1000))*time.Microsecond)
					}
					cancels, waits = append(cancels, cancel), &bounded
				}
				if how != 1 {
					untimed++
				}
				waits.Go(func() {
					for {
						_, err := q.TakeAppend(own, nil)
						switch {
						case err == nil:
							taken.Add(1)
							continue
						case how < 2 && errors.Is(err, shmd.ErrCancelled), how == 1 && errors.Is(err, shmd.ErrTimedOut):
						case !errors.Is(err, shmd.ErrClosed):
							t.Errorf("nothing had ended this wait: %v", err)
						}
						return
					}
				})
			}
		}
		messages := random.IntN(2 * handles * takers)
		for range messages {
			cancels = append(cancels, func() {
				if err := producer.Put(ctx, []byte("message")); err != nil {
					t.Error(err)
				}
			})
		}
		if round%2 == 0 {
			asleep(t, c, producer.ID(), untimed)
			shuffled(random, cancels)
			ended(t, &bounded)
			cancels = nil
		}
		shuffled(random, append(cancels, closes...))
		ended(t, &bounded)
		ended(t, &unbounded)
		left, err := producer.Counts()
		if err != nil {
			t.Fatal(err)
		}
		if int(taken.Load())+int(left.Ready) != messages {
			t.Fatalf("%d messages put, %d taken, %+v", messages, taken.Load(), left)
		}
		for left.Ready > 0 {
			all, err := producer.TryTakeMany(nil, 64)
			if err != nil {
				t.Fatal(err)
			}
			left.Ready -= uint32(len(all))
		}
	}
}

// shuffled makes calls in any order.
func shuffled(random *rand.Rand, calls []func()) {
	random.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	for _, call := range calls {
		call()
	}
}

// ended waits for goroutines, within patience.
func ended(t *testing.T, waits *sync.WaitGroup) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		waits.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatal("waits that were ended go on")
	}
}
