package daemon

import (
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// rings looks at the directions of a stream, which has one, or of a pipe; none of other
// kinds.
func (o *object) rings() []shm.RingStatus {
	switch {
	case o.stream != nil:
		return []shm.RingStatus{o.stream.Status()}
	case o.pipe != nil:
		return []shm.RingStatus{o.pipe.Status(0), o.pipe.Status(1)}
	}
	return nil
}

// rolesOf are the roles of a stream, or the ends of a pipe, that a client has.
func (o *object) rolesOf(owner uint32) (roles []string) {
	for i, ring := range o.rings() {
		if ring.Producer == owner {
			role := wire.RoleProducer
			if o.pipe != nil {
				role = ends[i]
			}
			roles = append(roles, role)
		}
		if o.stream != nil && ring.Consumer == owner {
			roles = append(roles, wire.RoleConsumer)
		}
	}
	return roles
}

// addRings tells how each ring stands, and of the deaths of those who sent.
func (s *Server) addRings(result *wire.Stat, o *object) {
	var last *shm.Notice
	for _, ring := range o.rings() {
		told := wire.Ring{UsedBytes: ring.Used, Producer: s.registry.holder(o, ring.Producer),
			Consumer: s.registry.holder(o, ring.Consumer)}
		switch {
		case ring.Closed:
			told.Ended = wire.EndedClosed
		case ring.Died:
			told.Ended = wire.EndedDied
		}
		result.Rings = append(result.Rings, told)
		result.Deaths += deathsOf(ring.LastDeath)
		if n := ring.LastDeath; n != nil && (last == nil || n.DiedNs > last.DiedNs) {
			last = n
		}
	}
	result.LastDeath = wireNoticeIf(last)
}

// holder is who has a role; nil = nobody, or nobody who may.
func (r *registry) holder(o *object, owner uint32) *wire.Holder {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := o.seats.taken[shm.SeatOf(owner)]; s != nil && s.word == owner {
		return &wire.Holder{Seat: uint32(s.number), PID: s.client.peer.pid}
	}
	return nil
}
