package shm

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// crowded is a parker whose only place for a direct sleeper is taken, so that every
// further one shares a thread. release ends the one that took it.
func crowded(o ParkerOptions) (p *Parker, release func()) {
	o.DirectMax = 1
	p = NewParker(o)
	p.direct.Add(1)
	return p, func() { p.direct.Add(-1) }
}

// A sleeper that shares a thread has expired if its word still holds the value, and
// owes nothing; if the word has changed, a wake may have been consumed.
func TestParkerTellsHowASharedSleepEnded(t *testing.T) {
	for _, o := range []ParkerOptions{{}, {WithoutWaitv: true}} {
		p, release := crowded(o)
		word := uint32(7)
		if w := p.wait(background, &word, 7, monotonicNs()+1); w != expired {
			t.Errorf("%+v: a timeout: %v", o, w)
		}
		if w := p.wait(background, &word, 6, 0); w != woken {
			t.Errorf("%+v: another value: %v", o, w)
		}
		ended := make(chan wakeup)
		go func() { ended <- p.wait(background, &word, 7, 0) }()
		atomic.StoreUint32(&word, 8)
		futexWakeN(&word, futexAll)
		if w := <-ended; w != woken {
			t.Errorf("%+v: a wake: %v", o, w)
		}
		ctx, cancel := context.WithCancel(background)
		go func() { ended <- p.wait(ctx, &word, 8, 0) }()
		cancel()
		if w := <-ended; w != cancelled {
			t.Errorf("%+v: a cancel: %v", o, w)
		}
		release()
	}
}

// patience is what a client has in its nth wait: a little, some until it is cancelled,
// none, or any.
func patience(n int) (ctx context.Context, cancel func(), timeout time.Duration) {
	ctx, cancel = context.WithCancel(background)
	switch n % 4 {
	case 0:
		return ctx, cancel, 20 * time.Microsecond
	case 1:
		go cancel()
	case 2:
		return ctx, cancel, 0
	}
	return ctx, cancel, -1
}

// hasGivenUp says whether a wait ended by its patience.
func hasGivenUp(err error) bool {
	return err == status.TimedOut || err == status.Cancelled || err == status.WouldBlock
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
