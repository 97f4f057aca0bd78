package step

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shmd/shmd/wire"
)

const (
	queueSize = 2
	// mine is the number of the victim's message, and the next one that of its second. What is put before it dies, one
	// after the other, has numbers from numbersFrom on.
	mine        = 7
	numbersFrom = 1000
	// shortMessage is copied under the latch, longMessage outside of it.
	shortMessage = 40
	longMessage  = 3000
)

// queueRules: each message is delivered, once, in order; but that the victim's own may
// never have been put, and one that it took may be gone.
type queueRules struct {
	*stage
	size      int // of messages, in bytes
	put       []int
	got       []int
	redeliver uint32 // leases of the victim when it died
	drained   []int  // then the dead letters
	ready     int    // how many of them were ready
	again     uint32 // deliveries that were not the first
}

func messages(size int) func(s *stage) rules {
	return func(s *stage) rules { return &queueRules{stage: s, size: size} }
}

func (r *queueRules) begin() error {
	for range r.scene.have {
		if err := errors.Join(r.putNew(), r.finish()); err != nil {
			return err
		}
	}
	return nil
}

// putNew starts to put a new message.
func (r *queueRules) putNew() error {
	p := r.peers[holder]
	r.number++
	p.message = numbersFrom + r.number
	if err := r.want(p, fmt.Sprintf("queue make %d %d", p.message, r.size), "ok"); err != nil {
		return err
	}
	r.start(p, "queue put"+try)
	return nil
}

func (r *queueRules) stopped(seat uint16) error {
	holding, err := r.segment.Holding(seat)
	r.redeliver += holding.Leases
	return err
}

func (r *queueRules) offers() (bool, error) {
	lines, _, err := r.segment.Queue()
	if lines.Closed != 0 {
		return true, err
	}
	ready := lines.ReadyTail>>32 - lines.ReadyHead>>32
	if r.joiners() {
		return ready == 0 && lines.LeasedCount == 0, err
	}
	if r.takers() {
		return ready > 0, err
	}
	return lines.FreeTail>>32 != lines.FreeHead>>32 || lines.Fresh < queueSize, err
}

// takers reports whether those who sleep want messages, the victim included.
func (r *queueRules) takers() bool {
	act := r.scene.act
	if r.scene.situation == woken && (strings.HasPrefix(act, "queue take") || strings.HasPrefix(act, "queue lease")) {
		return true
	}
	return slices.ContainsFunc(r.peers, func(p *peer) bool { return p.sleep == "queue take"+forever })
}

// joiners reports likewise whether they want all to be done.
func (r *queueRules) joiners() bool {
	const join = "queue join" + forever
	return r.scene.situation == woken && r.scene.act == join ||
		slices.ContainsFunc(r.peers, func(p *peer) bool { return p.sleep == join })
}

func (r *queueRules) said(p *peer, line, answer string) error {
	var n int
	switch {
	case strings.HasPrefix(line, "queue put") && answer == "ok":
		r.put = append(r.put, p.message)
	case strings.HasPrefix(line, "queue make") && answer == "ok":
		if _, err := fmt.Sscanf(line, "queue make %d", &p.message); err != nil {
			return err
		}
	case strings.HasPrefix(line, "queue take") && strings.HasPrefix(answer, "ok"):
		if _, err := fmt.Sscanf(answer, "ok %d", &n); err != nil {
			return err
		}
		r.got = append(r.got, n)
	case line == "queue join"+forever && answer == "ok":
	case strings.HasSuffix(line, try) && answer == "error WOULD_BLOCK":
	case r.scene.act == "queue shutdown" && answer == "error ENDED":
	default:
		return fmt.Errorf("peer %d answers %q to %q", p.index, answer, line)
	}
	return nil
}

func (r *queueRules) feed() error {
	if r.peers[holder].sleep != "" {
		return nil // it does already
	}
	if r.takers() {
		return r.putNew()
	}
	r.start(r.peers[holder], "queue take"+try)
	return nil
}

// drain takes all messages out, by lease and then the dead letters.
func (r *queueRules) drain() error {
	if err := r.drainBy("queue lease" + try); err != nil {
		return err
	}
	r.ready = len(r.drained)
	return r.drainBy("queue take_dead")
}

func (r *queueRules) drainBy(line string) error {
	p := r.peers[holder]
	for {
		answer, err := r.tell(p, line)
		if err != nil {
			return err
		}
		if answer == "error WOULD_BLOCK" || r.scene.act == "queue shutdown" && answer == "error ENDED" {
			return nil
		}
		var n, deliveries int
		if _, err := fmt.Sscanf(answer, "ok %d %d", &n, &deliveries); err != nil {
			return fmt.Errorf("a lease is answered %q: %w", answer, err)
		}
		r.drained = append(r.drained, n)
		r.again += uint32(deliveries - 1)
		if err := r.want(p, "queue ack", "ok"); err != nil {
			return err
		}
	}
}

func (r *queueRules) verify(over bool) error {
	if err := r.drain(); err != nil {
		return err
	}
	got := slices.Concat(r.got, r.drained)
	report := func(what string) error {
		return fmt.Errorf("%s: put %d, the victim's is %d; taken %d, then found %d", what, r.put, mine, r.got,
			r.drained)
	}
	fromLater := func(n int) bool { return n < numbersFrom } // whose order nobody knows
	for _, part := range [][]int{r.drained[:r.ready], r.drained[r.ready:]} {
		if !slices.IsSorted(slices.DeleteFunc(slices.Clone(part), fromLater)) {
			return report("out of order")
		}
	}
	effect := 0
	if slices.Contains(got, mine+1) && !slices.Contains(got, mine) {
		return report("the second of a batch without the first")
	}
	for _, n := range append(slices.Clone(r.put), mine, mine+1) {
		times := 0
		for _, g := range got {
			if g == n {
				times++
			}
		}
		switch {
		case times > 1:
			return report("given twice")
		case n == mine || n == mine+1:
			effect += times
		case times == 0:
			effect--
		}
	}
	if len(got) != len(r.put)+effect {
		return report("from nowhere")
	}
	if all := r.scene.effects; !r.scene.mayHave(effect) || over && len(all) > 0 && effect != all[len(all)-1] {
		return report("lost or found")
	}
	if r.scene.options.DeliveriesMax != nil { // what comes back is a dead letter
		r.redeliver = 0
	}
	if r.again > r.redeliver+r.scene.givesBack() || len(r.got) == 0 && r.again < r.redeliver {
		return fmt.Errorf("%d messages delivered again; the victim had leased %d", r.again, r.redeliver)
	}
	return nil
}

// givesBack is how many messages the operation itself gives back.
func (s *scene) givesBack() uint32 {
	return uint32(count(s.act == "queue nack") + queueSize*count(s.act == "queue nack_many"))
}

func queueOptions(slot uint32) wire.CreateOptions {
	return wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(queueSize)), SlotSize: &slot}
}

func queueScenes() []*scene {
	const put, take, lease, reserve = "queue put", "queue take", "queue lease", "queue reserve"
	const ack, nack, commit, abort = "queue ack", "queue nack", "queue commit", "queue abort"
	made := fmt.Sprintf("queue make %d %d", mine, shortMessage)
	long := fmt.Sprintf("queue make %d %d", mine, longMessage)
	makes := func(peer int) []cue {
		return says(peer, fmt.Sprintf("queue make %d %d", 100+peer, shortMessage))
	}
	putting := func(peer int) []cue { return all(makes(peer), sleeps(peer, put+forever)) }
	taking := sleeps(first, take+forever)
	takers := all(taking, sleeps(second, take+forever))
	room, message := says(holder, take+try), all(makes(holder), says(holder, put+try))
	leased, reserved := []string{lease + try}, []string{made, reserve + forever, "queue fill"}
	in, out := []int{1}, []int{-1}

	plain := props{kind: "queue", options: queueOptions(64), rules: messages(shortMessage)}
	big := props{kind: "queue", options: queueOptions(4096), rules: messages(longMessage)}
	scenes := []scene{
		{operation: put, situation: uncontended, before: []string{made}, act: put + forever, effects: in},
		{operation: put, situation: contended, before: []string{made}, during: takers, act: put + forever, effects: in},
		{operation: commit, situation: uncontended, before: reserved, act: commit, effects: in},
		{operation: commit, situation: contended, before: reserved, during: takers, act: commit, effects: in},
		{operation: abort, situation: uncontended, before: reserved, act: abort},
		{operation: abort, situation: contended, have: 1, before: reserved, during: putting(first), act: abort},
		{operation: take, situation: uncontended, have: 1, act: take + forever, effects: out},
		{operation: take, situation: contended, have: queueSize, during: putting(first), act: take + forever,
			effects: out},
		{operation: lease, situation: uncontended, have: 1, act: lease + forever},
		{operation: ack, situation: uncontended, have: 1, before: leased, act: ack, effects: out},
		{operation: ack, situation: contended, have: queueSize, before: leased, during: putting(first), act: ack,
			effects: out},
		{operation: nack, situation: uncontended, have: queueSize, before: leased, act: nack},
		{operation: nack, situation: contended, have: 1, before: leased, during: taking, act: nack},
		{operation: reserve, situation: uncontended, have: 1, before: []string{made}, act: reserve + forever},
	}
	for _, op := range []string{put, reserve} {
		effects := map[string][]int{put: in}[op]
		scenes = append(scenes,
			scene{operation: op, situation: refused, have: queueSize, before: []string{made}, during: putting(first),
				act: op + try, answer: "error WOULD_BLOCK", onlyC: op == reserve},
			scene{operation: op, situation: timedOut, have: queueSize, before: []string{made}, during: putting(first),
				act: op + shortly, answer: "error TIMED_OUT"},
			scene{operation: op, situation: woken, have: queueSize, before: []string{made}, act: op + forever,
				release: all(putting(first), room), effects: effects},
		)
	}
	for _, op := range []string{take, lease} {
		effects := map[string][]int{take: out}[op]
		scenes = append(scenes,
			scene{operation: op, situation: refused, during: taking, act: op + try, answer: "error WOULD_BLOCK"},
			scene{operation: op, situation: timedOut, during: taking, act: op + shortly, answer: "error TIMED_OUT"},
			scene{operation: op, situation: woken, act: op + forever, release: all(taking, message), effects: effects},
		)
	}
	sided := props{kind: "queue", options: queueOptions(64), rules: messages(longMessage)}
	sided.options.MessageMax = new(uint32(2 * longMessage))
	mapped := []string{long, put + try, take + try}
	return flat(plain.with(scenes...), queueBatchScenes(), sided.with(
		scene{operation: put + ", in the slot's side segment", situation: uncontended, before: mapped,
			act: put + forever, effects: in},
		scene{operation: take + ", from it", situation: uncontended, before: mapped, during: all(
			says(holder, fmt.Sprintf("queue make 100 %d", longMessage)), says(holder, put+try)),
			act: take + forever, effects: out},
	), big.with(
		scene{operation: put + ", long", situation: uncontended, before: []string{long}, act: put + forever,
			effects: in},
		scene{operation: take + ", long", situation: uncontended, have: 1, act: take + forever, effects: out},
	))
}
