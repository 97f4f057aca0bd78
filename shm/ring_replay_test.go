//go:build shmd_replay

package shm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/status"
)

// Store-prefix replay of streams and pipes. Properties, for every operation of a dying
// client, every prefix of its stores, and every prefix of recovery's own stores after
// that (the daemon dies too):
//
//  1. after recovery no word names the dead client;
//  2. what is received then is what was committed, in order: a message whole or not at
//     all, and what was taken not again;
//  3. each end is told once, behind what was committed, and as what it was;
//  4. successors go on: the next producer sends, the next consumer receives;
//  5. the peer of a pipe is refused and told, for ever;
//  6. and at no time told before it is refused.

const (
	saidClosed = "(closed)"
	saidDied   = "(died)"
)

type ringCase struct {
	name     string
	produces bool // the victim is the producer, else the consumer
	prepare  func(*Segment)
	op       func(*Segment)
	log      []string // all that a consumer is told, from before prepare to after op
	lo, hi   int      // how much of it, before op and after it, is sent or taken
	beside   bool     // the live peer of a pipe receives the first message during op
}

// drained receives until there is nothing, or the end of a pipe.
func drained(r *RingReader) (all []string) {
	for {
		m, err := r.Recv(background, nil, nil, 0)
		switch status.Of(err) {
		case status.OK:
			all = append(all, string(m))
			continue
		case status.Ended:
			all = append(all, saidClosed)
		case status.PeerDied:
			all = append(all, saidDied)
		case status.WouldBlock:
			return all
		default:
			return append(all, err.Error())
		}
		if r.ring.pipe {
			return all
		}
	}
}

// sends does not wait; sendsAs claims the producer first.
func (w *RingWriter) sends(messages ...string) {
	for _, m := range messages {
		must(w.try([]byte(m)))
	}
}

func sendsAs(seat uint16, messages ...string) func(*Segment) {
	return func(s *Segment) { producerOf(s, seat).sends(messages...) }
}

func recvAs(seat uint16, n int) func(*Segment) {
	return func(s *Segment) {
		r := consumerOf(s, seat)
		for range n {
			must(second(r.try(nil)))
		}
	}
}

// toldAs receives what is an end.
func toldAs(seat uint16) func(*Segment) {
	return func(s *Segment) {
		if err := second(consumerOf(s, seat).Recv(background, nil, nil, 0)); status.Of(err) != status.Ended {
			panic(err)
		}
	}
}

// The roles, which it may have already. In a pipe the producer of the first ring is end 0.
func producerOf(s *Segment, seat uint16) *RingWriter {
	if s.geometry.Kind == KindPipe {
		return endAs(s, seat, 0).W
	}
	w, err := s.Stream().ClaimProducer(actor(seat))
	must(err)
	return w
}

func consumerOf(s *Segment, seat uint16) *RingReader {
	if s.geometry.Kind == KindPipe {
		return endAs(s, seat, 1).R
	}
	r, err := s.Stream().ClaimConsumer(actor(seat))
	must(err)
	return r
}

func endAs(s *Segment, seat uint16, end int) *PipeEnd {
	e, err := s.Pipe().Claim(actor(seat), end)
	must(err)
	return e
}

func inOrder(all ...func(*Segment)) func(*Segment) {
	return func(s *Segment) {
		for _, step := range all {
			step(s)
		}
	}
}

func closeProducer(seat uint16) func(*Segment) {
	return func(s *Segment) {
		if s.geometry.Kind == KindPipe {
			endAs(s, seat, 0).Close()
			return
		}
		producerOf(s, seat).Close()
	}
}

func closeConsumer(seat uint16) func(*Segment) {
	return func(s *Segment) {
		if s.geometry.Kind == KindPipe {
			endAs(s, seat, 1).Close()
			return
		}
		consumerOf(s, seat).Close()
	}
}

// announced is somebody of the other side about to sleep.
func announced(s *Segment) { add32(&s.ring(0).tail.Attention, 1); add32(&s.ring(0).head.Attention, 1) }

const victim, live = victimSeat, liveSeat

func claims(produces bool) func(*Segment) {
	return func(s *Segment) {
		if produces {
			producerOf(s, victim)
		} else {
			consumerOf(s, victim)
		}
	}
}

func givesUp(err error) {
	if err != status.TimedOut {
		panic(err)
	}
}

func streamCases() []ringCase {
	half := strings.Repeat("h", 1500) // the third goes round the end
	many := func(s *Segment) {
		n, err := producerOf(s, victim).SendMany(background, nil, [][]byte{[]byte("b"), []byte(half), []byte("d")}, 0)
		if must(err); n != 3 {
			panic(n)
		}
	}
	reserve := func(s *Segment) {
		w := producerOf(s, victim)
		b, err := w.Reserve(background, nil, 64, 0)
		must(err)
		storeBytes(b, []byte("b"))
		must(w.Commit(1))
	}
	full := func(s *Segment) { // of victim's, up to the last byte
		w := producerOf(s, victim)
		for w.Send(background, nil, []byte(strings.Repeat("f", 504)), 0) == nil {
		}
	}
	filled := slices.Repeat([]string{strings.Repeat("f", 504)}, 8)
	advance := func(s *Segment) {
		r := consumerOf(s, victim)
		all, err := r.PeekMany(background, nil, nil, 9, 0)
		must(err)
		must(r.Advance(len(all)))
	}
	return []ringCase{
		{"claim", true, nil, claims(true), nil, 0, 0, false},
		{"claim after an end", true, inOrder(sendsAs(live, "a"), closeProducer(live)), claims(true),
			[]string{"a", saidClosed}, 2, 2, false},
		{"send", true, sendsAs(victim, "a"), sendsAs(victim, "b"), []string{"a", "b"}, 1, 2, false},
		{"send two", true, sendsAs(victim, "a"), sendsAs(victim, "b", "c"), []string{"a", "b", "c"}, 1, 3, false},
		{"send and wake", true, inOrder(sendsAs(victim, "a"), announced), sendsAs(victim, "b"),
			[]string{"a", "b"}, 1, 2, false},
		{"send after an end", true, inOrder(sendsAs(live, "a"), closeProducer(live)), sendsAs(victim, "b"),
			[]string{"a", saidClosed, "b"}, 2, 3, false},
		{"send after an end that was told", true,
			inOrder(sendsAs(live, "a"), closeProducer(live), recvAs(3, 1), toldAs(3), closeConsumer(3)),
			sendsAs(victim, "b"), []string{"b"}, 0, 1, false},
		{"send round the end", true, inOrder(sendsAs(victim, half, half), recvAs(live, 2), closeConsumer(live)),
			sendsAs(victim, half), []string{half}, 0, 1, false},
		{"send many", true, sendsAs(victim, "a"), many, []string{"a", "b", half, "d"}, 1, 4, false},
		{"reserve and commit", true, sendsAs(victim, "a"), reserve, []string{"a", "b"}, 1, 2, false},
		{"send, and give up", true, full, func(s *Segment) {
			givesUp(producerOf(s, victim).Send(background, NewParker(ParkerOptions{}), nil, 1))
		}, filled, 8, 8, false},
		{"close", true, sendsAs(victim, "a"), closeProducer(victim), []string{"a"}, 1, 1, false},
		{"claim", false, sendsAs(live, "a"), claims(false), []string{"a"}, 0, 0, false},
		{"receive", false, sendsAs(live, "a", "b"), recvAs(victim, 1), []string{"a", "b"}, 0, 1, false},
		{"receive two", false, sendsAs(live, "a", "b", "c"), recvAs(victim, 2), []string{"a", "b", "c"}, 0, 2, false},
		{"receive and wake", false, inOrder(sendsAs(live, "a", "b"), announced), recvAs(victim, 1),
			[]string{"a", "b"}, 0, 1, false},
		{"receive over a pad", false, inOrder(sendsAs(live, half, half), recvAs(victim, 2), sendsAs(live, half, "d")),
			recvAs(victim, 2), []string{half, "d"}, 0, 2, false},
		{"be told by the mark", false, inOrder(sendsAs(live, "a"), closeProducer(live), recvAs(victim, 1)),
			toldAs(victim), []string{saidClosed}, 0, 1, false},
		{"be told by the record", false,
			inOrder(sendsAs(live, "a"), closeProducer(live), sendsAs(live, "b"), recvAs(victim, 1)),
			toldAs(victim), []string{saidClosed, "b"}, 0, 1, false},
		{"go over the record of an end that was told", false,
			inOrder(sendsAs(live, "a"), closeProducer(live), recvAs(victim, 1), toldAs(victim), sendsAs(live, "b")),
			recvAs(victim, 1), []string{"b"}, 0, 1, false},
		{"advance over many", false, sendsAs(live, "a", "b", "c"), advance, []string{"a", "b", "c"}, 0, 3, false},
		{"receive in vain, and give up", false, sendsAs(live, "a"), func(s *Segment) {
			r := consumerOf(s, victim)
			must(second(r.Recv(background, nil, nil, 0)))
			givesUp(second(r.Recv(background, NewParker(ParkerOptions{}), nil, 1)))
		}, []string{"a"}, 0, 1, false},
		{"close", false, sendsAs(live, "a"), closeConsumer(victim), []string{"a"}, 0, 0, false},
	}
}

func pipeCases() []ringCase {
	long := strings.Repeat("l", 3000)
	peer := func(s *Segment) { endAs(s, live, 1) }
	return []ringCase{
		{"claim an end", true, peer, claims(true), nil, 0, 0, false},
		{"send", true, inOrder(peer, sendsAs(victim, "a")), sendsAs(victim, "b"), []string{"a", "b"}, 1, 2, false},
		{"send in pieces", true, inOrder(peer, sendsAs(victim, "a")), sendsAs(victim, long),
			[]string{"a", long}, 1, 2, false},
		{"give up in pieces, and send", true, inOrder(peer, sendsAs(victim, "a")), func(s *Segment) {
			w := producerOf(s, victim)
			givesUp(w.Send(background, NewParker(ParkerOptions{}), make([]byte, 8000), 1))
			must(second(endAs(s, live, 1).R.Recv(background, nil, nil, 0))) // makes room
			w.sends("c")
		}, []string{"a", "c"}, 1, 2, true},
		{"close", true, inOrder(peer, sendsAs(victim, "a")), closeProducer(victim), []string{"a"}, 1, 1, false},
		{"receive in pieces", false, sendsAs(live, long), recvAs(victim, 1), nil, 0, 0, false},
		{"close the other end", false, sendsAs(live, "a"), closeConsumer(victim), nil, 0, 0, false},
	}
}

func TestStreamPrefixReplay(t *testing.T) {
	replayRings(t, func() *Segment { return newStream(t).ring.seg }, streamCases(), checkStream)
}

func TestPipePrefixReplay(t *testing.T) {
	replayRings(t, func() *Segment { return newPipe(t, 1<<20).rings[0].seg }, pipeCases(), checkPipe)
}

// ringCheck looks at a segment that was recovered, and at its image before that.
type ringCheck func(c *ringCase, image, recovered *Segment) error

func replayRings(t *testing.T, fresh func() *Segment, cases []ringCase, check ringCheck) {
	images := 0
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s/%v", c.name, c.produces), func(t *testing.T) {
			start := fresh()
			if c.prepare != nil {
				c.prepare(start)
			}
			whole := clone(start)
			log := storesOf(t, whole, func() { c.op(whole) })
			for k, image := range log.prefixes(start) {
				n, err := replayRing(&c, image, check)
				if images += n; err != nil {
					t.Errorf("prefix %d of %d: %v", k, len(log), err)
				}
			}
		})
	}
	t.Logf("%d images recovered", images)
}

// replayRing recovers the image once in full, and once more after each prefix of
// recovery's stores.
func replayRing(c *ringCase, image *Segment, check ringCheck) (images int, err error) {
	v := deathOf(victim, live, 3)
	full := clone(image)
	log := recordStores(full, func() { full.Recover(v) })
	for j, again := range log.prefixes(image) {
		if err := refusedFirst(again); err != nil {
			return images, fmt.Errorf("before recovery prefix %d of %d: %w", j, len(log), err)
		}
		if _, done := again.Recover(v); !done {
			return images, fmt.Errorf("recovery after %d of %d stores of the last is not done", j, len(log))
		}
		images++
		if again.Waiting(victim) != 0 {
			return images, fmt.Errorf("the dead client still waits")
		}
		if err := check(c, image, again); err != nil {
			return images, fmt.Errorf("recovery prefix %d of %d: %w", j, len(log), err)
		}
	}
	return images, nil
}

// refusedFirst wants whoever can be told of the end of a pipe to be refused, too.
func refusedFirst(s *Segment) error {
	if s.geometry.Kind != KindPipe {
		return nil
	}
	p := s.Pipe()
	for end, r := range p.rings {
		if ringWord(load64(&r.tail.Word)).over() && !ringWord(load64(&p.rings[1-end].head.Word)).over() {
			return fmt.Errorf("the other end is told that end %d is over, and may send to it", end)
		}
	}
	return nil
}

// within reports whether got is what of log there is between lo and hi, by end.
func (c *ringCase) within(got []string, end string) bool {
	for k := c.lo; k <= c.hi; k++ {
		want := slices.Clone(c.log[k:])
		if c.produces {
			want = slices.Clone(c.log[:k])
			if last := len(want) - 1; end != "" && last >= 0 && want[last] == saidClosed {
				want = want[:last] // with no message between: one end
			}
			if end != "" {
				want = append(want, end)
			}
		}
		if slices.Equal(got, want) {
			return true
		}
	}
	return false
}

// endOfVictim says how the dead producer is told of.
func endOfVictim(image *Segment, owner *uint32) string {
	switch tail := load64(&image.ring(0).tail.Word); {
	case load32(owner) == actor(victim).Seat && tail&ringClosed == 0:
		return saidDied
	case tail&ringOver != 0:
		return saidClosed
	}
	return ""
}

func checkStream(c *ringCase, image, s *Segment) error {
	r := s.ring(0)
	if r.tail.Owner == actor(victim).Seat || r.head.Owner == actor(victim).Seat {
		return fmt.Errorf("the dead client has a role")
	}
	end := endOfVictim(image, &image.ring(0).tail.Owner)
	if c.produces && ringWord(load64(&image.ring(0).head.Word)).ended() && len(c.log) > 0 &&
		load64(&image.ring(0).tail.Word)&ringOver != 0 {
		end = "" // told already, and nothing was sent since
	}
	seat := uint16(3)
	if r.head.Owner != 0 {
		seat = live
	}
	reader := consumerOf(s, seat)
	if got := drained(reader); !c.within(got, end) {
		return fmt.Errorf("received %.20q of %.20q, %d to %d, then %q", got, c.log, c.lo, c.hi, end)
	}
	seat = 3
	if r.tail.Owner != 0 {
		seat = live
	}
	producerOf(s, seat).sends("next")
	if got := drained(reader); !slices.Equal(got, []string{"next"}) {
		return fmt.Errorf("then received %.20q, not what was sent next", got)
	}
	return nil
}

func checkPipe(c *ringCase, image, s *Segment) error {
	p, was := s.Pipe(), image.Pipe()
	for _, r := range p.rings {
		if r.tail.Owner == actor(victim).Seat || r.head.Owner != 0 {
			return fmt.Errorf("the dead client has an end")
		}
	}
	end := 0 // the victim's
	if !c.produces {
		end = 1
	}
	peer := endAs(s, live, 1-end)
	owner := &was.rings[end].tail.Owner
	gone := load32(owner) == actor(victim).Seat || ringWord(load64(&p.rings[end].tail.Word)).over()
	if err := peer.W.Send(background, nil, nil, 0); (err != nil) != gone ||
		gone && status.Of(err) != status.PeerDied && status.Of(err) != status.Ended {
		return fmt.Errorf("the peer sends: %w, with the end gone %v", err, gone)
	}
	if !c.produces {
		return nil
	}
	said := endOfVictim(image, owner)
	if got := drained(peer.R); !c.within(got, said) &&
		!(c.beside && c.within(append([]string{c.log[0]}, got...), said)) {
		return fmt.Errorf("received %.20q of %.20q, %d to %d, then %q", got, c.log, c.lo, c.hi, said)
	}
	if got := drained(peer.R); said != "" && !slices.Equal(got, []string{said}) {
		return fmt.Errorf("told %q once, then %q", said, got)
	}
	return nil
}

// Records for ever, and none of them a message: a try ends, and so does a wait that is
// cancelled or has a deadline.
func TestRingEndlessRecords(t *testing.T) {
	p := newPipe(t, 1<<20)
	r, ring := p.end(t, 2, 1).R, p.rings[0]
	for at := range uint64(RingCapacityMin / 8) {
		*ring.record(at * 8) = makeRecord(recordRest, 1<<20-1)
	}
	more := func() {
		head := ringWord(atomic.LoadUint64(&ring.head.Word)).position()
		atomic.StoreUint64(&ring.tail.Word, uint64(makeRingWord(head+RingCapacityMin/recordPieces)))
	}
	more()
	storeLog = func(s storeRecord) {
		if s.addr == unsafe.Pointer(&ring.head.Word) { // as soon as it has gone over one
			more()
		}
	}
	defer func() { storeLog = nil }()
	gone, cancel := context.WithCancel(background)
	cancel()
	for _, c := range []struct {
		ctx     context.Context
		timeout time.Duration
		want    status.Code
	}{{background, 0, status.WouldBlock}, {background, 1e6, status.TimedOut}, {gone, -1, status.Cancelled}} {
		if _, err := r.Recv(c.ctx, NewParker(ParkerOptions{}), nil, c.timeout); err != c.want {
			t.Errorf("received: %v, want %v", err, c.want)
		}
	}
}
