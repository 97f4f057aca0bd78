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
	sentAndReserved := append([]string{produce, makes(100, shortMessage), send + try}, reserved[1:]...)
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
			scene{operation: "stream abort", situation: uncontended, before: reserved, act: "stream abort"},
		),
		of(1, 1).with( // the victim's
			scene{operation: retire + ", reserved", situation: contended, setUp: consuming, before: sentAndReserved,
				during: all(says(first, recv+try), receives), act: retire},
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
