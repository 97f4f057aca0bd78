//go:build shmd_replay

package shm

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the latched object. Properties, for every operation of
// a dying client, every prefix of its stores, and every prefix of recovery's own
// stores after that (the daemon dies, and the next epoch begins again):
//
//  1. after recovery the latch is free and the derived state is right;
//  2. the commit is all or nothing: one step of the operation, or none;
//  3. the eventcount has moved since before the operation, so that no sleep that
//     began before the death compares equal;
//  4. a live client can give and take;
//  5. instead of recovery, a client that finds the latch of an older epoch's
//     daemon, which died in its recovery, takes it, rebuilds, and goes on.

func TestStockPrefixReplay(t *testing.T) {
	background := context.Background()
	a := client(victimSeat)
	give := func(n uint64) func(*stock) {
		return func(o *stock) { must(o.give(background, nil, a, n)) }
	}
	armed := func(o *stock) { o.ec.announce() }
	cases := []struct {
		name    string
		prepare func(*stock)
		op      func(*stock)
		delta   int64 // of the stock, if the operation is committed
	}{
		{"give", nil, give(1), 1},
		{"give with a waiter", armed, give(2), 2},
		{"take", give(2), func(o *stock) { must(o.take(background, nil, a, 0, false)) }, -1},
		{"take the last with a duty", give(1), func(o *stock) { must(o.take(background, nil, a, 0, true)) }, -1},
		{"take with a duty", give(3), func(o *stock) { must(o.take(background, nil, a, 0, true)) }, -1},
		{"announce and give up", nil, func(o *stock) {
			if err := o.take(background, NewParker(ParkerOptions{}), a, 1, false); err != status.TimedOut {
				panic(err)
			}
		}, 0},
		{"steal from an older epoch", func(o *stock) {
			give(2)(o)
			*o.items = 7 // as the old daemon left it
			atomic.StoreUint32(o.latch.word, daemonOf(1)|ownerWaiters)
			atomic.StoreUint32(&o.seg.page.Header.DaemonEpoch, 2)
		}, give(1), 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			start := newStock(t).seg
			if c.prepare != nil {
				c.prepare(stockOf(start))
			}
			whole := clone(start)
			stores := storesOf(t, whole, func() { c.op(stockOf(whole)) })
			for k, image := range stores.prefixes(start) {
				if err := replayStock(start, image, c.delta); err != nil {
					t.Errorf("prefix %d of %d: %v", k, len(stores), err)
				}
			}
		})
	}
}

func replayStock(start, image *Segment, delta int64) error {
	epoch := atomic.LoadUint32(&start.page.Header.DaemonEpoch)
	live := alive(liveSeat)
	full := clone(image)
	var err error
	stores := recordStores(full, func() { err = stockOf(full).restore(daemonOf(epoch), live) })
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	for j, died := range stores.prefixes(image) {
		atomic.StoreUint32(&died.page.Header.DaemonEpoch, epoch+1)
		again := clone(died)
		if err := stockOf(again).restore(daemonOf(epoch+1), live); err != nil {
			return fmt.Errorf("recovery after %d of %d stores of the last: %w", j, len(stores), err)
		}
		if err := checkStock(start, again, delta); err != nil {
			return fmt.Errorf("recovery prefix %d of %d: %w", j, len(stores), err)
		}
		if SeatOf(atomic.LoadUint32(stockOf(died).latch.word)) == SeatDaemon {
			if err := useStock(died); err != nil {
				return fmt.Errorf("without recovery, prefix %d of %d: %w", j, len(stores), err)
			}
		}
	}
	return nil
}

func checkStock(start, s *Segment, delta int64) error {
	was, is := stockOf(start), stockOf(s)
	if w := *is.latch.word; !isFree(w) {
		return fmt.Errorf("the latch is left as %#x", w)
	}
	if *is.items != *is.count {
		return fmt.Errorf("%d in stock, %d derived", *is.count, *is.items)
	}
	if d := int64(*is.count - *was.count); d != 0 && d != delta {
		return fmt.Errorf("the stock changed by %d, not by 0 or %d", d, delta)
	}
	if eventcountOf(*is.ec.word) == eventcountOf(*was.ec.word) {
		return fmt.Errorf("the eventcount has not moved: %#x", *is.ec.word)
	}
	return useStock(s)
}

// useStock does what a live client would do next.
func useStock(s *Segment) error {
	o, me := stockOf(s), client(liveSeat)
	before := *o.count
	if err := o.give(context.Background(), nil, me, 1); err != nil {
		return fmt.Errorf("give: %w", err)
	}
	if err := o.take(context.Background(), nil, me, 0, false); err != nil {
		return fmt.Errorf("take: %w", err)
	}
	if *o.count != before || *o.items != before {
		return fmt.Errorf("%d were given and taken to %d, %d derived", before, *o.count, *o.items)
	}
	return nil
}
