package shm

import (
	"testing"

	"github.com/shmd/shmd/status"
)

// Empty says so as long as Recv would block, and never while it has something to say.
func TestRingEmpty(t *testing.T) {
	is := func(t *testing.T, r *RingReader, what string, want bool) {
		t.Helper()
		if r.Empty() != want {
			t.Errorf("%s: empty %v, want %v", what, !want, want)
		}
	}
	t.Run("stream", func(t *testing.T) {
		s := newStream(t)
		w, r := s.producer(t, 1), s.consumer(t, 2)
		is(t, r, "new", true)
		w.send(t, "message")
		is(t, r, "a message", false)
		r.recv(t, "message")
		is(t, r, "after it", true)
		w.Close()
		is(t, r, "the end, not told", false)
		r.refuses(t, status.Ended)
		is(t, r, "the end, told", true)
		r.refuses(t, status.WouldBlock)
		w = s.producer(t, 3)
		is(t, r, "the next producer", true)
		w.send(t, "its message")
		is(t, r, "its message", false)
		r.recv(t, "its message")
		s.ring.seg.dies(t, 3, true)
		is(t, r, "a death, not told", false)
		r.refuses(t, status.PeerDied)
		is(t, r, "a death, told", true)
		r.Close()
		is(t, r, "the role was given back", false)
		r.refuses(t, status.NotOwner)
	})
	t.Run("pipe", func(t *testing.T) {
		p := newPipe(t, 1<<20)
		one, other := p.end(t, 1, 0), p.end(t, 2, 1)
		r := other.R
		is(t, r, "new", true)
		one.W.send(t, string(make([]byte, 3000))) // in pieces
		if _, err := r.Peek(background, nil, 0); err != nil {
			t.Fatal(err)
		}
		is(t, r, "a message that was put together", false)
		r.recv(t, string(make([]byte, 3000)))
		one.Close()
		for range 2 {
			r.refuses(t, status.Ended)
			is(t, r, "the end, which stays", false)
		}
	})
	t.Run("removed", func(t *testing.T) {
		s := newStream(t)
		r := s.consumer(t, 2)
		s.ring.seg.Remove()
		is(t, r, "removed", false)
		r.refuses(t, status.Removed)
	})
	t.Run("impossible", func(t *testing.T) {
		s := newStream(t)
		r := s.consumer(t, 2)
		store64(&s.ring.tail.Word, uint64(makeRingWord(RingCapacityMin+8)))
		is(t, r, "more than the ring holds", false)
		r.refuses(t, status.Corrupt)
	})
}
