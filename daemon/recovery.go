package daemon

import (
	"maps"
	"slices"
	"time"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/shm"
)

// recoveryRetry is how long a sweep that a live client keeps from ending waits
// before it is tried again; each time twice as long, up to recoveryRetryMax.
const (
	recoveryRetry    = 2 * time.Millisecond
	recoveryRetryMax = 256 * time.Millisecond
)

// sweep recovers a seat whose last reference is gone, frees it, and goes on with
// the seat in the guard if that was kept by this one alone. A segment that a
// live client scribbles on all the time, or whose latch one that is stopped holds,
// is tried again later.
func (s *Server) sweep(target *seat) { s.sweepOrRetry(target, recoveryRetry) }

func (s *Server) sweepOrRetry(target *seat, retry time.Duration) {
	for target != nil {
		if !s.recoverSeat(target) {
			again, next := target, min(2*retry, recoveryRetryMax)
			if retry < next && next == recoveryRetryMax {
				s.reportHolder(target.object)
			}
			s.later(retry, func() { s.sweepOrRetry(again, next) })
			return
		}
		owner := target.client
		next, ended := s.registry.swept(target)
		if ended {
			s.buried(owner)
		}
		target = next
	}
}

// reportHolder names a client that recovery waits for. It lives, so nothing is taken
// from it; whether to end it is the operator's decision.
func (s *Server) reportHolder(o *object) {
	seat := o.segment.LatchHolder()
	if seat == 0 || seat == shm.SeatDaemon {
		return
	}
	holder := s.registry.held(o, seat, 0)
	if holder == nil {
		return
	}
	s.log.Warn("what a dead client held cannot come back: another is in the middle of an operation, "+
		"and stopped, it seems; let it go on, or kill it", "object", o.label(), "kind", o.geometry.Kind.String(),
		"seat", holder.Seat, "pid", holder.PID, "uid", holder.UID)
}

// dropHandles drops handles that were taken from their session.
func (s *Server) dropHandles(handles []*handle) {
	sweeps, over := s.registry.closed(handles)
	s.sweepAll(sweeps)
	for _, o := range over { // behind the sweeps: what a dead consumer held is there again
		s.endQueue(o, recoveryRetry)
	}
}

func (s *Server) sweepAll(targets []*seat) {
	for _, target := range targets {
		s.sweep(target)
	}
}

// recoverSeat gives back what the seat's client held in the object; false asks
// for another try.
func (s *Server) recoverSeat(target *seat) bool {
	o, c := target.object, target.client
	c.mu.Lock()
	alive, crashed := !c.recovered, c.crashed
	c.mu.Unlock()
	victim := s.victim(target)
	// Through the socket alone nothing is ever left half done.
	victim.Orderly = !crashed || !target.mapped.Load()
	victim.Died = target.died
	o.recoverMu.Lock()
	defer o.recoverMu.Unlock()
	if o.guard != nil && !alive {
		// The guard's seat is swept only after this one, so the word still tells.
		// A handle closed in an orderly way is another matter: there only an open
		// bracket counts, for the client may go on holding the mutex.
		victim.HeldForeign = o.guard.segment.HeldBy(target.guard.word)
	}
	held, done := o.segment.Recover(victim)
	if held && done {
		s.alarmBound(o)
	}
	s.recovered(target, held && done)
	return done
}

// recovered counts and logs that something came back.
func (s *Server) recovered(target *seat, held bool) {
	if !held {
		return
	}
	o, c := target.object, target.client
	s.metrics.recoveries.Add(1)
	s.log.Info("what a client held came back", "object", o.label(), "kind", o.geometry.Kind.String(),
		"client", c.id, "pid", c.peer.pid, "uid", c.peer.uid, "seat", target.number)
}

// victim describes the client of a seat to recovery.
func (s *Server) victim(target *seat) shm.Victim {
	p := target.client.peer
	return shm.Victim{Owner: target.word, PID: uint32(p.pid), UID: p.uid, NowNs: nowNs(),
		Alive: s.registry.living(target.object), Daemon: s.word()}
}

// mourn breaks the barriers at which a client that is gone still waits through the
// daemon. When its calls end they break them too, but without saying who died.
func (s *Server) mourn(c *client) {
	if c.mapped.Load() && !c.peer.dead() {
		return // it may live
	}
	for _, target := range s.registry.retainParties(c) {
		victim := s.victim(target)
		victim.Orderly, victim.Died = true, true
		target.object.recoverMu.Lock()
		broke, done := target.object.barrier.PartyDied(victim)
		target.object.recoverMu.Unlock()
		s.recovered(target, broke && done) // else the sweep does it
		if s.registry.release(target) {
			s.sweep(target)
		}
	}
}

// recoverClient gives back everything that a client has: its handles are
// dropped, and every seat is swept with its last reference. Nothing acts for the
// client any more. It runs once per client.
func (s *Server) recoverClient(c *client, how string) {
	c.mu.Lock()
	if c.recovered || !c.ended {
		c.mu.Unlock()
		return
	}
	c.recovered, c.crashed = true, how != endBye
	c.zombie = false
	former := c.session
	c.mu.Unlock()
	s.chronicle.record(&journal.ClientEnds{ID: c.id, How: how})
	s.zombies.remove(c)
	if how != endBye {
		s.metrics.deaths.Add(1)
	}
	s.log.Debug("client ended", "client", c.id, "pid", c.peer.pid, "uid", c.peer.uid, "how", how)
	s.dropHandles(former.takeHandles())
	s.registry.mu.Lock()
	owned := slices.Collect(maps.Values(c.owned))
	s.registry.mu.Unlock()
	for _, o := range owned {
		s.destroy(o)
	}
	s.registry.mu.Lock()
	c.gone = true
	ended := c.sweeps == 0
	s.registry.mu.Unlock()
	if ended {
		s.buried(c)
	}
}

// buried ends a client whose last seat has been swept.
func (s *Server) buried(c *client) {
	c.mu.Lock()
	took, crashed := time.Since(c.noticed), c.crashed
	c.mu.Unlock()
	if crashed {
		s.metrics.lastRecovery.Store(int64(took))
	}
	s.forget(c)
}

// destroy takes an object away from everybody.
func (s *Server) destroy(o *object) {
	s.registry.mu.Lock()
	if o.freed || o.removed.Swap(true) {
		s.registry.mu.Unlock()
		return
	}
	o.refs++ // until the segment says so
	s.registry.revoke(o)
	s.chronicle.record(&journal.Removed{ID: o.id})
	freed := s.registry.unlink(o)
	s.registry.mu.Unlock()
	s.registry.dispose(freed)
	s.remove(o)
}

// remove marks the segment, and wakes everybody who waits in it.
func (s *Server) remove(o *object) {
	o.recoverMu.Lock()
	done := o.segment.Remove()
	o.recoverMu.Unlock()
	if !done {
		s.later(recoveryRetry, func() { s.remove(o) })
		return
	}
	s.alarmBound(o) // not before: who waits there would wait again
	s.registry.unpin(o)
}

// alarmBound wakes all who wait in the conditions of a mutex that was destroyed, or
// whose owner died. In the latter case the heir may unlock a strict mutex without
// marking it, after which nobody can notify them any more.
func (s *Server) alarmBound(mutex *object) {
	for _, condition := range s.registry.pinBound(mutex) {
		condition.condition.Alarm()
		s.registry.unpin(condition)
	}
}
