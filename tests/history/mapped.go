package history

import (
	"context"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// --- Objects in mapped memory.

func openMapped(c *shmd.Client, kind, name string) (opened, error) {
	ctx := context.Background()
	switch kind {
	case "mutex":
		m, err := shmd.OpenMutex(ctx, c, name)
		if err != nil {
			return nil, err
		}
		return &mappedMutex{m, m.NewOwner()}, nil
	case "semaphore":
		s, err := shmd.OpenSemaphore(ctx, c, name)
		return &mappedSemaphore{s}, err
	case "queue":
		q, err := shmd.OpenQueue(ctx, c, name)
		return &mappedQueue{Queue: q}, err
	case "value":
		v, err := shmd.OpenValue[int64](ctx, c, name)
		return &mappedValue{v}, err
	case "array":
		a, err := shmd.OpenArray[int64](ctx, c, name)
		if err != nil {
			return nil, err
		}
		return &mappedArray{a, make([]int64, a.Len())}, nil
	}
	return openMappedSync(c, kind, name)
}

// within is the context of a timeout that is not 0.
func within(timeout int64) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(context.Background(), time.Duration(timeout))
	}
	return context.Background(), func() {}
}

// lockable is what mutexes and arrays have in common.
type lockable interface {
	Lock(ctx context.Context) (*shmd.Notice, error)
	TryLock() (*shmd.Notice, error)
	Unlock() error
	MarkConsistent() error
}

func performLock(l lockable, e *Entry) error {
	e.begin()
	switch e.Op {
	case OpUnlock:
		return l.Unlock()
	case OpMark:
		return l.MarkConsistent()
	case OpLock:
		if e.Timeout == 0 {
			return e.noticed(l.TryLock())
		}
		ctx, cancel := within(e.Timeout)
		defer cancel()
		return e.noticed(l.Lock(ctx))
	}
	return status.Unsupported
}

// mappedMutex has an owner of its own, so that it is told what a thread of another
// language would be told.
type mappedMutex struct {
	mutex *shmd.Mutex
	*shmd.Owner
}

func (m *mappedMutex) perform(e *Entry) error { return performLock(m, e) }
func (m *mappedMutex) close() error           { return m.mutex.Close() }

type mappedSemaphore struct{ *shmd.Semaphore }

func (s *mappedSemaphore) close() error { return s.Close() }

func (s *mappedSemaphore) perform(e *Entry) error {
	e.begin()
	switch e.Op {
	case OpAcquire:
		if e.Timeout == 0 {
			return s.TryAcquire(e.N)
		}
		ctx, cancel := within(e.Timeout)
		defer cancel()
		return s.Acquire(ctx, e.N)
	case OpRelease:
		return s.Release(e.N)
	case OpPost:
		return s.Post(e.N)
	case OpPermits:
		p, err := s.Permits()
		e.Result, e.Extra = int64(p.Available), p.Held
		return err
	}
	return status.Unsupported
}

type mappedQueue struct {
	*shmd.Queue
	holdings
}

func (q *mappedQueue) close() error { return q.Close() }

func (q *mappedQueue) perform(e *Entry) error {
	switch e.Op {
	case OpAck, OpNack, OpExtend, OpForget:
		return q.one(e)
	case OpCommit, OpAbort:
		return q.fill(e)
	case OpAckMany, OpNackMany:
		return q.endMany(e, func(leases []lease) (int, error) {
			held := make([]*shmd.Lease, len(leases))
			for i, l := range leases {
				held[i] = l.(*shmd.Lease)
			}
			if e.Op == OpAckMany {
				return q.AckMany(held)
			}
			return q.NackMany(held)
		})
	}
	e.begin()
	ctx, cancel := within(e.Timeout)
	defer cancel()
	switch e.Op {
	case OpPut:
		if e.Timeout == 0 {
			return q.TryPut(e.Message())
		}
		return q.Put(ctx, e.Message())
	case OpReserve:
		r, err := q.ReserveSize(ctx, int(max(e.N, MessageMin)))
		if err == nil {
			q.reservations = append(q.reservations, r)
		}
		return err
	case OpTake:
		return q.take(ctx, e)
	case OpLease, OpTakeDead:
		return q.lease(ctx, e)
	case OpPutMany, OpTakeMany, OpLeaseMany:
		return q.many(ctx, e)
	case OpJoin:
		if e.Timeout == 0 {
			return q.TryJoin()
		}
		return q.Join(ctx)
	case OpRedeliver:
		n, err := q.Redeliver()
		e.Result = int64(n)
		return err
	case OpCounts:
		n, err := q.Counts()
		e.Result, e.Extra = packCounts(n.Ready, n.Leased, n.Writing, n.Dead), n.Free
		return err
	}
	return status.Unsupported
}

func (q *mappedQueue) take(ctx context.Context, e *Entry) error {
	var m []byte
	var err error
	if e.Timeout == 0 {
		m, err = q.TryTake()
	} else {
		m, err = q.Take(ctx)
	}
	if err == nil && !e.Receive(m) {
		err = errBroken
	}
	return err
}

func (q *mappedQueue) lease(ctx context.Context, e *Entry) error {
	var l *shmd.Lease
	var err error
	switch {
	case e.Op == OpTakeDead:
		l, err = q.TakeDead()
	case e.Timeout == 0:
		l, err = q.TryLease()
	default:
		l, err = q.Lease(ctx)
	}
	if err != nil {
		return err
	}
	return q.hold(e, l, l.Message(), l.Deliveries())
}

func (q *mappedQueue) many(ctx context.Context, e *Entry) error {
	most := int(e.Desired)
	switch e.Op {
	case OpPutMany:
		put := q.TryPutMany
		if e.Timeout != 0 {
			put = func(messages [][]byte) (int, error) { return q.PutMany(ctx, messages) }
		}
		n, err := put(e.Messages())
		e.Result = int64(n)
		return err
	case OpTakeMany:
		var messages [][]byte
		var err error
		if e.Timeout == 0 {
			messages, err = q.TryTakeMany(nil, most)
		} else {
			messages, err = q.TakeMany(ctx, nil, most)
		}
		if err != nil {
			return err
		}
		return e.ReceiveMany(messages)
	}
	var leases []*shmd.Lease
	var err error
	if e.Timeout == 0 {
		leases, err = q.TryLeaseMany(nil, most)
	} else {
		leases, err = q.LeaseMany(ctx, nil, most)
	}
	if err != nil {
		return err
	}
	var messages [][]byte
	var held []lease
	var deliveries []int
	for _, l := range leases {
		messages, held = append(messages, l.Message()), append(held, l)
		deliveries = append(deliveries, l.Deliveries())
	}
	return q.holdMany(e, messages, held, deliveries)
}

type mappedValue struct{ *shmd.Value[int64] }

func (v *mappedValue) close() error { return v.Close() }

func (v *mappedValue) perform(e *Entry) (err error) {
	e.begin()
	var swapped bool
	switch e.Op {
	case OpLoad:
		e.Result, err = v.Load()
	case OpStore:
		err = v.Store(e.Argument)
	case OpAdd:
		e.Result, err = v.Add(e.Argument)
	case OpExchange:
		e.Result, err = v.Exchange(e.Argument)
	case OpCompareExchange:
		swapped, e.Result, err = v.CompareExchange(e.Argument, e.Desired)
		e.Extra = truth(swapped)
	default:
		err = status.Unsupported
	}
	return err
}

func truth(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

type mappedArray struct {
	*shmd.Array[int64]
	cut []int64 // what Read and Write copy
}

func (a *mappedArray) close() error { return a.Close() }

func (a *mappedArray) perform(e *Entry) (err error) {
	var swapped bool
	i := int(e.N)
	switch e.Op {
	case OpLoad:
		e.begin()
		e.Result, err = a.Load(i)
	case OpStore:
		e.begin()
		err = a.Store(i, e.Argument)
	case OpAdd:
		e.begin()
		e.Result, err = a.Add(i, e.Argument)
	case OpExchange:
		e.begin()
		e.Result, err = a.Exchange(i, e.Argument)
	case OpCompareExchange:
		e.begin()
		swapped, e.Result, err = a.CompareExchange(i, e.Argument, e.Desired)
		e.Extra = truth(swapped)
	case OpWrite:
		for i := range a.cut {
			a.cut[i] = e.Argument
		}
		e.begin()
		ctx, cancel := within(e.Timeout)
		defer cancel()
		_, err = a.Write(ctx, 0, a.cut)
	case OpRead:
		e.begin()
		ctx, cancel := within(e.Timeout)
		defer cancel()
		var dirty bool
		_, dirty, err = a.Read(ctx, 0, a.cut)
		if err == nil {
			err = e.compare(a.cut, dirty)
		}
	default:
		err = performLock(a, e)
	}
	return err
}

// compare wants all elements of a clean cut to be equal.
func (e *Entry) compare(cut []int64, dirty bool) error {
	e.Result, e.Extra = cut[0], truth(dirty)
	for _, v := range cut {
		if v != cut[0] && !dirty {
			return errBroken
		}
	}
	return nil
}
