package step

import (
	"fmt"

	"github.com/shmd/shmd/wire"
)

// streamBatchScenes are those of several messages at once, of messages in place, and of one
// side that goes while the other waits.
func streamBatchScenes() []*scene {
	const produce, consume, retire, leave = "stream produce", "stream consume", "stream retire", "stream leave"
	const send, recv, sendMany, peekMany = "stream send", "stream recv", "stream send_many", "stream peek_many"
	const advance, reserve, commit = "stream advance", "stream reserve", "stream commit"
	makes := func(number, size int) string { return fmt.Sprintf("stream make %d %d", number, size) }
	made := []string{produce, makes(mine, shortMessage)}
	full := []string{produce, makes(100, halfRing), send + try, makes(101, halfRing), send + try, makes(mine, halfRing)}
	crowded := []string{produce, makes(100, halfRing), send + try, makes(mine, ringCapacity/2-pieceSize)}
	reserved := []string{produce, makes(mine, shortMessage), reserve + try, "stream fill"}
	sends := func(number, size int) []cue { return all(says(first, makes(number, size)), says(first, send+try)) }
	producing, consuming := does(first, produce), does(first, consume)
	two := all(producing, sends(100, shortMessage), sends(101, shortMessage))
	receives := sleeps(first, recv+forever)
	crowd := all(producing, sends(100, halfRing), sends(101, halfRing), says(first, makes(102, halfRing)))
	wantsRoom := sleeps(first, send+forever)
	looking := []string{consume, peekMany + try}
	one, both, out, allOut := []int{1}, []int{2}, []int{-1}, []int{-2}

	options := wire.CreateOptions{Capacity: new(uint32(ringCapacity))}
	of := func(after int, ends ...int) props {
		return props{kind: "stream", options: options, rules: rings(after, ends...)}
	}
	return flat(
		of(-1, 0, 1, 2).with(
			scene{operation: sendMany, situation: uncontended, before: made, act: sendMany + forever, effects: both},
			scene{operation: sendMany, situation: contended, setUp: consuming, before: made, during: receives,
				act: sendMany + forever, effects: both},
			scene{operation: sendMany + ", the first", situation: uncontended, before: crowded,
				act: sendMany + forever, effects: one},
			scene{operation: sendMany, situation: refused, before: full, act: sendMany + try,
				answer: "error WOULD_BLOCK"},
			scene{operation: sendMany, situation: timedOut, before: full, act: sendMany + shortly,
				answer: "error TIMED_OUT"},
			scene{operation: sendMany, situation: woken, setUp: consuming, before: full, act: sendMany + forever,
				release: says(first, recv+try), effects: one},
			scene{operation: reserve, situation: uncontended, before: made, act: reserve + forever},
			scene{operation: reserve, situation: refused, before: full, act: reserve + try,
				answer: "error WOULD_BLOCK"},
			scene{operation: reserve, situation: timedOut, before: full, act: reserve + shortly,
				answer: "error TIMED_OUT"},
			scene{operation: reserve, situation: woken, setUp: consuming, before: full, act: reserve + forever,
				release: says(first, recv+try)},
			scene{operation: commit, situation: uncontended, before: reserved, act: commit, effects: one},
			scene{operation: commit, situation: contended, setUp: consuming, before: reserved, during: receives,
				act: commit, effects: one},
			scene{operation: retire + ", reserved", situation: contended, setUp: consuming, before: reserved,
				during: receives, act: retire},
		),
		of(1, 1).with( // the producer's
			scene{operation: peekMany, situation: uncontended, setUp: two, before: []string{consume},
				act: peekMany + forever, answer: "ok 100 101"},
			scene{operation: peekMany, situation: woken, setUp: producing, before: []string{consume},
				act: peekMany + forever, answer: "ok 100", release: sends(100, shortMessage)},
			scene{operation: advance, situation: uncontended, setUp: two, before: looking, act: advance,
				effects: allOut},
			scene{operation: advance, situation: contended, setUp: crowd, before: looking, during: wantsRoom,
				act: advance, effects: allOut},
			scene{operation: recv, situation: contended, setUp: crowd, before: []string{consume}, during: wantsRoom,
				act: recv + forever, effects: out},
			scene{operation: leave, situation: contended, setUp: crowd, before: []string{consume}, during: wantsRoom,
				act: leave},
		),
		of(0, 0, 1).with(
			scene{operation: recv + ", the end", situation: woken, setUp: all(producing, sends(100, shortMessage)),
				before: []string{consume, recv + try}, act: recv + forever, answer: "error ENDED",
				release: says(first, retire), effects: out},
			scene{operation: peekMany + ", the end", situation: uncontended,
				setUp:  all(producing, sends(100, shortMessage), says(first, retire)),
				before: []string{consume, recv + try}, act: peekMany + forever, answer: "error ENDED", effects: out},
		),
		of(-1, 0, 1).with( // that of who has sent nothing
			scene{operation: peekMany, situation: refused, setUp: producing, before: []string{consume},
				act: peekMany + try, answer: "error WOULD_BLOCK"},
			scene{operation: peekMany, situation: timedOut, setUp: producing, before: []string{consume},
				act: peekMany + shortly, answer: "error TIMED_OUT"},
		),
	)
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
