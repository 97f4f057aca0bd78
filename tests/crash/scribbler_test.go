package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// worry does everything to a queue that somebody scribbles over, until it is
// destroyed. Any error that can be explained is fine; not coming back is not.
func worry(o opens, name string) error {
	p, err := o.pipe(name)
	fmt.Println("ok")
	if errors.Is(err, status.Corrupt) {
		return nil // it is too late
	} else if err != nil {
		return err
	}
	explained := []status.Code{status.OK, status.WouldBlock, status.TimedOut, status.Ended, status.NotOwner,
		status.Corrupt}
	message := make([]byte, messageLong)
	for turn := 0; ; turn++ {
		var errs [4]error
		errs[0] = p.put(message[:turn%messageLong], tryTime)
		d, err := p.lease(tryTime)
		if errs[1] = err; err == nil {
			_ = slices.Max(append(d.message, 0)) // must be readable
			// These two have no timeout. A scribbled latch holds them up until the
			// queue is destroyed, at the latest.
			if turn%2 == 0 {
				errs[2] = p.ack(d)
			} else {
				errs[3] = p.nack(d)
			}
		}
		for _, err := range errs {
			if errors.Is(err, status.Removed) {
				return nil
			}
			if !slices.Contains(explained, status.Of(err)) {
				return err
			}
		}
	}
}

// TestScribbler lets a client write random words everywhere in a queue while
// others use it, until it is killed: nobody crashes, the daemon answers, other
// objects work, and when the queue is destroyed, everybody comes back.
func TestScribbler(t *testing.T) {
	const turns = 300
	seed := rand.Uint64()
	t.Logf("the scribblers' seed is %d", seed)
	forDaemons(t, func(t *testing.T, flags []string) {
		s := newScene(t, flags...)
		s.create("jobs", wire.KindQueue, wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(7)),
			SlotSize: new(uint32(messageLong)), DeliveriesMax: new(uint32(3))})
		var workers []*client
		for _, f := range append(flavours, flavours...) {
			w := s.messenger(f)
			w.do("worry jobs", "ok")
			workers = append(workers, w)
		}
		bystander := s.start(flavourGo, nil)
		bystander.do("open array data", "ok")
		for round := range uint64(2) {
			scribbler := s.poster(flavourGo)
			scribbler.do(fmt.Sprintf("scribble jobs %d", seed+round), "ok")
			for turn := range turns {
				s.call(wire.MethodPing, nil)
				bystander.do("lock data", "held")
				bystander.do(fmt.Sprintf("set data 0 %d", turn), "ok")
				bystander.do("unlock data", "ok")
				s.stat("jobs")
			}
			scribbler.Kill()
			// The others go on with what it left. Some have died meanwhile.
			w := round % uint64(len(workers))
			workers[w].Kill()
			workers[w] = s.messenger(flavours[w])
			workers[w].do("worry jobs", "ok")
		}
		s.call(wire.MethodDestroy, nil, "jobs")
		for _, w := range workers {
			if line := w.Line(); line != "done" {
				t.Errorf("the %s client ends with %q", w.flavour, line)
			}
			w.MustEnd()
		}
		s.awaitGone(2)
		if _, err := shmd.OpenQueue(context.Background(), s.ctl, "jobs"); !errors.Is(err, shmd.ErrNotFound) {
			t.Errorf("the destroyed queue is opened: %v", err)
		}
		bystander.do("lock data", "held")
		bystander.do(fmt.Sprintf("set data 0 %d", 0), "ok")
		bystander.do("unlock data", "ok")
	})
}
