package daemon

import (
	"slices"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// handle is an object that a connection has open.
type handle struct {
	number   uint64     // immutable
	request  uint32     // immutable; that opened it
	seat     *seat      // immutable; the handle holds a reference
	readOnly bool       // immutable
	mutex    *handle    // immutable; on the foreign mutex, opened along; or nil
	roles    queueRoles // protected by registry.mu; in a queue
	ticket   *ticket    // immutable; that it was opened with; or nil
}

// room checks that n more handles may be opened.
func (s *session) room(n int) error {
	s.handlesMu.Lock()
	defer s.handlesMu.Unlock()
	if len(s.handles)+n > wire.HandlesMax {
		return status.New(status.Quota, "", "this connection has %d of at most %d handles open: close some",
			len(s.handles), wire.HandlesMax)
	}
	return nil
}

// addHandle makes a handle of a reference to a seat, and, if the seat has a
// guard, one on that too.
func (s *session) addHandle(target *seat, e entry, used *ticket, request uint32) *handle {
	h := &handle{seat: target, readOnly: e.readOnly, request: request, ticket: used, roles: e.queueRoles}
	if target.guard != nil {
		h.mutex = &handle{seat: target.guard, readOnly: e.readOnly, request: request}
	}
	s.server.registry.opened(h) // before a client can guess its number and close it
	s.handlesMu.Lock()
	defer s.handlesMu.Unlock()
	for _, each := range []*handle{h.mutex, h} {
		if each != nil {
			s.nextHandle++
			each.number = s.nextHandle
			s.handles[each.number] = each
			s.server.chronicle.record(each.recorded())
		}
	}
	if used != nil {
		s.server.chronicle.record(&journal.TicketUsed{Secret: used.secret, Client: target.client.id, Handle: h.number})
	}
	return h
}

// handle reads the parameter that every call on an open object begins with. The
// object is neither freed nor swept while the read loop executes the call.
func (c *call) handle() (*handle, error) {
	number, err := c.params.Uint64("handle")
	if err != nil {
		return nil, err
	}
	return c.session.handle(number)
}

// handle finds an open handle.
func (s *session) handle(number uint64) (*handle, error) {
	s.handlesMu.Lock()
	h := s.handles[number]
	s.handlesMu.Unlock()
	if h == nil {
		return nil, status.New(status.BadHandle, "", "this connection has no open handle %d: "+
			"create and open return them, close ends them", number)
	}
	return h, nil
}

// live is handle, but refuses the handle of an object that was destroyed.
func (c *call) live() (*handle, error) {
	h, err := c.handle()
	if err == nil {
		err = h.alive()
	}
	return h, err
}

// alive refuses the handle of an object that was destroyed.
func (h *handle) alive() error {
	if !h.seat.object.removed.Load() {
		return nil
	}
	return status.New(status.Removed, "", "close the handle").On(h.seat.object.label())
}

// handleOf is live for the objects of one kind: part is what those have.
func handleOf[T any](c *call, kind string, part func(*object) *T) (*handle, *T, error) {
	h, err := c.live()
	if err != nil {
		return nil, nil, err
	}
	o := h.seat.object
	if its := part(o); its != nil {
		return h, its, nil
	}
	return nil, nil, o.isNo(kind)
}

// isNo is the error of a call that is for another kind.
func (o *object) isNo(kind string) error {
	return status.New(status.KindMismatch, "", "it is %s, no %s", o.describe(), kind).On(o.label())
}

// writable refuses a handle that was opened for reading only.
func (h *handle) writable() error {
	if !h.readOnly {
		return nil
	}
	return status.New(status.Permission, "", `this handle was opened with access "r": open it with "rw"`).
		On(h.seat.object.label())
}

// closeHandle gives a handle back, and the one that was opened along.
func (s *session) closeHandle(h *handle) {
	s.handlesMu.Lock()
	closing := make([]*handle, 0, 2)
	for _, each := range []*handle{h, h.mutex} {
		if each != nil && s.handles[each.number] == each {
			delete(s.handles, each.number)
			s.server.chronicle.record(&journal.HandleGone{Client: each.seat.client.id, Number: each.number})
			closing = append(closing, each)
		}
	}
	s.handlesMu.Unlock()
	for _, each := range closing {
		s.pending.cancelHandle(each.number)
	}
	s.server.dropHandles(closing)
}

// openedBy are the handles that requests opened; not those on mutexes opened along.
func (s *session) openedBy(requests []uint32) (found []*handle) {
	if len(requests) == 0 {
		return nil
	}
	s.handlesMu.Lock()
	defer s.handlesMu.Unlock()
	along := make(map[*handle]bool)
	for _, h := range s.handles {
		if slices.Contains(requests, h.request) {
			found = append(found, h)
			along[h.mutex] = true
		}
	}
	return slices.DeleteFunc(found, func(h *handle) bool { return along[h] })
}

// takeHandles ends all handles of a session that is over.
func (s *session) takeHandles() []*handle {
	s.handlesMu.Lock()
	defer s.handlesMu.Unlock()
	handles := make([]*handle, 0, len(s.handles))
	for _, h := range s.handles {
		s.server.chronicle.record(&journal.HandleGone{Client: h.seat.client.id, Number: h.number})
		handles = append(handles, h)
	}
	s.handles = nil
	return handles
}
