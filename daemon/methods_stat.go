package daemon

import (
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

func (c *call) stat() error {
	o, err := c.pinned(1, 1)
	if err != nil {
		return err
	}
	srv := c.session.server
	defer srv.registry.unpin(o)
	result := srv.stat(o)
	return c.encoded(&result)
}

// stat looks at an object; nothing stands still meanwhile.
func (s *Server) stat(o *object) wire.Stat {
	result := s.registry.look(o)
	switch {
	case o.event != nil:
		result.Set, _ = o.event.IsSet() // one that was destroyed is none
	case o.barrier != nil:
		b := o.barrier.Status()
		result.Waiting, result.Broken = b.Waiting, b.Broken
		result.Deaths, result.LastDeath = deathsOf(b.LastDeath), wireNoticeIf(b.LastDeath)
	case o.rwlock != nil:
		l := o.rwlock.Status()
		result.Readers, result.Inconsistent = l.Readers, l.Inconsistent
		result.Deaths, result.LastDeath = deathsOf(l.LastDeath), wireNoticeIf(l.LastDeath)
		if l.Held {
			result.Held = s.registry.held(o, l.Seat, 0)
		}
	}
	if o.stream != nil || o.pipe != nil {
		s.addRings(&result, o)
	}
	if seat := o.segment.LatchHolder(); seat != 0 && seat != shm.SeatDaemon {
		result.Busy = s.registry.held(o, seat, 0)
	}
	if o.array != nil {
		result.Version, result.Dirty = o.array.Version(), o.array.Dirty()
	}
	if o.lock == nil {
		return result
	}
	lock := o.lock.Status()
	result.Inconsistent, result.Deaths = lock.Inconsistent, uint64(lock.Deaths)
	result.LastDeath = wireNoticeIf(lock.LastDeath)
	if lock.Held {
		holder := o
		if o.guard != nil {
			holder = o.guard
		}
		result.Held = s.registry.held(holder, lock.Seat, lock.Depth)
	}
	return result
}

func wireNotice(n *shm.Notice) wire.Notice {
	return wire.Notice{Seat: uint32(n.Seat), PID: int32(n.PID), UID: n.UID, DiedNS: n.DiedNs, Deaths: uint64(n.Deaths)}
}

func wireNoticeIf(n *shm.Notice) *wire.Notice {
	if n == nil {
		return nil
	}
	told := wireNotice(n)
	return &told
}

// deathsOf is how many deaths there were up to the last one.
func deathsOf(last *shm.Notice) uint64 {
	if last == nil {
		return 0
	}
	return uint64(last.Deaths)
}
