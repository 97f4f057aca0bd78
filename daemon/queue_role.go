package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// queueRoles are roles in a queue. Any number of handles may have one, each both; it says who
// is there to put and to take, and holds nobody back. Once a role has been had and no handle
// has it any more, the queue is shut down.
type queueRoles uint8

const (
	queueProducer queueRoles = 1 << iota
	queueConsumer
)

// queueRole reads the name of a role.
func queueRole(role string) (queueRoles, error) {
	switch role {
	case wire.RoleProducer:
		return queueProducer, nil
	case wire.RoleConsumer:
		return queueConsumer, nil
	}
	return 0, status.New(status.Invalid, "", "role is %.32q; of a queue it must be producer or consumer", role)
}

// queueParts are how many handles have each role of one queue. It is protected by registry.mu.
type queueParts struct {
	producers, consumers int
	coming               int        // opens under way, which may bring a role
	had                  queueRoles // that some handle has had
}

func (p *queueParts) add(roles queueRoles, n int) {
	if roles&queueProducer != 0 {
		p.producers += n
	}
	if roles&queueConsumer != 0 {
		p.consumers += n
	}
	p.had |= roles
}

// over reports whether a role was had, and is no more.
func (p *queueParts) over() bool {
	noProducer := p.had&queueProducer != 0 && p.producers == 0
	noConsumer := p.had&queueConsumer != 0 && p.consumers == 0
	return p.coming == 0 && (noProducer || noConsumer)
}

// changeRoles gives a handle of a queue the roles that it has from now on, instead of those
// that it had.
func (s *Server) changeRoles(h *handle, change func(queueRoles) (queueRoles, error)) error {
	o, r := h.seat.object, s.registry
	r.mu.Lock()
	roles, err := change(h.roles)
	if err == nil && roles != h.roles {
		o.parts.add(h.roles, -1)
		h.roles = roles
		o.parts.add(roles, 1)
		s.chronicle.record(&journal.HandleRoles{Client: h.seat.client.id, Number: h.number,
			Roles: uint8(roles)})
	}
	over := r.endsQueue(o)
	r.mu.Unlock()
	if over {
		s.endQueue(o, recoveryRetry)
	}
	return err
}

// claimQueue gives a handle a role.
func (s *Server) claimQueue(h *handle, role string) error {
	which, err := queueRole(role)
	if err != nil {
		return err
	}
	return s.changeRoles(h, func(had queueRoles) (queueRoles, error) { return had | which, nil })
}

// retireQueue takes a role from a handle.
func (s *Server) retireQueue(h *handle, role string) error {
	which, err := queueRole(role)
	if err != nil {
		return err
	}
	return s.changeRoles(h, func(roles queueRoles) (queueRoles, error) {
		if roles&which == 0 {
			_, err := had(nil)
			return roles, err
		}
		return roles &^ which, nil
	})
}

// coming is for an open that may use up a ticket before there is its handle. Until arrived
// the queue loses no role.
func (s *Server) coming(o *object) {
	s.registry.mu.Lock()
	o.parts.coming++
	s.registry.mu.Unlock()
}

func (s *Server) arrived(o *object) {
	s.registry.mu.Lock()
	o.parts.coming--
	s.registry.mu.Unlock()
	s.lookAtRoles(o)
}

// lookAtRoles is for a queue that may have lost what a role was waited for.
func (s *Server) lookAtRoles(o *object) {
	s.registry.mu.Lock()
	over := s.registry.endsQueue(o)
	s.registry.mu.Unlock()
	if over {
		s.endQueue(o, recoveryRetry)
	}
}

// endsQueue reports whether a queue has lost a role for good, and then pins it for endQueue. A
// ticket may bring the role back. Call it with mu held.
func (r *registry) endsQueue(o *object) bool {
	if o.queue == nil || o.freed || o.removed.Load() || !o.parts.over() || len(o.tickets) > 0 {
		return false
	}
	o.refs++
	return true
}

// endQueue shuts a pinned queue down, and unpins it. If a client is in the middle of an
// operation there, it is tried again later.
func (s *Server) endQueue(o *object, retry time.Duration) {
	// A shutdown takes nothing, so any seat does for it.
	actor := shm.Actor{Latcher: s.word(), Seat: shm.OwnerWord(1, 1)}
	err := o.queue.Shutdown(context.Background(), s.parker, actor, 0)
	switch status.Of(err) {
	case status.WouldBlock, status.TimedOut, status.Busy:
		s.later(retry, func() { s.endQueue(o, min(2*retry, recoveryRetryMax)) })
		return
	case status.OK:
		s.log.Debug("a queue was shut down: its last producer or consumer is gone", "object", o.label())
	}
	s.registry.unpin(o)
}
