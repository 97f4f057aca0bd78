package shm

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// A bounded buffer between producers and consumers, each of which waits for its own
// predicate: nothing is lost, and nobody is left asleep.
func TestConditionBuffer(t *testing.T) {
	for _, flags := range []Flags{0, FlagRecursive, FlagUnlockAny, FlagStrict} {
		everyParker(t, func(t *testing.T, o ParkerOptions) {
			const size, threads, rounds = 2, 3, 60
			b := newCondition(t, flags, o)
			room := b.another(t)
			items, made, taken := 0, 0, 0 // not atomic: the race detector proves the exclusion
			var wg sync.WaitGroup
			for i := range threads {
				me, some, room := uint16(i+1), b.view(), room.view()
				room.c.mutex = some.l
				wg.Go(func() {
					for range rounds {
						some.lock(t, me)
						for items == size {
							if _, err := room.wait(me); err != nil {
								t.Error(err)
							}
						}
						items, made = items+1, made+1
						some.notify(t, me, 1)
						some.unlock(t, me)
					}
				})
			}
			for i := range threads {
				me, some, room := uint16(i+11), b.view(), room.view()
				room.c.mutex = some.l
				wg.Go(func() {
					for range rounds {
						some.lock(t, me)
						for items == 0 {
							if _, err := some.wait(me); err != nil {
								t.Error(err)
							}
						}
						items, taken = items-1, taken+1
						room.notify(t, me, 1)
						some.unlock(t, me)
					}
				})
			}
			wg.Wait()
			if made != threads*rounds || taken != made || items != 0 {
				t.Errorf("%d made, %d taken, %d left", made, taken, items)
			}
		})
	}
}

// Producers and consumers beside some who only give up: nothing is lost, and nobody is left
// asleep.
func TestConditionGivesUp(t *testing.T) {
	everyParker(t, func(t *testing.T, o ParkerOptions) {
		const fickle, items = 3, 100
		b := newCondition(t, 0, o)
		there, taken := 0, 0 // not atomic: the race detector proves the exclusion
		stop := make(chan bool)
		var wg sync.WaitGroup
		for i := range fickle {
			me, view := uint16(i+1), b.view()
			wg.Go(func() {
				for r := 0; ; r++ {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithCancel(background)
					timeout := 10 * time.Microsecond
					if (r+i)%2 == 0 {
						timeout = -1
						go cancel()
					}
					view.lock(t, me)
					_, err := view.waitFor(ctx, me, timeout)
					if err == nil {
						view.notify(t, me, 1) // it was for somebody who takes
					} else if err != status.TimedOut && err != status.Cancelled {
						t.Error(err)
					}
					view.unlock(t, me)
					cancel()
				}
			})
		}
		ended := make(chan bool)
		go func() {
			view := b.view()
			for range items {
				view.lock(t, 11)
				for there == 0 {
					if _, err := view.wait(11); err != nil {
						t.Error(err)
					}
				}
				there, taken = there-1, taken+1
				view.unlock(t, 11)
			}
			close(ended)
		}()
		for i := range items {
			b.lock(t, 12)
			there++
			b.notify(t, 12, 1)
			b.unlock(t, 12)
			await(func() bool {
				b.lock(t, 12)
				defer b.unlock(t, 12)
				return taken == i+1
			})
		}
		<-ended
		close(stop)
		wg.Wait()
	})
}
