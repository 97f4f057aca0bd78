package abi

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// stream and pipe are the geometries of the smallest rings.
func stream(scene) (shm.Geometry, error) {
	return shm.NewStreamGeometry(shm.RingCapacityMin, 100, shm.SeatsDefault)
}

func pipe(sc scene) (shm.Geometry, error) {
	messageMax := uint32(1 << 20)
	if sc.flags.Has(shm.FlagBytes) {
		messageMax = 0
	}
	return shm.NewPipeGeometry(shm.RingCapacityMin, messageMax, sc.flags, shm.SeatsDefault)
}

func produce(seat uint16, messages ...string) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		w, err := s.Stream().ClaimProducer(actor(seat))
		check(t, err)
		for _, m := range messages {
			check(t, w.Send(background, nil, []byte(m), 0))
		}
	}
}

// consume receives until there is nothing, goes on over ends, and waits in vain.
func consume(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		r, err := s.Stream().ClaimConsumer(actor(seat))
		check(t, err)
		for status.Of(err) != status.TimedOut {
			_, err = r.Recv(background, shm.NewParker(shm.ParkerOptions{}), nil, time.Nanosecond)
		}
	}
}

func retire(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		w, err := s.Stream().ClaimProducer(actor(seat))
		check(t, err)
		w.Close()
	}
}

// pipeInUse sends a message one way, and one in pieces the other.
func pipeInUse(t *testing.T, s *shm.Segment) {
	for end, message := range []string{"short", string(make([]byte, 3000))} {
		e, err := s.Pipe().Claim(actor(uint16(end+1)), end)
		check(t, err)
		check(t, e.W.Send(background, nil, []byte(message), 0))
	}
}

func pipeBytes(t *testing.T, s *shm.Segment) {
	e, err := s.Pipe().Claim(actor(1), shm.AnyEnd)
	check(t, err)
	_, err = e.W.Write(background, nil, []byte("bytes"), 0)
	check(t, err)
	e.Close()
}

// saidOfRings is what the structs say, and what package shm makes of them.
func saidOfRings(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.RingLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("ring.", reflect.ValueOf(lines))
	looks := []shm.RingStatus{}
	if s.Geometry().Kind == shm.KindPipe {
		looks = append(looks, s.Pipe().Status(0), s.Pipe().Status(1))
	} else {
		looks = append(looks, s.Stream().Status())
	}
	for i, st := range looks {
		say := func(name string, value uint64) { all = append(all, fmt.Sprintf("ring.%d.%s %d", i, name, value)) }
		say("used", st.Used)
		say("producer", uint64(st.Producer))
		say("consumer", uint64(st.Consumer))
		say("closed", bit(st.Closed))
		say("died", bit(st.Died))
	}
	return append(all, fmt.Sprintf("removed %d", bit(s.State() == shm.StateRemoved)))
}
