package daemon

import (
	"container/heap"
	"crypto/rand"
	"sync"
	"time"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// secret is what a ticket is named by: who knows it has it.
type secret [wire.TicketSize]byte

// ticket keeps an object, to which it has a reference, for whoever opens it with the secret.
// Once it was used it has none, and is its handle's: should its user come back from the
// daemon's death without having heard of that handle, he gets it again.
type ticket struct {
	secret   secret        // immutable
	object   *object       // immutable
	uid      uint32        // immutable; who is charged while it is good
	deadline time.Duration // since boot; protected by registry.mu
	place    int           // among those that are good; protected by registry.mu
}

// ticketTable are the tickets that are good. It is protected by registry.mu.
type ticketTable struct {
	bySecret map[secret]*ticket
	byEnd    ticketHeap
}

// ticketHeap has the ticket first that ends first.
type ticketHeap []*ticket

func (h ticketHeap) Len() int           { return len(h) }
func (h ticketHeap) Less(i, j int) bool { return h[i].deadline < h[j].deadline }
func (h ticketHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *ticketHeap) Push(x any) {
	t := x.(*ticket)
	t.place = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *ticketHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}

func (t *ticket) recorded() journal.Record {
	return &journal.Ticket{Secret: t.secret, Object: t.object.id, UID: t.uid, Deadline: t.deadline}
}

// ticket makes one for an object.
func (c *call) ticket() error {
	o, err := c.pinned(1, 2)
	if err != nil {
		return err
	}
	srv := c.session.server
	defer srv.registry.unpin(o)
	ns, err := c.params.Int64Or("timeout_ns", int64(wire.TicketTimeout))
	if err == nil && (ns < 1 || ns > int64(wire.TicketTimeoutMax)) {
		err = status.New(status.Invalid, "", "timeout_ns is %d; it must be 1 to %d, an hour", ns, wire.TicketTimeoutMax)
	}
	if err != nil {
		return on(o, err)
	}
	t := &ticket{object: o, uid: c.client.peer.uid, deadline: sinceBoot() + time.Duration(ns)}
	_, _ = rand.Read(t.secret[:]) // never fails, by its contract
	if err := srv.registry.issue(t, c.client.peer); err != nil {
		return on(o, err)
	}
	srv.watchTickets()
	return c.encoded(&wire.TicketResult{ID: o.id, Ticket: t.secret[:]})
}

// issue makes a ticket good, for a client that may read its object.
func (r *registry) issue(t *ticket, by *peer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.object.removed.Load() {
		return status.New(status.Removed, "", "it is going away")
	}
	if err := t.object.permits(by, modeRead); err != nil {
		return err
	}
	if err := r.quota.charge(t.uid, amount{resTickets, 1}); err != nil {
		return err
	}
	r.addTicket(t)
	r.chronicle.record(t.recorded())
	return nil
}

// addTicket counts a ticket in that is charged. Call it with mu held.
func (r *registry) addTicket(t *ticket) {
	if r.tickets.bySecret == nil {
		r.tickets.bySecret = make(map[secret]*ticket)
	}
	r.tickets.bySecret[t.secret] = t
	heap.Push(&r.tickets.byEnd, t)
	if t.object.tickets == nil {
		t.object.tickets = make(map[*ticket]struct{})
	}
	t.object.tickets[t] = struct{}{}
	t.object.refs++
}

// dropTicket is the end of a ticket that is good; what that frees goes to dispose. Call it with
// mu held.
func (r *registry) dropTicket(t *ticket) []*object {
	delete(r.tickets.bySecret, t.secret)
	heap.Remove(&r.tickets.byEnd, t.place)
	delete(t.object.tickets, t)
	r.quota.release(t.uid, amount{resTickets, 1})
	return r.unref(t.object)
}

// revoke ends all tickets of an object that is pinned. Call it with mu held.
func (r *registry) revoke(o *object) {
	for t := range o.tickets {
		r.chronicle.record(&journal.TicketGone{Secret: t.secret})
		r.dropTicket(t)
	}
}

// redeem uses a ticket up, for a seat in its object; nil if the client came without one.
// Until there is a record of the handle that comes of it, the ticket is good in the journal.
func (r *registry) redeem(given []byte, o *object) (*ticket, error) {
	if given == nil {
		return nil, nil
	}
	if len(given) != wire.TicketSize {
		return nil, status.New(status.Invalid, "", "the ticket has %d bytes, it must have %d", len(given),
			wire.TicketSize)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tickets.bySecret[secret(given)]
	if t == nil || t.object != o {
		return nil, status.New(status.NotFound, "", "there is no such ticket for it: it was used, or its time is over")
	}
	r.dropTicket(t)
	return t, nil
}

// unredeem undoes redeem, for an open that failed. Its object has a seat still.
func (r *registry) unredeem(t *ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.object.removed.Load() { // meanwhile, and the others were revoked
		r.chronicle.record(&journal.TicketGone{Secret: t.secret})
		return
	}
	r.inheritTicket(t)
}

// inheritTicket makes a ticket good, whatever the limits. Call it with mu held.
func (r *registry) inheritTicket(t *ticket) {
	r.quota.inherit(t.uid, amount{resTickets, 1})
	r.addTicket(t)
}

// giveBack makes a ticket good again for some time at least, because the client that used it
// has not heard of its handle, which is still open.
func (s *Server) giveBack(t *ticket) {
	r := s.registry
	r.mu.Lock()
	if !t.object.removed.Load() {
		t.deadline = max(t.deadline, sinceBoot()+s.config.ReattachGrace)
		r.inheritTicket(t)
		r.chronicle.record(t.recorded())
	}
	r.mu.Unlock()
	s.watchTickets()
}

// ticketClock is the one timer for all tickets, for the one that ends first.
type ticketClock struct {
	mu     sync.Mutex
	at     time.Duration // protected by mu
	cancel func()        // protected by mu; nil = there is none
}

// watchTickets sees to it that tickets end in time.
func (s *Server) watchTickets() {
	r, clock := s.registry, &s.tickets
	clock.mu.Lock()
	defer clock.mu.Unlock()
	r.mu.Lock()
	none := len(r.tickets.byEnd) == 0
	var first time.Duration
	if !none {
		first = r.tickets.byEnd[0].deadline
	}
	r.mu.Unlock()
	switch {
	case none, clock.cancel != nil && clock.at <= first:
		return
	case clock.cancel != nil:
		clock.cancel()
	}
	clock.at = first
	clock.cancel = s.later(max(0, first-sinceBoot()), s.endTickets)
}

// endTickets ends those whose time is over.
func (s *Server) endTickets() {
	s.tickets.mu.Lock()
	s.tickets.cancel = nil
	s.tickets.mu.Unlock()
	r := s.registry
	var freed, over []*object
	r.mu.Lock()
	for now := sinceBoot(); len(r.tickets.byEnd) > 0 && r.tickets.byEnd[0].deadline <= now; {
		t := r.tickets.byEnd[0]
		r.chronicle.record(&journal.TicketGone{Secret: t.secret})
		freed = append(freed, r.dropTicket(t)...)
		if r.endsQueue(t.object) {
			over = append(over, t.object)
		}
	}
	r.mu.Unlock()
	for _, o := range over {
		s.endQueue(o, recoveryRetry)
	}
	for _, o := range freed {
		s.log.Debug("an object is gone with the last ticket that kept it", "object", o.label(), "uid", o.uid)
	}
	r.dispose(freed)
	s.watchTickets()
}
