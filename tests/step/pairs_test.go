package step

import (
	"fmt"

	"github.com/shmd/shmd/wire"
)

// The pairs of operations whose victims die together.

func mutexPairs() []pair {
	const lock, unlock = "mutex lock" + forever, "mutex unlock"
	p := props{kind: "mutex", rules: locks(false)}
	scenes := p.with(
		scene{operation: "mutex lock, lock", act: lock},
		scene{operation: "mutex unlock, lock", before: []string{lock}, during: sleeps(first, lock), act: unlock},
	)
	return pairs(scenes, lock, lock)
}

func plainPairs() []pair {
	const acquire, post = "semaphore acquire 1" + forever, "semaphore post 1"
	p := props{kind: "semaphore", rules: permits(false)}
	scenes := p.with(
		scene{operation: "semaphore post, acquire", during: sleeps(first, acquire), act: post, effects: []int{1}},
		scene{operation: "semaphore acquire, acquire", have: 1, act: acquire, effects: []int{-1}},
		scene{operation: "semaphore post, post", during: sleeps(first, acquire), act: post, effects: []int{1, 2}},
	)
	return pairs(scenes, acquire, acquire, post)
}

func undoPairs() []pair {
	const acquire, release = "semaphore acquire 1" + forever, "semaphore release 1"
	p := props{kind: "semaphore", rules: permits(true),
		options: wire.CreateOptions{Undo: new(true), Initial: new(uint32(1))}}
	scenes := p.with(
		scene{operation: "undo acquire, acquire", have: 1, act: acquire},
		scene{operation: "undo release, acquire", have: 1, before: []string{acquire}, during: sleeps(first, acquire),
			act: release},
	)
	return pairs(scenes, acquire, acquire)
}

func queuePairs() []pair {
	const put, take, lease, ack = "queue put" + forever, "queue take" + forever, "queue lease" + forever, "queue ack"
	made := []string{fmt.Sprintf("queue make %d %d", mine, shortMessage)}
	p := props{kind: "queue", options: queueOptions(64), rules: messages(shortMessage)}
	scenes := p.with(
		scene{operation: "queue put, take", before: made, during: sleeps(first, take), act: put, effects: []int{1}},
		scene{operation: "queue ack, lease", have: 1, before: []string{lease}, during: sleeps(first, take), act: ack,
			effects: []int{-1}},
	)
	return pairs(scenes, take, lease)
}

func streamPairs() []pair {
	const produce, consume, retire = "stream produce", "stream consume", "stream retire"
	const send, recv = "stream send", "stream recv"
	made := []string{produce, fmt.Sprintf("stream make %d %d", mine, shortMessage)}
	sends := func(number int) []cue {
		return all(says(first, fmt.Sprintf("stream make %d %d", number, shortMessage)), says(first, send+try))
	}
	left := all(does(first, produce), sends(100), sends(101), says(first, retire))
	consuming, receives := does(first, consume), sleeps(first, recv+forever)
	options := wire.CreateOptions{Capacity: new(uint32(ringCapacity))}
	of := func(ends ...int) props { return props{kind: "stream", options: options, rules: rings(-1, ends...)} }
	all := pairs(flat(
		of(0, 1).with(scene{operation: "stream send, recv", before: made, act: send + forever, effects: []int{1}}),
		of(1, 2).with(scene{operation: "stream send, recv, more", setUp: left, before: made, act: send + forever,
			effects: []int{1, -1}}),
		of(0, 1, 2).with(
			scene{operation: "stream produce, produce", setUp: consuming, during: receives, act: produce},
			scene{operation: "stream retire, produce", setUp: consuming, before: []string{produce}, during: receives,
				act: retire},
		),
	), recv+forever, recv+forever, produce, produce)
	all[0].before2, all[1].before2 = []string{consume}, []string{consume}
	return all
}

func pipePairs() []pair {
	const shut, send, recv = "pipe shut", "pipe send" + forever, "pipe recv" + forever
	made := []string{"pipe claim 0", fmt.Sprintf("pipe make %d %d", mine, shortMessage)}
	p := props{kind: "pipe", options: wire.CreateOptions{Capacity: new(uint32(ringCapacity))}, rules: bothEnds}
	all := pairs(p.with(
		scene{operation: "pipe send, recv", before: made, act: send, anew: true},
		scene{operation: "pipe shut, shut", before: made, act: shut, anew: true},
		scene{operation: "pipe shut, recv", before: made, act: shut, anew: true},
	), recv, shut, recv)
	for i := range all {
		all[i].before2 = []string{"pipe claim 1"}
	}
	return all
}

// pairs adds the other operations.
func pairs(scenes []*scene, others ...string) []pair {
	all := make([]pair, 0, len(scenes))
	for i, sc := range scenes {
		sc.situation = "together"
		all = append(all, pair{scene: sc, act2: others[i]})
	}
	return all
}
