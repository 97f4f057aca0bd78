//go:build shmd_replay

package shm

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the semaphore. Properties, for every operation of a
// dying client, every prefix of its stores, and every prefix of recovery's own
// stores after that (the daemon dies, and the next epoch begins again):
//
//  1. the latch is free, available = total - the sum of held, and nothing is held
//     by the dead;
//  2. the operation is all or nothing: the permits that exist have changed by what
//     it does, or not at all, and what others hold has not;
//  3. both eventcounts have moved since before the operation, so that no sleep
//     that began before the death compares equal;
//  4. a live client can take every permit there is, and no more, and give it back;
//  5. instead of recovery, a client that finds the latch of an older epoch's
//     daemon takes it, derives anew, and goes on.

type semaphoreCase struct {
	name    string
	flags   Flags
	prepare func(*Semaphore)
	op      func(*Semaphore)
	delta   int64 // of all permits of an undo semaphore, of the available ones of a plain one
}

func semaphoreCases() []semaphoreCase {
	a := actor(victimSeat)
	take := func(n uint32) func(*Semaphore) { return func(m *Semaphore) { must(m.tryAcquire(a, n)) } }
	release := func(n uint32) func(*Semaphore) { return func(m *Semaphore) { must(m.giveBack(a, n)) } }
	post := func(n uint32) func(*Semaphore) {
		return func(m *Semaphore) { must(m.Post(background, nil, a, n, -1)) }
	}
	giveUp := func(n uint32) func(*Semaphore) {
		return func(m *Semaphore) {
			if err := m.AcquireWait(background, NewParker(ParkerOptions{}), a, n, 1); err != status.TimedOut {
				panic(err)
			}
		}
	}
	armed := func(before ...func(*Semaphore)) func(*Semaphore) {
		return func(m *Semaphore) {
			for _, f := range before {
				f(m)
			}
			if m.undo != nil {
				m.undo.one.announce()
				m.undo.many.announce()
				return
			}
			m.lines.Word |= semaphoreWaiters
		}
	}
	none := func(m *Semaphore) { must(m.tryAcquire(actor(3), 1)); must(m.tryAcquire(actor(3), 1)) }
	return []semaphoreCase{
		{"plain acquire", 0, nil, take(1), -1},
		{"plain acquire beside waiters", 0, armed(), take(1), -1},
		{"plain release", 0, nil, release(2), 2},
		{"plain release with waiters", 0, armed(none), post(1), 1},
		{"plain give up", 0, none, giveUp(1), 0},
		{"acquire", FlagUndo, nil, take(1), 0},
		{"acquire all", FlagUndo, nil, take(2), 0},
		{"acquire with a duty", FlagUndo, armed(), func(m *Semaphore) { takeWoken(m, a, 1) }, 0},
		{"acquire the last with a duty", FlagUndo, armed(take(1)), func(m *Semaphore) { takeWoken(m, a, 1) }, 0},
		{"release", FlagUndo, take(2), release(1), 0},
		{"release with waiters", FlagUndo, armed(take(2)), release(2), 0},
		{"post", FlagUndo, nil, post(3), 3},
		{"post with waiters", FlagUndo, armed(take(1)), post(1), 1},
		{"give up one", FlagUndo, none, giveUp(1), 0},
		{"give up many", FlagUndo, none, giveUp(2), 0},
		{"refused", FlagUndo, take(1), func(m *Semaphore) {
			if m.giveBack(a, 2) == nil || m.Post(background, nil, a, 9, -1) == nil || m.tryAcquire(a, 2) == nil {
				panic("not refused")
			}
		}, 0},
		{"steal from an older epoch", FlagUndo, func(m *Semaphore) {
			take(1)(m)
			m.lines.Available = 2 // as the old daemon left it
			m.lines.Latch = daemonOf(1) | ownerWaiters
			atomic.StoreUint32(&m.seg.page.Header.DaemonEpoch, 2)
		}, release(1), 0},
		{"the daemon's acquire for a client", FlagUndo, nil,
			func(m *Semaphore) { must(m.tryAcquire(forClient(victimSeat), 2)) }, 0},
		{"the daemon's release for a client", FlagUndo, armed(take(2)),
			func(m *Semaphore) { must(m.giveBack(forClient(victimSeat), 1)) }, 0},
	}
}

// takeWoken takes as somebody does who was woken for it.
func takeWoken(m *Semaphore, a Actor, n uint32) {
	if _, err := m.undo.latch.TryLatch(a.Latcher); err != nil {
		panic(err)
	}
	b := balance{m.lines.Available, m.lines.Total, *m.undo.cell(a.Seat)}
	must(m.undo.take(a, b, n, true))
}

func TestSemaphorePrefixReplay(t *testing.T) {
	for _, c := range semaphoreCases() {
		t.Run(c.name, func(t *testing.T) {
			start := newSemaphore(t, 2, 9, c.flags)
			if c.prepare != nil {
				c.prepare(start)
			}
			whole := clone(start.seg)
			stores := storesOf(t, whole, func() { c.op(whole.Semaphore()) })
			for k, image := range stores.prefixes(start.seg) {
				if err := replaySemaphore(start.seg, image, c.delta); err != nil {
					t.Errorf("prefix %d of %d: %v", k, len(stores), err)
				}
			}
		})
	}
}

// replaySemaphore recovers the image once in full, and once more in the next
// epoch after each prefix of recovery's stores.
func replaySemaphore(start, image *Segment, delta int64) error {
	epoch := atomic.LoadUint32(&start.page.Header.DaemonEpoch)
	v := victimOf(victimSeat, liveSeat, 3)
	v.Daemon = daemonOf(epoch)
	full := clone(image)
	done := false
	// A latch that the daemon of this very epoch died with is its successor's.
	stores := recordStores(full, func() { _, done = full.Recover(v) })
	if own := ownerOf(kindLines[SemaphoreLines](image).Latch) == v.Daemon; done == own {
		return fmt.Errorf("recovery: done %v, its own latch %v", done, own)
	}
	for j, died := range stores.prefixes(image) {
		atomic.StoreUint32(&died.page.Header.DaemonEpoch, epoch+1)
		again := clone(died)
		next := v
		next.Daemon = daemonOf(epoch + 1)
		if _, done := again.Recover(next); !done {
			return fmt.Errorf("recovery after %d of %d stores of the last is not done", j, len(stores))
		}
		if err := checkSemaphore(start, again, delta); err != nil {
			return fmt.Errorf("recovery prefix %d of %d: %w", j, len(stores), err)
		}
		if SeatOf(kindLines[SemaphoreLines](died).Latch) == SeatDaemon {
			if err := useSemaphore(died.Semaphore()); err != nil {
				return fmt.Errorf("without recovery, prefix %d of %d: %w", j, len(stores), err)
			}
		}
	}
	return nil
}

func checkSemaphore(start, s *Segment, delta int64) error {
	was, is := start.Semaphore(), s.Semaphore()
	if is.undo == nil {
		if d := int64(is.Permits(0).Available) - int64(was.Permits(0).Available); d != 0 && d != delta {
			return fmt.Errorf("the permits changed by %d, not by 0 or %d", d, delta)
		}
		return useSemaphore(is)
	}
	if err := is.inOrder(); err != nil {
		return err
	}
	if *is.undo.cell(client(victimSeat)) != 0 || s.Waiting(victimSeat) != 0 {
		return fmt.Errorf("words still name the dead client")
	}
	if d := int64(is.lines.Total) - int64(was.lines.Total); d != 0 && d != delta {
		return fmt.Errorf("the permits changed by %d, not by 0 or %d", d, delta)
	}
	for seat := range is.undo.held {
		if seat != victimSeat && is.undo.held[seat] != was.undo.held[seat] {
			return fmt.Errorf("seat %d held %d, and holds %d", seat, was.undo.held[seat], is.undo.held[seat])
		}
	}
	for name, words := range map[string][2]uint64{"one": {was.lines.One, is.lines.One},
		"many": {was.lines.Many, is.lines.Many}} {
		if eventcountOf(words[0]) == eventcountOf(words[1]) {
			return fmt.Errorf("the eventcount %s has not moved: %#x", name, words[1])
		}
	}
	return useSemaphore(is)
}

// useSemaphore does what a live client would do next.
func useSemaphore(m *Semaphore) error {
	me := actor(liveSeat)
	must(m.Post(background, nil, me, 1, -1))
	there := m.Permits(me.Seat)
	for range there.Available {
		if err := m.tryAcquire(me, 1); err != nil {
			return fmt.Errorf("acquire: %w", err)
		}
	}
	if err := m.tryAcquire(me, 1); err != status.WouldBlock {
		return fmt.Errorf("one more than %d: %w", there.Available, err)
	}
	if err := m.giveBack(me, there.Available); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return m.inOrder()
}
