package crash

import (
	"context"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// locker is what a mutex and an array have in common.
type locker interface {
	Lock(ctx context.Context) (*shmd.Notice, error)
	TryLock() (*shmd.Notice, error)
	Unlock() error
	MarkConsistent() error
	Close() error
}

// mapped is an open object in mapped memory.
type mapped struct {
	locker
	array *shmd.Array[int64] // nil for a mutex
	view  []int64
}

func openMapped(c *shmd.Client, kind, name string) (thing, error) {
	if kind == "mutex" {
		m, err := shmd.OpenMutex(context.Background(), c, name)
		return &mapped{locker: m}, err
	}
	a, err := shmd.OpenArray[int64](context.Background(), c, name)
	if err != nil {
		return nil, err
	}
	return &mapped{locker: a, array: a, view: a.View()}, nil
}

func (m *mapped) lock(timeout time.Duration) (*wire.Notice, error) {
	n, err := m.take(timeout)
	if err != nil || n == nil {
		return nil, err
	}
	return &wire.Notice{
		Seat: uint32(n.Seat), PID: int32(n.PID), UID: n.UID, DiedNS: n.DiedNs, Deaths: uint64(n.Deaths),
	}, nil
}

func (m *mapped) take(timeout time.Duration) (*shmd.Notice, error) {
	ctx := context.Background()
	switch {
	case timeout == 0:
		return m.TryLock()
	case timeout > 0:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return m.Lock(ctx)
}

func (m *mapped) unlock() error { return m.Unlock() }
func (m *mapped) mark() error   { return m.MarkConsistent() }
func (m *mapped) close() error  { return m.Close() }
func (m *mapped) length() int   { return len(m.view) }

func (m *mapped) beginWrite() error {
	if m.array == nil {
		return status.Unsupported
	}
	return m.array.BeginWrite()
}

func (m *mapped) endWrite() error {
	if m.array == nil {
		return status.Unsupported
	}
	return m.array.EndWrite()
}

func (m *mapped) get(i int) (int64, error) { return m.view[i], nil }

func (m *mapped) set(i int, v int64) error {
	m.view[i] = v
	return nil
}

func (m *mapped) pair() (v [2]int64, dirty bool, err error) {
	if m.array == nil {
		return v, false, status.Unsupported
	}
	_, dirty, err = m.array.Read(context.Background(), 0, v[:])
	return v, dirty, err
}
