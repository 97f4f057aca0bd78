package daemon

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

func (c *call) create() error {
	blueprint, err := c.blueprint()
	if err != nil {
		return err
	}
	o, err := c.session.server.build(c.client, blueprint)
	if err != nil {
		return err
	}
	return c.attachNew(o, blueprint)
}

// attachNew attaches the creator to what it has just created; the reference of
// build is dropped.
func (c *call) attachNew(o *object, b *blueprint) error {
	srv := c.session.server
	defer srv.registry.unpin(o)
	err := c.attach(o, entry{created: true, maps: b.maps})
	if err != nil {
		srv.destroy(o)
	}
	return err
}

// pinned reads the ref that is the first of so many parameters, and pins its object, which
// the caller unpins.
func (c *call) pinned(least, most int) (*object, error) {
	if err := c.params.Arity(least, most); err != nil {
		return nil, err
	}
	which, err := c.ref()
	if err != nil {
		return nil, err
	}
	return c.session.server.registry.pin(which)
}

func (c *call) open() error {
	if err := c.params.Arity(1, 2); err != nil {
		return err
	}
	which, err := c.ref()
	if err != nil {
		return err
	}
	var options wire.OpenOptions
	if c.params.More() {
		raw, err := c.params.Value("options")
		if err != nil {
			return err
		}
		if options, err = wire.DecodeOpenOptions(raw); err != nil {
			return err
		}
	}
	readOnly, err := parseAccess(options.Access)
	if err != nil {
		return err
	}
	srv := c.session.server
	o, err := srv.registry.pin(which)
	if err != nil {
		return err
	}
	defer srv.registry.unpin(o)
	e := entry{readOnly: readOnly, party: orDefault(options.Party, false), role: options.Role, ticket: options.Ticket,
		maps: orDefault(options.Map, false)}
	if err := o.matches(&options); err != nil {
		return on(o, err)
	}
	if err := o.admits(e, &options); err != nil {
		return on(o, err)
	}
	if o.queue != nil && e.role != nil {
		if e.queueRoles, err = queueRole(*e.role); err != nil {
			return on(o, err)
		}
	}
	return c.attach(o, e)
}

func parseAccess(access *string) (readOnly bool, err error) {
	switch {
	case access == nil || *access == wire.AccessReadWrite:
		return false, nil
	case *access == wire.AccessRead:
		return true, nil
	}
	return false, status.New(status.Invalid, "", `access is %.32q; it must be "rw" or "r"`, *access)
}

// openTries bounds how often an object may come and go between our looking for
// it and our making it.
const openTries = 16

func (c *call) openOrCreate() error {
	blueprint, err := c.blueprint()
	if err != nil {
		return err
	}
	if blueprint.name == "" {
		return status.New(status.BadName, "", "an anonymous object is never there already: create it")
	}
	srv := c.session.server
	for range openTries {
		o, err := srv.registry.pin(ref{name: blueprint.name})
		if err == nil {
			defer srv.registry.unpin(o)
			if err := blueprint.agrees(o); err != nil {
				return on(o, err)
			}
			return c.attach(o, entry{maps: blueprint.maps})
		}
		o, err = srv.build(c.client, blueprint)
		switch {
		case err == nil:
			return c.attachNew(o, blueprint)
		case !errors.Is(err, status.Exists):
			return err
		}
	}
	return status.New(status.Busy, "", "others create and remove it all the time").On(blueprint.name)
}

// entry is how a client comes to an object.
type entry struct {
	readOnly bool
	party    bool    // of a barrier, from now on
	role     *string // of a stream or a pipe, from now on; nil = none
	ticket   []byte  // nil = none
	// queueRoles are those of a queue, from now on.
	queueRoles queueRoles
	created    bool
	maps       bool // the descriptor is wanted at once
}

// admits checks what makes no sense with the kind of the object.
func (o *object) admits(e entry, given *wire.OpenOptions) error {
	switch {
	case given.Party != nil && o.barrier == nil:
		return status.New(status.Invalid, "", "party is no option of %s", withArticle(o.geometry.Kind.String()))
	case given.Role != nil && o.stream == nil && o.pipe == nil && o.queue == nil:
		return status.New(status.Invalid, "", "role is no option of %s", withArticle(o.geometry.Kind.String()))
	case e.party && e.readOnly:
		return status.New(status.Invalid, "", `a party arrives, for which access "r" is not enough`)
	case given.Role != nil && e.readOnly:
		return status.New(status.Invalid, "", `a role sends or receives, for which access "r" is not enough`)
	case e.readOnly && o.condition != nil:
		return status.New(status.Permission, "", "a condition is not opened read-only: whoever waits or notifies "+
			`writes to it and to its mutex: open it with "rw"`)
	}
	return nil
}

// attach gives the client a seat in o and a handle, and answers. When the only
// seats left are being swept, the call waits for one.
func (c *call) attach(o *object, e entry) error {
	srv := c.session.server
	handles := 1
	if o.guard != nil {
		handles = 2
	}
	if err := c.session.room(handles); err != nil {
		return on(o, err)
	}
	s, swept, err := srv.registry.take(c.client, o, e.readOnly)
	if err != nil {
		return on(o, err)
	}
	if s != nil {
		h, result, err := c.attachment(s, e)
		if err != nil {
			return err
		}
		return c.attached(h, result, e.maps)
	}
	srv.registry.keep(o)
	err = c.wait(nil, 0, func(ctx context.Context) (appender, error) {
		defer srv.registry.unpin(o)
		s, err := srv.takeSwept(ctx, c.client, o, e.readOnly, swept)
		if err != nil {
			return nil, on(o, err)
		}
		_, result, err := c.attachment(s, e)
		if err != nil {
			return nil, err
		}
		return func(b []byte) ([]byte, error) { return wire.AppendEncoded(b, result) }, nil
	}, nil)
	if err != nil {
		srv.registry.unpin(o)
	}
	return err
}

// takeSwept waits until a seat is free.
func (s *Server) takeSwept(ctx context.Context, c *client, o *object, readOnly bool,
	swept <-chan struct{}) (*seat, error) {
	for {
		select {
		case <-swept:
		case <-ctx.Done():
			return nil, status.Cancelled
		}
		taken, again, err := s.registry.take(c, o, readOnly)
		if taken != nil || err != nil {
			return taken, err
		}
		swept = again
	}
}

// attachment makes a handle of a seat and describes it.
func (c *call) attachment(s *seat, e entry) (*handle, *wire.Attachment, error) {
	o, srv, cost := s.object, c.session.server, amount{resHandles, 1}
	if s.guard != nil {
		cost.n++
	}
	if e.ticket != nil {
		srv.coming(o)
		defer srv.arrived(o)
	}
	var role string
	var used *ticket
	err := srv.quota.charge(c.session.uid, cost)
	if err == nil {
		if used, err = srv.registry.redeem(e.ticket, o); err == nil {
			if role, err = srv.takePart(s, e); err != nil && used != nil {
				srv.registry.unredeem(used)
				srv.watchTickets()
			}
		}
		if err != nil {
			srv.quota.release(c.session.uid, cost)
		}
	}
	if err != nil {
		if srv.registry.release(s) {
			srv.sweep(s)
		}
		return nil, nil, on(o, err)
	}
	h := c.session.addHandle(s, e, used, c.id)
	a := &wire.Attachment{
		Handle: h.number, Created: e.created, Access: wire.AccessReadWrite, Seat: uint32(s.number), Owner: s.word,
		DataOffset: o.geometry.DataOffset, DataSize: o.geometry.DataSize, SeatsOffset: o.geometry.SeatsOffset,
		Role: role,
	}
	if e.readOnly {
		a.Access = wire.AccessRead
	}
	if h.mutex != nil {
		a.LockHandle, a.LockOwner = &h.mutex.number, &h.mutex.seat.word
	}
	a.Info = c.session.server.registry.info(o)
	return h, a, nil
}

// attached answers with an attachment, and with the descriptor if that is wanted and can be
// sent now. A client that does not get it asks for it by map, and is told why if it cannot.
func (c *call) attached(h *handle, a *wire.Attachment, maps bool) error {
	if maps {
		a.Fds = 1
		if c.handOutSegment(h, a) == nil {
			return nil
		}
		a.Fds = 0
	}
	return c.encoded(a)
}

// takePart makes the client at once what it comes for.
func (s *Server) takePart(target *seat, e entry) (role string, err error) {
	switch {
	case e.party:
		return "", target.object.barrier.Declare(s.actor(target))
	case e.queueRoles != 0:
		return *e.role, nil // the handle has it from its beginning
	case e.role != nil:
		return s.claim(target, *e.role)
	}
	return "", nil
}

// mapSegment hands out the segment's descriptor.
func (c *call) mapSegment() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, err := c.live()
	if err != nil {
		return err
	}
	return c.handOutSegment(h, &wire.MapResult{Size: h.seat.object.geometry.SegmentSize, Fds: 1})
}

// handOutSegment answers with a result and the descriptor of the handle's segment.
func (c *call) handOutSegment(h *handle, result any) (err error) {
	o := h.seat.object
	file := o.file
	if h.readOnly {
		// Until it is sent, for which its client may take its time.
		q, uid, cost := c.session.server.quota, c.session.uid, amount{resDescriptors, 1}
		if err := q.charge(uid, cost); err != nil {
			return on(o, err)
		}
		defer q.release(uid, cost)
		if file, err = shm.OpenReadOnly(o.file); err != nil {
			return on(o, err)
		}
		defer file.Close()
	}
	return on(o, c.handOut(h, file, result))
}

// handOut answers with a result and a descriptor, which stays open until it is sent.
// The error is os.ErrClosed if it was not open.
func (c *call) handOut(h *handle, file *os.File, result any) error {
	answer, err := wire.AppendEncoded(wire.AppendResultHeader(nil, c.id), result)
	if err != nil {
		return err
	}
	// From before it has the descriptor, because afterwards is too late.
	c.client.mapped.Store(true)
	if !h.seat.mapped.Swap(true) {
		c.session.server.chronicle.record(&journal.SeatMapped{Object: h.seat.object.id, Number: h.seat.number})
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		s := c.session
		s.out = c.out
		s.flush() // what was answered before goes first
		c.out = s.out
		sent = s.writeWithFile(answer, int(fd))
	})
	switch {
	case err != nil:
		return err
	case status.Of(sent) == status.Busy:
		return sent
	}
	c.answered = true // or nobody is there, which the read side notices
	return nil
}

func (c *call) close() error {
	if err := c.params.Arity(1, 1); err != nil {
		return err
	}
	h, err := c.handle()
	if err != nil {
		return err
	}
	c.session.closeHandle(h)
	return c.nothing()
}

// owned reads a ref to an object that the client may do away with, and pins it.
func (c *call) owned(arity int, what string) (*object, error) {
	o, err := c.pinned(arity, arity)
	if err != nil {
		return nil, err
	}
	r := c.session.server.registry
	r.mu.Lock()
	err = o.ownedBy(c.client.peer, what)
	r.mu.Unlock()
	if err != nil {
		r.unpin(o)
		return nil, err
	}
	return o, nil
}

func (c *call) unlink() error {
	o, err := c.owned(1, "unlink")
	if err != nil {
		return err
	}
	r := c.session.server.registry
	defer r.unpin(o)
	r.mu.Lock()
	freed := r.unlink(o)
	r.mu.Unlock()
	r.dispose(freed)
	return c.nothing()
}

func (c *call) destroy() error {
	o, err := c.owned(1, "destroy")
	if err != nil {
		return err
	}
	defer c.session.server.registry.unpin(o)
	c.session.server.destroy(o)
	return c.nothing()
}

func (c *call) list() error {
	if err := c.params.Arity(0, 2); err != nil {
		return err
	}
	prefix, err := c.params.StrOr("prefix", "")
	if err == nil {
		err = wire.ValidatePrefix(prefix)
	}
	if err != nil {
		return err
	}
	after, err := c.params.StrOr("after", "")
	if err != nil {
		return err
	}
	result := c.session.server.registry.list(prefix, after)
	return c.encoded(&result)
}

// matches checks what open asks for.
func (o *object) matches(want *wire.OpenOptions) error {
	g := &o.geometry
	if want.Kind != nil && *want.Kind != g.Kind.String() {
		return status.New(status.KindMismatch, "", "it is %s, not %.32s", o.describe(), withArticle(*want.Kind))
	}
	if want.Code != nil {
		code, err := parseCode(*want.Code)
		if err != nil {
			return err
		}
		if code != g.Code {
			return status.New(status.TypeMismatch, "", "it is %s, you ask for '%s'", o.describe(), code)
		}
	}
	if want.Shape != nil && !slices.Equal(want.Shape, g.Shape) {
		return status.New(status.ShapeMismatch, "", "it is %s, you ask for shape %v", o.describe(), want.Shape)
	}
	if want.Length != nil && *want.Length != g.Length {
		return status.New(status.ShapeMismatch, "", "it is %s, you ask for %d elements", o.describe(), *want.Length)
	}
	return nil
}
