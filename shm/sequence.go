package shm

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/shmd/shmd/status"
)

// The sequence word, changed only under the object's lock, or by recovery for a
// dead holder. include/shmd_abi.h draws its bit table; the protocol is
// tests/models/value.pml.
const (
	sequenceOdd   uint64 = 1
	sequenceDirty uint64 = 2
	sequenceStep  uint64 = 4
)

// snapshotTries bounds optimistic copying before a snapshot takes the lock.
const snapshotTries = 64

// Access names the caller of a bracket: Self is its owner in the array's
// segment, Holder its owner in the guard (the same one for an own lock).
type Access struct {
	Self   Owner
	Holder Owner
}

func (a *Array) foreign() bool { return a.seg.geometry.Flags.Has(FlagLockForeign) }

// guarded is nil when the caller holds the lock on a writable mapping.
func (a *Array) guarded(ac Access) error {
	switch {
	case a.guard == nil:
		return status.New(status.Unsupported, "", "the object has no lock")
	case a.seg.readOnly:
		return status.Permission
	case !a.guard.Holds(ac.Holder):
		if a.guard.Status().Removed {
			return status.Removed
		}
		return status.NotOwner
	}
	return nil
}

// BeginWrite opens a bracket: until EndWrite, snapshots wait. Brackets nest. The
// caller holds the lock.
func (a *Array) BeginWrite(ac Access) error {
	if err := a.guarded(ac); err != nil {
		return err
	}
	page := a.seg.page
	depth := atomic.LoadUint32(&page.Lock.WriteDepth)
	if depth >= depthMax {
		return status.Overflow
	}
	if depth == 0 {
		if a.foreign() {
			store32(&page.Sequence.Writer, ac.Self.Word) // before odd; recovery looks at it
		}
		store64(&page.Sequence.Word, atomic.LoadUint64(&page.Sequence.Word)|sequenceOdd)
		// Odd before data: on arm64 a store-release does not order later plain
		// stores, a load-acquire does. Pairs with the re-check in copyOut.
		_ = atomic.LoadUint64(&page.Sequence.Word)
	}
	put32(&page.Lock.WriteDepth, depth+1)
	return nil
}

// EndWrite closes a bracket; the outermost makes the change visible and bumps
// the version.
func (a *Array) EndWrite(ac Access) error {
	if err := a.guarded(ac); err != nil {
		return err
	}
	page := a.seg.page
	depth := atomic.LoadUint32(&page.Lock.WriteDepth)
	if depth == 0 {
		return status.New(status.Invalid, "", "end_write without begin_write")
	}
	if depth > 1 {
		put32(&page.Lock.WriteDepth, depth-1)
		return nil
	}
	// Even before depth 0: a death between the two leaves a bracket that
	// recovery closes once more, never one that stays open.
	store64(&page.Sequence.Word, atomic.LoadUint64(&page.Sequence.Word)&^sequenceOdd+sequenceStep)
	put32(&page.Lock.WriteDepth, 0)
	if a.foreign() {
		store32(&page.Sequence.Writer, 0) // after even
	}
	a.seg.bump()
	return nil
}

// MarkConsistent says that the holder has repaired the data: snapshots are clean
// again, and with an own lock its notices end too.
func (a *Array) MarkConsistent(ac Access) error {
	if err := a.guarded(ac); err != nil {
		return err
	}
	word := &a.seg.page.Sequence.Word
	store64(word, atomic.LoadUint64(word)&^sequenceDirty)
	if !a.foreign() {
		if err := a.guard.MarkConsistent(ac.Holder); err != nil {
			return err
		}
	}
	a.seg.bump()
	return nil
}

// Dirty reports whether a writer died and nobody repaired the data since.
func (a *Array) Dirty() bool { return atomic.LoadUint64(&a.seg.page.Sequence.Word)&sequenceDirty != 0 }

func (a *Array) span(start, count uint64) error {
	if n := a.seg.geometry.Length; start > n || count > n-start {
		return status.New(status.BadIndex, "", "elements %d to %d; the object has %d", start, start+count, n)
	}
	return a.live()
}

// Snapshot copies count elements from start into dst, as one consistent cut of
// bracketed writes (element stores and raw writes are not part of any cut). The
// version was read before the data. dirty = an owner died while writing and the
// data may be half written. Without a lock the copy is element by element.
// A read-only mapping cannot wait: status.WouldBlock after a bounded try.
func (a *Array) Snapshot(ctx context.Context, p *Parker, ac Access, start, count uint64, dst []byte,
	timeout time.Duration) (version uint64, dirty bool, err error) {
	size := uint64(a.seg.geometry.ItemSize)
	if err := a.span(start, count); err != nil {
		return 0, false, err
	}
	if uint64(len(dst)) < count*size {
		return 0, false, status.New(status.Invalid, "", "the buffer has %d bytes, %d elements need %d",
			len(dst), count, count*size)
	}
	dst = dst[:count*size]
	word := &a.seg.page.Sequence.Word
	if a.guard == nil {
		version = a.Version()
		a.copyOut(dst, start*size)
		return version, false, nil
	}
	// The holder sees its own unfinished writes.
	if a.guard.Holds(ac.Holder) {
		version = a.Version()
		a.copyOut(dst, start*size)
		return version, a.Dirty(), nil
	}
	deadline := deadlineAfter(timeout)
	for range snapshotTries {
		version = a.Version()
		s := atomic.LoadUint64(word)
		if s&sequenceOdd != 0 {
			if err := a.waitEven(ctx, p, ac.Self, deadline, timeout); err != nil {
				return 0, false, err
			}
			continue
		}
		a.copyOut(dst, start*size)
		if atomic.LoadUint64(word) == s { // pairs with odd in BeginWrite
			return version, s&sequenceDirty != 0, nil
		}
	}
	if a.seg.readOnly {
		return 0, false, status.WouldBlock
	}
	if _, err := a.guard.LockWait(ctx, p, ac.Holder, timeout); err != nil {
		return 0, false, err
	}
	version = a.Version()
	a.copyOut(dst, start*size)
	dirty = a.Dirty()
	return version, dirty, a.guard.Unlock(ac.Holder)
}

// waitEven sleeps until the data is not being written.
func (a *Array) waitEven(ctx context.Context, p *Parker, self Owner, deadline int64, timeout time.Duration) error {
	seq := &a.seg.page.Sequence.Word
	for range snapshotTries {
		if atomic.LoadUint64(seq)&sequenceOdd == 0 {
			return nil
		}
	}
	if err := a.live(); err != nil {
		return err
	}
	if a.seg.readOnly || timeout == 0 {
		return status.WouldBlock
	}
	changes := a.seg.changes()
	announced := changes.announce()
	// Re-check after announcing; pairs with even-then-bump in EndWrite. The
	// state after the value: destroying stores the state, then bumps.
	if atomic.LoadUint64(seq)&sequenceOdd == 0 {
		return nil
	}
	if err := a.live(); err != nil {
		return err
	}
	a.seg.announce(self.Word, 1)
	_, err := changes.sleep(ctx, p, announced, deadline)
	a.seg.announce(self.Word, ^uint32(0))
	if err == nil && deadline != 0 && monotonicNs() >= deadline {
		return status.TimedOut
	}
	return err
}

// Write replaces elements from start by src under the lock: taken for the call
// unless ac holds it. The notice says that an owner had died before: the write
// is made, and only these elements are known to be good. Without a lock the
// elements are stored one by one.
func (a *Array) Write(ctx context.Context, p *Parker, ac Access, start uint64, src []byte,
	timeout time.Duration) (*Notice, error) {
	size := uint64(a.seg.geometry.ItemSize)
	if uint64(len(src))%size != 0 {
		return nil, status.New(status.Invalid, "", "%d bytes are no whole number of elements", len(src))
	}
	if a.seg.readOnly {
		return nil, status.Permission
	}
	if err := a.span(start, uint64(len(src))/size); err != nil {
		return nil, err
	}
	if a.guard == nil {
		a.copyIn(start*size, src)
		a.seg.bump()
		return nil, nil
	}
	var notice *Notice
	if !a.guard.Holds(ac.Holder) {
		n, err := a.guard.LockWait(ctx, p, ac.Holder, timeout)
		if err != nil {
			return nil, err
		}
		notice = n
		defer func() { _ = a.guard.Unlock(ac.Holder) }() // only a destroyed object refuses, and then nothing is owed
	}
	if err := a.BeginWrite(ac); err != nil {
		return notice, err
	}
	a.copyIn(start*size, src)
	if err := a.EndWrite(ac); err != nil && !errors.Is(err, status.Removed) {
		return notice, err
	}
	return notice, nil
}
