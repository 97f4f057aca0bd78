package main

import (
	"context"

	shmd "github.com/shmd/shmd/clients/go"
)

// What brings clients together: events, conditions, barriers, rwlocks.

func init() {
	for words, do := range map[string]operation{
		"event set":   plain(func(p *player, _ []int64) error { return p.event.Set() }),
		"event reset": plain(func(p *player, _ []int64) error { return p.event.Reset() }),
		"event pulse": plain(func(p *player, _ []int64) error { return p.event.Pulse() }),
		"event wait":  plain(func(p *player, a []int64) error { return waits(a[0], p.event.TryWait, p.event.Wait) }),

		"condition lock": func(p *player, a []int64) (result, error) {
			return locks(a[0], p.condition.TryLock, p.condition.Lock)
		},
		"condition unlock": plain(func(p *player, _ []int64) error { return p.condition.Unlock() }),
		"condition mark":   plain(func(p *player, _ []int64) error { return p.condition.MarkConsistent() }),
		"condition wait": func(p *player, a []int64) (result, error) {
			return locks(a[0], nil, p.condition.Wait)
		},
		"condition notify": plain(func(p *player, a []int64) error { return p.condition.Notify(int(a[0])) }),
		"condition all":    plain(func(p *player, _ []int64) error { return p.condition.NotifyAll() }),

		"barrier wait": func(p *player, a []int64) (result, error) {
			return arrives(a[0], p.barrier.TryWait, p.barrier.Wait)
		},
		"barrier action": func(p *player, a []int64) (result, error) {
			return arrives(a[0], nil, func(ctx context.Context) (int, error) {
				return p.barrier.WaitAction(ctx, func() error { return nil })
			})
		},
		"barrier abort": plain(func(p *player, _ []int64) error { return p.barrier.Abort() }),
		"barrier reset": func(p *player, _ []int64) (result, error) {
			n, err := p.barrier.Reset()
			return result{notice: n != nil}, err
		},

		"rwlock read": func(p *player, a []int64) (result, error) {
			return locks(a[0], p.rwOwner.TryRLock, p.rwOwner.RLock)
		},
		"rwlock unread": plain(func(p *player, _ []int64) error { return p.rwOwner.RUnlock() }),
		"rwlock write": func(p *player, a []int64) (result, error) {
			return locks(a[0], p.rwOwner.TryLock, p.rwOwner.Lock)
		},
		"rwlock unwrite": plain(func(p *player, _ []int64) error { return p.rwOwner.Unlock() }),
		"rwlock mark":    plain(func(p *player, _ []int64) error { return p.rwOwner.MarkConsistent() }),
	} {
		operations[words] = do
	}
}

// locks runs what may bring a notice; now is the form that does not wait.
func locks(ns int64, now func() (*shmd.Notice, error),
	wait func(ctx context.Context) (*shmd.Notice, error)) (r result, err error) {
	var n *shmd.Notice
	err = waits(ns, func() (err error) {
		n, err = now()
		return err
	}, func(ctx context.Context) (err error) {
		n, err = wait(ctx)
		return err
	})
	return result{notice: n != nil}, err
}

// arrives runs what tells an index.
func arrives(ns int64, now func() (int, error), wait func(ctx context.Context) (int, error)) (result, error) {
	var index int
	err := waits(ns, func() (err error) {
		index, err = now()
		return err
	}, func(ctx context.Context) (err error) {
		index, err = wait(ctx)
		return err
	})
	if err != nil {
		return result{}, err
	}
	return result{numbers: []int64{int64(index)}}, nil
}
