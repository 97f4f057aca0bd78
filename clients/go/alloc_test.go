//go:build !race

package shmd_test

import (
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// An allocation costs more than the whole lock: a closure in the wrong place did.
func TestLockDoesNotAllocate(t *testing.T) {
	c := dial(t, start(t, daemon.Config{}))
	m, err := shmd.CreateMutex(t.Context(), c, "", shmd.MutexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, lock := range []struct {
		name string
		take func() (*shmd.Notice, error)
	}{
		{"Lock", func() (*shmd.Notice, error) { return m.Lock(t.Context()) }},
		{"TryLock", m.TryLock},
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := lock.take(); err != nil {
				t.Error(err)
			}
			if err := m.Unlock(); err != nil {
				t.Error(err)
			}
		})
		if n != 0 {
			t.Errorf("%s and Unlock allocate %v times", lock.name, n)
		}
	}
}

// Nor does any other operation that needs no waiting.
func TestFastPathsDoNotAllocate(t *testing.T) {
	ctx, c := t.Context(), dial(t, start(t, daemon.Config{}))
	e, err := shmd.CreateEvent(ctx, c, "", shmd.EventOptions{Set: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l, err := shmd.CreateRWLock(ctx, c, "", shmd.RWLockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := shmd.CreateBarrier(ctx, c, "", shmd.BarrierOptions{Parties: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := shmd.CreateMutex(ctx, c, "", shmd.MutexOptions{Recursive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w, err := shmd.CreateCondition(ctx, c, "", m, shmd.ConditionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s, err := shmd.CreateStream(ctx, c, "", shmd.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeObject(t, s)
	p, err := s.Producer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Consumer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	q, err := shmd.CreateQueue(ctx, c, "", shmd.QueueOptions{SlotSize: 64, Raw: true})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	message, space := make([]byte, 64), make([]byte, 0, 64)
	several, taken := [][]byte{message, message}, make([][]byte, 0, 2)
	var wide []byte
	twice, reader := m.NewOwner(), l.NewOwner()
	locked := func(_ *shmd.Notice, err error) error { return err }
	for _, op := range []struct {
		name string
		do   func() error
	}{
		{"IsSet", func() error { _, err := e.IsSet(); return err }},
		{"Set", e.Set},
		{"TryWait of an event", e.TryWait},
		{"Wait for an event", func() error { return e.Wait(ctx) }},
		{"RLock", func() error { return first(locked(l.RLock(ctx)), l.RUnlock()) }},
		{"TryRLock", func() error { return first(locked(l.TryRLock()), l.RUnlock()) }},
		{"RLock of an owner", func() error { return first(locked(reader.RLock(ctx)), reader.RUnlock()) }},
		{"Lock of an rwlock", func() error { return first(locked(l.Lock(ctx)), l.Unlock()) }},
		{"Wait at a barrier of one", func() error { _, err := b.Wait(ctx); return err }},
		{"a recursive Lock", func() error {
			return first(locked(twice.Lock(ctx)), locked(twice.Lock(ctx)), twice.Unlock(), twice.Unlock())
		}},
		{"Send and RecvAppend", func() error {
			err := p.Send(ctx, message)
			_, failed := r.RecvAppend(ctx, space)
			return first(err, failed)
		}},
		{"TrySend and TryRecvAppend", func() error {
			err := p.TrySend(message)
			_, failed := r.TryRecvAppend(space)
			return first(err, failed)
		}},
		{"Reserve, Commit, Peek and Advance", func() error {
			_, err := p.Reserve(ctx, 8)
			committed := p.Commit(8)
			_, failed := r.Peek(ctx)
			return first(err, committed, failed, r.Advance(1))
		}},
		{"TryReserve and TryPeek", func() error {
			_, err := p.TryReserve(8)
			committed := p.Commit(8)
			_, failed := r.TryPeek()
			return first(err, committed, failed, r.Advance(1))
		}},
		{"SendMany, PeekManyAppend and Advance", func() (failed error) {
			_, err := p.SendMany(ctx, several)
			taken, failed = r.PeekManyAppend(ctx, taken[:0], 2)
			return first(err, failed, r.Advance(len(taken)))
		}},
		{"TrySendMany, TryPeekManyAppend and Advance", func() (failed error) {
			_, err := p.TrySendMany(several)
			taken, failed = r.TryPeekManyAppend(taken[:0], 2)
			return first(err, failed, r.Advance(len(taken)))
		}},
		{"Put and TakeAppend", func() error {
			err := q.Put(ctx, message)
			_, failed := q.TakeAppend(ctx, space)
			return first(err, failed)
		}},
		{"TryPut and TryTakeAppend", func() error {
			err := q.TryPut(message)
			_, failed := q.TryTakeAppend(space)
			return first(err, failed)
		}},
		{"PutMany and TakeManyAppend", func() (failed error) {
			_, err := q.PutMany(ctx, several)
			taken, wide, failed = q.TakeManyAppend(ctx, taken[:0], wide[:0], 2)
			return first(err, failed)
		}},
		{"TryPutMany and TryTakeManyAppend", func() (failed error) {
			_, err := q.TryPutMany(several)
			taken, wide, failed = q.TryTakeManyAppend(taken[:0], wide[:0], 2)
			return first(err, failed)
		}},
		{"Notify", func() error { return first(locked(w.Lock(ctx)), w.Notify(1), w.Unlock()) }},
	} {
		n := testing.AllocsPerRun(100, func() {
			if err := op.do(); err != nil {
				t.Errorf("%s: %v", op.name, err)
			}
		})
		if n != 0 {
			t.Errorf("%s allocates %v times", op.name, n)
		}
	}
}

// first is errors.Join that does not allocate.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
