package step

import (
	"fmt"
	"time"

	"github.com/shmd/shmd/wire"
)

// withLeaseTime are the options of a queue whose leases end by time, but in no test.
func withLeaseTime(o wire.CreateOptions) wire.CreateOptions {
	o.LeaseNS = new(uint64(time.Hour))
	return o
}

// deadAtOnce are those of a queue whose messages are delivered once.
func deadAtOnce(o wire.CreateOptions) wire.CreateOptions {
	o.DeliveriesMax = new(uint32(1))
	return o
}

// queueBatchScenes are those of several messages at once, of lease times, of waiting for
// all to be done, of dead letters, and of the end of a queue.
func queueBatchScenes() []*scene {
	const putMany, takeMany, leaseMany = "queue put_many", "queue take_many", "queue lease_many"
	const ackMany, nackMany, extend, join = "queue ack_many", "queue nack_many", "queue extend", "queue join"
	const take, lease, ack = "queue take", "queue lease", "queue ack"
	const redeliver, takeDead = "queue redeliver", "queue take_dead"
	made := fmt.Sprintf("queue make %d %d", mine, shortMessage)
	makes := func(peer int) []cue {
		return says(peer, fmt.Sprintf("queue make %d %d", 100+peer, shortMessage))
	}
	putting := func(peer int) []cue { return all(makes(peer), sleeps(peer, "queue put"+forever)) }
	putters := all(putting(first), putting(second))
	takers := all(sleeps(first, take+forever), sleeps(second, take+forever))
	joiners := all(sleeps(first, join+forever), sleeps(second, join+forever))
	room, message := says(holder, take+try), all(makes(holder), says(holder, "queue put"+try))
	leased, died := []string{leaseMany + try}, []string{lease + try, "queue nack", lease + try, "queue nack"}
	in, out := []int{1, 2}, []int{-1, -2}

	plain := props{kind: "queue", options: queueOptions(64), rules: messages(shortMessage)}
	timed, mortal := plain, plain
	timed.options, mortal.options = withLeaseTime(plain.options), deadAtOnce(plain.options)
	return flat(plain.with(
		scene{operation: putMany, situation: uncontended, before: []string{made}, act: putMany + forever, effects: in},
		scene{operation: putMany, situation: contended, before: []string{made}, during: takers, act: putMany + forever,
			effects: in},
		scene{operation: putMany, situation: refused, have: queueSize, before: []string{made}, during: putting(first),
			act: putMany + try, answer: "error WOULD_BLOCK"},
		scene{operation: putMany, situation: timedOut, have: queueSize, before: []string{made}, during: putting(first),
			act: putMany + shortly, answer: "error TIMED_OUT"},
		scene{operation: putMany, situation: woken, have: queueSize, before: []string{made}, act: putMany + forever,
			release: room, effects: []int{1}},
		scene{operation: takeMany, situation: uncontended, have: queueSize, act: takeMany + forever, effects: out},
		scene{operation: takeMany, situation: contended, have: queueSize, during: putters, act: takeMany + forever,
			effects: out},
		scene{operation: takeMany, situation: refused, during: sleeps(first, take+forever), act: takeMany + try,
			answer: "error WOULD_BLOCK"},
		scene{operation: takeMany, situation: timedOut, during: sleeps(first, take+forever), act: takeMany + shortly,
			answer: "error TIMED_OUT"},
		scene{operation: takeMany, situation: woken, act: takeMany + forever, release: message, effects: []int{-1}},
		scene{operation: leaseMany, situation: uncontended, have: queueSize, act: leaseMany + forever},
		scene{operation: leaseMany, situation: refused, during: sleeps(first, take+forever), act: leaseMany + try,
			answer: "error WOULD_BLOCK"},
		scene{operation: leaseMany, situation: timedOut, during: sleeps(first, take+forever), act: leaseMany + shortly,
			answer: "error TIMED_OUT"},
		scene{operation: leaseMany, situation: woken, act: leaseMany + forever, release: message},
		scene{operation: ackMany, situation: uncontended, have: queueSize, before: leased, act: ackMany, effects: out},
		scene{operation: ackMany, situation: contended, have: queueSize, before: leased, during: putters, act: ackMany,
			effects: out},
		scene{operation: nackMany, situation: uncontended, have: queueSize, before: leased, act: nackMany},
		scene{operation: nackMany, situation: contended, have: queueSize, before: leased, during: takers,
			act: nackMany},
		scene{operation: join, situation: uncontended, act: join + forever},
		scene{operation: join, situation: refused, have: 1, act: join + try, answer: "error WOULD_BLOCK"},
		scene{operation: join, situation: timedOut, have: 1, act: join + shortly, answer: "error TIMED_OUT"},
		scene{operation: join, situation: woken, have: 1, act: join + forever, release: room},
		scene{operation: take + ", joined", situation: contended, have: 1, during: joiners, act: take + forever,
			effects: []int{-1}},
		scene{operation: takeMany + ", joined", situation: contended, have: queueSize, during: joiners,
			act: takeMany + forever, effects: out},
		scene{operation: ack + ", joined", situation: contended, have: 1, before: []string{lease + try},
			during: joiners, act: ack, effects: []int{-1}},
		scene{operation: "queue shutdown", situation: uncontended, have: 1, act: "queue shutdown", anew: true},
		scene{operation: "queue shutdown", situation: contended, during: takers, act: "queue shutdown", anew: true},
	), timed.with(
		scene{operation: lease + ", timed", situation: uncontended, have: 1, act: lease + forever},
		scene{operation: leaseMany + ", timed", situation: uncontended, have: queueSize, act: leaseMany + forever},
		scene{operation: take + ", timed", situation: woken, act: take + forever, release: message,
			effects: []int{-1}},
		scene{operation: extend, situation: uncontended, have: 1, before: []string{lease + try}, act: extend},
	), mortal.with(
		scene{operation: redeliver, situation: uncontended, have: queueSize, before: died, act: redeliver},
		scene{operation: redeliver, situation: contended, have: 1, before: died[:2], during: takers,
			act: redeliver},
		scene{operation: takeDead, situation: uncontended, have: queueSize, before: died, act: takeDead},
	))
}
