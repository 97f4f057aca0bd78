package daemon

import (
	"context"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

const (
	// checkPause lets others go on between two looks of a check.
	checkPause = time.Millisecond
	// repairTries bounds how often a repair comes back for what a living client holds.
	repairTries = 200
)

// check judges the words of an object, without a seat in it, and without stopping anybody.
func (c *call) check() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	which, err := c.ref()
	if err != nil {
		return err
	}
	r := c.session.server.registry
	o, err := r.pin(which)
	if err != nil {
		return err
	}
	r.mu.Lock()
	err = o.permits(c.client.peer, modeRead)
	r.mu.Unlock()
	if err != nil {
		r.unpin(o)
		return err
	}
	return c.aside(o, func(ctx context.Context) (any, error) {
		return c.session.server.examine(ctx, o)
	})
}

// repair makes right what a check finds wrong. It is for the owner and root.
func (c *call) repair() error {
	o, err := c.owned(1, "repair")
	if err != nil {
		return err
	}
	srv, peer := c.session.server, c.client.peer
	return c.aside(o, func(ctx context.Context) (any, error) { return srv.repair(ctx, o, peer) })
}

// aside answers later, with a pinned object that is unpinned then.
func (c *call) aside(o *object, work func(ctx context.Context) (any, error)) error {
	r := c.session.server.registry
	err := c.wait(nil, 0, func(ctx context.Context) (appender, error) {
		defer r.unpin(o)
		result, err := work(ctx)
		if err != nil {
			return nil, on(o, err)
		}
		return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, result) }, nil
	}, nil)
	if err != nil {
		r.unpin(o)
	}
	return err
}

// witness is what the registry knows of an object.
func (r *registry) witness(o *object, daemon uint32) shm.Witness {
	w := shm.Witness{Daemon: daemon, Seat: func(number uint16) uint32 {
		r.mu.Lock()
		defer r.mu.Unlock()
		if s := o.seats.taken[number]; s != nil {
			return s.word
		}
		return 0
	}}
	if o.sides != nil {
		w.Side = o.sides.sizeOf
	}
	return w
}

// rest pauses; an error says why not to go on.
func rest(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return status.Cancelled
	case <-t.C:
		return nil
	}
}

// examine checks an object. Nobody is recovered in it during a look.
func (s *Server) examine(ctx context.Context, o *object) (*wire.Check, error) {
	found, unjudged, err := s.look(ctx, o)
	if err != nil {
		return nil, err
	}
	return &wire.Check{ID: o.id, Name: o.name, Kind: o.geometry.Kind.String(), Findings: found,
		Unjudged: unjudged}, nil
}

func (s *Server) look(ctx context.Context, o *object) (findings wire.List[wire.Finding], unjudged string, err error) {
	check := o.segment.Check(s.registry.witness(o, s.word()))
	for {
		o.recoverMu.Lock()
		removed := o.removed.Load()
		done := removed || check.Look()
		o.recoverMu.Unlock()
		if removed {
			return nil, "", status.Removed
		}
		if done {
			break
		}
		if err := rest(ctx, checkPause); err != nil {
			return nil, "", err
		}
	}
	found, unjudged := check.Findings()
	for _, f := range found {
		findings = append(findings, wire.Finding{Word: f.Word, Offset: f.Offset, Says: f.Says, Remedy: f.Remedy})
	}
	return findings, unjudged, nil
}

// repair checks, repairs what was found, and checks again. It needs no journal: a daemon
// that dies in the middle leaves words that the next check finds.
func (s *Server) repair(ctx context.Context, o *object, by *peer) (*wire.Repair, error) {
	before, err := s.examine(ctx, o)
	if err != nil {
		return nil, err
	}
	result := &wire.Repair{Check: *before}
	if len(before.Findings) == 0 {
		return result, nil
	}
	for try := 0; ; try++ {
		o.recoverMu.Lock()
		removed, done := o.removed.Load(), false
		if !removed {
			var costs []string
			costs, done = o.segment.Repair(s.registry.witness(o, s.word()),
				shm.Victim{NowNs: nowNs(), Alive: s.registry.living(o), Daemon: s.word()})
			result.Costs = append(result.Costs, costs...)
		}
		o.recoverMu.Unlock()
		switch {
		case removed:
			return nil, status.Removed
		case done:
			s.alarmBound(o)
			s.log.Warn("an object was repaired", "object", o.label(), "kind", o.geometry.Kind.String(),
				"uid", by.uid, "pid", by.pid, "findings", len(before.Findings), "costs", result.Costs)
			result.Left, _, err = s.look(ctx, o)
			return result, err
		case try == repairTries:
			return nil, s.repairRefused(o)
		}
		if err := rest(ctx, checkPause); err != nil {
			return nil, err
		}
	}
}

// repairRefused says who is in the way.
func (s *Server) repairRefused(o *object) error {
	if seat := o.segment.LatchHolder(); seat != 0 {
		if holder := s.registry.held(o, seat, 0); holder.PID != 0 {
			return status.New(status.Busy, "", "process %d (uid %d), in seat %d, is in the middle of an operation and "+
				"stopped, it seems: let it go on, or kill it", holder.PID, holder.UID, holder.Seat)
		}
	}
	return status.New(status.Busy, "", "somebody writes to the object all the time: stop who uses it, and try again")
}
