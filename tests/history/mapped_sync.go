package history

import (
	"context"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// openMappedSync opens events, conditions, barriers and rwlocks, and what has rings.
func openMappedSync(c *shmd.Client, kind, name string) (opened, error) {
	ctx := context.Background()
	switch kind {
	case "event":
		e, err := shmd.OpenEvent(ctx, c, name)
		return &mappedEvent{e}, err
	case "condition":
		condition, err := shmd.OpenCondition(ctx, c, name)
		if err == nil {
			condition, err = condition.With(condition.NewOwner())
		}
		return &mappedCondition{condition}, err
	case "barrier":
		b, err := shmd.OpenBarrier(ctx, c, name)
		return &mappedBarrier{b}, err
	case "rwlock":
		l, err := shmd.OpenRWLock(ctx, c, name)
		if err != nil {
			return nil, err
		}
		return &mappedRWLock{l, l.NewOwner()}, nil
	case "stream":
		s, err := shmd.OpenStream(ctx, c, name)
		return &mappedRing{object: s, claim: claimStream(s)}, err
	case "pipe":
		p, err := shmd.OpenPipe(ctx, c, name)
		return &mappedRing{object: p, claim: claimPipe(p)}, err
	}
	return nil, status.Unsupported
}

// noticed writes what a notice tells, if there was one.
func (e *Entry) noticed(n *shmd.Notice, err error) error {
	if n != nil {
		e.Result, e.Extra = int64(n.Deaths), n.PID
	}
	if n != nil && err == nil {
		return status.OwnerDied
	}
	return err
}

type mappedEvent struct{ *shmd.Event }

func (v *mappedEvent) close() error { return v.Close() }

func (v *mappedEvent) perform(e *Entry) error {
	e.begin()
	switch e.Op {
	case OpSignal:
		return v.Set()
	case OpReset:
		return v.Reset()
	case OpPulse:
		return v.Pulse()
	case OpIsSet:
		set, err := v.IsSet()
		e.Result = int64(truth(set))
		return err
	case OpWait:
		if e.Timeout == 0 {
			return v.TryWait()
		}
		ctx, cancel := within(e.Timeout)
		defer cancel()
		return v.Wait(ctx)
	}
	return status.Unsupported
}

type mappedCondition struct{ *shmd.Condition }

func (c *mappedCondition) close() error { return c.Close() }

func (c *mappedCondition) perform(e *Entry) error {
	switch e.Op {
	case OpNotify:
		e.begin()
		if e.N == 0 {
			return c.NotifyAll()
		}
		return c.Notify(int(e.N))
	case OpWaitCondition:
		e.begin()
		if e.Timeout == 0 {
			return status.Unsupported // there is no try
		}
		ctx, cancel := within(e.Timeout)
		defer cancel()
		n, err := c.Wait(ctx)
		if n != nil && status.Of(err) == status.TimedOut {
			err = nil // the notice comes beside it; in other languages it wins
		}
		return e.noticed(n, err)
	}
	return performLock(c, e)
}

type mappedBarrier struct{ *shmd.Barrier }

func (b *mappedBarrier) close() error { return b.Close() }

func (b *mappedBarrier) perform(e *Entry) error {
	e.begin()
	switch e.Op {
	case OpArrive:
		var index int
		var err error
		if e.Timeout == 0 {
			index, err = b.TryWait()
		} else {
			ctx, cancel := within(e.Timeout)
			defer cancel()
			index, err = b.Wait(ctx)
		}
		e.Result = int64(index)
		return err
	case OpBreak:
		return b.Abort()
	case OpReset:
		n, err := b.Reset()
		if err == nil && n != nil {
			err = status.OwnerDied
		}
		return err
	case OpState:
		s, err := b.Status()
		e.Result, e.Extra = packState(s.Waiting, s.Broken, uint32(s.Reasons)), uint32(s.Generation)
		return err
	}
	return status.Unsupported
}

type mappedRWLock struct {
	lock *shmd.RWLock
	*shmd.RWOwner
}

func (l *mappedRWLock) close() error { return l.lock.Close() }

func (l *mappedRWLock) perform(e *Entry) error {
	switch e.Op {
	case OpReadUnlock:
		e.begin()
		return l.RUnlock()
	case OpReadLock:
		e.begin()
		if e.Timeout == 0 {
			return e.noticed(l.TryRLock())
		}
		ctx, cancel := within(e.Timeout)
		defer cancel()
		return e.noticed(l.RLock(ctx))
	}
	return performLock(l, e)
}
