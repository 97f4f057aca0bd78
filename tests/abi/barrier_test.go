package abi

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// three is the geometry of a barrier of three parties.
func three(scene) (shm.Geometry, error) { return shm.NewBarrierGeometry(3, shm.SeatsDefault) }

// sleeping leaves a thread of the seat asleep in the object until the test ends.
func sleeping(seat uint16, wait func(context.Context, *shm.Segment, *shm.Parker)) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		ctx, cancel := context.WithCancel(background)
		over := make(chan struct{})
		go func() {
			defer close(over)
			wait(ctx, s, shm.NewParker(shm.ParkerOptions{}))
		}()
		t.Cleanup(func() { cancel(); <-over })
		for s.Waiting(seat) == 0 {
			runtime.Gosched()
		}
	}
}

func arrive(seat uint16) func(*testing.T, *shm.Segment) {
	return sleeping(seat, func(ctx context.Context, s *shm.Segment, p *shm.Parker) {
		_, _ = s.Barrier().Arrive(ctx, p, actor(seat), -1, false)
	})
}

// lead arrives as the last one, and acts; complete has acted.
func lead(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		_, err := s.Barrier().Arrive(background, nil, actor(seat), 0, true)
		check(t, err)
	}
}

func complete(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) { check(t, s.Barrier().CompleteCurrent(actor(seat), true)) }
}

// asleep waits until n threads sleep: those that were let go have gone.
func asleep(n uint64) func(*testing.T, *shm.Segment) {
	return func(_ *testing.T, s *shm.Segment) {
		for sleepers(s) != n {
			runtime.Gosched()
		}
	}
}

func sleepers(s *shm.Segment) (n uint64) {
	for seat := range uint16(shm.SeatsDefault + 1) {
		n += uint64(s.Waiting(seat))
	}
	return n
}

func timeOut(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		_, err := s.Barrier().Arrive(background, nil, actor(seat), 1, false)
		if status.Of(err) != status.TimedOut {
			t.Fatal(err)
		}
	}
}

func declare(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) { check(t, s.Barrier().Declare(actor(seat))) }
}

func resetBarrier(t *testing.T, s *shm.Segment) {
	_, err := s.Barrier().Reset(actor(9))
	check(t, err)
}

func saidOfBarrier(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.BarrierLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("barrier.", reflect.ValueOf(lines))
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	var cells [shm.SeatsDefault + 1]shm.BarrierCell
	read(t, s, s.Geometry().CellsOffset, &cells)
	parties, charged := uint64(0), uint64(0)
	for _, cell := range cells {
		parties += cell.Word & constants()["PARTY_PARTY"]
		charged += bit(cell.Word&constants()["PARTY_CHARGED"] != 0)
	}
	st := s.Barrier().Status()
	say("arrived", uint64(st.Waiting))
	say("acting", bit(st.Acting))
	say("broken", bit(st.Broken))
	say("reasons", uint64(st.Reasons))
	say("generation", st.Generation)
	say("parties", parties)
	say("charged", charged)
	say("removed", bit(s.State() == shm.StateRemoved))
	return all
}
