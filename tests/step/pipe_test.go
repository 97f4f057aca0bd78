package step

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shmd/shmd/wire"
)

// bothEnds are the rules of a pipe whose ends are two victims.
func bothEnds(s *stage) rules { return &ringRules{stage: s, both: true} }

// hangUp receives what is left in a pipe, and ends the other end.
func (r *ringRules) hangUp() error {
	p := r.peers[first]
	line := "pipe recv" + try
	if r.ofBytes() {
		line = "pipe read" + try
	}
	for !r.shut {
		answer, err := r.tell(p, line)
		if err == nil {
			err = r.said(p, line, answer)
		}
		switch {
		case err != nil:
			return err
		case answer == "error WOULD_BLOCK":
			return fmt.Errorf("nobody is told that the victim is gone")
		case strings.HasPrefix(answer, "error "):
			r.shut = true
			if err := errors.Join(r.sendsInVain(p), r.want(p, "pipe shut", "ok")); err != nil {
				return err
			}
		}
	}
	return r.segment.AtRest()
}

// sendsInVain wants who sends to nobody to be told so at once.
func (r *ringRules) sendsInVain(p *peer) error {
	line := "pipe send" + try
	if r.ofBytes() {
		line = "pipe write" + try
	}
	answer, err := r.tell(p, line)
	if err == nil && answer != "error PEER_DIED" && answer != "error ENDED" {
		err = fmt.Errorf("%q to an end that is gone is answered %q", line, answer)
	}
	return err
}

// noEnd wants both ends of a pipe to be over; unless one victim alone had one.
func (r *ringRules) noEnd(alone bool) error {
	const claim = "pipe claim -1"
	if !alone {
		return errors.Join(r.want(r.peers[holder], claim, "error ENDED"), r.segment.AtRest())
	}
	return errors.Join(r.want(r.peers[holder], claim, "ok"), r.want(r.peers[holder], "pipe shut", "ok"))
}

func pipeScenes() []*scene {
	const send, recv, shut = "pipe send", "pipe recv", "pipe shut"
	makes := func(number, size int) string { return fmt.Sprintf("pipe make %d %d", number, size) }
	claimed := func(size int) []string { return []string{"pipe claim 0", makes(mine, size)} }
	other := does(first, "pipe claim 1")
	receives := sleeps(first, recv+forever)
	sends := func(size int) []cue { return all(says(first, makes(100, size)), starts(first, send+forever)) }
	in, out := []int{1}, []int{-1}
	p := props{kind: "pipe", options: wire.CreateOptions{Capacity: new(uint32(ringCapacity))}, rules: rings(-1)}
	scenes := []scene{
		{operation: send, situation: uncontended, before: claimed(shortMessage), act: send + forever, effects: in},
		{operation: send, situation: contended, before: claimed(shortMessage), during: receives, act: send + forever,
			effects: in},
		{operation: send + ", in pieces", situation: contended, before: claimed(pieces), during: receives,
			act: send + forever, effects: in},
		{operation: send + ", in pieces", situation: timedOut, act: send + shortly, answer: "error TIMED_OUT",
			before: append(claimed(pieces), makes(100, halfRing), send+try, makes(mine, pieces))},
		{operation: recv, situation: woken, before: claimed(shortMessage), act: recv + forever,
			release: sends(shortMessage), effects: out},
		{operation: recv + ", in pieces", situation: woken, before: claimed(shortMessage), act: recv + forever,
			release: sends(pieces), effects: out},
		{operation: recv, situation: timedOut, before: claimed(shortMessage), act: recv + shortly,
			answer: "error TIMED_OUT"},
		{operation: shut, situation: contended, before: claimed(shortMessage), during: receives, act: shut},
	}
	for i := range scenes {
		scenes[i].setUp, scenes[i].anew = other, true
	}
	return flat(p.with(scenes...), pipeBatchScenes(), pipeBytesScenes())
}

// pipeBatchScenes are likewise those of a pipe of messages, as far as it is not the same.
func pipeBatchScenes() []*scene {
	const claim, send, recv, shut = "pipe claim 0", "pipe send", "pipe recv", "pipe shut"
	const sendMany, peekMany, reserve, commit = "pipe send_many", "pipe peek_many", "pipe reserve", "pipe commit"
	makes := func(number, size int) string { return fmt.Sprintf("pipe make %d %d", number, size) }
	made := []string{claim, makes(mine, shortMessage)}
	full := []string{claim, makes(100, halfRing), send + try, makes(101, halfRing), send + try, makes(mine, halfRing)}
	sends := func(number, size int) []cue { return all(says(first, makes(number, size)), says(first, send+try)) }
	receives, wantsRoom := sleeps(first, recv+forever), sleeps(first, send+forever)
	crowd := all(sends(100, halfRing), sends(101, halfRing), says(first, makes(102, halfRing)))
	one, both, gone := []int{1}, []int{2}, []int{-2}

	scenes := []scene{
		{operation: send, situation: refused, before: full, act: send + try, answer: "error WOULD_BLOCK"},
		{operation: send, situation: woken, before: full, act: send + forever, release: says(first, recv+try),
			effects: one},
		{operation: send + ", to nobody", situation: woken, before: full, act: send + forever, answer: "error ENDED",
			release: says(first, shut), effects: gone},
		{operation: sendMany, situation: contended, before: made, during: receives, act: sendMany + forever,
			effects: both},
		{operation: commit, situation: contended, before: append(made, reserve+try, "pipe fill"), during: receives,
			act: commit, effects: one},
		{operation: recv + ", the end", situation: woken, before: made, act: recv + forever, answer: "error ENDED",
			release: says(first, shut)},
		{operation: peekMany + ", in pieces", situation: woken, before: made, act: peekMany + forever,
			answer: "ok 100", effects: []int{-1},
			release: all(says(first, makes(100, pieces)), starts(first, send+forever))},
		// What its end was gone before, or not, is not received.
		{operation: "pipe advance", situation: contended, setUp: crowd, before: append(made, peekMany+try),
			during: wantsRoom, act: "pipe advance", effects: []int{-2, -3}},
		{operation: recv, situation: contended, setUp: crowd, before: made, during: wantsRoom, act: recv + forever,
			effects: []int{-2, -3}},
		{operation: shut + ", unread", situation: contended, setUp: crowd, before: made, during: wantsRoom, act: shut,
			effects: gone},
	}
	for i := range scenes {
		scenes[i].setUp, scenes[i].anew = all(does(first, "pipe claim 1"), scenes[i].setUp), true
	}
	p := props{kind: "pipe", options: wire.CreateOptions{Capacity: new(uint32(ringCapacity))}, rules: rings(-1)}
	return p.with(scenes...)
}

// pipeBytesScenes are those of a pipe of bytes.
func pipeBytesScenes() []*scene {
	const write, read, shut, some = "pipe write", "pipe read", "pipe shut", 3000
	flow := func(size int) string { return fmt.Sprintf("pipe bytes %d", size) }
	claimed := []string{"pipe claim 0", flow(some)}
	full := []string{"pipe claim 0", flow(ringCapacity), write + try, flow(some)}
	writes := func(size int) []cue { return all(does(first, flow(size)), says(first, write+try)) }
	reads := sleeps(first, read+forever)
	// parts are how much of something may have arrived, beyond what was there. In Go all of it comes at once.
	parts := func(there, size int) []int {
		var all []int
		for n := pieceSize; n < size; n += pieceSize {
			all = append(all, there+n)
		}
		return append(all, there+size)
	}
	there := []int{ringCapacity}

	scenes := []scene{
		{operation: write, situation: uncontended, before: claimed, act: write + forever, answer: "ok 3000",
			effects: parts(0, some)},
		{operation: write, situation: contended, before: claimed, during: reads, act: write + forever,
			answer: "ok 3000", effects: parts(0, some)},
		{operation: write, situation: refused, before: full, act: write + try, answer: "error WOULD_BLOCK",
			effects: there},
		{operation: write, situation: timedOut, before: full, act: write + shortly, answer: "error TIMED_OUT",
			effects: there},
		{operation: write, situation: woken, before: full, act: write + forever, release: says(first, read+try),
			effects: append(parts(ringCapacity, some), there...)},
		{operation: write + ", to nobody", situation: woken, before: full, act: write + forever,
			answer: "error ENDED", release: says(first, shut)},
		{operation: read, situation: uncontended, setUp: writes(some), before: claimed, act: read + forever,
			answer: "ok 3000"},
		{operation: read, situation: contended, setUp: all(writes(ringCapacity), does(first, flow(pieceSize))),
			before: claimed, during: sleeps(first, write+forever), act: read + forever, answer: "ok 4096"},
		{operation: read, situation: refused, before: claimed, act: read + try, answer: "error WOULD_BLOCK"},
		{operation: read, situation: timedOut, before: claimed, act: read + shortly, answer: "error TIMED_OUT"},
		{operation: read, situation: woken, before: claimed, act: read + forever,
			release: all(does(first, flow(some)), starts(first, write+forever))},
		{operation: read + ", the end", situation: woken, before: claimed, act: read + forever,
			answer: "error ENDED", release: says(first, shut)},
	}
	for i := range scenes {
		scenes[i].setUp, scenes[i].anew = all(does(first, "pipe claim 1"), scenes[i].setUp), true
	}
	options := wire.CreateOptions{Capacity: new(uint32(ringCapacity)), Bytes: new(true)}
	return props{kind: "pipe", options: options, rules: rings(-1)}.with(scenes...)
}
