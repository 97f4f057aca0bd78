package shm

import (
	"context"
	"sync/atomic"
	"testing"
)

// restless is a context that ends by a flag, and has no channel: whoever asks for that
// would wait for ever.
type restless struct {
	context.Context
	sleeper Sleeper
	ended   atomic.Bool
}

func (r *restless) Sleeper() *Sleeper { return &r.sleeper }

func (r *restless) Done() <-chan struct{} { panic("nobody needs the channel") }

func (r *restless) Err() error {
	if r.ended.Load() {
		return context.Canceled
	}
	return nil
}

// asleepOn waits until the sleeper is asleep, or about to be.
func (r *restless) asleepOn(word *uint32) {
	for r.sleeper.word.Load() != word {
		pause(1)
	}
}

// Who sleeps under a restless context is roused after its end, also if that comes before
// the sleep; one that was woken instead is not told that it ended.
func TestSleeperIsRoused(t *testing.T) {
	p := NewParker(ParkerOptions{})
	word := uint32(7)
	for range 100 {
		r := &restless{Context: background}
		result := make(chan wakeup)
		go func() { result <- p.wait(r, &word, 7, 0) }()
		r.asleepOn(&word)
		r.ended.Store(true)
		var w wakeup
		RouseUntil(r.sleeper.Rouse, func() bool {
			select {
			case w = <-result:
				return true
			default:
				return false
			}
		})
		if w != cancelled {
			t.Fatalf("roused: %v", w)
		}
		if w := r.sleeper.sleep(r, &word, 7, monotonicNs()+1, 1); w != cancelled {
			t.Fatalf("after the end, with nobody to rouse: %v", w)
		}
	}

	r := &restless{Context: background}
	result := make(chan wakeup)
	go func() { result <- p.wait(r, &word, 7, 0) }()
	r.asleepOn(&word)
	r.sleeper.Rouse() // in vain: nothing has ended, and a spurious wake-up is none of ours
	atomic.StoreUint32(&word, 8)
	futexWakeN(&word, futexAll)
	if w := <-result; w == cancelled || w == expired {
		t.Errorf("woken: %v", w)
	}
	if r.sleeper.word.Load() != nil {
		t.Error("who is awake counts as asleep")
	}
	if w := p.wait(r, &word, 8, monotonicNs()+1); w != expired {
		t.Errorf("a deadline: %v", w)
	}
}
