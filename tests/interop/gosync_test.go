package interop

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// goSync is an open event, condition, barrier or rwlock; the others are nil. Locks are
// held as one thread of control, as the other drivers do.
type goSync struct {
	event     *shmd.Event
	condition *shmd.Condition
	barrier   *shmd.Barrier
	rwlock    *shmd.RWOwner
}

// syncKinds are the kinds that a goSync is.
const syncKinds = wire.KindEvent + " " + wire.KindCondition + " " + wire.KindBarrier + " " + wire.KindRWLock

func (d *goDriver) createSync(ctx context.Context, slot, kind, name, flags string, words []string) error {
	n, err := numbers(words)
	if err != nil {
		return err
	}
	switch kind {
	case wire.KindEvent:
		e, err := shmd.CreateEvent(ctx, d.client, name, shmd.EventOptions{
			AutoReset: strings.Contains(flags, "auto_reset"), Set: strings.Contains(flags, "isset"),
		})
		return d.keepSync(slot, e, &goSync{event: e}, err)
	case wire.KindCondition:
		mutex := d.slots[strings.TrimPrefix(flags, "@")]
		c, err := shmd.CreateCondition(ctx, d.client, name, mutex.mutex, shmd.ConditionOptions{})
		if err != nil {
			return err
		}
		return d.keepCondition(slot, c, mutex.lock.(*shmd.Owner))
	case wire.KindBarrier:
		b, err := shmd.CreateBarrier(ctx, d.client, name, shmd.BarrierOptions{Parties: n[0], Party: flags == "party"})
		return d.keepSync(slot, b, &goSync{barrier: b}, err)
	}
	l, err := shmd.CreateRWLock(ctx, d.client, name, shmd.RWLockOptions{})
	return d.keepRWLock(slot, l, err)
}

func (d *goDriver) openSync(ctx context.Context, slot, kind, name, access string) error {
	switch kind {
	case wire.KindEvent:
		open := shmd.OpenEvent
		if access == "r" {
			open = shmd.OpenEventReadOnly
		}
		e, err := open(ctx, d.client, name)
		return d.keepSync(slot, e, &goSync{event: e}, err)
	case wire.KindCondition:
		c, err := shmd.OpenCondition(ctx, d.client, name)
		if err != nil {
			return err
		}
		return d.keepCondition(slot, c, c.NewOwner())
	case wire.KindBarrier:
		open := shmd.OpenBarrier
		if access == "party" {
			open = shmd.OpenBarrierAsParty
		}
		b, err := open(ctx, d.client, name)
		return d.keepSync(slot, b, &goSync{barrier: b}, err)
	}
	l, err := shmd.OpenRWLock(ctx, d.client, name)
	return d.keepRWLock(slot, l, err)
}

func (d *goDriver) keepSync(slot string, closer interface{ Close() error }, s *goSync, err error) error {
	if err == nil {
		d.slots[slot] = &goSlot{closer: closer, sync: s}
	}
	return err
}

func (d *goDriver) keepCondition(slot string, c *shmd.Condition, owner *shmd.Owner) error {
	own, err := c.With(owner)
	return d.keepSync(slot, c, &goSync{condition: own}, err)
}

func (d *goDriver) keepRWLock(slot string, l *shmd.RWLock, err error) error {
	if err != nil {
		return err
	}
	return d.keepSync(slot, l, &goSync{rwlock: l.NewOwner()}, nil)
}

// obey obeys a command about one of them.
func (s *goSync) obey(verb string, words []string) ([]string, error) {
	ctx, cancel, try := context.Background(), func() {}, false
	switch verb {
	case "await", "arrive", "act", "lock", "readlock":
		within, end, ns, err := within(words[0])
		if err != nil {
			return nil, err
		}
		ctx, cancel, try = within, end, ns == 0
	}
	defer cancel()
	switch {
	case s.event != nil:
		return s.obeyEvent(ctx, verb, try)
	case s.condition != nil:
		return s.obeyCondition(ctx, verb, words, try)
	case s.barrier != nil:
		return s.obeyBarrier(ctx, verb, words, try)
	}
	return s.obeyRWLock(ctx, verb, try)
}

func (s *goSync) obeyEvent(ctx context.Context, verb string, try bool) ([]string, error) {
	switch e := s.event; verb {
	case "signal":
		return nil, e.Set()
	case "reset":
		return nil, e.Reset()
	case "pulse":
		return nil, e.Pulse()
	case "isset":
		set, err := e.IsSet()
		return []string{strconv.FormatBool(set)}, err
	case "await":
		if try {
			return nil, e.TryWait()
		}
		return nil, e.Wait(ctx)
	}
	return nil, fmt.Errorf("%w: %s of an event", errCommand, verb)
}

// died is the answer of what may tell of a death.
func died(n *shmd.Notice, err error) ([]string, error) {
	if err != nil || n == nil {
		return nil, err
	}
	return []string{"died"}, nil
}

func (s *goSync) obeyCondition(ctx context.Context, verb string, words []string, try bool) ([]string, error) {
	c := s.condition
	switch verb {
	case "lock":
		if try {
			return died(c.TryLock())
		}
		return died(c.Lock(ctx))
	case "unlock":
		return nil, c.Unlock()
	case "mark":
		return nil, c.MarkConsistent()
	case "await":
		n, err := c.Wait(ctx)
		if n != nil {
			err = nil // as the others tell it
		}
		return died(n, err)
	case "notify":
		n, err := strconv.Atoi(words[0])
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return nil, c.NotifyAll()
		}
		return nil, c.Notify(n)
	}
	return nil, fmt.Errorf("%w: %s of a condition", errCommand, verb)
}

// errAction is the failure of an action.
var errAction = errors.New("the action fails")

func (s *goSync) obeyBarrier(ctx context.Context, verb string, words []string, try bool) ([]string, error) {
	b := s.barrier
	switch verb {
	case "arrive":
		wait := b.Wait
		if try {
			wait = func(context.Context) (int, error) { return b.TryWait() }
		}
		index, err := wait(ctx)
		return []string{strconv.Itoa(index)}, err
	case "act":
		acted := false
		index, err := b.WaitAction(ctx, func() error {
			acted = true
			if words[1] == "fail" {
				return errAction
			}
			return nil
		})
		return []string{strconv.Itoa(index), strconv.FormatBool(acted)}, err
	case "abort":
		return nil, b.Abort()
	case "reset":
		return died(b.Reset())
	case "state":
		st, err := b.Status()
		reasons := strings.Join(st.Reasons.Names(), ",")
		if reasons == "" {
			reasons = "-"
		}
		return strings.Fields(fmt.Sprint(st.Waiting, " ", reasons, " ", st.Generation)), err
	}
	return nil, fmt.Errorf("%w: %s of a barrier", errCommand, verb)
}

func (s *goSync) obeyRWLock(ctx context.Context, verb string, try bool) ([]string, error) {
	l := s.rwlock
	switch verb {
	case "lock":
		if try {
			return died(l.TryLock())
		}
		return died(l.Lock(ctx))
	case "readlock":
		if try {
			return died(l.TryRLock())
		}
		return died(l.RLock(ctx))
	case "unlock":
		return nil, l.Unlock()
	case "readunlock":
		return nil, l.RUnlock()
	case "mark":
		return nil, l.MarkConsistent()
	}
	return nil, fmt.Errorf("%w: %s of an rwlock", errCommand, verb)
}
