package crash

import (
	"fmt"
	"strconv"
	"time"
)

// The commands about queues and semaphores; c/messenger.c obeys them too.
//
//	open queue NAME, open semaphore NAME    ok
//	put NAME TEXT [NS]      ok
//	lease NAME [NS]         leased TEXT DELIVERIES
//	ack NAME, nack NAME     ok: the oldest lease of this queue
//	acquire NAME N [NS], release NAME N     ok
//	produce SLOT, consume SLOT HIRE         ok, then done: see traffic_test.go
//	send PRODUCER, receive GAP              ok, then done: see relay_test.go
//	talk NAME END DOES      ok, then done: see talk_test.go
//	worry KIND NAME ROLE SLOT    ok, then worried STATUS=COUNT...: see worry_test.go
//	halfway NAME STEP       see halfway_latched_linux_test.go
//	scrawl NAME...          ok: on these it will scribble
//	scribble SEED           ok, and no end: see scribble_linux_test.go
//
// or "error NAME"; NS is a timeout, -1 = for ever, which is also the default.

// messenger obeys them.
type messenger struct {
	opens  opens
	pipes  map[string]pipe
	gates  map[string]gate
	leases map[string][]delivery
	raws   map[string]*raw // what goes halfway, kept until the end of the process

	scrawls []*scrawl
}

func newMessenger(o opens) *messenger {
	return &messenger{opens: o, pipes: make(map[string]pipe), gates: make(map[string]gate),
		leases: make(map[string][]delivery), raws: make(map[string]*raw)}
}

// obey returns "" for what is no command about queues and semaphores.
func (m *messenger) obey(words []string) string {
	argument := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	name := argument(1)
	switch words[0] {
	case "open":
		return m.open(name, argument(2))
	case "put", "lease", "ack", "nack":
		if p := m.pipes[name]; p != nil {
			return m.message(p, name, words)
		}
	case "acquire", "release":
		if g := m.gates[name]; g != nil {
			return m.permit(g, words)
		}
	case "produce", "consume", "send", "receive":
		return m.labour(words[0], name, argument(2))
	case "talk":
		return done(talk(m.opens, name, argument(2), argument(3)))
	case "halfway":
		if m.pipes[name] != nil || m.gates[name] != nil {
			return m.halfway(name, argument(2))
		}
	case "worry":
		return worry(m.opens, name, argument(2), argument(3), argument(4))
	case "scrawl":
		return m.scrawl(words[1:])
	case "scribble":
		return scribble(m.scrawls, name)
	}
	return ""
}

func (m *messenger) open(kind, name string) string {
	switch kind {
	case "queue":
		p, err := m.opens.pipe(name)
		m.pipes[name] = p
		return outcome(err)
	case "semaphore":
		g, err := m.opens.gate(name)
		m.gates[name] = g
		return outcome(err)
	}
	return ""
}

// timeoutOf reads a word of nanoseconds.
func timeoutOf(words []string, at int) (time.Duration, error) {
	if at >= len(words) {
		return -1, nil
	}
	ns, err := strconv.ParseInt(words[at], 10, 64)
	return time.Duration(ns), err
}

func (m *messenger) message(p pipe, name string, words []string) string {
	switch words[0] {
	case "put":
		timeout, err := timeoutOf(words, 3)
		if err != nil {
			return err.Error()
		}
		return outcome(p.put([]byte(words[2]), timeout))
	case "lease":
		timeout, err := timeoutOf(words, 2)
		if err != nil {
			return err.Error()
		}
		d, err := p.lease(timeout)
		if err != nil {
			return outcome(err)
		}
		m.leases[name] = append(m.leases[name], d)
		return fmt.Sprintf("leased %s %d", d.message, d.deliveries)
	}
	leases := m.leases[name]
	if len(leases) == 0 {
		return "no lease"
	}
	d := leases[0]
	m.leases[name] = leases[1:]
	if words[0] == "ack" {
		return outcome(p.ack(d))
	}
	return outcome(p.nack(d))
}

func (m *messenger) permit(g gate, words []string) string {
	n, err := strconv.ParseUint(words[2], 10, 32)
	if err != nil {
		return err.Error()
	}
	timeout, err := timeoutOf(words, 3)
	if err != nil {
		return err.Error()
	}
	if words[0] == "acquire" {
		return outcome(g.acquire(uint32(n), timeout))
	}
	return outcome(g.release(uint32(n)))
}

// labour works until it is told to end by what it works on.
func (m *messenger) labour(verb, argument, hired string) string {
	slot, err := strconv.Atoi(argument)
	var hire int
	if err == nil && verb == "consume" {
		hire, err = strconv.Atoi(hired)
	}
	switch {
	case err != nil:
	case verb == "send" || verb == "receive":
		err = relay(m.opens, verb, int64(slot))
	default:
		err = labour(m.opens, verb, slot, hire)
	}
	return done(err)
}

func done(err error) string {
	if err != nil {
		return "broken: " + err.Error()
	}
	return "done"
}

func (m *messenger) close() error {
	for _, p := range m.pipes {
		if err := p.close(); err != nil {
			return err
		}
	}
	for _, g := range m.gates {
		if err := g.close(); err != nil {
			return err
		}
	}
	return nil
}
