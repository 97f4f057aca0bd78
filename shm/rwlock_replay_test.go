//go:build shmd_replay

package shm

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the rwlock. Properties, for every operation of a dying
// client, every prefix of its stores, and every prefix of recovery's own stores
// after that (the daemon dies too):
//
//  1. after recovery the cell of the dead is 0 and the word does not name it; the
//     cells of others are as they were;
//  2. a writer that died inside leaves the notice, any other death leaves that as it
//     was;
//  3. the turn of readers that have waited is not lost: wanted stays, and is set when
//     a writer of the dead client is taken out;
//  4. whoever might sleep on the word of the dead writer finds another one;
//  5. live clients read and write, with the notice if there is one, and end it.

type rwlockCase struct {
	name    string
	prepare func(*RWLock)
	op      func(*RWLock)
}

func rwlockCases() []rwlockCase {
	var me, live *RWOwner // made anew for each case: they count
	mine := func() *RWOwner {
		if me == nil {
			me, live = rwOwner(victimSeat, 1), rwOwner(liveSeat, 1)
		}
		return me
	}
	fresh := func(prepare func(*RWLock)) func(*RWLock) {
		return func(l *RWLock) {
			me = nil
			mine()
			if prepare != nil {
				prepare(l)
			}
		}
	}
	read := func(l *RWLock) { must(l.tryRead(mine())) }
	write := func(l *RWLock) { must(second(l.WriteLock(background, nil, mine(), -1))) }
	written := func(l *RWLock) { must(l.tryWrite(live)) }
	isRead := func(l *RWLock) { must(l.tryRead(live)) }
	wanted := func(l *RWLock) { l.lines.Word |= rwlockWanted }
	waiters := func(l *RWLock) { l.lines.Word |= rwlockWaiters }
	dirty := func(l *RWLock) {
		l.lines.Word |= rwlockInconsistent
		l.lines.Death.Pid, l.lines.Death.RealtimeNs = 6, 6
	}
	wants := func(l *RWLock) { must(l.declare(&l.cells[liveSeat].Word)) }
	gone, cancel := context.WithCancel(background)
	cancel()
	ends := func(want status.Code, ctx context.Context, timeout time.Duration,
		lock func(*RWLock, context.Context, *Parker, *RWOwner, time.Duration) (*Notice, error)) func(*RWLock) {
		return func(l *RWLock) {
			if _, err := lock(l, ctx, NewParker(ParkerOptions{}), mine(), timeout); err != want {
				panic(err)
			}
		}
	}
	steps := func(all ...func(*RWLock)) func(*RWLock) {
		return func(l *RWLock) {
			for _, step := range all {
				step(l)
			}
		}
	}
	free := func(is, want bool) {
		if is != want {
			panic("not free")
		}
	}
	list := []rwlockCase{
		{"read", nil, read},
		{"read free", nil, func(l *RWLock) { free(l.readFree(mine()), true) }},
		{"read free with a notice", dirty, func(l *RWLock) { free(l.readFree(mine()), false) }},
		{"read unlock free", read, func(l *RWLock) { free(l.readUnlockFree(mine()), true) }},
		{"read again", read, read},
		{"read beside a writer that waits", steps(read, func(l *RWLock) {
			must(second(l.own(background, nil, live, 0, true)))
		}), read},
		{"read after waiting", wanted, func(l *RWLock) { must(second(l.readSlow(background, nil, mine(), -1))) }},
		{"read, and time out", written, ends(status.TimedOut, background, 1, (*RWLock).ReadLock)},
		{"read, and be cancelled", written, ends(status.Cancelled, gone, -1, (*RWLock).ReadLock)},
		{"read unlock", read, func(l *RWLock) { must(l.ReadUnlock(mine())) }},
		{"write", nil, write},
		{"write with waiters and a notice", steps(dirty, waiters), write},
		{"write, preparing", steps(dirty, wanted), write},
		{"write behind a reader, and time out", isRead, ends(status.TimedOut, background, 1, (*RWLock).WriteLock)},
		{"write behind a want, and be cancelled", wants, ends(status.Cancelled, gone, -1, (*RWLock).WriteLock)},
		{"write behind a writer, and time out", written, ends(status.TimedOut, background, 1, (*RWLock).WriteLock)},
		{"write unlock", write, func(l *RWLock) { must(l.WriteUnlock(mine())) }},
		{"write unlock with all bits", steps(dirty, write, wanted, waiters),
			func(l *RWLock) { must(l.WriteUnlock(mine())) }},
		{"mark consistent", steps(dirty, write), func(l *RWLock) { must(l.MarkConsistent(mine())) }},
	}
	for i := range list {
		list[i].prepare = fresh(list[i].prepare)
	}
	return list
}

func TestRWLockPrefixReplay(t *testing.T) {
	images := 0
	for _, c := range rwlockCases() {
		t.Run(c.name, func(t *testing.T) {
			start := newRWLock(t)
			c.prepare(start)
			whole := clone(start.seg)
			stores := storesOf(t, whole, func() { c.op(whole.RWLock()) })
			for k, image := range stores.prefixes(start.seg) {
				n, err := replayRWLock(image)
				if images += n; err != nil {
					t.Errorf("prefix %d of %d: %v", k, len(stores), err)
				}
			}
		})
	}
	t.Logf("%d images recovered", images)
}

// replayRWLock recovers the image once in full, and once more after each prefix of
// recovery's stores.
func replayRWLock(image *Segment) (images int, err error) {
	v := deathOf(victimSeat, liveSeat, 3)
	full := clone(image)
	done := false
	stores := recordStores(full, func() { _, done = full.Recover(v) })
	if !done {
		return 0, fmt.Errorf("recovery is not done")
	}
	for j, again := range stores.prefixes(image) {
		if _, done := again.Recover(v); !done {
			return images, fmt.Errorf("recovery after %d of %d stores of the last is not done", j, len(stores))
		}
		images++
		if err := checkRWLock(image.RWLock(), again.RWLock()); err != nil {
			return images, fmt.Errorf("recovery prefix %d of %d: %w", j, len(stores), err)
		}
	}
	return images, nil
}

func checkRWLock(image, l *RWLock) error {
	was, is := image.lines.Word, l.lines.Word
	for seat := range l.cells {
		want := image.cells[seat].Word
		if seat == victimSeat {
			want = 0
		}
		if l.cells[seat].Word != want {
			return fmt.Errorf("the cell of seat %d is %#x, not %#x", seat, l.cells[seat].Word, want)
		}
	}
	mine := rwOwner(victimSeat, 1).writer()
	owned := writerOf(was) == mine
	inside := owned && was&rwlockHeld != 0
	switch {
	case writerOf(is) == mine || l.seg.Waiting(victimSeat) != 0:
		return fmt.Errorf("words still name the dead client: %#x", is)
	case writerOf(is) == 0 && l.lines.Token != 0:
		return fmt.Errorf("the token %#x is left", l.lines.Token)
	case !owned && is != was:
		return fmt.Errorf("the word %#x has changed to %#x", was, is)
	case owned && is&rwlockWanted == 0:
		return fmt.Errorf("the turn of readers is lost: %#x", is)
	case (is&rwlockInconsistent != 0) != (inside || was&rwlockInconsistent != 0):
		return fmt.Errorf("the notice is wrong: %#x, was %#x", is, was)
	case inside && l.lines.Death.Pid != 7:
		return fmt.Errorf("nobody knows who died")
	}
	return useRWLock(l)
}

// useRWLock does what live clients would do next.
func useRWLock(l *RWLock) error {
	inconsistent := l.lines.Word&rwlockInconsistent != 0
	if writerOf(l.lines.Word) != 0 || l.cells[liveSeat].Word != 0 {
		return nil // the live one is at it: what it does next stands in its own case
	}
	me, other := rwOwner(liveSeat, 2), rwOwner(3, 2)
	n, err := l.ReadLock(background, nil, other, 0)
	if err != nil || (n != nil) != inconsistent {
		return fmt.Errorf("read: %v, %w", n, err)
	}
	if err := l.tryWrite(me); err != status.WouldBlock {
		return fmt.Errorf("write beside a reader: %w", err)
	}
	must(l.ReadUnlock(other))
	n, err = l.WriteLock(background, nil, me, 0)
	if err != nil || (n != nil) != inconsistent {
		return fmt.Errorf("write: %v, %w", n, err)
	}
	if err := l.tryRead(other); err != status.WouldBlock {
		return fmt.Errorf("read beside a writer: %w", err)
	}
	must(l.MarkConsistent(me))
	must(l.WriteUnlock(me))
	if n, err := l.ReadLock(background, nil, other, 0); n != nil || err != nil {
		return fmt.Errorf("read what is consistent: %v, %w", n, err)
	}
	must(l.ReadUnlock(other))
	return nil
}
