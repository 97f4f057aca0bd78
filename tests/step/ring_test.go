package step

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shmd/shmd/wire"
)

const (
	ringCapacity = 4096
	// halfRing fills half of the ring, alone; pieces goes through it in pieces.
	halfRing    = 2000
	pieces      = 3000
	pieceSize   = ringCapacity / 8 // with its header
	ringOver    = 3                // died or closed
	ringEnded   = 4
	recordSizes = 8 // records begin at multiples of it, behind a header of as many bytes
)

// ringRules: each message is received once and in order, or never if it is the victim's own
// or one that the victim may have received; and whoever receives is told of the victim's end
// once. Of bytes, which are told by their place in the flow, those are counted that arrive.
type ringRules struct {
	*stage
	ends  []int              // how many may be told; a producer that has sent nothing is told of with the one before
	after int                // how many when the operation is over; -1 = any of those
	size  [peersCount]uint64 // bytes of what a peer sends next
	sent  []int              // by peers, and by the victim before its operation
	got   []int
	bytes int // got
	ended int
	both  bool // ends of the pipe are victims
	shut  bool // the other end of the pipe, by its peer
}

func rings(after int, ends ...int) func(s *stage) rules {
	return func(s *stage) rules { return &ringRules{stage: s, after: after, ends: ends} }
}

func (r *ringRules) piped() bool { return r.scene.kind == "pipe" }

func (r *ringRules) ofBytes() bool { return r.scene.options.Bytes != nil }

// begin empties a stream, and leaves nobody a role; a pipe is new each time.
func (r *ringRules) begin() error {
	var err error
	if !r.piped() {
		err = r.drain()
		r.got, r.ended = nil, 0
	}
	number := 0
	for _, line := range r.scene.before {
		if strings.HasSuffix(line, " send"+try) {
			r.sent = append(r.sent, number)
		}
		_, _ = fmt.Sscanf(line, r.scene.kind+" make %d", &number) // if that is what it is
	}
	return err
}

func (r *ringRules) stopped(uint16) error { return nil }

// offers: whoever sleeps wants a message, or the end, or room; in a pipe the other end does.
func (r *ringRules) offers() (bool, error) {
	lines, err := r.segment.Rings()
	if err != nil {
		return false, err
	}
	for i, p := range r.peers {
		in, out := lines.Rings[0], lines.Rings[0]
		if r.piped() {
			out = lines.Rings[1]
		}
		switch {
		case p.sleep == "":
		case sends(p.sleep):
			if r.piped() && out.Head.Word&ringOver != 0 || r.fits(out.Tail.Word>>3, out.Head.Word>>3, r.size[i]) {
				return true, nil
			}
		case in.Tail.Word>>3 != in.Head.Word>>3 || in.Tail.Word&ringOver != 0 && in.Head.Word&ringEnded == 0:
			return true, nil
		}
	}
	return false, nil
}

// sends reports whether a line waits for room.
func sends(line string) bool {
	return strings.Contains(line, " send") || strings.Contains(line, " write")
}

// fits reports whether a message, or its next piece, or a byte has room.
func (r *ringRules) fits(tail, head, size uint64) bool {
	used := tail - head
	if r.ofBytes() {
		return used < ringCapacity
	}
	size = (size+recordSizes-1)/recordSizes*recordSizes + recordSizes
	if size > ringCapacity/2 {
		size = pieceSize
	}
	if left := ringCapacity - tail%ringCapacity; left < size {
		used += left
	}
	return used+size <= ringCapacity
}

func (r *ringRules) said(p *peer, line, answer string) error {
	var n int
	ok := answer == "ok" || strings.HasPrefix(answer, "ok ")
	switch {
	case strings.Contains(line, " make ") && ok:
		if _, err := fmt.Sscanf(line, r.scene.kind+" make %d %d", &p.message, &r.size[p.index]); err != nil {
			return err
		}
	case strings.Contains(line, " send") && ok:
		r.sent = append(r.sent, p.message)
	case strings.Contains(line, " recv") && ok:
		if _, err := fmt.Sscanf(answer, "ok %d", &n); err != nil {
			return err
		}
		r.got = append(r.got, n)
	case strings.Contains(line, " read") && ok:
		if _, err := fmt.Sscanf(answer, "ok %d", &n); err != nil {
			return err
		}
		r.bytes += n
	case line == "pipe shut" && ok:
		r.shut = true
	case answer == "error PEER_DIED" || answer == "error ENDED":
		r.ended++
	case strings.HasSuffix(line, try) && answer == "error WOULD_BLOCK":
	case ok || answer == "error NOT_OWNER":
	default:
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	return nil
}

// feed gives a message to a consumer who sleeps rightly: a producer that has sent nothing is
// told of together with the one before it. Or it gives room to a producer that does.
func (r *ringRules) feed() error {
	asleep := r.peers[first].sleep
	if r.piped() || asleep == "" {
		return nil
	}
	p := r.peers[holder]
	if sends(asleep) {
		err := r.want(p, "stream consume", "ok")
		if err == nil {
			err = r.receive(p)
		}
		return errors.Join(err, r.want(p, "stream leave", "ok"))
	}
	r.number++
	p.message = numbersFrom + r.number
	return errors.Join(r.want(p, "stream produce", "ok"),
		r.want(p, fmt.Sprintf("stream make %d %d", p.message, shortMessage), "ok"), r.send(p),
		r.want(p, "stream retire", "ok"))
}

// receive lets a consumer receive what is there.
func (r *ringRules) receive(p *peer) error {
	const line = "stream recv" + try
	answer, err := r.tell(p, line)
	if err != nil {
		return err
	}
	return r.said(p, line, answer)
}

func (r *ringRules) send(p *peer) error {
	const line = "stream send" + try
	if err := r.want(p, line, "ok"); err != nil {
		return err
	}
	return r.said(p, line, "ok")
}

// drain lets the peers give up their roles, and receives all that is left.
func (r *ringRules) drain() error {
	for i, p := range r.peers {
		for _, line := range []string{"stream leave", "stream retire"} {
			if i != holder {
				if _, err := r.tell(p, line); err != nil {
					return err
				}
			}
		}
	}
	p := r.peers[holder]
	if err := r.want(p, "stream consume", "ok"); err != nil {
		return err
	}
	for {
		answer, err := r.tell(p, "stream recv"+try)
		if err == nil && answer == "error WOULD_BLOCK" {
			return r.want(p, "stream leave", "ok")
		}
		if err == nil {
			err = r.said(p, "stream recv"+try, answer)
		}
		if err != nil {
			return err
		}
	}
}

func (r *ringRules) verify(over bool) error {
	var err error
	switch {
	case r.both:
		err = r.noEnd(over)
	case r.piped():
		err = r.hangUp()
	default:
		err = r.drain()
	}
	if err != nil {
		return err
	}
	report := func(what string) error {
		return fmt.Errorf("%s: sent %d, the victim's is %d; received %d, %d bytes and %d ends", what, r.sent, mine,
			r.got, r.bytes, r.ended)
	}
	effect := r.bytes
	known := append(slices.Clone(r.sent), mine, mine+1)
	for i, n := range r.got {
		switch {
		case slices.Contains(r.got[:i], n):
			return report("received twice")
		case !slices.Contains(known, n):
			return report("from nowhere")
		case n == mine || n == mine+1:
			effect++
		}
	}
	if slices.Contains(r.got, mine+1) && !slices.Contains(r.got, mine) {
		return report("the second of a batch without the first")
	}
	next := 0
	for _, n := range r.sent {
		at := slices.Index(r.got, n)
		if at < 0 {
			effect--
		} else if at < next {
			return report("out of order")
		}
		next = max(next, at)
	}
	exact := len(r.scene.effects) == 1 || r.ofBytes() && r.scene.situation != woken
	if all := r.scene.effects; !r.scene.mayHave(effect) || over && exact && len(all) > 0 && effect != all[len(all)-1] {
		return report("lost or found")
	}
	if r.piped() {
		return nil
	}
	if !slices.Contains(r.ends, r.ended) || over && r.after >= 0 && r.ended != r.after {
		return report("ends that nobody told, or told twice")
	}
	return nil
}

func streamScenes() []*scene {
	const produce, consume, retire, leave = "stream produce", "stream consume", "stream retire", "stream leave"
	const send, recv = "stream send", "stream recv"
	makes := func(number, size int) string { return fmt.Sprintf("stream make %d %d", number, size) }
	made := []string{produce, makes(mine, shortMessage)}
	full := []string{produce, makes(100, halfRing), send + try, makes(101, halfRing), send + try, makes(mine, halfRing)}
	sends := func(number int) []cue { return all(says(first, makes(number, shortMessage)), says(first, send+try)) }
	producing, consuming := does(first, produce), does(first, consume)
	receives := sleeps(first, recv+forever)
	// One message arrives before the consumer sleeps: the end of who has sent nothing is told
	// together with the one before, and need not wake anybody.
	sent := []string{produce, makes(100, shortMessage), send + try}
	received := all(says(first, recv+try), receives)
	in, out := []int{1}, []int{-1}
	options := wire.CreateOptions{Capacity: new(uint32(ringCapacity))}
	of := func(after int, ends ...int) props {
		return props{kind: "stream", options: options, rules: rings(after, ends...)}
	}
	return flat(
		// The victim's, unless it has sent nothing, and that of who feeds the consumer instead.
		of(-1, 0, 1, 2).with(
			scene{operation: send, situation: uncontended, before: made, act: send + forever, effects: in},
			scene{operation: send, situation: contended, setUp: consuming, before: made, during: receives,
				act: send + forever, effects: in},
			scene{operation: send, situation: refused, before: full, act: send + try, answer: "error WOULD_BLOCK"},
			scene{operation: send, situation: timedOut, before: full, act: send + shortly, answer: "error TIMED_OUT"},
			scene{operation: send, situation: woken, setUp: consuming, before: full, act: send + forever,
				release: says(first, recv+try), effects: in},
			scene{operation: retire, situation: uncontended, before: made, act: retire},
		),
		of(1, 1).with( // the victim's
			scene{operation: retire, situation: contended, setUp: consuming, before: sent, during: received,
				act: retire},
		),
		of(1, 1).with( // the producer's
			scene{operation: recv, situation: uncontended, setUp: all(producing, sends(100)), before: []string{consume},
				act: recv + forever, effects: out},
			scene{operation: recv, situation: woken, setUp: producing, before: []string{consume}, act: recv + forever,
				release: sends(100), effects: out},
			scene{operation: leave, situation: uncontended, setUp: all(producing, sends(100)),
				before: []string{consume}, act: leave},
		),
		of(-1, 0, 1).with(
			scene{operation: produce, situation: uncontended, act: produce},
			scene{operation: produce, situation: refused, setUp: producing, act: produce, answer: "error TAKEN"},
		),
		of(0, 0, 1).with(
			scene{operation: recv + ", the end", situation: uncontended,
				setUp:  all(producing, sends(100), does(first, retire)),
				before: []string{consume, recv + try}, act: recv + forever, answer: "error ENDED", effects: out},
		),
		of(-1, 0, 1).with( // that of who has sent nothing
			scene{operation: recv, situation: refused, setUp: producing, before: []string{consume}, act: recv + try,
				answer: "error WOULD_BLOCK"},
			scene{operation: recv, situation: timedOut, setUp: producing, before: []string{consume},
				act: recv + shortly, answer: "error TIMED_OUT"},
			scene{operation: consume, situation: uncontended, act: consume},
		),
		streamBatchScenes(),
	)
}
