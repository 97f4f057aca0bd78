package shm

import (
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
)

func (s *Segment) dies(t testing.TB, seat uint16, held bool) {
	t.Helper()
	if got, done := s.Recover(deathOf(seat)); got != held || !done {
		t.Errorf("recovery of seat %d: held %v, done %v; want %v, true", seat, got, done, held)
	}
}

// A producer dies in every state: its committed messages are there, then the end, once,
// and its successor goes on.
func TestStreamProducerDies(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(t *testing.T, w *RingWriter) // after one message
		want  status.Code
	}{
		{"idle", func(*testing.T, *RingWriter) {}, status.PeerDied},
		{"reserved", func(t *testing.T, w *RingWriter) {
			b, err := w.Reserve(background, nil, 100, 0)
			if err != nil {
				t.Fatal(err)
			}
			copy(b, "half writ")
		}, status.PeerDied},
		{"written, not committed", func(t *testing.T, w *RingWriter) {
			start, _ := w.place(w.position, 64)
			w.fill(w.position, start, recordMessage, 56, make([]byte, 56))
		}, status.PeerDied},
		{"closed, not free", func(t *testing.T, w *RingWriter) { w.ring.end(w.own, ringClosed, nil) }, status.Ended},
		{"closed", func(t *testing.T, w *RingWriter) { w.Close() }, status.Ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t)
			w, r := s.producer(t, 1), s.consumer(t, 2)
			w.send(t, "message")
			c.state(t, w)
			s.ring.seg.dies(t, 1, c.name != "closed")
			s.ring.seg.dies(t, 1, false)
			w.refuses(t, status.NotOwner) // a zombie of the daemon's
			next := s.producer(t, 3)
			if c.name == "reserved" {
				next.send(t, "faster")
			}
			r.recv(t, "message")
			err := r.refuses(t, c.want)
			if c.want == status.PeerDied && !strings.Contains(err.Error(), "pid 7 of uid 8, in seat 1") {
				t.Errorf("it does not say who: %v", err)
			}
			if c.name == "reserved" {
				r.recv(t, "faster")
			}
			r.refuses(t, status.WouldBlock)
			next.send(t, "next")
			r.recv(t, "next")
		})
	}
}

// A consumer dies in every state: its successor gets what it had not taken.
func TestStreamConsumerDies(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	w.send(t, "taken", "peeked", "there")
	r.recv(t, "taken")
	if m, err := r.Peek(background, nil, 0); err != nil || string(m) != "peeked" {
		t.Fatal(m, err)
	}
	s.ring.seg.dies(t, 2, true)
	if err := r.Advance(1); err != status.NotOwner {
		t.Errorf("the dead go on: %v", err)
	}
	w.send(t, "after the death")
	r = s.consumer(t, 3)
	r.recv(t, "peeked", "there", "after the death")
	w.Close()
	r.refuses(t, status.Ended)
	s.ring.seg.dies(t, 3, true)
	r = s.consumer(t, 4)
	r.refuses(t, status.WouldBlock) // the one before was told
	s.producer(t, 5).send(t, "from the next")
	r.recv(t, "from the next")
}

// One client may have both roles.
func TestStreamBothDie(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 1)
	w.send(t, "one", "two")
	r.recv(t, "one")
	s.ring.seg.dies(t, 1, true)
	r = s.consumer(t, 2)
	r.recv(t, "two")
	r.refuses(t, status.PeerDied)
}

// An end that is no death retires.
func TestRingOrderlyEnd(t *testing.T) {
	s := newStream(t)
	s.producer(t, 1).send(t, "m")
	v := deathOf(1)
	v.Died, v.Orderly = false, true
	if held, done := s.ring.seg.Recover(v); !held || !done {
		t.Error(held, done)
	}
	r := s.consumer(t, 2)
	r.recv(t, "m")
	r.refuses(t, status.Ended)
	if s.Status().LastDeath != nil {
		t.Error("somebody has died")
	}
}

// A full ring outlives both of its clients.
func TestStreamDiesFull(t *testing.T) {
	s := newStream(t)
	w := s.producer(t, 1)
	s.consumer(t, 2)
	w.fillUp(t)
	s.ring.seg.dies(t, 1, true)
	s.ring.seg.dies(t, 2, true)
	next := s.producer(t, 3)
	next.refuses(t, status.WouldBlock) // no room for END
	r := s.consumer(t, 4)
	for range RingCapacityMin / 64 {
		r.recv(t, string(make([]byte, 56)))
	}
	next.send(t, "next")
	r.refuses(t, status.PeerDied)
	r.recv(t, "next")
}

func TestPipeEndDies(t *testing.T) {
	p := newPipe(t, 1<<20)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	b.W.send(t, "last words", "and more")
	if err := b.W.Send(background, NewParker(ParkerOptions{}), make([]byte, 10000), 1e6); err != status.TimedOut {
		t.Fatal(err)
	}
	a.R.recv(t, "last words", "and more")
	a.R.refuses(t, status.WouldBlock) // in the middle of one
	p.rings[0].seg.dies(t, 2, true)
	p.rings[0].seg.dies(t, 2, false)
	for range 2 {
		if err := a.W.refuses(t, status.PeerDied); !strings.Contains(err.Error(), "pid 7") {
			t.Error(err)
		}
		a.R.refuses(t, status.PeerDied)
	}
	if _, err := p.Claim(actor(3), 1); err != status.Ended {
		t.Errorf("claim the end of the dead: %v", err)
	}
	a.Close()
	if st := p.Status(0); !st.Closed || st.Died || st.Producer != 0 {
		t.Errorf("%+v", st)
	}
	if st := p.Status(1); st.Closed || !st.Died || st.LastDeath == nil {
		t.Errorf("%+v", st)
	}
}

// Half closed when it died: each mark stays what it is.
func TestPipeDiesClosing(t *testing.T) {
	p := newPipe(t, 1<<20)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	b.R.ring.end(b.R.own, ringClosed, nil)
	p.rings[0].seg.dies(t, 2, true)
	a.W.refuses(t, status.Ended)
	a.R.refuses(t, status.PeerDied)
}

// A claim that comes between the mark and the release of the role gets nothing, and
// leaves nothing.
func TestPipeClaimOfAnEndThatIsMarked(t *testing.T) {
	p := newPipe(t, 1<<20)
	b := p.end(t, 2, 1)
	b.W.ring.end(b.W.own, ringClosed, nil)
	store32(b.W.owner, 0)
	if _, err := p.Claim(actor(3), 1); err != status.Ended {
		t.Error(err)
	}
	if st := p.Status(1); st.Producer != 0 {
		t.Errorf("%+v", st)
	}
}

// A reader that lost the first pieces of a message, with the process that had them, does
// not take the rest for one.
func TestPipeLostPieces(t *testing.T) {
	p := newPipe(t, 1<<20)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	long := strings.Repeat("l", 3000)
	a.W.send(t, long)
	a.W.send(t, "next")
	b.R.seen = ringWord(load64(&b.R.other.Word))
	if err := b.R.pass(); err != nil || len(b.R.partial) == 0 {
		t.Fatal(err)
	}
	again := p.end(t, 2, 1)
	again.R.recv(t, "next")
}
