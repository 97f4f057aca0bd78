package abi

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Events and conditions in images.

func event(set bool) func(sc scene) (shm.Geometry, error) {
	return func(sc scene) (shm.Geometry, error) {
		return shm.NewEventGeometry(set, sc.flags, shm.SeatsDefault)
	}
}

func set(t *testing.T, s *shm.Segment) { check(t, s.Event().Set(actor(2))) }

func reset(t *testing.T, s *shm.Segment) { check(t, s.Event().Reset(actor(2))) }

func pulse(t *testing.T, s *shm.Segment) { check(t, s.Event().Pulse(actor(2))) }

// awaitInVain waits for an event that nobody sets, and leaves the waiters bit behind.
func awaitInVain(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		err := s.Event().Wait(background, shm.NewParker(shm.ParkerOptions{}), actor(seat), 1)
		if err != status.TimedOut {
			t.Fatal(err)
		}
	}
}

func saidOfEvent(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.EventLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("event.", reflect.ValueOf(lines))
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	is, err := s.Event().IsSet()
	if err != nil && err != status.Removed {
		t.Fatal(err)
	}
	say("set", bit(is))
	say("waiters", bit(s.Event().Waiters()))
	if !s.Geometry().Flags.Has(shm.FlagAutoReset) {
		say("generation", uint64(lines.Word)/constants()["EVENT_GENERATION_UNIT"])
	}
	say("removed", bit(err == status.Removed))
	return all
}

func condition(scene) (shm.Geometry, error) { return shm.NewConditionGeometry(shm.SeatsDefault) }

// guarded runs an operation of a seat that holds the mutex of a condition.
func guarded(seat uint16, do func(c *shm.Condition) error) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		guard := segment(t, scene{kind: shm.KindMutex}, 2)
		lock(seat)(t, guard)
		check(t, do(s.Condition(guard.Lock())))
		unlock(seat)(t, guard)
	}
}

// conditionWait waits in vain, and leaves the waiters bit behind.
func conditionWait(seat uint16) func(*testing.T, *shm.Segment) {
	return guarded(seat, func(c *shm.Condition) error {
		p := shm.NewParker(shm.ParkerOptions{})
		if _, err := c.Wait(background, background, p, actor(seat), owner(seat), 1); err != status.TimedOut {
			return fmt.Errorf("waited in vain: %w", err)
		}
		return nil
	})
}

func notify(seat uint16) func(*testing.T, *shm.Segment) {
	return guarded(seat, func(c *shm.Condition) error { return c.Notify(actor(seat), owner(seat), 1) })
}

func saidOfCondition(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.ConditionLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("condition.", reflect.ValueOf(lines))
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	say("count", lines.Word/constants()["EVENTCOUNT_STEP"])
	say("waiters", bit(s.Condition(nil).Waiters()))
	say("removed", bit(s.State() == shm.StateRemoved))
	return all
}
