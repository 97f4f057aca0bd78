package shm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shmd/shmd/status"
)

// A stream and a pipe of the smallest ring, on the heap.
func newStream(t testing.TB) *Stream {
	t.Helper()
	g, err := NewStreamGeometry(RingCapacityMin, RingMessageMax(RingCapacityMin), SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).Stream()
}

func newPipe(t testing.TB, messageMax uint32) *Pipe {
	t.Helper()
	flags := Flags(0)
	if messageMax == 0 {
		flags = FlagBytes
	}
	g, err := NewPipeGeometry(RingCapacityMin, messageMax, flags, SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	return NewHeapSegment(g, 1).Pipe()
}

func (s *Stream) producer(t testing.TB, seat uint16) *RingWriter {
	t.Helper()
	w, err := s.ClaimProducer(actor(seat))
	if err != nil {
		t.Fatalf("claim the producer: %v", err)
	}
	return w
}

func (s *Stream) consumer(t testing.TB, seat uint16) *RingReader {
	t.Helper()
	r, err := s.ClaimConsumer(actor(seat))
	if err != nil {
		t.Fatalf("claim the consumer: %v", err)
	}
	return r
}

func (p *Pipe) end(t testing.TB, seat uint16, end int) *PipeEnd {
	t.Helper()
	e, err := p.Claim(actor(seat), end)
	if err != nil {
		t.Fatalf("claim end %d: %v", end, err)
	}
	return e
}

// send and recv do not wait.
func (w *RingWriter) send(t testing.TB, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := w.try([]byte(m)); err != nil {
			t.Fatalf("send %.20q: %v", m, err)
		}
	}
}

// try sends by Post, as clients do, if that is possible.
func (w *RingWriter) try(message []byte) error {
	attention, ok := w.Post(message)
	if !ok {
		return w.Send(background, nil, message, 0)
	}
	new(atomic.Uint32).Swap(1)
	w.Settle(attention)
	return nil
}

// try receives by Fetch, likewise.
func (r *RingReader) try(dst []byte) ([]byte, error) {
	message, attention, what := r.Fetch(dst, true)
	if what != FetchedOne {
		return r.Recv(background, nil, dst, 0)
	}
	new(atomic.Uint32).Swap(1)
	r.Settle(attention)
	return message, nil
}

func (r *RingReader) recv(t testing.TB, messages ...string) {
	t.Helper()
	for _, want := range messages {
		m, err := r.try(nil)
		if err != nil || string(m) != want {
			t.Fatalf("received %.20q, %v; want %.20q", m, err, want)
		}
	}
}

func (r *RingReader) refuses(t testing.TB, want status.Code) (said string) {
	t.Helper()
	m, err := r.try([]byte("kept"))
	if status.Of(err) != want || string(m) != "kept" {
		t.Fatalf("received %.20q, %v; want %v", m, err, want)
	}
	return err.Error()
}

func (w *RingWriter) refuses(t testing.TB, want status.Code) (said string) {
	t.Helper()
	err := w.Send(background, nil, []byte("refused"), 0)
	if status.Of(err) != want {
		t.Fatalf("sent: %v; want %v", err, want)
	}
	return err.Error()
}

func TestRingGeometry(t *testing.T) {
	half := RingMessageMax(RingCapacityMin)
	if half != 2040 {
		t.Fatalf("a message of %d bytes is half of a ring of %d", half, RingCapacityMin)
	}
	stream := func(capacity uint64, messageMax uint32) func() (Geometry, error) {
		return func() (Geometry, error) { return NewStreamGeometry(capacity, messageMax, 8) }
	}
	pipe := func(capacity uint64, messageMax uint32, flags Flags) func() (Geometry, error) {
		return func() (Geometry, error) { return NewPipeGeometry(capacity, messageMax, flags, 8) }
	}
	for i, c := range []struct {
		make func() (Geometry, error)
		ok   bool
		size uint64 // bytes of the segment
	}{
		{stream(4096, half), true, 8192},
		{stream(4096, 1), true, 8192},
		{stream(1<<28, RingMessageMax(1<<28)), true, 4096 + 1<<28},
		{stream(4096, half+1), false, 0},
		{stream(4096, 0), false, 0},
		{stream(4095, 1), false, 0},
		{stream(2048, 1), false, 0},
		{stream(12288, 1), false, 0},
		{stream(1<<29, 1), false, 0},
		{stream(0, 1), false, 0},
		{pipe(8192, MessageLimit, 0), true, 4096 + 2*8192},
		{pipe(8192, MessageLimit+1, 0), false, 0},
		{pipe(8192, 0, 0), false, 0},
		{pipe(8192, 0, FlagBytes), true, 4096 + 2*8192},
		{pipe(8192, 1, FlagBytes), false, 0},
		{pipe(8192, 1, FlagRaw), false, 0},
	} {
		g, err := c.make()
		if (err == nil) != c.ok || !c.ok && status.Of(err) != status.Invalid {
			t.Errorf("case %d: %v", i, err)
		}
		if c.ok && (g.SegmentSize != c.size || g.Validate() != nil) {
			t.Errorf("case %d: %d bytes, %v", i, g.SegmentSize, g.Validate())
		}
	}
}

func TestStreamCarriesMessagesInOrder(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	r.refuses(t, status.WouldBlock)
	w.send(t, "one", "", "three and some more")
	r.recv(t, "one", "", "three and some more")
	r.refuses(t, status.WouldBlock)
	long := strings.Repeat("x", s.ring.whole)
	full := []string{long, long[:s.ring.whole-56], long[:48]} // to the last byte, after the 56 of before
	w.send(t, full...)
	if used := s.Status().Used; used != RingCapacityMin {
		t.Errorf("%d bytes are used", used)
	}
	w.refuses(t, status.WouldBlock)
	r.recv(t, full[0])
	w.send(t, "refused no more")
	r.recv(t, full[1], full[2], "refused no more")
	if err := w.Send(background, nil, make([]byte, s.ring.whole+1), -1); status.Of(err) != status.TooLarge ||
		!strings.Contains(err.Error(), "2041") || !strings.Contains(err.Error(), "2040") {
		t.Errorf("a message that is too long: %v", err)
	}
	if _, err := w.Write(background, nil, []byte("b"), 0); status.Of(err) != status.Unsupported {
		t.Errorf("bytes: %v", err)
	}
	if _, err := r.Read(background, nil, make([]byte, 1), 0); status.Of(err) != status.Unsupported {
		t.Errorf("bytes: %v", err)
	}
}

// Messages of all sizes go round many times.
func TestRingGoesRound(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	var sent [][]byte
	for n := 0; n < 5000; {
		m := bytes.Repeat([]byte{byte(n)}, random.IntN(s.ring.whole+1)>>random.IntN(8))
		if err := w.Send(background, nil, m, 0); err == nil {
			sent, n = append(sent, m), n+1
		} else if err != status.WouldBlock {
			t.Fatal(err)
		}
		for len(sent) > 0 && (random.IntN(3) == 0 || len(sent) > 100) {
			m, err := r.Recv(background, nil, nil, 0)
			if err != nil || !bytes.Equal(m, sent[0]) {
				t.Fatalf("after %d: %d bytes, %v; want %d", n, len(m), err, len(sent[0]))
			}
			sent = sent[1:]
		}
		if used := s.Status().Used; (used == 0) != (len(sent) == 0) {
			t.Fatalf("%d bytes are used with %d messages on the way", used, len(sent))
		}
	}
}

func TestStreamRoles(t *testing.T) {
	s := newStream(t)
	w := s.producer(t, 1)
	s.consumer(t, 2)
	if _, err := s.ClaimProducer(actor(3)); err != status.Taken {
		t.Errorf("a second producer: %v", err)
	}
	if _, err := s.ClaimConsumer(actor(3)); err != status.Taken {
		t.Errorf("a second consumer: %v", err)
	}
	w.send(t, "before")
	w = s.producer(t, 1) // again
	w.send(t, "after")
	r := s.consumer(t, 2)
	r.recv(t, "before", "after")
	if st := s.Status(); st.Producer != actor(1).Seat || st.Consumer != actor(2).Seat || st.Used != 0 || st.Closed {
		t.Errorf("%+v", st)
	}
	w.Close()
	w.Close()
	w.refuses(t, status.NotOwner)
	r.Close()
	r.refuses(t, status.NotOwner)
	if st := s.Status(); st.Producer != 0 || st.Consumer != 0 || !st.Closed || st.Died {
		t.Errorf("%+v", st)
	}
	for seat, want := range map[uint16]status.Code{0: status.Invalid, SeatsDefault + 1: status.Invalid} {
		if _, err := s.ClaimProducer(actor(seat)); status.Of(err) != want {
			t.Errorf("seat %d: %v", seat, err)
		}
	}
	s.ring.seg.readOnly = true
	if _, err := s.ClaimConsumer(actor(1)); err != status.Permission {
		t.Errorf("claim of a read-only mapping: %v", err)
	}
	s.ring.seg.readOnly = false
	if !s.ring.seg.Remove() {
		t.Error("not removed")
	}
	if _, err := s.ClaimProducer(actor(1)); err != status.Removed {
		t.Errorf("claim what is destroyed: %v", err)
	}
}

// Each producer that ended is told of once, after its last message, whether its
// successor was faster or not.
func TestStreamEndsOncePerProducer(t *testing.T) {
	s := newStream(t)
	r := s.consumer(t, 9)
	for round, late := range []bool{false, true, false, false, true, true} {
		w := s.producer(t, uint16(round+1))
		w.send(t, "a", "b")
		w.Close()
		if !late {
			r.recv(t, "a", "b")
			r.refuses(t, status.Ended)
			r.refuses(t, status.WouldBlock)
			r = s.consumer(t, 9) // who knows that it was told
			r.refuses(t, status.WouldBlock)
			continue
		}
		next := s.producer(t, 20)
		r.recv(t, "a", "b")
		r.refuses(t, status.Ended) // by the mark: the next has not sent anything
		next.send(t, "c")
		next.Close()
		last := s.producer(t, 21)
		last.send(t, "d")
		r.recv(t, "c")
		r.refuses(t, status.Ended) // by the record
		r.recv(t, "d")
		last.Close()
		s.producer(t, 22).Close() // with no message between: one end
		r.refuses(t, status.Ended)
		r.refuses(t, status.WouldBlock)
	}
}

func TestRingSendMany(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	batch := func(n, size int) (all [][]byte) {
		for i := range n {
			all = append(all, bytes.Repeat([]byte{byte(i)}, size))
		}
		return all
	}
	if n, err := w.SendMany(background, nil, nil, 0); n != 0 || status.Of(err) != status.Invalid {
		t.Errorf("no messages: %d, %v", n, err)
	}
	if n, err := w.SendMany(background, nil, batch(1000, 24), 0); n != RingCapacityMin/32 || err != nil {
		t.Errorf("%d of 1000 are sent, %v", n, err)
	}
	if n, err := w.SendMany(background, nil, batch(2, 24), 0); n != 0 || err != status.WouldBlock {
		t.Errorf("%d are sent into a full ring, %v", n, err)
	}
	var got [][]byte
	for len(got) < RingCapacityMin/32 {
		all, err := r.PeekMany(background, nil, nil, 50, 0)
		if err != nil || len(all) == 0 || len(all) > 50 {
			t.Fatalf("%d peeked, %v", len(all), err)
		}
		for _, m := range all {
			got = append(got, bytes.Clone(m))
		}
		if err := r.Advance(len(all) + 1); status.Of(err) != status.Invalid {
			t.Errorf("more than were peeked: %v", err)
		}
		if err := errors.Join(r.Advance(1), r.Advance(0), r.Advance(len(all)-1)); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range got {
		if !bytes.Equal(m, batch(i+1, 24)[i]) {
			t.Fatalf("message %d is %v", i, m)
		}
	}
	mixed := [][]byte{{1}, make([]byte, s.ring.whole+1), {2}}
	if n, err := w.SendMany(background, nil, mixed, 0); n != 1 || err != nil {
		t.Errorf("before one that is too long: %d, %v", n, err)
	}
	if all, err := r.PeekMany(background, nil, nil, 0, 0); all != nil || status.Of(err) != status.Invalid {
		t.Errorf("none wanted: %v, %v", all, err)
	}
	r.recv(t, "\x01")
	// A batch goes round the end of the ring, and is peeked round it.
	for n := range 200 {
		if sent, err := w.SendMany(background, nil, batch(5, 100+n), 0); sent != 5 || err != nil {
			t.Fatal(sent, err)
		}
		all, err := r.PeekMany(background, nil, nil, 9, 0)
		if len(all) != 5 || err != nil || !bytes.Equal(bytes.Join(all, nil), bytes.Join(batch(5, 100+n), nil)) {
			t.Fatalf("round %d: %d messages, %v", n, len(all), err)
		}
		if err := r.Advance(5); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRingInPlace(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	invalid := func(what string, err error) {
		t.Helper()
		if status.Of(err) != status.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	invalid("commit of nothing", w.Commit(0))
	invalid("abort of nothing", w.Abort())
	for range 10 { // round the end, too
		b, err := w.Reserve(background, nil, 1000, 0)
		if err != nil || len(b) != 1000 || cap(b) != 1000 {
			t.Fatal(len(b), err)
		}
		r.refuses(t, status.WouldBlock)
		invalid("send beside a reservation", w.Send(background, nil, nil, 0))
		_, err = w.SendMany(background, nil, [][]byte{nil, nil}, 0)
		invalid("send many beside a reservation", err)
		_, err = w.Reserve(background, nil, 1, 0)
		invalid("a second reservation", err)
		copy(b, "written in place")
		invalid("commit of more", w.Commit(1001))
		if err := w.Commit(16); err != nil {
			t.Fatal(err)
		}
		invalid("a second commit", w.Commit(16))
		invalid("abort after commit", w.Abort())
		for range 2 {
			m, err := r.Peek(background, nil, 0)
			if err != nil || string(m) != "written in place" {
				t.Fatalf("%q, %v", m, err)
			}
		}
		if err := r.Advance(1); err != nil {
			t.Fatal(err)
		}
		r.refuses(t, status.WouldBlock)
	}
	if _, err := w.Reserve(background, nil, 5000, 0); status.Of(err) != status.TooLarge {
		t.Errorf("more than a message: %v", err)
	}
	if _, err := w.Reserve(background, nil, 10, 0); err != nil || w.Abort() != nil {
		t.Error("abort", err)
	}
	w.send(t, "after abort")
	r.recv(t, "after abort")
	if _, err := w.Reserve(background, nil, 10, 0); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := w.Commit(3); err != status.NotOwner {
		t.Errorf("commit without the role: %v", err)
	}
	r.refuses(t, status.Ended)
}

func TestPipeGoesBothWays(t *testing.T) {
	p := newPipe(t, MessageLimit)
	a := p.end(t, 1, AnyEnd)
	if _, err := p.Claim(actor(2), 0); err != status.Taken {
		t.Errorf("a taken end: %v", err)
	}
	b := p.end(t, 2, AnyEnd)
	if a.Index != 0 || b.Index != 1 {
		t.Errorf("ends %d and %d", a.Index, b.Index)
	}
	if _, err := p.Claim(actor(3), AnyEnd); err != status.Taken {
		t.Errorf("a third end: %v", err)
	}
	if _, err := p.Claim(actor(3), 2); status.Of(err) != status.Invalid {
		t.Errorf("end 2: %v", err)
	}
	a.W.send(t, "ping")
	b.R.recv(t, "ping")
	b.W.send(t, "pong", "and more")
	a.R.recv(t, "pong")
	if st := p.Status(1); st.Producer != actor(2).Seat || st.Consumer != actor(1).Seat || st.Used != 16 {
		t.Errorf("%+v", st)
	}
	a.W.send(t, "last words")
	a.Close()
	a.Close()
	if err := b.W.Send(background, nil, nil, -1); err != status.Ended {
		t.Errorf("write to an end that was closed: %v", err)
	}
	b.R.recv(t, "last words")
	b.R.refuses(t, status.Ended)
	b.R.refuses(t, status.Ended)
	a.W.refuses(t, status.NotOwner)
	for end, want := range map[int]status.Code{0: status.Ended, AnyEnd: status.Taken} {
		if _, err := p.Claim(actor(3), end); status.Of(err) != want {
			t.Errorf("claim what was closed, %d: %v", end, err)
		}
	}
	b.Close()
	if _, err := p.Claim(actor(3), AnyEnd); err != status.Ended {
		t.Errorf("claim what was closed: %v", err)
	}
}

// Messages that are longer than the ring go through it.
func TestPipeCarriesLongMessages(t *testing.T) {
	p := newPipe(t, 1<<20)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	parker := NewParker(ParkerOptions{})
	sizes := []int{2040, 2041, 4096, 5000, 1 << 20, 7, 100000, 0, 2504, 2505}
	sent := make(chan error)
	go func() {
		for _, n := range sizes {
			if err := a.W.Send(background, parker, bytes.Repeat([]byte{byte(n)}, n), -1); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i, n := range sizes {
		var m []byte
		var err error
		if i%2 == 0 {
			m, err = b.R.Recv(background, parker, nil, -1)
		} else if m, err = b.R.Peek(background, parker, -1); err == nil {
			m = bytes.Clone(m)
			again, _ := b.R.Peek(background, nil, 0)
			err = errors.Join(b.R.Advance(1))
			if !bytes.Equal(m, again) {
				t.Error("peeked twice, it differs")
			}
		}
		if err != nil || !bytes.Equal(m, bytes.Repeat([]byte{byte(n)}, n)) {
			t.Fatalf("%d bytes, %v; want %d", len(m), err, n)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := a.W.Send(background, nil, make([]byte, 1<<20+1), -1); status.Of(err) != status.TooLarge {
		t.Error(err)
	}
}

// A message in pieces that is given up leaves nothing: what was received of it is
// dropped when the next one comes, or the end.
func TestPipeMessageGivenUp(t *testing.T) {
	long := make([]byte, 10000)
	for _, end := range []string{"next", "next in pieces", "close"} {
		t.Run(end, func(t *testing.T) {
			p := newPipe(t, 1<<20)
			a, b := p.end(t, 1, 0), p.end(t, 2, 1)
			parker := NewParker(ParkerOptions{})
			if err := a.W.Send(background, nil, long, 0); err != status.WouldBlock || p.Status(0).Used != 0 {
				t.Fatalf("a try leaves %d bytes, %v", p.Status(0).Used, err)
			}
			if err := a.W.Send(background, parker, long, 1e6); err != status.TimedOut {
				t.Fatal(err)
			}
			if p.Status(0).Used == 0 {
				t.Fatal("nothing was sent in time")
			}
			if end != "close" {
				b.R.refuses(t, status.WouldBlock)
				b.R.refuses(t, status.WouldBlock)
			}
			switch end {
			case "next":
				a.W.send(t, "next")
				b.R.recv(t, "next")
			case "next in pieces":
				whole := strings.Repeat("y", 3000)
				a.W.send(t, whole)
				b.R.recv(t, whole)
			}
			a.Close()
			b.R.refuses(t, status.Ended)
		})
	}
}

// A reader that cannot have a message in pieces leaves it.
func TestPipeLimit(t *testing.T) {
	p := newPipe(t, 1<<20)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	whole := strings.Repeat("z", 3000)
	a.W.send(t, whole)
	b.R.Limit = 2999
	for range 2 {
		if said := b.R.refuses(t, status.TooLarge); !strings.Contains(said, "3000") ||
			!strings.Contains(said, "2999") {
			t.Error(said)
		}
	}
	b.R.Limit = 3000
	b.R.recv(t, whole)
}

func TestPipeOfBytes(t *testing.T) {
	p := newPipe(t, 0)
	a, b := p.end(t, 1, 0), p.end(t, 2, 1)
	if _, err := b.R.Read(background, nil, make([]byte, 5), 0); err != status.WouldBlock {
		t.Error(err)
	}
	for _, r := range []error{second(a.W.Write(background, nil, nil, 0)), second(b.R.Read(background, nil, nil, 0))} {
		if r != nil {
			t.Errorf("nothing: %v", r)
		}
	}
	if err := a.W.Send(background, nil, nil, 0); status.Of(err) != status.Unsupported {
		t.Errorf("a message: %v", err)
	}
	if _, err := a.W.Reserve(background, nil, 1, 0); status.Of(err) != status.Unsupported {
		t.Errorf("a reservation: %v", err)
	}
	for _, err := range []error{second(b.R.Recv(background, nil, nil, 0)), second(b.R.Peek(background, nil, 0))} {
		if status.Of(err) != status.Unsupported {
			t.Errorf("a message: %v", err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sent, got := byte(0), byte(0)
	used := 0
	for range 2000 {
		out := make([]byte, 1+random.IntN(3000))
		for i := range out {
			out[i] = sent + byte(i)
		}
		n, err := a.W.Write(background, nil, out, 0)
		if want := min(len(out), RingCapacityMin-used); n != want || (err == nil) != (want > 0) {
			t.Fatalf("wrote %d of %d, %v, with %d in the ring", n, len(out), err, used)
		}
		used, sent = used+n, sent+byte(n)
		in := make([]byte, 1+random.IntN(3000))
		n, err = b.R.Read(background, nil, in, 0)
		if want := min(len(in), used); n != want || err != nil {
			t.Fatalf("read %d of %d, %v, with %d in the ring", n, len(in), err, used)
		}
		for i := range n {
			if in[i] != got+byte(i) {
				t.Fatalf("byte %d is %d, not %d", i, in[i], got+byte(i))
			}
		}
		used, got = used-n, got+byte(n)
	}
	a.Close()
	for used > 0 {
		n, err := b.R.Read(background, nil, make([]byte, 1000), 0)
		if err != nil {
			t.Fatal(err)
		}
		used -= n
	}
	if _, err := b.R.Read(background, nil, make([]byte, 1), -1); err != status.Ended {
		t.Error(err)
	}
	if _, err := b.W.Write(background, nil, make([]byte, 1), -1); err != status.Ended {
		t.Error(err)
	}
}

func TestRingDoesNotAllocate(t *testing.T) {
	s := newStream(t)
	w, r := s.producer(t, 1), s.consumer(t, 2)
	msg, dst, many := make([]byte, 64), make([]byte, 0, 64), make([][]byte, 4)
	peeked := make([][]byte, 0, 4)
	for name, op := range map[string]func() error{
		"send and receive": func() error {
			return errors.Join(w.Send(background, nil, msg, 0), second(r.Recv(background, nil, dst, 0)))
		},
		"in place": func() error {
			_, err := w.Reserve(background, nil, 64, 0)
			return errors.Join(err, w.Commit(64), second(r.Peek(background, nil, 0)), r.Advance(1))
		},
		"many": func() error {
			_, err := w.SendMany(background, nil, many, 0)
			return errors.Join(err, second(r.PeekMany(background, nil, peeked, 4, 0)), r.Advance(4))
		},
		"in vain": func() error {
			if _, err := r.Recv(background, nil, dst, 0); err != status.WouldBlock {
				return fmt.Errorf("received: %w", err)
			}
			return nil
		},
	} {
		var err error
		if n := testing.AllocsPerRun(200, func() { err = errors.Join(err, op()) }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", name, n, err)
		}
	}
}
