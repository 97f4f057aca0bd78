package daemon

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/daemon/keeper"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// begin makes the registry: empty, or as the daemon before left it.
func (s *Server) begin(ctx context.Context) error {
	s.epoch = newEpoch()
	if s.config.KeeperCommand == nil && !s.config.KeeperStarted {
		s.registry = newRegistry(s.quota, nil)
		return nil
	}
	began := time.Now()
	link, left, err := inherit(ctx, s.config)
	if err != nil {
		return err
	}
	state := left.state
	if state == nil {
		state = journal.NewState()
	} else if s.epoch = state.Start.Epoch + 1; s.epoch > shm.GenerationMax {
		s.epoch = 1
	}
	state.Start.Epoch = s.epoch
	if s.chronicle, err = begin(link, state, s.log, s.point); err != nil {
		link.Close(false)
		return err
	}
	s.registry = newRegistry(s.quota, s.chronicle)
	h := heir{server: s, state: state, left: left, link: link}
	if err := h.restore(); err != nil {
		return err
	}
	if left.state != nil {
		s.log.Info("went on where the daemon before ended", "objects", len(state.Objects), "clients",
			len(state.Clients), "took", time.Since(began))
	}
	return nil
}

// giveUp ends a daemon that could not start. What the keeper holds stays there.
func (s *Server) giveUp() error {
	s.stop()
	s.mu.Lock()
	s.closing = true
	for t := range s.timers {
		if t.Stop() {
			s.wg.Done()
		}
	}
	for _, c := range s.clients {
		c.peer.close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	var err error
	if s.registry != nil {
		err = s.chronicle.close(false)
		s.registry.close()
	}
	s.endpoint.close()
	return err
}

// heir restores what the daemon before had, before anybody else has the server.
type heir struct {
	server *Server
	state  *journal.State
	left   *heritage
	link   *keeper.Link

	clients map[uint64]*client
	sweeps  []*seat // that nothing refers to
}

func (h *heir) restore() error {
	s, r := h.server, h.server.registry
	r.nextID, s.nextClient = h.state.Start.LastObject, h.state.Start.LastClient
	h.clients = make(map[uint64]*client, len(h.state.Clients))
	for id, c := range h.state.Clients {
		if err := h.client(id, c); err != nil {
			return err
		}
	}
	ids := slices.Sorted(maps.Keys(h.state.Objects)) // mutexes before what they guard
	for _, id := range ids {
		if err := h.object(h.state.Objects[id]); err != nil {
			return err
		}
	}
	for id, c := range h.state.Clients {
		if err := h.handles(h.clients[id], c); err != nil {
			return err
		}
	}
	h.tickets()
	h.left.forgetAll(h.link)
	h.loose(ids)
	s.point("restored")
	h.recover(ids)
	return nil
}

// client restores a client, which has to come back.
func (h *heir) client(id uint64, c *journal.ClientState) error {
	s := h.server
	p := &peer{pid: c.PID, uid: c.UID, gid: c.GID, groups: c.Groups}
	if err := p.inherit(h.left.take(h.link, clientKey(id))); err != nil {
		return err
	}
	h.link.Adopt(clientKey(id), p.pidfd)
	restored := &client{id: id, peer: p, uuid: c.UUID, software: c.Software, quota: s.quota, ended: true,
		seats: make(map[uint64]*seat), owned: make(map[uint64]*object)}
	restored.session = detachedSession(s)
	restored.mapped.Store(c.Mapped)
	h.clients[id] = restored
	s.clients[id] = restored
	s.detached[restored] = struct{}{}
	s.quota.inherit(c.UID, detachedAmounts...)
	return nil
}

// object restores an object and who sits in it.
func (h *heir) object(state *journal.ObjectState) error {
	s, r, id := h.server, h.server.registry, state.ID
	o := &object{id: id, name: state.Name, geometry: state.Geometry, uid: state.UID, gid: state.GID, mode: state.Mode,
		lifetime: state.Lifetime, linked: !state.Unlinked, file: h.left.take(h.link, objectKey(id))}
	r.ids[id] = o // so that it is closed, whatever comes
	if err := o.geometry.Validate(); err != nil {
		return on(o, err)
	}
	if o.geometry.LockID != 0 {
		o.guard = r.ids[o.geometry.LockID]
		o.guard.refs++
	}
	var err error
	if o.segment, err = shm.MapSegment(o.file, o.geometry, false); err != nil {
		return on(o, err)
	}
	r.inherit(o)
	o.segment.Adopt(s.epoch)
	o.equip(r, s.segmentOptions())
	if o.condition != nil {
		if o.guard.bound == nil {
			o.guard.bound = make(map[*object]struct{})
		}
		o.guard.bound[o] = struct{}{}
	}
	o.parts.had = queueRoles(state.Roles)
	o.removed.Store(state.Removed)
	if o.linked {
		if o.name != "" {
			r.names[o.name] = o
		}
		if o.lifetime != lifetimeRefcounted {
			o.refs++
		}
		if c := h.clients[state.Creator]; c != nil {
			o.creator = c
			c.owned[id] = o
		}
	}
	for number, each := range state.Sides {
		o.sides.inherit(&side{number: number, slot: each.Slot, size: each.Size,
			file: h.left.take(h.link, sideKey(id, number))}, state.LastSide)
	}
	o.seats.inherit(state.Generations)
	for _, seated := range state.Seats {
		h.seat(o, &seated.Seat)
	}
	o.seats.vacate()
	return nil
}

// seat restores a client's place.
func (h *heir) seat(o *object, state *journal.Seat) {
	c, number := h.clients[state.Client], state.Number
	restored := &seat{object: o, client: c, number: number, word: shm.OwnerWord(number, state.Generation)}
	restored.mapped.Store(state.Mapped)
	if o.rwlock != nil && !state.Mapped {
		restored.threads.nameless = o.rwlock.ReadersOf(number)
	}
	if o.guard != nil {
		if restored.guard = o.guard.seats.taken[state.Guard]; restored.guard != nil {
			restored.guard.refs++
		}
	}
	o.seats.taken[number] = restored
	o.refs++
	c.sweeps++
	h.server.quota.inherit(c.peer.uid, amount{resSeats, 1})
}

// handles restores what a client had open.
func (h *heir) handles(c *client, state *journal.ClientState) error {
	s := c.session
	for number, each := range state.Handles {
		target := h.server.registry.ids[each.Object].seats.taken[each.Seat]
		s.handles[number] = &handle{number: number, seat: target, readOnly: each.ReadOnly,
			request: each.Request, roles: queueRoles(each.Roles)}
		s.nextHandle = max(s.nextHandle, number)
		target.refs++
		target.handles++
		target.object.handles++
		target.object.parts.add(queueRoles(each.Roles), 1)
		h.server.quota.inherit(c.peer.uid, amount{resHandles, 1})
		c.seats[each.Object] = target
	}
	for number, each := range state.Handles {
		if mutex := s.handles[each.Mutex]; mutex != nil {
			s.handles[number].mutex = mutex
		}
	}
	return nil
}

// tickets restores those that are good, for whoever could not come while there was no
// daemon, and those that handles were opened with.
func (h *heir) tickets() {
	r := h.server.registry
	least := sinceBoot() + h.server.config.ReattachGrace
	for _, state := range h.state.Tickets {
		t := &ticket{secret: state.Secret, object: r.ids[state.Object], uid: state.UID, deadline: state.Deadline}
		if state.Handle != 0 {
			h.clients[state.Client].session.handles[state.Handle].ticket = t
			continue
		}
		t.deadline = max(t.deadline, least)
		r.inheritTicket(t)
	}
}

// loose finds the seats that nothing refers to: of an open that was not finished, or a
// sweep. Behind what a mutex guards comes the mutex, whose seat goes with that one.
func (h *heir) loose(ids []uint64) {
	for _, id := range slices.Backward(ids) {
		for _, s := range h.server.registry.ids[id].seats.taken {
			if s.refs == 0 {
				s.refs++ // which release takes away
				h.sweeps = append(h.sweeps, s)
			} else if s.client.seats[id] == nil {
				s.client.seats[id] = s // of a mutex, for what it guards
			}
		}
	}
}

// recover gives back what the dead held, the daemon before among them.
func (h *heir) recover(ids []uint64) {
	s, r := h.server, h.server.registry
	objects := make([]*object, 0, len(ids))
	for _, id := range slices.Backward(ids) { // what a mutex guards, before the mutex
		o := r.ids[id]
		o.refs++ // until it is recovered
		objects = append(objects, o)
	}
	for _, o := range objects {
		if o.removed.Load() {
			r.keep(o)
			s.remove(o)
		}
		s.succeed(o)
		s.point("recover")
	}
	for id, c := range h.clients {
		switch how := h.state.Clients[id].Ends; {
		case how != "":
			s.recoverClient(c, how)
		case c.peer.dead():
			c.notice()
			s.recoverClient(c, endDied)
		default:
			s.watch(c)
		}
	}
	for _, seat := range h.sweeps {
		if r.release(seat) {
			s.sweep(seat)
		}
	}
	for _, o := range objects {
		s.lookAtRoles(o) // in case that the daemon before had no time
		r.unpin(o)
	}
	s.watchTickets()
	s.later(s.config.ReattachGrace, s.dismiss)
}

// succeed gives back what the daemon before held in an object, and ends what its calls
// were in the middle of.
func (s *Server) succeed(o *object) {
	v := shm.Victim{Owner: shm.OwnerWord(shm.SeatDaemon, s.epoch%shm.GenerationMax+1), UID: uint32(os.Getuid()),
		NowNs: nowNs(), Alive: s.registry.living(o), Daemon: s.word(), Died: true}
	if held := o.segment.DaemonHolds(s.word()); held != 0 {
		v.Owner = held
	}
	v.HeldForeign = o.guard != nil && o.guard.segment.DaemonHolds(s.word()) != 0
	o.recoverMu.Lock()
	done := o.segment.RecoverDaemon(v)
	for _, seat := range s.registry.seatsIn(o) {
		if !seat.mapped.Load() {
			done = o.segment.SettleCalls(s.victim(seat)) && done
		}
	}
	o.recoverMu.Unlock()
	if !done {
		s.registry.keep(o)
		s.later(recoveryRetry, func() {
			s.succeed(o)
			s.registry.unpin(o)
		})
	}
}

// dismiss ends the clients that did not come back in time, as far as they cannot write
// any more.
func (s *Server) dismiss() {
	s.mu.Lock()
	absent := slices.Collect(maps.Keys(s.detached))
	s.mu.Unlock()
	for _, c := range absent {
		switch {
		case !c.mapped.Load():
			s.recoverClient(c, endAbsent)
		case !s.mayWrite(c):
			s.recoverClient(c, endUnmapped)
		default:
			s.zombies.add(c)
		}
	}
}

var errConnected = status.New(status.Busy, "", "its former connection has not ended yet: try again")

// comeBack finds the client that says hello again, on a new connection, and gives it that.
// nil = there is none with the uuid.
func (s *Server) comeBack(uuid [16]byte, by *peer, to *session, resume bool) (*client, error) {
	s.mu.Lock()
	var found *client
	for c := range s.detached {
		if c.uuid == uuid {
			found = c
			break
		}
	}
	connected := false
	for _, c := range s.clients {
		if found == nil && resume && c.uuid == uuid && c.peer.is(by) && !c.hasEnded() {
			connected = true // until we notice that it is not
		}
	}
	s.mu.Unlock()
	switch {
	case connected:
		return nil, errConnected
	case found == nil:
		return nil, nil
	}
	if !found.peer.is(by) {
		return nil, status.New(status.Identity, "", "the client with this uuid is another process (pid %d): "+
			"a uuid is for one process, and never passed on", found.peer.pid)
	}
	found.mu.Lock()
	if found.recovered {
		found.mu.Unlock()
		return nil, nil
	}
	if !found.ended { // another hello with this uuid was faster
		found.mu.Unlock()
		return nil, errConnected
	}
	former := found.session
	found.session, found.ended, found.zombie, found.noticed = to, false, false, time.Time{}
	found.mu.Unlock()
	s.zombies.remove(found)
	former.handlesMu.Lock()
	handles, next := former.handles, former.nextHandle
	former.handles = make(map[uint64]*handle)
	former.handlesMu.Unlock()
	to.handlesMu.Lock()
	to.handles, to.nextHandle = handles, next
	to.handlesMu.Unlock()
	s.disconnected(found) // the connection that the daemon before charged it for
	by.close()
	return found, nil
}

// disconnected gives back a connection of a client that comes back or is forgotten: none
// comes in its place any more.
func (s *Server) disconnected(c *client) {
	s.mu.Lock()
	_, detached := s.detached[c]
	delete(s.detached, c)
	s.mu.Unlock()
	had := connectionAmounts
	if detached {
		had = detachedAmounts // at once: who comes meanwhile finds room, or the allowance for it
	}
	s.quota.release(c.peer.uid, had...)
}

// detachedSession stands for the connection of a client that has none.
func detachedSession(s *Server) *session {
	d := &session{server: s, done: make(chan struct{}), stopping: make(chan struct{}),
		draining: make(chan struct{}), handles: make(map[uint64]*handle)}
	close(d.done)
	return d
}
