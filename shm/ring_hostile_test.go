package shm

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// Words that cannot be right are errors: nothing is overrun, nobody hangs.
func TestRingHostileWords(t *testing.T) {
	at := func(n uint64) uint64 { return uint64(makeRingWord(n)) }
	for _, c := range []struct {
		name     string
		scribble func(s *Stream)
		send     status.Code
		recv     status.Code
	}{
		{"the tail is behind the head", func(s *Stream) { s.ring.tail.Word = at(8) }, status.OK, status.Corrupt},
		{"the tail is too far", func(s *Stream) { s.ring.tail.Word = at(32 + RingCapacityMin) },
			status.OK, status.Corrupt},
		{"an odd tail", func(s *Stream) { s.ring.tail.Word = at(31) }, status.OK, status.Corrupt},
		{"the head is before the tail", func(s *Stream) { s.ring.head.Word = at(1 << 40) }, status.OK, status.OK},
		{"an owner of nowhere", func(s *Stream) {
			s.ring.tail.Owner, s.ring.head.Owner = ^uint32(0), 77
			s.ring.tail.Attention, s.ring.head.Attention = 99, 99
		}, status.NotOwner, status.NotOwner},
		{"a state of nowhere", func(s *Stream) {
			s.ring.seg.page.Header.State = 77
			s.ring.tail.Attention, s.ring.head.Attention = 99, 99
		}, status.Corrupt, status.Corrupt},
		{"a record of no type", func(s *Stream) { *s.ring.record(24) = makeRecord(77, 8) }, status.OK, status.Corrupt},
		{"a record of type 0", func(s *Stream) { *s.ring.record(24) = 0 }, status.OK, status.Corrupt},
		{"longer than what is committed", func(s *Stream) { *s.ring.record(24) = makeRecord(recordMessage, 17) },
			status.OK, status.Corrupt},
		{"longer than anything", func(s *Stream) { *s.ring.record(24) = makeRecord(recordMessage, ^uint32(0)) },
			status.OK, status.Corrupt},
		{"a pad that leads behind the tail", func(s *Stream) { *s.ring.record(24) = makeRecord(recordPad, 0) },
			status.OK, status.Corrupt},
		{"a piece", func(s *Stream) { *s.ring.record(24) = makeRecord(recordFirst, 9) }, status.OK, status.Corrupt},
		{"an end of nobody", func(s *Stream) { *s.ring.record(24) = makeRecord(recordEnd, 0) },
			status.OK, status.Ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t)
			w, r := s.producer(t, 1), s.consumer(t, 2)
			w.send(t, "0123456789")
			r.recv(t, "0123456789")
			if err := w.Send(background, nil, []byte("0123456789"), 0); err != nil { // 24 to 48
				t.Fatal(err)
			}
			c.scribble(s)
			if _, err := r.Recv(background, nil, nil, 0); status.Of(err) != c.recv {
				t.Errorf("received: %v, want %v", err, c.recv)
			}
			if err := w.Send(background, nil, nil, 0); status.Of(err) != c.send {
				t.Errorf("sent: %v, want %v", err, c.send)
			}
		})
	}
}

// The producer believes a head only as far as it can be right.
func TestRingHostileHead(t *testing.T) {
	for name, head := range map[string]uint64{"before the tail": 1 << 40, "far behind": ^uint64(0), "odd": 3} {
		s := newStream(t)
		w := s.producer(t, 1)
		w.fillUp(t)
		s.ring.head.Word = uint64(makeRingWord(head))
		if err := w.Send(background, nil, make([]byte, 60), -1); status.Of(err) != status.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Send(background, nil, make([]byte, 60), -1); status.Of(err) != status.Corrupt {
			t.Errorf("%s, again: %v", name, err)
		}
		s.ring.head.Word = 0
		w.refuses(t, status.WouldBlock)
	}
	s := newStream(t)
	s.ring.head.Word = uint64(makeRingWord(8))
	if _, err := s.ClaimConsumer(actor(1)); status.Of(err) != status.Corrupt || s.ring.head.Owner != 0 {
		t.Errorf("claim: %v, owner %#x", err, s.ring.head.Owner)
	}
	if _, err := s.ClaimProducer(actor(1)); status.Of(err) != status.Corrupt || s.ring.tail.Owner != 0 {
		t.Errorf("claim: %v, owner %#x", err, s.ring.tail.Owner)
	}
}

// A piece of another message than the one that came before it.
func TestPipeHostilePieces(t *testing.T) {
	for name, record := range map[string]uint64{"not what is left": makeRecord(recordRest, 9999),
		"nothing": makeRecord(recordRest, 0), "longer than a message": makeRecord(recordFirst, 1<<20+1)} {
		p := newPipe(t, 1<<20)
		a, b := p.end(t, 1, 0), p.end(t, 2, 1)
		a.W.send(t, string(make([]byte, 3000)))
		*a.W.ring.record(RingCapacityMin / recordPieces) = record
		b.R.refuses(t, status.Corrupt)
		if t.Failed() {
			t.Error(name)
		}
	}
}

// begins makes a ring full of first pieces, of messages that nobody ends.
func begins(r *ring) {
	for at := uint64(0); at < r.capacity; at += r.pieceSize() {
		atomic.StoreUint64(r.record(at), makeRecord(recordFirst, 3000))
	}
	atomic.StoreUint64(&r.tail.Word, uint64(makeRingWord(r.capacity)))
}

// A writer that begins one message after the other, and ends none, does not hold up who
// tries to receive, however fast it is: a try goes as far as the writer was once.
func TestPipeBeginsEndlessly(t *testing.T) {
	p := newPipe(t, 1<<20)
	p.end(t, 1, 0)
	b := p.end(t, 2, 1)
	r := p.rings[0]
	begins(r)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // what was read is there again
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				read := ringWord(atomic.LoadUint64(&r.head.Word)).position()
				atomic.StoreUint64(&r.tail.Word, uint64(makeRingWord(read+r.capacity)))
			}
		}
	}()
	for range 10_000 {
		before := ringWord(atomic.LoadUint64(&r.head.Word)).position()
		b.R.refuses(t, status.WouldBlock)
		// What was known of an earlier look, and what one look has shown.
		if now := ringWord(atomic.LoadUint64(&r.head.Word)).position(); now-before > 2*r.capacity {
			t.Errorf("a try goes from byte %d to %d", before, now)
			break
		}
	}
	close(stop)
	<-stopped
}

// A try finds what lies behind messages that were begun and not ended, and the end.
func TestPipeTriesBehindTheBegun(t *testing.T) {
	for _, left := range []bool{true, false} {
		p := newPipe(t, 1<<20)
		a, b := p.end(t, 1, 0), p.end(t, 2, 1)
		r := p.rings[0]
		at := uint64(0)
		for range 3 {
			*r.record(at) = makeRecord(recordFirst, 3000)
			at += r.pieceSize()
		}
		r.tail.Word = uint64(makeRingWord(at))
		a.W.position = at
		if left {
			a.W.send(t, "behind")
			b.R.recv(t, "behind")
		}
		a.Close()
		b.R.refuses(t, status.Ended)
	}
}

// Anything in the words and records: every call comes back, with a message, an error or
// nothing.
func TestRingScribbled(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := NewParker(ParkerOptions{})
	for range 300 {
		pipe := newPipe(t, uint32(random.IntN(2)*5000))
		a, errA := pipe.Claim(actor(1), 0)
		b, errB := pipe.Claim(actor(2), 1)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for range 60 {
			r := pipe.rings[random.IntN(2)]
			line := []*RingLine{r.tail, r.head}[random.IntN(2)]
			switch random.IntN(8) {
			case 0:
				line.Word = random.Uint64() >> random.IntN(64)
			case 1:
				line.Word += uint64(random.IntN(9)) << random.IntN(8)
			case 2:
				line.Owner ^= uint32(random.IntN(2))
			case 3:
				line.Attention++
			default:
				at := uint64(random.IntN(RingCapacityMin/8)) * 8
				*r.record(at) = makeRecord(uint32(random.IntN(7)), random.Uint32()>>random.IntN(32))
			}
			e := []*PipeEnd{a, b}[random.IntN(2)]
			msg := make([]byte, random.IntN(6000))
			switch random.IntN(7) {
			case 0, 1:
				_ = e.W.Send(background, p, msg, 1000)
			case 2:
				_, _ = e.W.SendMany(background, p, [][]byte{msg[:len(msg)/4], msg}, 0)
			case 3:
				_, _ = e.R.Recv(background, p, nil, 1000)
			case 4:
				if all, err := e.R.PeekMany(background, p, nil, 20, 0); err == nil {
					_ = e.R.Advance(len(all))
				}
			case 5:
				_, _ = e.W.Write(background, p, msg, 0)
			default:
				_, _ = e.R.Read(background, p, msg, 0)
			}
		}
		pipe.rings[0].seg.Recover(deathOf(1))
		pipe.rings[0].seg.Remove()
	}
}
