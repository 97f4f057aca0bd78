package shm

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// parked is a call of seat that sleeps.
func parked(s *Segment, seat uint16, call func(context.Context, *Parker) error) (ended chan error, cancel func()) {
	ctx, cancel := context.WithCancel(background)
	ended = make(chan error, 1)
	go func() { ended <- call(ctx, NewParker(ParkerOptions{})) }()
	await(func() bool { return s.Waiting(seat) == 1 })
	return ended, cancel
}

func (r *RingReader) recvLater(ctx context.Context, p *Parker) error {
	return second(r.Recv(ctx, p, nil, -1))
}

func (w *RingWriter) sendLater(ctx context.Context, p *Parker) error {
	return w.Send(ctx, p, make([]byte, w.ring.whole), -1)
}

func (w *RingWriter) fillUp(t testing.TB) {
	t.Helper()
	for w.Send(background, nil, make([]byte, 56), 0) == nil {
	}
	w.refuses(t, status.WouldBlock)
}

// Whoever sleeps is woken by what it sleeps for, and by ends of all kinds.
func TestStreamWakes(t *testing.T) {
	type both struct {
		s *Stream
		w *RingWriter
		r *RingReader
	}
	die := func(seat uint16) func(both) {
		return func(b both) { b.s.ring.seg.Recover(deathOf(seat)) }
	}
	destroyed := func(b both) { b.s.ring.seg.Remove() }
	for _, c := range []struct {
		name string
		full bool // the producer sleeps, else the consumer
		wake func(both)
		want status.Code
	}{
		{"a message", false, func(b both) { b.w.send(t, "m") }, status.OK},
		{"many", false, func(b both) { _, _ = b.w.SendMany(background, nil, make([][]byte, 3), 0) }, status.OK},
		{"a commit", false, func(b both) { _, _ = b.w.Reserve(background, nil, 8, 0); _ = b.w.Commit(8) }, status.OK},
		{"the producer retires", false, func(b both) { b.w.Close() }, status.Ended},
		{"the producer dies", false, die(1), status.PeerDied},
		{"it is destroyed", false, destroyed, status.Removed},
		{"room", true, func(b both) { b.w.ring.drain(b.r) }, status.OK},
		{"it is destroyed", true, destroyed, status.Removed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t)
			b := both{s, s.producer(t, 1), s.consumer(t, 2)}
			seat, call := uint16(2), b.r.recvLater
			if c.full {
				b.w.fillUp(t)
				seat, call = 1, b.w.sendLater
			}
			ended, cancel := parked(s.ring.seg, seat, call)
			defer cancel()
			c.wake(b)
			if err := <-ended; status.Of(err) != c.want {
				t.Errorf("it ends with %v, want %v", err, c.want)
			}
		})
	}
}

// drain takes everything in one step for each lot.
func (*ring) drain(r *RingReader) {
	for {
		all, err := r.PeekMany(background, nil, nil, 1000, 0)
		if err != nil || r.Advance(len(all)) != nil {
			return
		}
	}
}

func TestPipeWakes(t *testing.T) {
	for _, c := range []struct {
		name string
		wake func(p *Pipe, peer *PipeEnd)
		want status.Code
	}{
		{"the peer closes", func(_ *Pipe, peer *PipeEnd) { peer.Close() }, status.Ended},
		{"the peer dies", func(p *Pipe, _ *PipeEnd) { p.rings[0].seg.Recover(deathOf(2)) }, status.PeerDied},
		{"it is destroyed", func(p *Pipe, _ *PipeEnd) { p.rings[0].seg.Remove() }, status.Removed},
	} {
		for _, sends := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				p := newPipe(t, 1<<20)
				me, peer := p.end(t, 1, 0), p.end(t, 2, 1)
				call := me.R.recvLater
				if sends {
					call = func(ctx context.Context, p *Parker) error { // in pieces
						return me.W.Send(ctx, p, make([]byte, 1<<20), -1)
					}
				}
				ended, cancel := parked(p.rings[0].seg, 1, call)
				defer cancel()
				c.wake(p, peer)
				if err := <-ended; status.Of(err) != c.want {
					t.Errorf("it ends with %v, want %v", err, c.want)
				}
			})
		}
	}
}

// Who gives up has changed nothing, and is not missed.
func TestRingGivesUp(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	p := NewParker(ParkerOptions{})
	gone, cancel := context.WithCancel(background)
	cancel()
	w.fillUp(t)
	for _, c := range []struct {
		ctx     context.Context
		timeout time.Duration
		want    status.Code
	}{{background, 1, status.TimedOut}, {gone, -1, status.Cancelled}, {background, 0, status.WouldBlock}} {
		before := s.Status().Used
		if err := w.Send(c.ctx, p, make([]byte, 100), c.timeout); err != c.want {
			t.Errorf("send: %v, want %v", err, c.want)
		}
		if _, err := w.Reserve(c.ctx, p, 100, c.timeout); err != c.want {
			t.Errorf("reserve: %v, want %v", err, c.want)
		}
		if n, err := w.SendMany(c.ctx, p, make([][]byte, 2), c.timeout); err != c.want || n != 0 {
			t.Errorf("send many: %d, %v, want %v", n, err, c.want)
		}
		if s.Status().Used != before {
			t.Errorf("%v: something was sent", c.want)
		}
	}
	s.ring.drain(r)
	for _, c := range []struct {
		ctx     context.Context
		timeout time.Duration
		want    status.Code
	}{{background, 1, status.TimedOut}, {gone, -1, status.Cancelled}} {
		if _, err := r.Recv(c.ctx, p, nil, c.timeout); err != c.want {
			t.Errorf("receive: %v, want %v", err, c.want)
		}
	}
	ended, cancel := parked(s.ring.seg, 2, r.recvLater)
	cancel()
	if err := <-ended; err != status.Cancelled {
		t.Errorf("cancelled while it sleeps: %v", err)
	}
	w.send(t, "after all")
	r.recv(t, "after all")
}

// A sleep costs two wakes at most, whenever the sleeper gets to run; then a commit makes
// none.
func TestRingWakesOncePerSleep(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	ended, cancel := parked(s.ring.seg, 2, r.recvLater)
	defer cancel()
	wakes := func() bool { return load32(&s.ring.tail.Attention) != w.woken } // what the next commit asks
	if !wakes() {
		t.Fatal("nobody would be woken")
	}
	w.send(t, "1")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if wakes() {
		t.Error("the second commit would wake, with nobody asleep")
	}
}

// Two hand over a million bytes, and sleep often, on each side.
func TestRingHandsOver(t *testing.T) {
	const messages = 20000
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	p := NewParker(ParkerOptions{})
	ended := make(chan error)
	go func() {
		m := make([]byte, 56)
		for i := range messages {
			m[0], m[1] = byte(i), byte(i>>8)
			if err := w.Send(background, p, m[:2+i%50], -1); err != nil {
				ended <- err
				return
			}
		}
		w.Close()
		ended <- nil
	}()
	var m []byte
	for i := range messages {
		var err error
		if m, err = r.Recv(background, p, m[:0], -1); err != nil {
			t.Fatal(err)
		}
		if len(m) != 2+i%50 || int(m[0])|int(m[1])<<8 != i&0xffff {
			t.Fatalf("message %d is %v", i, m)
		}
	}
	if err := errors.Join(<-ended); err != nil {
		t.Fatal(err)
	}
	r.refuses(t, status.Ended)
}

// A waitable says what a try would do, and ends with what ends a wait.
func TestRingWaitables(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	look := func(item Waitable, want error) {
		t.Helper()
		if _, err := WaitAny(background, nil, []Waitable{item}, 0); err != want {
			t.Errorf("a look: %v, want %v", err, want)
		}
	}
	sleeper := func(item Waitable, seat uint16) chan error {
		ended, _ := parked(s.ring.seg, seat, func(ctx context.Context, p *Parker) error {
			return second(WaitAny(ctx, p, []Waitable{item}, -1))
		})
		return ended
	}
	woken := func(ended chan error) {
		t.Helper()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	readable, writable := r.Waitable(), w.Waitable()
	look(readable, status.WouldBlock)
	look(writable, nil)
	ended := sleeper(readable, 2)
	w.fillUp(t)
	woken(ended)
	look(readable, nil)
	look(writable, status.WouldBlock)
	ended = sleeper(writable, 1)
	s.ring.drain(r)
	woken(ended)
	ended = sleeper(readable, 2)
	w.Close()
	woken(ended)
	look(writable, nil) // the try says NOT_OWNER
	r.refuses(t, status.Ended)
	look(readable, status.WouldBlock)
	ended = sleeper(readable, 2)
	s.ring.seg.Remove()
	woken(ended)
	look(readable, nil)

	p := newPipe(t, 1<<20)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	a.W.fillUp(t)
	look(a.W.Waitable(), status.WouldBlock)
	b.Close()
	look(a.W.Waitable(), nil)
	a.W.refuses(t, status.Ended)
	look(a.R.Waitable(), nil)
	a.R.refuses(t, status.Ended)
	look(a.R.Waitable(), nil)
}
