package clib

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Store-prefix replay of the C library's streams and pipes, as replay_test.go does it for
// locks and data. Checked besides: after each prefix and the recovery, twice, of the dead
// client its roles are free, and whoever receives then finds what there was before the
// operation, or after it, and each end; of a message in pieces, which is many commits, it
// finds all of it or nothing.

const ringCapacity = 4096

const bytesFlag = shm.FlagBytes

// text is the message of a number, as probe/ring_words.h makes it.
func text(number, size int) []byte { return bytes.Repeat([]byte{byte(number)}, size) }

func send(w *shm.RingWriter, msg []byte) { must(0, w.Send(background, nil, msg, 0)) }

// received: another has sent two messages.
func received(im *images) {
	w := must(im.object.Stream().ClaimProducer(actor(liveSeat)))
	send(w, []byte("one"))
	send(w, []byte("two"))
}

// endedBefore: another has sent a message, and ended.
func endedBefore(im *images) {
	w := must(im.object.Stream().ClaimProducer(actor(liveSeat)))
	send(w, []byte("one"))
	w.Close()
}

// endTold: and a consumer, who is gone, was told.
func endTold(im *images) {
	endedBefore(im)
	r := must(im.object.Stream().ClaimConsumer(actor(liveSeat)))
	for must(r.Recv(background, nil, nil, 0)) != nil {
		if _, err := r.Recv(background, nil, nil, 0); err == status.Ended {
			break
		}
	}
	r.Close()
}

// nearEnd: records go around the end soon.
func nearEnd(im *images) {
	s := im.object.Stream()
	w, r := must(s.ClaimProducer(actor(liveSeat))), must(s.ClaimConsumer(actor(liveSeat)))
	for range 2 {
		send(w, text(9, 2000))
		must(r.Recv(background, nil, nil, 0))
	}
	w.Close()
	if _, err := r.Recv(background, nil, nil, 0); err != status.Ended {
		panic(err)
	}
	r.Close()
}

// consumerSleeps: the one who consumes has announced a sleep.
func consumerSleeps(im *images) {
	r := must(im.object.Stream().ClaimConsumer(actor(liveSeat)))
	if _, err := r.Recv(background, shm.NewParker(shm.ParkerOptions{}), nil, time.Nanosecond); err != status.TimedOut {
		panic(err)
	}
}

func otherProduces(im *images) { must(im.object.Stream().ClaimProducer(actor(liveSeat))) }

// piped: the other end has sent two messages.
func piped(im *images) {
	e := must(im.object.Pipe().Claim(actor(liveSeat), 1))
	if im.object.Geometry().Flags.Has(bytesFlag) {
		must(e.W.Write(background, nil, []byte("some bytes"), 0))
		return
	}
	send(e.W, []byte("one"))
	send(e.W, []byte("two"))
}

// pipedLong: the other end has sent a message in pieces.
func pipedLong(im *images) {
	send(must(im.object.Pipe().Claim(actor(liveSeat), 1)).W, text(9, 2500))
}

// shutOther: the other end has sent two messages, and ended.
func shutOther(im *images) {
	e := must(im.object.Pipe().Claim(actor(liveSeat), 1))
	send(e.W, []byte("one"))
	send(e.W, []byte("two"))
	e.Close()
}

func goneAlready(im *images) { must(im.object.Pipe().Claim(actor(liveSeat), 0)).Close() }

var ringScenarios = []scenario{
	{"claim to produce", shm.KindStream, 0, 0, nil, "", "send-1=-32 produce produce recv=-32"},
	{"claim to produce after another", shm.KindStream, 0, 0, endedBefore, "", "produce"},
	{"claim to consume", shm.KindStream, 0, 0, received, "", "consume consume"},
	{"claim what is taken", shm.KindStream, 0, 0, otherProduces, "", "produce=-13 consume"},
	{"send", shm.KindStream, 0, 0, nil, "produce send-3", "send-20"},
	{"send nothing", shm.KindStream, 0, 0, nil, "produce", "send-0"},
	{"send to a sleeper", shm.KindStream, 0, 0, consumerSleeps, "produce", "send-20"},
	{"send again to a sleeper", shm.KindStream, 0, 0, consumerSleeps, "produce send-2", "send-20"},
	{"send after another", shm.KindStream, 0, 0, endedBefore, "produce", "send-20"},
	{"send after an end that was told", shm.KindStream, 0, 0, endTold, "produce", "send-20"},
	{"send around the end", shm.KindStream, 0, 0, nearEnd, "produce", "send-100"},
	{"send what is too large", shm.KindStream, 0, 0, nil, "produce",
		"send-2041=-37 send-2040 send-2040 send-0=-2 wait_send-1=-3"},
	{"send many", shm.KindStream, 0, 0, nil, "produce", "many-3"},
	{"send many after another", shm.KindStream, 0, 0, endedBefore, "produce", "many-3"},
	{"send many around the end", shm.KindStream, 0, 0, nearEnd, "produce", "many-8"},
	{"reserve", shm.KindStream, 0, 0, nil, "produce", "commit-0=-20 reserve-100 commit-101=-20"},
	{"commit", shm.KindStream, 0, 0, nil, "produce reserve-100", "commit-20"},
	{"commit around the end", shm.KindStream, 0, 0, nearEnd, "produce reserve-100", "commit-20"},
	{"retire", shm.KindStream, 0, 0, nil, "produce send-3", "retire send-3=-32 retire=-32"},
	{"retire beside a sleeper", shm.KindStream, 0, 0, consumerSleeps, "produce send-3", "retire"},
	{"receive", shm.KindStream, 0, 0, received, "consume", "recv"},
	{"receive the last", shm.KindStream, 0, 0, received, "consume recv", "recv"},
	{"receive and give up", shm.KindStream, 0, 0, nil, "consume", "recv=-2 wait_recv=-3"},
	{"receive an end", shm.KindStream, 0, 0, endedBefore, "consume recv", "recv=-9"},
	{"receive no end twice", shm.KindStream, 0, 0, endTold, "consume", "recv=-2"},
	{"peek", shm.KindStream, 0, 0, received, "consume", "peek peek-4 advance-3=-20"},
	{"advance", shm.KindStream, 0, 0, received, "consume peek-2", "advance-1"},
	{"advance two", shm.KindStream, 0, 0, received, "consume peek-8", "advance-2"},
	{"leave", shm.KindStream, 0, 0, received, "consume recv", "leave recv=-32"},
	{"stream destroyed", shm.KindStream, 0, 0, destroyed, "", "produce=-6 consume=-6 send-1=-6 recv=-6"},

	{"claim an end", shm.KindPipe, 0, 0, nil, "", "send-1=-32 claim claim recv=-2"},
	{"claim any end", shm.KindPipe, 0, 0, piped, "", "any"},
	{"claim an end that is over", shm.KindPipe, 0, 0, goneAlready, "", "claim=-9"},
	{"pipe send", shm.KindPipe, 0, 0, piped, "claim", "send-20"},
	{"pipe send in pieces", shm.KindPipe, 0, 0, piped, "claim", "send-2500"},
	{"pipe send in pieces, and give up", shm.KindPipe, 0, 0, piped, "claim", "send-9000=-2 wait_send-9000=-3"},
	{"pipe receive", shm.KindPipe, 0, 0, piped, "claim", "recv"},
	{"pipe receive pieces", shm.KindPipe, 0, 0, pipedLong, "claim", "recv"},
	{"pipe receive the end", shm.KindPipe, 0, 0, shutOther, "claim recv recv", "recv=-9 recv=-9 send-1=-9"},
	{"shut", shm.KindPipe, 0, 0, piped, "claim send-3", "shut recv=-32"},
	{"write", shm.KindPipe, bytesFlag, 0, piped, "claim", "write-5000 write-1=-2 recv=-43"},
	{"read", shm.KindPipe, bytesFlag, 0, piped, "claim", "read-4 read-100 read-1=-2"},
	{"pipe destroyed", shm.KindPipe, 0, 0, destroyed, "", "claim=-6 send-1=-6 recv=-6 shut=-6"},
}

// number is what follows the dash of a word.
func number(word string) int {
	_, digits, _ := strings.Cut(word, "-")
	n, _ := strconv.Atoi(digits)
	return n
}

// ringWords does in Go what probe/ring_words.h does.
type ringWords struct {
	im     *images
	parker *shm.Parker
	w      *shm.RingWriter
	r      *shm.RingReader
	end    *shm.PipeEnd
	sent   int
	room   []byte
}

func (g *ringWords) message(size int) []byte {
	g.sent++
	return text(g.sent, size)
}

// timeout of a word: those that wait do so as briefly as can be.
func timeout(word string) time.Duration {
	if strings.HasPrefix(word, "wait_") {
		return time.Nanosecond
	}
	return 0
}

func (g *ringWords) claim(word string) (err error) {
	a := actor(victimSeat)
	switch word {
	case "produce":
		g.w, err = g.im.object.Stream().ClaimProducer(a)
	case "consume":
		g.r, err = g.im.object.Stream().ClaimConsumer(a)
	default:
		end := map[string]int{"claim": 0, "any": shm.AnyEnd}[word]
		if g.end, err = g.im.object.Pipe().Claim(a, end); err == nil {
			g.w, g.r = g.end.W, g.end.R
		}
	}
	return err
}

func (g *ringWords) write(word string) (err error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(word, "wait_"), "-")
	switch kind {
	case "retire":
		g.w.Close()
	case "send":
		err = g.w.Send(background, g.parker, g.message(number(word)), timeout(word))
	case "write":
		_, err = g.w.Write(background, g.parker, g.message(number(word)), 0)
	case "many":
		var msgs [][]byte
		for range number(word) {
			msgs = append(msgs, g.message(3))
		}
		_, err = g.w.SendMany(background, g.parker, msgs, 0)
	case "reserve":
		g.room, err = g.w.Reserve(background, g.parker, uint32(number(word)), 0)
	case "commit":
		copy(g.room, g.message(number(word)))
		err = g.w.Commit(uint32(number(word)))
	}
	return err
}

func (g *ringWords) read(word string) (err error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(word, "wait_"), "-")
	switch kind {
	case "leave":
		g.r.Close()
	case "recv":
		_, err = g.r.Recv(background, g.parker, nil, timeout(word))
	case "read":
		_, err = g.r.Read(background, g.parker, make([]byte, number(word)), 0)
	case "peek":
		_, err = g.r.PeekMany(background, g.parker, nil, max(number(word), 1), 0)
	case "advance":
		err = g.r.Advance(number(word))
	}
	return err
}

func runRingInGo(sc scenario, im *images) error {
	g := &ringWords{im: im, parker: shm.NewParker(shm.ParkerOptions{})}
	gone := false // in Go who has no role has nothing to call
	return runWords(sc, func(word string) (int, error) {
		kind, _, _ := strings.Cut(strings.TrimPrefix(word, "wait_"), "-")
		refused := error(status.NotOwner)
		if im.object.State() == shm.StateRemoved {
			refused = status.Removed
		}
		switch kind {
		case "produce", "consume", "claim", "any":
			return 0, g.claim(word)
		case "shut":
			if g.end == nil {
				return 0, refused
			}
			g.end.Close()
			return 0, nil
		case "retire", "send", "write", "many", "reserve", "commit":
			if g.w == nil || gone {
				return 0, refused
			}
			gone = kind == "retire"
			return 0, g.write(word)
		case "leave", "recv", "read", "peek", "advance":
			if g.r == nil {
				return 0, refused
			}
			return 0, g.read(word)
		}
		return 0, noWord(word)
	})
}

// drainRing is what whoever receives finds, in a clone that was recovered: messages, by
// their first byte and length, and ends.
func drainRing(r *shm.RingReader, bytesOnly bool) (found []string) {
	for range 10000 {
		var msg []byte
		var err error
		if bytesOnly {
			msg = make([]byte, 1)
			_, err = r.Read(background, nil, msg, 0)
		} else {
			msg, err = r.Recv(background, nil, nil, 0)
		}
		switch status.Of(err) {
		case status.OK:
			found = append(found, fmt.Sprintf("%q %d", slices.Compact(slices.Clone(msg)), len(msg)))
		case status.WouldBlock:
			return found
		default:
			last := len(found) - 1
			found = append(found, status.Of(err).Name())
			if last >= 0 && found[last] == found[last+1] {
				return found // of a pipe, for ever
			}
		}
	}
	return append(found, "no end")
}

// ringOutcome recovers the victim's death and tells what the living find.
func ringOutcome(im *images) ([]string, error) {
	if err := recoverDead(im.object); err != nil {
		return nil, err
	}
	if im.object.State() == shm.StateRemoved {
		return nil, nil
	}
	live, other := actor(liveSeat), actor(liveSeat)
	bytesOnly := im.object.Geometry().Flags.Has(bytesFlag)
	if im.object.Geometry().Kind == shm.KindStream {
		s := im.object.Stream()
		if st := s.Status(); st.Producer == actor(victimSeat).Seat || st.Consumer == actor(victimSeat).Seat {
			return nil, fmt.Errorf("the dead client still has a role: %+v", st)
		}
		r, err := s.ClaimConsumer(other)
		if err != nil {
			return nil, err
		}
		found := drainRing(r, false)
		w, err := s.ClaimProducer(live)
		if err == nil {
			err = w.Send(background, nil, []byte("live"), 0)
		}
		if err != nil {
			return found, err
		}
		return append(found, drainRing(r, false)...), nil
	}
	p := im.object.Pipe()
	if p.Status(0).Producer == actor(victimSeat).Seat {
		return nil, fmt.Errorf("the dead client still has an end: %+v", p.Status(0))
	}
	e, err := p.Claim(live, 1)
	if err != nil {
		return []string{status.Of(err).Name()}, nil // it was shut before
	}
	found := drainRing(e.R, bytesOnly)
	if bytesOnly {
		_, err = e.W.Write(background, nil, []byte("x"), 0)
	} else {
		err = e.W.Send(background, nil, []byte("x"), 0)
	}
	return append(found, status.Of(err).Name(), fmt.Sprint(p.Status(1).Used > 0)), nil
}

func TestRingPrefixReplay(t *testing.T) {
	replay(t, ringScenarios, 2, runRingInGo, func(t *testing.T, sc scenario, start, left *images) checkPrefix {
		var wanted [][]string
		for _, im := range []*images{start, left} {
			found, err := ringOutcome(im.clone())
			if err != nil {
				t.Error(err)
			}
			wanted = append(wanted, found)
		}
		return func(prefix string, im *images) {
			found, err := ringOutcome(im.clone())
			if err != nil {
				t.Errorf("%s: %v", prefix, err)
			}
			one := slices.ContainsFunc(wanted, func(w []string) bool { return slices.Equal(w, found) })
			if !one && len(strings.Fields(sc.words)) == 1 && !strings.HasPrefix(sc.words, "write") {
				t.Errorf("%s: found %q, wanted one of %q", prefix, found, wanted)
			}
		}
	})
}

// What shmd.h promises of streams and pipes.
func TestStreamBehaviour(t *testing.T) { behaveTwice(t, "streams") }
func TestPipeBehaviour(t *testing.T)   { behaveTwice(t, "pipes") }
